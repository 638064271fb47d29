/** Java and Maven: whether they are here, and a cache folder for what they fetch. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runTool } from './daemon.ts'

const root = join(import.meta.dirname, '..', '..')

/** Git-ignored; survives `npm ci`. */
export const cache_folder = join(root, '.cache', 'servers')

/** The first reason why servers on Java cannot be started here, with its remedy; undefined when they can. */
export const whyNoJava = async (): Promise<string | undefined> => {
  const version = await runTool('java', ['-XshowSettings:properties', '-version'])
    .then(() => runTool('sh', ['-c', 'java -version 2>&1']))
    .catch(() => undefined)
  if (version === undefined)
    return 'Java is not on PATH: install a JRE of version 17 or newer (Debian: apt-get install openjdk-17-jre-headless).'
  const major = Number(/version "(\d+)/.exec(version)?.[1] ?? 0)
  if (major < 17) return `Java ${major} is too old: version 17 or newer is needed.`
  const maven = await runTool('mvn', ['--version']).catch(() => undefined)
  if (maven === undefined)
    return 'Maven is not on PATH: it fetches the servers from Maven Central (Debian: apt-get install maven).'
  return undefined
}

/** A folder of the cache, made by `fill` on first use; another process that fills it at the same time does no harm. */
export const cached = async (name: string, fill: (folder: string) => Promise<void>): Promise<string> => {
  const folder = join(cache_folder, name)
  if (existsSync(folder)) return folder
  mkdirSync(dirname(folder), { recursive: true })
  const making = mkdtempSync(`${folder}.`)
  try {
    await fill(making)
    renameSync(making, folder)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}
