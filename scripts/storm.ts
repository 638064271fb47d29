/**
 * `npm run storm`: faults from outside on real servers. Processes of `entrepot run` are killed, frozen and stopped, servers with them, and
 * what the topics and the index hold afterwards is checked by code that is not the pipeline's.
 *
 *   node scripts/storm.ts [F01 F07 …] [--short | --full] [--seed N] [--json FILE] [--out FILE] [--keep] [--list]
 *
 * Default: every scenario, sized to end within 20 minutes on two cores. --short: those of a gate, small, about 3 minutes. --full: the sizes
 * of the fault matrix. Kafka is started here (Java 17, Maven); so are the registry, unless SCHEMA_REGISTRY_URL is set, and Qdrant, where
 * there is one on PATH. Exit code 1 when anything does not hold.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { argumentsOf } from './arguments.ts'
import { whyNoJava } from './servers/java.ts'
import { type KafkaServer, startKafka } from './servers/kafka.ts'
import { type QdrantServer, startQdrant } from './servers/qdrant.ts'
import { type RegistryServer, startRegistry } from './servers/registry.ts'
import { openChance } from './storm/chance.ts'
import { scenarios } from './storm/list.ts'
import { type Report, reportText } from './storm/report.ts'
import type { Scenario, Size, Storm } from './storm/scenario.ts'

const help = `Sends faults from outside over real servers, and checks what is left with code that is not the pipeline's.

  npm run storm                    every scenario, within 20 minutes on two cores
  npm run storm -- F01 F07         some
  npm run storm -- --short         those of the gate, about 3 minutes
  npm run storm -- --full          in the sizes of the fault matrix; hours
  --list             what there is
  --seed N           another choice of instants (1)
  --json FILE        the report as data; --out FILE as a page
  --keep             leave servers' and members' folders

Kafka is started here (Java 17, Maven); so are the registry, unless SCHEMA_REGISTRY_URL is set, and Qdrant, where one is on PATH.
`
const { values: options, positionals } = argumentsOf(help, {
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    out: { type: 'string' },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

if (options.list) {
  for (const { id, title, written, short } of scenarios)
    console.log(`${id}  ${title}\n     ${written}${short ? '; part of --short' : ''}`)
  process.exit(0)
}
const unknown = positionals.filter((id) => !scenarios.some((scenario) => scenario.id === id))
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}: there are ${scenarios.map(({ id }) => id).join(', ')}.`)
  process.exit(64)
}
const size: Size = options.full ? 'full' : options.short ? 'short' : 'default'
const chosen = scenarios.filter(({ id, short }) =>
  positionals.length > 0 ? positionals.includes(id) : size !== 'short' || short,
)
const no_java = await whyNoJava()
if (no_java !== undefined) {
  console.error(`The storm needs Kafka: ${no_java}`)
  process.exit(69)
}

const root = mkdtempSync(join(tmpdir(), 'entrepot-storm-'))
const began_ms = performance.now()
const say = (line: string) => console.error(`${((performance.now() - began_ms) / 1000).toFixed(1).padStart(7)} s  ${line}`)

const clusters = new Map<1 | 3, KafkaServer>()
/** One cluster at a time: two of them and the members would share two cores. */
const kafka = async (brokers: 1 | 3): Promise<KafkaServer> => {
  const there = clusters.get(brokers)
  if (there !== undefined) return there
  for (const [count, other] of clusters) {
    clusters.delete(count)
    await other.stop()
  }
  say(`Kafka with ${brokers} broker${brokers === 1 ? '' : 's'} starts`)
  const settings = brokers === 3 ? { 'replica.lag.time.max.ms': '5000', 'broker.session.timeout.ms': '6000' } : {}
  const started = await startKafka({ brokers, heap_mb: brokers === 1 ? 512 : 320, settings })
  clusters.set(brokers, started)
  return started
}
let registry: Promise<RegistryServer> | undefined
const registryUrl = async (): Promise<string> => {
  const given = process.env['SCHEMA_REGISTRY_URL']
  if (given !== undefined) return given
  if (registry === undefined) say('the schema registry starts')
  registry ??= startRegistry()
  return (await registry).url
}
let qdrant: Promise<QdrantServer | undefined> | undefined
const qdrantUrl = async (): Promise<string | undefined> => {
  qdrant ??= startQdrant()
  return (await qdrant)?.url
}
const stopAll = async () => {
  await Promise.allSettled([
    ...[...clusters.values()].map((each) => each.stop()),
    registry?.then((each) => each.stop()),
    qdrant?.then((each) => each?.stop()),
  ])
  if (!options.keep) rmSync(root, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    process.exit(130)
  })

const scenarioMinutes: Readonly<Record<Size, number>> = { short: 4, default: 8, full: 180 }

const runOne = async (scenario: Scenario): Promise<Report> => {
  const { id, title, written } = scenario
  const folder = join(root, id)
  mkdirSync(folder, { recursive: true })
  const started_ms = performance.now()
  say(`${id} ${title}`)
  const patience = AbortSignal.timeout(scenarioMinutes[size] * 60_000)
  const storm: Storm = {
    size,
    chance: openChance(Number(options.seed) * 1_000 + Number(id.slice(1))),
    folder,
    say: (line) => say(`${id}   ${line}`),
    kafka,
    registry: registryUrl,
    qdrant: qdrantUrl,
    patience,
  }
  const report = (rest: Pick<Report, 'verdict'> & Partial<Report>): Report => ({
    id,
    title,
    written,
    ran: '',
    injected: {},
    checks: [],
    notes: [],
    seconds: Math.round((performance.now() - started_ms) / 1000),
    ...rest,
  })
  try {
    const outcome = await Promise.race([
      scenario.run(storm),
      new Promise<never>((_, reject) => {
        patience.addEventListener('abort', () => reject(new Error(`${id} is not over after ${scenarioMinutes[size]} minutes.`)))
      }),
    ])
    if ('skipped' in outcome) {
      say(`${id} NOT RUN: ${outcome.skipped}`)
      return report({ verdict: 'not run', notes: [outcome.skipped] })
    }
    const holds = outcome.checks.every((check) => check.holds)
    for (const check of outcome.checks) if (!check.holds) say(`${id} BROKEN ${check.name}: ${check.figure}`)
    say(`${id} ${holds ? 'holds' : 'BROKEN'}`)
    return report({ ...outcome, verdict: holds ? 'holds' : 'broken' })
  } catch (error) {
    say(`${id} FAILED ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    return report({ verdict: 'failed', notes: [error instanceof Error ? error.message : String(error)] })
  } finally {
    if (!options.keep) rmSync(folder, { recursive: true, force: true })
  }
}

const versionOf = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

const reports: Report[] = []
try {
  for (const scenario of chosen) reports.push(await runOne(scenario))
} finally {
  await stopAll()
}
const about = {
  command: ['node scripts/storm.ts', ...process.argv.slice(2)].join(' '),
  commit: versionOf(),
  day: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
  seed: Number(options.seed),
  size,
  seconds: Math.round((performance.now() - began_ms) / 1000),
}
const text = reportText(about, reports)
console.log(text)
if (options.out !== undefined) {
  mkdirSync(dirname(options.out), { recursive: true })
  writeFileSync(options.out, text)
}
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ ...about, reports }, null, 2))
if (options.keep) console.error(`kept: ${root}`)
// Connections of clients that were cut off may linger.
process.exit(reports.every(({ verdict }) => verdict === 'holds' || verdict === 'not run') ? 0 : 1)
