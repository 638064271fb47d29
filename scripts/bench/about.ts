/** What every figure is printed with: command, commit, machine, load. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, totalmem } from 'node:os'
import { basename, join, relative } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

/** The 1, 5 and 15 minute load averages, as a text. */
export const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')

const commit = (): string => {
  const git = (...args: readonly string[]): string => execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim()
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' and changes'}`
  } catch {
    return 'unknown'
  }
}

/** Lines of a markdown list; `load_before` as it was when the run began. */
export const about = (load_before: string): readonly string[] => [
  `- command: \`node ${[relative(root, process.argv[1]!) || basename(process.argv[1]!), ...process.argv.slice(2)].join(' ')}\``,
  `- commit: ${commit()}; Node ${process.versions.node}`,
  `- machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  `- load average: ${load_before} before, ${load()} after`,
]

/** A markdown table. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] => [
  `| ${head.join(' | ')} |`,
  `|${head.map(() => '---').join('|')}|`,
  ...rows.map((row) => `| ${row.join(' | ')} |`),
]

/** CPU seconds of this process since `from`, all threads. */
export const cpuSeconds = (from: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(from)
  return (user + system) / 1e6
}
