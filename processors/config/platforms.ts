/** Finds platform maps on disk, compiles them, tests them and explains them; what `run`, `lint`, `test` and `explain-map` stand on. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CaseCodec, type CaseResult, runCases } from '../canonicalize/cases.ts'
import { compilePlatform } from '../canonicalize/compile.ts'
import { explainMap as explainCompiled } from '../canonicalize/explain.ts'
import type { Platform } from '../canonicalize/platform.ts'
import { type CanonicalizeSettings, checkShopValues } from '../canonicalize/settings.ts'
import { entryOf, type Finding, findingText, type MapNode } from '../domain/document.ts'
import { Fault } from '../domain/fault.ts'
import type { CaseFile, MapFile, PlatformFiles } from '../domain/platform-files.ts'
import { nearest } from './nearest.ts'
import { documentOf } from './yaml.ts'

/** The maps that ship. */
export const shipped_platforms = fileURLToPath(new URL('../canonicalize/platforms/', import.meta.url))
const shipped_schemas = fileURLToPath(new URL('../../schemas/source/', import.meta.url))

export type PlatformsSettings = {
  /** A folder of one's own platform folders, or null; a platform of the same name replaces the shipped one. */
  readonly folder: string | null
  /** Platforms to read; empty means all that are found. */
  readonly enabled: readonly string[]
}

const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

const textIfThere = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EISDIR') return null
    throw error
  }
}

/** A path as findings show it: from the working folder when it lies below it. */
const shownPath = (path: string): string => {
  const from_here = relative(process.cwd(), path)
  return from_here.startsWith('..') ? path : from_here
}

/** Reads a platform's folder. What cannot be parsed is a finding. */
const readPlatform = async (
  folder: string,
): Promise<{ readonly files: PlatformFiles; readonly findings: readonly Finding[] }> => {
  const findings: Finding[] = []
  const maps: MapFile[] = []
  const cases: CaseFile[] = []
  let common: PlatformFiles['common'] = null
  const names = (await readdir(folder)).filter((name) => /\.(ya?ml|json)$/u.test(name)).sort()
  for (const name of names) {
    const is_case = /\.cases\.(ya?ml|json)$/u.test(name)
    if (!is_case && name.endsWith('.json')) continue
    const path = join(folder, name)
    const text = await readFile(path, 'utf8')
    const file = shownPath(path)
    const { document, findings: found } = documentOf(text, file)
    findings.push(...found)
    if (document === null) continue
    const kind = name.replace(/(\.cases)?\.(ya?ml|json)$/u, '')
    if (is_case) {
      cases.push({ kind, file, document })
      continue
    }
    if (document.kind !== 'map') {
      findings.push({ place: document.place, severity: 'error', message: 'The file must be a map of names to values.' })
      continue
    }
    if (kind === 'platform') common = { document, text }
    else maps.push({ kind, document, text, schema: await schemaOf(folder, document) })
  }
  return { files: { name: basename(folder), common, maps, cases }, findings }
}

const schemaOf = async (folder: string, document: MapNode): Promise<MapFile['schema']> => {
  const node = entryOf(document, 'schema')?.value
  if (node?.kind !== 'scalar' || typeof node.value !== 'string' || node.value.includes('..')) return null
  for (const place of [folder, shipped_schemas]) {
    const text = await textIfThere(join(place, node.value))
    if (text !== null) return { file: node.value, text }
  }
  return null
}

/** Platform folders by name: the shipped ones, then those of `folder`, which win. A folder that is itself a platform counts as one. */
const platformFolders = async (folder: string | null, with_shipped: boolean): Promise<ReadonlyMap<string, string>> => {
  const found = new Map<string, string>()
  const roots = [...(with_shipped ? [shipped_platforms] : []), ...(folder === null ? [] : [resolve(folder)])]
  for (const root of roots) {
    if (!(await isFolder(root))) throw new Fault('config.invalid', `platforms.folder: there is no folder ${root}.`)
    const entries = await readdir(root, { withFileTypes: true })
    const subfolders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    if (subfolders.length === 0 && entries.some((entry) => /\.ya?ml$/u.test(entry.name))) found.set(basename(root), root)
    for (const name of subfolders.sort()) found.set(name, join(root, name))
  }
  return found
}

type Loaded = { readonly platform: Platform | null; readonly files: PlatformFiles; readonly findings: readonly Finding[] }

const loadPlatform = async (folder: string): Promise<Loaded> => {
  const { files, findings } = await readPlatform(folder)
  const compiled = compilePlatform(files, { nearest })
  const unread = findings.some((finding) => finding.severity === 'error')
  return { platform: unread ? null : compiled.platform, files, findings: [...findings, ...compiled.findings] }
}

