/**
 * `node scripts/hostile.ts`: bad input, measured.
 *
 *   node scripts/hostile.ts [--rows] [--crash] [--fuzz N] [--seed N]
 *
 * --rows holds every row of the catalogue against the runtime and prints what became of it and how long its partition was held up;
 * --crash runs the crash set and the hostile schemas in a child with a heap of 256 MiB; --fuzz changes N valid records of each format.
 * Without a flag: rows, crash and 100,000 records. Exit code 1 when anything ends otherwise than it must.
 */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { systemClock } from '../processors/adapters/system/clock.ts'
import { seededRandom } from '../processors/adapters/system/random.ts'
import { catalogue } from '../processors/simulate/hostile/catalogue.ts'
import type { Attempt } from '../processors/simulate/hostile/crash-set.ts'
import { fuzz, fuzzed_kinds } from '../processors/simulate/hostile/fuzz.ts'
import { judge } from '../processors/simulate/hostile/market.ts'
import { argumentsOf } from './arguments.ts'

const help = `Tries bad input, and says what becomes of it.

  npm run hostile                  rows, crash set and 100,000 changed records a format
  npm run hostile -- --rows        the catalogue, row by row, with how long each held up its partition
  npm run hostile -- --crash       what could end a process, and hostile schemas, in a child with a heap of 256 MiB
  npm run hostile -- --fuzz N      N valid records of each format, changed at random; --seed N (1)
`
const { values } = argumentsOf(help, {
  options: {
    rows: { type: 'boolean', default: false },
    crash: { type: 'boolean', default: false },
    fuzz: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const everything = !values.rows && !values.crash && values.fuzz === undefined
const seed = Number(values.seed)
const failures: string[] = []
const ms = (duration: number): string => duration.toFixed(duration < 10 ? 1 : 0)
const count = (n: number): string => n.toLocaleString('en-US')
const cell = (text: string): string => text.replaceAll('|', '\\|')

console.log(`Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model.trim()}, seed ${seed}\n`)

const rows = async (): Promise<void> => {
  const schemas_folder = fileURLToPath(new URL('../schemas/canonical', import.meta.url))
  console.log(
    '| # | input | answer | records | partition held, ms | good ones alone, ms | holds |\n|--:|---|---|--:|--:|--:|---|',
  )
  for (const row of catalogue) {
    const verdict = await judge(row, { clock: systemClock, random: seededRandom(seed), schemas_folder })
    const { wrong, records, delay_ms, alone_ms } = verdict
    failures.push(...wrong.map((one) => `row ${row.row}: ${one}`))
    const times = records === 0 ? ['', '', ''] : [count(records), ms(delay_ms), ms(alone_ms)]
    const holds = wrong.length > 0 ? '**NO**' : row.answer === 'not yet' ? `issue ${row.not_yet?.issue ?? 'none'}` : 'yes'
    console.log(`| ${[row.row, cell(row.name), row.answer, ...times, holds].join(' | ')} |`)
  }
}

const crash = async (): Promise<void> => {
  const file = fileURLToPath(new URL('../processors/simulate/hostile/crash.fixture.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=256', file], { maxBuffer: 1 << 24 })
  const report = JSON.parse(stdout) as { attempts: readonly Attempt[]; lints: readonly Attempt[]; rss_mib: number }
  console.log('\n| attempt | ended as | held, ms |\n|---|---|--:|')
  for (const { name, ended, blocked_ms } of report.attempts) console.log(`| ${cell(name)} | ${ended} | ${ms(blocked_ms)} |`)
  const times = report.lints.map(({ blocked_ms }) => blocked_ms).sort((a, b) => a - b)
  const accepted = report.lints.filter(({ ended }) => ended === 'accepted')
  failures.push(...accepted.map(({ name }) => `schema accepted: ${name}`))
  console.log(
    `\nHostile schemas: ${report.lints.length}, refused ${report.lints.length - accepted.length}; median ${ms(times[times.length >> 1]!)} ms, longest ${ms(times.at(-1)!)} ms. The child ended with 0; ${report.rss_mib} MiB resident at its end.`,
  )
}

const fuzzAll = async (records: number): Promise<void> => {
  console.log('\n| format | records | records/s | longest batch of 500, ms | ended as |\n|---|--:|--:|--:|---|')
  for (const kind of fuzzed_kinds) {
    const { seconds, batch_ms_max, ended, wrong } = await fuzz(kind, records, systemClock, seededRandom(seed))
    failures.push(...wrong.map((one) => `${kind}: ${one}`))
    const ends = Object.entries(ended).sort((a, b) => b[1] - a[1])
    console.log(
      `| ${kind} | ${count(records)} | ${count(Math.round(records / seconds))} | ${ms(batch_ms_max)} | ${ends.map(([end, n]) => `${count(n)} ${end}`).join(', ')} |`,
    )
  }
}

if (everything || values.rows) await rows()
if (everything || values.crash) await crash()
if (everything || values.fuzz !== undefined) await fuzzAll(Number(values.fuzz ?? 100_000))
for (const failure of failures) console.error(`FAILED ${failure}`)
process.exitCode = failures.length > 0 ? 1 : 0
