/** Makes the settings from defaults, one YAML file, the environment and `--set`, in that order; refuses what nobody reads. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is the notation of the configuration file.
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { Fault, type FaultCode } from '../domain/fault.ts'
import { nearest } from './nearest.ts'
import { type Raw, type RawEntry, rawFromText, rawFromYaml, substitute } from './raw.ts'
import { Secret, withoutUserInfo } from './secret.ts'
import {
  all_settings,
  cross_checks,
  type Fields,
  isSection,
  type NamedSetting,
  rangeText,
  type Section,
  type Setting,
  type Settings,
  type Shops,
  spec,
} from './spec.ts'

export type Env = Readonly<Record<string, string | undefined>>

export type LoadOptions = {
  /** Path of the YAML file; without it ENTREPOT_CONFIG, then `entrepot.yaml` in the working folder when it exists. */
  readonly file?: string | undefined
  readonly env: Env
  /** `name=value` pairs of `--set`, the last one of a name wins. */
  readonly set?: readonly string[]
  /** Where `entrepot.yaml` is looked for. */
  readonly working_folder?: string
}

export type Loaded = {
  readonly settings: Settings
  /** Where each setting came from: `default`, `entrepot.yaml:12`, `KAFKA_BROKERS`, `--set`. */
  readonly origins: ReadonlyMap<string, string>
  /** The file that was read, or null. */
  readonly file: string | null
  /** Worth a look, but no reason to refuse. */
  readonly warnings: readonly string[]
}

type Problem = { readonly code: FaultCode; readonly message: string }
type Candidate = { readonly raw: Raw; readonly origin: string }

const secret_bytes_max = 64 * 1024
const names = all_settings.map((named) => named.name)
const by_name = new Map(all_settings.map((named) => [named.name, named]))

const shown = (text: string): string => JSON.stringify(withoutUserInfo(text).slice(0, 100))

class Problems {
  readonly list: Problem[] = []

  add(code: FaultCode, message: string): void {
    this.list.push({ code, message })
  }

  /** Runs `work`, keeping a misconfigured fault as a problem, so that all problems are told at once. */
  collect<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      this.add(error.code, error.message)
      return undefined
    }
  }

  throwIfAny(): void {
    const [first] = this.list
    if (first === undefined) return
    if (this.list.length === 1) throw new Fault(first.code, first.message, { problems: 1 })
    const lines = this.list.map((problem) => `  ${problem.message}`).join('\n')
    throw new Fault(first.code, `${this.list.length} settings are wrong:\n${lines}`, { problems: this.list.length })
  }
}

const refuse = (where: string, name: string, says: string): never => {
  throw new Fault('config.invalid', `${where}: ${name} ${says}.`, { setting: name })
}

const scalar = (raw: Raw, name: string, takes: string): string =>
  'text' in raw && raw.text !== null ? raw.text : refuse(raw.where, name, `takes ${takes}`)

const parseNumber = (name: string, setting: Setting<unknown>, raw: Raw, whole: boolean): number => {
  const takes = whole ? 'an integer' : 'a number'
  const text = scalar(raw, name, takes).trim().replaceAll('_', '')
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(text) ? Number(text) : Number.NaN
  if (!Number.isFinite(number) || (whole && !Number.isSafeInteger(number)))
    return refuse(raw.where, name, `takes ${takes}, not ${shown(text)}`)
  const { min, max } = setting
  if ((min !== undefined && number < min) || (max !== undefined && number > max)) {
    return refuse(raw.where, name, `takes ${rangeText(setting)}, not ${text}`)
  }
  return number
}

