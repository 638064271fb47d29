/** The embedded log on a simulated disk, seed after seed: `node scripts/simulate/disk-seeds.ts 500 [first seed]`. */
import { parseArgs } from 'node:util'
import { runDiskSeed } from '../../processors/simulate/disk/run.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const [count = 100, first = 1] = positionals.map(Number)
const tally = (totals: Record<string, number>, more: Readonly<Record<string, number>>): void => {
  for (const [name, times] of Object.entries(more)) totals[name] = (totals[name] ?? 0) + times
}
const listed = (totals: Readonly<Record<string, number>>): string =>
  Object.entries(totals)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, times]) => `${name} ${times}`)
    .join(', ')

const faults: Record<string, number> = {}
const crash_points: Record<string, number> = {}
let operations = 0
let lives = 0
for (let seed = first; seed < first + count; seed++) {
  const result = await runDiskSeed(seed)
  if (result.violation !== undefined) {
    const { check, detail } = result.violation
    process.stdout.write(`seed ${seed}: ${check}: ${detail}\ntrace ${result.trace}, life ${result.lives}\n`)
    process.exit(1)
  }
  tally(faults, result.faults)
  tally(crash_points, result.crash_points)
  operations += result.operations
  lives += result.lives
}
process.stdout.write(
  `${count} seeds from ${first}: ${lives} lives, ${operations} file operations, nothing broken.\nFaults: ${listed(faults)}.\n` +
    `${Object.keys(crash_points).length} crash points: ${listed(crash_points)}.\n`,
)