/**
 * The compiled platforms of the settings. Throws `map.invalid` naming every finding by file, line and column, and `config.invalid`
 * for an unknown name in `enabled` or for shop settings that no record could be read with.
 */
export const loadPlatforms = async (
  platforms: PlatformsSettings,
  canonicalize: Pick<CanonicalizeSettings, 'shops'>,
): Promise<readonly Platform[]> => {
  const folders = await platformFolders(platforms.folder, true)
  for (const name of platforms.enabled)
    if (!folders.has(name)) {
      const near = nearest(name, folders.keys())
      throw new Fault(
        'config.invalid',
        `platforms.enabled: there is no platform ${name}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      )
    }
  for (const [key, values] of Object.entries(canonicalize.shops)) {
    const [name] = key.split('/')
    if (!folders.has(name!)) {
      const near = nearest(name!, folders.keys())
      throw new Fault(
        'config.invalid',
        `platforms.shops.${key}: there is no platform ${name}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      )
    }
    checkShopValues(`platforms.shops.${key}`, values)
  }
  const loaded: Platform[] = []
  const errors: Finding[] = []
  for (const [name, folder] of [...folders].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (platforms.enabled.length > 0 && !platforms.enabled.includes(name)) continue
    const { platform, findings } = await loadPlatform(folder)
    errors.push(...findings.filter((finding) => finding.severity === 'error'))
    if (platform !== null) loaded.push(platform)
  }
  if (errors.length > 0) {
    const shown = errors.slice(0, 10).map(findingText).join('\n')
    throw new Fault('map.invalid', errors.length > 10 ? `${shown}\n… and ${errors.length - 10} more` : shown)
  }
  return loaded
}

/** What is wrong or doubtful in the maps of a folder; without one, in the shipped maps. */
export const lintPlatforms = async (folder: string | null = null): Promise<readonly Finding[]> => {
  const findings: Finding[] = []
  for (const path of (await platformFolders(folder, folder === null)).values()) {
    const { files, findings: found } = await loadPlatform(path)
    findings.push(...found)
    for (const { kind, document } of files.maps)
      if (!files.cases.some((one) => one.kind === kind))
        findings.push({
          place: document.place,
          severity: 'warning',
          message: `The map has no golden cases: write ${kind}.cases.yaml beside it.`,
        })
  }
  return findings
}

/** The folder that a name, a path of a platform folder, or a path of one of its files means. */
const folderOf = async (target: string, folder: string | null): Promise<string> => {
  const path = resolve(target)
  if (/\.ya?ml$/u.test(target)) return resolve(path, '..')
  if (target.includes('/') && (await isFolder(path))) return path
  const folders = await platformFolders(folder, true)
  const found = folders.get(target)
  if (found !== undefined) return found
  if (await isFolder(path)) return path
  const near = nearest(target, folders.keys())
  throw new Fault('config.invalid', `There is no platform ${target}.${near === undefined ? '' : ` Did you mean ${near}?`}`)
}

const compiledOf = async (
  target: string,
  folder: string | null,
): Promise<{ readonly platform: Platform; readonly files: PlatformFiles }> => {
  const { platform, files, findings } = await loadPlatform(await folderOf(target, folder))
  if (platform === null) {
    const errors = findings.filter((finding) => finding.severity === 'error')
    throw new Fault('map.invalid', errors.map(findingText).join('\n'))
  }
  return { platform, files }
}

/**
 * Runs the golden cases of a platform, given by name or path (a path to one map or its cases runs that map's alone). `codec` may
 * write and read each input in the platform's own format first; `folder` is platforms.folder.
 */
export const testMap = async (
  target: string,
  codec?: CaseCodec,
  folder: string | null = null,
): Promise<readonly CaseResult[]> => {
  const { platform, files } = await compiledOf(target, folder)
  const only = /\.ya?ml$/u.test(target) ? basename(target).replace(/(\.cases)?\.ya?ml$/u, '') : null
  const results: CaseResult[] = []
  for (const file of files.cases)
    if (only === null || only === file.kind) results.push(...(await runCases(platform, file, codec)))
  return results
}

/** The tables of a platform's maps, given by name or path. */
export const explainMap = async (target: string, folder: string | null = null): Promise<string> => {
  const { platform } = await compiledOf(target, folder)
  return platform.maps.map(explainCompiled).join('\n')
}

/** Every platform name that ships or stands in `folder`. */
export const platformNames = async (folder: string | null = null): Promise<readonly string[]> =>
  [...(await platformFolders(folder, true)).keys()].sort()