const parseOneOf = (name: string, allowed: readonly string[], text: string, where: string): string => {
  const found = allowed.find((one) => one.toLowerCase() === text.trim().toLowerCase())
  if (found !== undefined) return found
  const meant = nearest(text, allowed)
  return refuse(
    where,
    name,
    `takes ${allowed.join(', ')}, not ${shown(text)}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
  )
}

const matching = (name: string, setting: Setting<unknown>, text: string, where: string): string =>
  setting.pattern === undefined || setting.pattern.expression.test(text)
    ? text
    : refuse(where, name, `takes ${setting.pattern.says}, not ${shown(text)}`)

const parseList = (name: string, setting: Setting<unknown>, raw: Raw): readonly string[] => {
  if ('entries' in raw) return refuse(raw.where, name, 'takes a list')
  const items =
    'items' in raw
      ? raw.items.map((item) => ({ text: scalar(item, name, 'a list of words'), where: item.where }))
      : (raw.text ?? '').split(',').map((text) => ({ text, where: raw.where }))
  return items
    .map(({ text, where }) => ({ text: text.trim(), where }))
    .filter(({ text }) => text !== '')
    .map(({ text, where }) =>
      setting.allowed === undefined ? matching(name, setting, text, where) : parseOneOf(name, setting.allowed, text, where),
    )
}

/** `a=1,b=2` as it stands in an environment variable, or a YAML map. */
const entriesOf = (name: string, raw: Raw): readonly RawEntry[] => {
  if ('entries' in raw) return raw.entries
  if ('items' in raw) return refuse(raw.where, name, 'takes `key: value` pairs')
  const parts = (raw.text ?? '').split(',').filter((part) => part.trim() !== '')
  return parts.map((part) => {
    const at = part.indexOf('=')
    if (at < 1) return refuse(raw.where, name, 'takes `key=value` pairs, with commas between')
    return { key: part.slice(0, at).trim(), where: raw.where, value: { where: raw.where, text: part.slice(at + 1).trim() } }
  })
}

const parseNumbers = (name: string, setting: Setting<unknown>, raw: Raw): Readonly<Record<string, number>> =>
  Object.fromEntries(
    entriesOf(name, raw).map(({ key, where, value }) => {
      const known = setting.keys === undefined ? matching(name, setting, key, where) : parseOneOf(name, setting.keys, key, where)
      return [known, parseNumber(`${name}.${known}`, setting, value, false)]
    }),
  )

const shop_name = /^[a-z0-9][a-z0-9_-]{0,63}(\/[^\s\p{Cc}]{1,128})?$/u
const shop_setting_name = /^[a-z][a-z0-9_]{0,63}$/u

const parseShops = (name: string, raw: Raw): Shops => {
  if (!('entries' in raw)) return refuse(raw.where, name, 'takes a map of platforms, each with a map of settings')
  return Object.fromEntries(
    raw.entries.map(({ key, where, value }) => {
      if (!shop_name.test(key))
        return refuse(where, name, `takes names like shopify or shopify/a-shop, the platform in lower case, not ${shown(key)}`)
      if (!('entries' in value)) return refuse(where, `${name}.${key}`, 'takes a map of settings, such as `{ currency: EUR }`')
      const settings = value.entries.map((entry) => {
        if (!shop_setting_name.test(entry.key))
          return refuse(entry.where, `${name}.${key}`, `takes lower-case setting names, not ${shown(entry.key)}`)
        return [entry.key, scalar(entry.value, `${name}.${key}.${entry.key}`, 'one value')] as const
      })
      return [key, Object.fromEntries(settings)]
    }),
  )
}

const parse = ({ name, setting }: NamedSetting, raw: Raw): unknown => {
  switch (setting.type) {
    case 'text':
      return matching(name, setting, scalar(raw, name, 'a text'), raw.where)
    case 'url': {
      const text = scalar(raw, name, 'a URL')
      if (!URL.canParse(text) || !/^https?:$/u.test(new URL(text).protocol))
        return refuse(raw.where, name, `takes an http or https URL, not ${shown(text)}`)
      return text.replace(/\/+$/u, '')
    }
    case 'integer':
      return parseNumber(name, setting, raw, true)
    case 'number':
      return parseNumber(name, setting, raw, false)
    case 'flag': {
      const text = scalar(raw, name, 'true or false').trim().toLowerCase()
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0') return false
      return refuse(raw.where, name, `takes true or false, not ${shown(text)}`)
    }
    case 'choice':
      return parseOneOf(name, setting.allowed ?? [], scalar(raw, name, (setting.allowed ?? []).join(', ')), raw.where)
    case 'list':
      return parseList(name, setting, raw)
    case 'numbers':
      return parseNumbers(name, setting, raw)
    case 'shops':
      return parseShops(name, raw)
    case 'secret':
      return new Secret(scalar(raw, name, 'a text'))
  }
}

/** Later layers over earlier ones: tables by key, all else as a whole. */
const merge = (setting: Setting<unknown>, under: unknown, over: unknown): unknown => {
  if (setting.type === 'numbers') return { ...(under as object), ...(over as object) }
  if (setting.type === 'shops') {
    const merged: Record<string, Readonly<Record<string, string>>> = { ...(under as Shops) }
    for (const [platform, settings] of Object.entries(over as Shops)) merged[platform] = { ...merged[platform], ...settings }
    return merged
  }
  return over
}

/**
 * The text of a secret file without its last line break. The file may be readable by its owner and group (Kubernetes mounts
 * secrets with the pod's group), by nobody else, and writable by its owner alone.
 */
const readSecretFile = (name: string, path: string, where: string): Secret => {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile()) return refuse(where, name, `names the file ${path}, which is not there`)
  if (process.platform !== 'win32' && (stat.mode & 0o037) !== 0)
    return refuse(where, name, `names ${path}, which others may read or change: \`chmod 600 ${path}\``)
  if (stat.size > secret_bytes_max) return refuse(where, name, `names ${path}, which is larger than 64 KiB`)
  let text: string
  try {
    text = readFileSync(path, 'utf8').replace(/\r?\n$/u, '')
  } catch (error) {
    throw new Fault('config.invalid', `${where}: ${name} names ${path}, which this user may not read.`, { setting: name }, error)
  }
  if (text === '') return refuse(where, name, `names ${path}, which is empty`)
  return new Secret(text)
}

const interpolated = (raw: Raw, env: Env, problems: Problems): Raw => {
  if ('entries' in raw)
    return {
      where: raw.where,
      entries: raw.entries.map((entry) => ({ ...entry, value: interpolated(entry.value, env, problems) })),
    }
  if ('items' in raw) return { where: raw.where, items: raw.items.map((item) => interpolated(item, env, problems)) }
  const { text, where } = raw
  if (text === null) return raw
  // A value that resolves to nothing is an unset one: `url: ${QDRANT_URL:}` leaves qdrant.url unset.
  const value = problems.collect(() => substitute(text, env, where))
  return { where, text: value === undefined || (value === '' && text !== '') ? null : value }
}

type Layer = Map<string, Candidate[]>

const push = (layer: Layer, name: string, candidate: Candidate): void => {
  const list = layer.get(name)
  if (list === undefined) layer.set(name, [candidate])
  else list.push(candidate)
}

const unknownKey = (path: readonly string[], siblings: readonly string[], where: string): Problem => {
  const name = path.join('.')
  const prefix = path.slice(0, -1)
  const sibling = nearest(path.at(-1)!, siblings)
  const meant = sibling === undefined ? nearest(name, names) : [...prefix, sibling].join('.')
  const takes = prefix.length === 0 ? 'There are' : `${prefix.join('.')} has`
  return {
    code: 'config.unknown_key',
    message: `${where}: nobody reads ${name}${meant === undefined ? `. ${takes} ${siblings.join(', ')}.` : `; did you mean ${meant}?`}`,
  }
}

/** Walks the file along the spec. Secrets may also be given as `<key>_file`. */
const walk = (
  section: Section,
  raw: Raw,
  path: readonly string[],
  layer: Layer,
  problems: Problems,
  literal: (name: string) => void,
): void => {
  if (!('entries' in raw)) {
    if ('text' in raw && raw.text === null) return
    problems.add(
      'config.invalid',
      `${raw.where}: ${path.length === 0 ? 'the file' : path.join('.')} is a section: it takes keys, not a value.`,
    )
    return
  }
  const fields: Fields = section.fields
  for (const { key, where, value } of raw.entries) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined
    const here = [...path, key]
    if (field === undefined) {
      const base = key.endsWith('_file') ? key.slice(0, -'_file'.length) : ''
      const secret = Object.hasOwn(fields, base) ? fields[base] : undefined
      if (secret !== undefined && !isSection(secret) && secret.type === 'secret')
        push(layer, here.join('.'), { raw: value, origin: where })
      else problems.list.push(unknownKey(here, Object.keys(fields), where))
    } else if (isSection(field)) walk(field, value, here, layer, problems, literal)
    else if (!('text' in value) || value.text !== null) {
      if (field.type === 'secret') literal(here.join('.'))
      push(layer, here.join('.'), { raw: value, origin: where })
    }
  }
}

const known_env = new Set(
  all_settings.flatMap((named) => [
    ...named.env,
    ...(named.setting.type === 'secret' ? named.env.map((name) => `${name}_FILE`) : []),
  ]),
)

/** Variables Kubernetes puts into every pod for a service named `entrepot…`; they are not ours. */
const fromKubernetes = (name: string, value: string): boolean =>
  /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/u.test(name) ||
  /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/u.test(name) ||
  /^(tcp|udp|sctp):\/\//u.test(value)

const checkEnvironment = (env: Env, problems: Problems): void => {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('ENTREPOT_') || value === undefined || value === '') continue
    if (known_env.has(name) || name === 'ENTREPOT_CONFIG' || fromKubernetes(name, value)) continue
    const meant = nearest(name, known_env)
    problems.add(
      'config.unknown_key',
      `${name}: nobody reads this variable${meant === undefined ? '' : `; did you mean ${meant}?`}`,
    )
  }
}

/** Lists and tables may be written as JSON; every other text stands for itself. */
const fromText = (setting: Setting<unknown>, text: string, where: string): Raw =>
  setting.type === 'list' || setting.type === 'numbers' || setting.type === 'shops' ? rawFromText(text, where) : { where, text }

const environmentLayer = (env: Env, layer: Layer): void => {
  for (const { name, setting, env: variables } of all_settings)
    for (const variable of variables) {
      const value = env[variable]
      if (value !== undefined && value !== '') {
        push(layer, name, { raw: fromText(setting, value, variable), origin: variable })
        break
      }
      const file = setting.type === 'secret' ? env[`${variable}_FILE`] : undefined
      if (file !== undefined && file !== '') {
        const where = `${variable}_FILE`
        push(layer, `${name}_file`, { raw: { where, text: file }, origin: where })
        break
      }
    }
}

/** `kafka.brokers=a:9092`, or into a table: `platforms.shops.shopify.currency=EUR`. */
const setLayer = (pairs: readonly string[], layer: Layer, problems: Problems): void => {
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const given = at < 0 ? pair : pair.slice(0, at)
    const where = `--set ${given}`
    if (at < 1) {
      problems.add('config.invalid', `--set ${shown(pair)}: write --set name=value.`)
      continue
    }
    const value = pair.slice(at + 1)
    const path = given.split('.')
    const base = given.endsWith('_file') ? by_name.get(given.slice(0, -'_file'.length)) : undefined
    if (base?.setting.type === 'secret') push(layer, given, { raw: { where, text: value }, origin: '--set' })
    else {
      const named = path.map((_, i) => by_name.get(path.slice(0, path.length - i).join('.'))).find((found) => found !== undefined)
      const words = named === undefined ? [] : path.slice(named.path.length)
      // A shop's own name may hold dots: `platforms.shops.shopify/a.myshopify.com.currency`.
      const inside = named?.setting.type === 'shops' && words.length > 2 ? [words.slice(0, -1).join('.'), words.at(-1)!] : words
      const table = named?.setting.type === 'numbers' || named?.setting.type === 'shops'
      if (named === undefined || (inside.length > 0 && !table)) {
        const meant = nearest(given, names)
        problems.add('config.unknown_key', `${where}: nobody reads it${meant === undefined ? '' : `; did you mean ${meant}?`}`)
      } else if (named.setting.type === 'secret')
        problems.add(
          'config.invalid',
          `${where}: every process on this machine can read arguments; use --set ${given}_file=PATH or ${named.env[0]}_FILE.`,
        )
      else {
        const nested = inside.reduceRight<Raw>(
          (raw, key) => ({ where, entries: [{ key, where, value: raw }] }),
          inside.length > 0 ? { where, text: value } : fromText(named.setting, value, where),
        )
        push(layer, named.name, { raw: nested, origin: '--set' })
      }
    }
  }
}

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value) && !(value instanceof Secret)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) freeze(inner)
  }
  return value
}

const assemble = (fields: Fields, path: readonly string[], values: ReadonlyMap<string, unknown>): unknown =>
  Object.fromEntries(
    Object.entries(fields).map(([key, field]) => {
      const here = [...path, key]
      return [key, isSection(field) ? assemble(field.fields, here, values) : values.get(here.join('.'))]
    }),
  )

const chosenFile = (options: LoadOptions): string | null => {
  const named = options.file ?? (options.env['ENTREPOT_CONFIG'] === '' ? undefined : options.env['ENTREPOT_CONFIG'])
  if (named !== undefined) return resolve(options.working_folder ?? '.', named)
  const found = resolve(options.working_folder ?? '.', 'entrepot.yaml')
  return statSync(found, { throwIfNoEntry: false })?.isFile() === true ? found : null
}

/**
 * Loads, checks and freezes the settings.
 *
 * Paths in the file are taken relative to the file, paths from the environment and `--set` relative to the working folder.
 * Throws one misconfigured fault that names every problem with its place: `config.unknown_key`, `config.invalid`, `config.missing`.
 */
export const loadSettings = (options: LoadOptions): Loaded => {
  const { env } = options
  const problems = new Problems()
  const warnings: string[] = []
  const file = chosenFile(options)
  const file_layer: Layer = new Map()
  const env_layer: Layer = new Map()
  const set_layer: Layer = new Map()

  if (file !== null) {
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      throw new Fault('config.missing', `The configuration file ${file} cannot be read: give another with --config.`, {}, error)
    }
    const raw = rawFromYaml(text, basename(file))
    const literals: string[] = []
    walk(spec, raw, [], file_layer, problems, (name) => literals.push(name))
    for (const name of literals)
      if (
        file_layer.get(name)?.some(({ raw: given }) => 'text' in given && given.text !== null && !given.text.includes('${')) ===
        true
      )
        warnings.push(
          `${file_layer.get(name)![0]!.origin}: ${name} stands in the file in clear; name a file with ${name}_file instead.`,
        )
    for (const candidates of file_layer.values())
      for (const [i, candidate] of candidates.entries())
        candidates[i] = { ...candidate, raw: interpolated(candidate.raw, env, problems) }
  }
  checkEnvironment(env, problems)
  problems.collect(() => environmentLayer(env, env_layer))
  problems.collect(() => setLayer(options.set ?? [], set_layer, problems))

  const values = new Map<string, unknown>()
  const origins = new Map<string, string>()
  const given = new Set<string>()
  for (const named of all_settings) {
    const { name, setting } = named
    let value = setting.default
    origins.set(name, 'default')
    for (const layer of [file_layer, env_layer, set_layer]) {
      const direct = layer.get(name) ?? []
      const files = setting.type === 'secret' ? (layer.get(`${name}_file`) ?? []) : []
      if (direct.length > 0 && files.length > 0 && layer !== set_layer)
        problems.add('config.invalid', `${files[0]!.origin}: ${name} is given both as a value and as a file; keep one.`)
      for (const { raw, origin } of direct) {
        if ('text' in raw && raw.text === null) continue
        const parsed = problems.collect(() => parse(named, raw))
        if (parsed === undefined) continue
        value = merge(setting, value, isPath(named) && layer === file_layer ? resolve(dirname(file!), parsed as string) : parsed)
        given.add(name)
        origins.set(name, origin)
      }
      for (const { raw, origin } of files) {
        if ('text' in raw && raw.text === null) continue
        const secret = problems.collect(() => {
          const path = scalar(raw, `${name}_file`, 'a path')
          const base = layer === file_layer ? dirname(file!) : (options.working_folder ?? '.')
          return readSecretFile(`${name}_file`, resolve(base, path), raw.where)
        })
        if (secret === undefined) continue
        value = secret
        given.add(name)
        origins.set(name, origin)
      }
    }
    values.set(name, value)
  }
  for (const { name, setting } of all_settings)
    if (setting.derived !== undefined && !given.has(name))
      values.set(
        name,
        setting.derived.from((other) => values.get(other)),
      )

  problems.throwIfAny()
  const settings = freeze(assemble(spec.fields, [], values)) as Settings
  for (const check of cross_checks)
    if (!check.holds(settings)) {
      const message = `${check.name} ${check.says}.`
      if (check.warns === true) warnings.push(message)
      else problems.add('config.invalid', message)
    }
  problems.throwIfAny()
  return { settings, origins, file, warnings }
}

/** Settings whose value is a path on disk. */
const isPath = ({ name, setting }: NamedSetting): boolean =>
  setting.type === 'text' && (name.endsWith('.folder') || name.endsWith('.store') || name.endsWith('_file'))

/** The value, or the fault that names the setting and how to give it. For settings that only some commands need. */
export const required = <T>(value: T | null, name: string): T => {
  if (value !== null) return value
  const named = by_name.get(name)
  if (named === undefined) throw new Fault('defect.unexpected', `There is no setting ${name}.`)
  const file = named.setting.type === 'secret' ? ` or ${named.env[0]}_FILE` : ''
  throw new Fault('config.missing', `${name} is needed here: set it in the file, or ${named.env[0]}${file}.`, { setting: name })
}
