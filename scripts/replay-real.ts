/**
 * `npm run replay:real`: real tables through the whole river, embedded or on real servers, and every equation checked.
 *
 *   node scripts/replay-real.ts [--interactions 40000 | --full] [--items N] [--malformed 1000] [--kill 10] [--out FILE]
 *                               [--save FILE] [--compare FILE] [--keep]
 *
 * Catalogues first; when they are indexed the purchases. Then: records in = canonical + dropped + dead-lettered for each topic, from
 * the topics themselves and as the runtime counted; vectors, profiles and one digest over them; ten users' lists; times.
 * --malformed mixes broken records in and looks for each among the dead letters. --kill kills the river's process by SIGKILL that
 * often and compares with an undisturbed run. Servers are used when KAFKA_BROKERS is set; they must be fresh, so there --kill
 * compares with a run saved by --save (`--compare FILE`), which may be an embedded one. Exit code 1 when anything does not hold.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openSourceEncoder } from '../processors/adapters/registry/source-encoder.ts'
import { balanceOf, type TopicBalance } from '../processors/cli/balance.ts'
import { deadLetters } from '../processors/cli/dead-letters.ts'
import { offersText, scoresText } from '../processors/cli/list-text.ts'
import { openLists } from '../processors/cli/lists.ts'
import { sourceOf } from '../processors/cli/publish.ts'
import { rowsOf } from '../processors/cli/rows.ts'
import { openTally, sumOf, type Tally } from '../processors/cli/tally.ts'
import { countText, durationText, openProgress, openTerminal, shortCount } from '../processors/cli/terminal.ts'
import type { World } from '../processors/cli/world.ts'
import type { Profile } from '../processors/domain/profile.ts'
import type { Recommendation } from '../processors/domain/recommendation.ts'
import type { OutputRecord } from '../processors/domain/record.ts'
import { type Malformed, type Material, malformedRecords } from './malformed.ts'
import { openReplayWorld, type PipelineReport, type PlainStage } from './replay/pipeline.ts'
import { catalogues, missingFiles, purchases, shared_data, type Table, tablePath } from './replay/tables.ts'

const err = openTerminal(process.stderr, process.env)
const { values: options } = parseArgs({
  options: {
    interactions: { type: 'string', default: '40000' },
    full: { type: 'boolean', default: false },
    items: { type: 'string' },
    malformed: { type: 'string', default: '0' },
    kill: { type: 'string', default: '0' },
    out: { type: 'string' },
    save: { type: 'string' },
    compare: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const limits = {
  interactions: options.full ? Number.POSITIVE_INFINITY : Number(options.interactions),
  items: options.items === undefined ? Number.POSITIVE_INFINITY : Number(options.items),
  malformed: Number(options.malformed),
  kills: Number(options.kill),
}
const cache = fileURLToPath(new URL('../.cache/replay-embeddings', import.meta.url))
/** A kill comes at a random instant of this long after work began, so that most of the work is still to be done. */
const kill_within_ms = 700
const servers = (process.env['KAFKA_BROKERS'] ?? '') !== ''

/** What of a run must be the same in another one of the same input. */
type Fingerprint = {
  readonly base_ms: number
  readonly interactions: number
  readonly items: number
  readonly malformed: number
  readonly profiles: number
  readonly profiles_sha256: string
  readonly vectors: number
  readonly balances: readonly {
    topic: string
    records: number
    canonical: number
    outputs: number
    dead: Record<string, number>
    rest: number
  }[]
}
type Run = {
  readonly fingerprint: Fingerprint
  readonly balances: readonly TopicBalance[]
  readonly lists: readonly string[]
  readonly malformed: {
    readonly sent: number
    readonly wrong: readonly string[]
    readonly by_code: Readonly<Record<string, number>>
  }
  readonly kills: number
  readonly seconds: Readonly<Record<string, number>>
  readonly rates: readonly string[]
  readonly computed: number
}

/** A folder with settings of its own; the key of the pseudonyms is fixed, so that two runs can be compared. */
const makeFolder = (name: string): { folder: string; file: string } => {
  const folder = mkdtempSync(join(tmpdir(), `entrepot-replay-${name}-`))
  writeFileSync(join(folder, 'identity'), 'the key of replays of public data, no secret', { mode: 0o600 })
  const file = join(folder, 'entrepot.yaml')
  const unique = randomBytes(4).toString('hex')
  writeFileSync(
    file,
    [
      `mode: ${servers ? 'servers' : 'embedded'}`,
      'data: { folder: data }',
      `platforms: { enabled: [${[...new Set(catalogues.map((table) => table.platform))].join(', ')}] }`,
      'identity: { secret_file: identity }',
      'canonicalize:',
      '  late_after_days: 0 # purchases of 2009 and 2010',
      '  rates: { GBP: 1.17, USD: 0.92, CAD: 0.66 }',
      "  rates_as_of: '2026-11-01'",
      ...(servers
        ? [`qdrant: { collection: replay-${unique} }`, 'kafka: { session_timeout_ms: 6000 }', 'topics: { partitions: 2 }']
        : []),
      'log: { level: warn }',
      '',
    ].join('\n'),
  )
  return { folder, file }
}

const withWorld = async <T>(file: string, work: (world: World) => Promise<T>): Promise<T> => {
  const { world } = await openReplayWorld(file, cache)
  try {
    return await work(world)
  } finally {
    await world.close()
  }
}

/** Publishes tables, at most `limit` rows of each, with the malformed records of their topics spread among them. */
const publish = async (
  world: World,
  tables: readonly Table[],
  limit: number,
  base_ms: number,
  malformed: readonly Malformed[],
): Promise<{ rows: number; places: Map<Malformed, string> }> => {
  const encoder = openSourceEncoder(await world.registry())
  const log = await world.log()
  const places = new Map<Malformed, string>()
  const progress = openProgress(err, { label: 'publish', unit: 'records' })
  let rows = 0
  for (const table of tables) {
    const source = sourceOf(world.platforms, table.platform, table.kind)
    const mixed = malformed.filter(({ record }) => record.topic === source.topic)
    let batch: OutputRecord[] = []
    let meant: (Malformed | undefined)[] = []
    const flush = async () => {
      const landed = await log.append(batch)
      for (const [at, one] of meant.entries()) {
        const place = landed[at]!
        if (one !== undefined) places.set(one, `${place.topic} ${place.partition}/${place.offset}`)
      }
      progress.advance(batch.length)
      batch = []
      meant = []
    }
    const mixIn = () => {
      const one = mixed.shift()
      if (one === undefined) return
      batch.push(one.record)
      meant.push(one)
    }
    progress.note(table.platform)
    let taken = 0
    for await (const { row, line } of rowsOf(tablePath(table))) {
      if (taken >= limit) break
      if (row instanceof Error) throw new Error(`${table.file}:${line}: ${row.message}`)
      const { cluster_id: _, ...rest } = row
      batch.push({
        topic: source.topic,
        key: Buffer.from(String(row[table.key])),
        value: await encoder.encode(source.topic, source.format, rest),
        // Fixed, so that two runs have the same times in their records.
        timestamp_ms: base_ms + taken,
      })
      meant.push(undefined)
      taken++
      rows++
      if (taken % 3 === 0) mixIn()
      if (batch.length >= 500) await flush()
    }
    while (mixed.length > 0) mixIn()
    await flush()
  }
  progress.end()
  return { rows, places }
}

/** Malformed records for this world's registry, in an order that only the count decides. */
const makeMalformed = async (world: World, base_ms: number): Promise<readonly Malformed[]> => {
  const registry = await world.registry()
  const encoder = openSourceEncoder(registry)
  const rows: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    'abt items': { id: 'm', name: 'A good row', description: 'made bad', price: '3' },
    'buy items': { id: 'm', name: 'A good row', description: 'made bad', price: '3' },
    'online_retail interactions': {
      ts: 1_259_653_500,
      user_id: '1',
      invoice: 'm',
      item_id: '85048',
      qty: 1,
      price: '6.95',
      country: 'X',
    },
  }
  const topic = (platform: string, kind: string) => sourceOf(world.platforms, platform, kind).topic
  const material: Material = {
    topic,
    schemaId: async (platform, kind) => {
      const found = await registry.latest(`${topic(platform, kind)}-value`)
      if (found === undefined) throw new Error(`No schema of ${platform} ${kind} is registered.`)
      return found.id
    },
    good: async (platform, kind, n, change = {}) => {
      const source = sourceOf(world.platforms, platform, kind)
      const row = rows[`${platform} ${kind}`]!
      const own = kind === 'items' ? { id: `m${n}` } : { invoice: `m${n}` }
      return encoder.encode(source.topic, source.format, { ...row, ...own, ...change })
    },
  }
  return malformedRecords(material, limits.malformed, base_ms)
}

/** Runs the river in a child until it is done; kills it `kills` times on the way and starts it again. */
const runRiver = async (
  file: string,
  kills: number,
  longest_ms: number,
  total: number,
): Promise<{ report: PipelineReport; killed: number; latest_out: number }> => {
  const progress = openProgress(err, { label: 'river', unit: 'records', total })
  let killed = 0
  let shown = 0
  for (;;) {
    const child: ChildProcess = fork(fileURLToPath(new URL('./replay/pipeline.ts', import.meta.url)), [file, cache], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    let report: PipelineReport | undefined
    let active = false
    let timer: NodeJS.Timeout | undefined
    child.on('message', (message) => {
      report = message as PipelineReport
      const first = report.stages[0]!.records
      if (first > shown && killed === 0) {
        progress.advance(first - shown)
        shown = first
      }
      progress.note(report.stages.map((stage) => `${stage.stage} ${shortCount(stage.records)}`).join(' '))
      // The instant is random, but after work began: a process killed while it loads proves little.
      const working = report.stages.some((stage) => stage.records > 0)
      if (!active && working && killed < kills) {
        active = true
        timer = setTimeout(() => child.kill('SIGKILL'), 50 + Math.random() * longest_ms)
      }
    })
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.once('exit', (status, by) => resolve([status, by])),
    )
    clearTimeout(timer)
    if (signal === 'SIGKILL' && active) {
      killed++
      err.line(
        `  killed ${killed} of ${kills}: ${report?.stages.map((stage) => `${stage.stage} ${stage.records}`).join(', ') ?? 'at its start'}`,
      )
      continue
    }
    if (code !== 0 || report === undefined) throw new Error(`The river ended with ${code ?? signal}.`)
    progress.end()
    return { report, killed, latest_out: report.stages.at(-1)!.out }
  }
}

/** Two reports' counts together, as a tally that the balance can be held to. */
const tallyOf = (reports: readonly PipelineReport[]): Tally => {
  const tally = openTally(
    reports[0]!.stages.map((stage) => stage.stage),
    () => 0,
  )
  for (const { stages } of reports)
    for (const { stage, topics } of stages)
      for (const [topic, figures] of topics)
        tally.observe({
          event: 'committed',
          stage,
          input: { topic, partition: 0 },
          bytes: 0,
          seconds: {},
          latencies_s: [],
          ...figures,
        })
  return tally
}

/** The newest profile of each user: how many, and one digest over key and value of all, by key. */
const profilesOf = async (world: World): Promise<{ count: number; sha256: string; busiest: readonly Profile[] }> => {
  const log = await world.log()
  const { name, schema } = world.topics.profiles
  const newest = new Map<string, Buffer>()
  for (const { partition, start } of await log.offsets(name))
    for await (const { key, value } of log.scan({ topic: name, partition }, start)) {
      if (value === null) newest.delete(key!.toString())
      else newest.set(key!.toString(), value)
    }
  const hash = createHash('sha256')
  const sorted = [...newest].sort((a, b) => (a[0] < b[0] ? -1 : 1))
  // Without the five bytes of the frame: a registry may number schemas differently.
  for (const [key, value] of sorted) hash.update(`${key}\n`).update(value.subarray(5))
  const serde = await (await world.serdes()).of<Profile>(name, schema)
  const profiles = (await serde.deserialize(sorted.map(([, value]) => value))).filter(
    (profile): profile is Profile => !(profile instanceof Error),
  )
  const busiest = profiles.toSorted((a, b) => b.events - a.events || (a.user_key < b.user_key ? -1 : 1)).slice(0, 10)
  return { count: newest.size, sha256: hash.digest('hex'), busiest }
}

const listsOf = async (world: World, users: readonly Profile[]): Promise<readonly string[]> => {
  const { name, schema } = world.topics.recommendations
  const serde = await (await world.serdes()).of<Recommendation>(name, schema)
  const lists = openLists(await world.log(), name, serde)
  const currency = world.settings.canonicalize.reference_currency
  const lines: string[] = []
  for (const user of users) {
    const list = await lists.latest(user.user_key, world.settings.recommend.placement)
    lines.push(
      '',
      `**${user.user_key}**: ${countText(user.events)} purchases, ${countText(user.bought.length)} products remembered as bought`,
    )
    if (list === undefined) lines.push('', 'No list.')
    else
      lines.push(
        '',
        '| # | item | score | offers | reason |',
        '|--:|---|---|---|---|',
        ...list.items
          .slice(0, 5)
          .map(
            (item) =>
              `| ${item.rank} | ${item.title.replaceAll('|', '/')} | ${item.score.toFixed(3)} = ${scoresText(item)} | ${offersText(item, currency)} | ${item.reasons[0]?.code ?? ''} ${(item.reasons[0]?.text ?? '').replaceAll('|', '/')} |`,
          ),
      )
  }
  return lines
}

/** Each malformed record must lie among the dead letters, from its place, with its code and its bytes. */
const checkMalformed = async (world: World, places: ReadonlyMap<Malformed, string>): Promise<Run['malformed']> => {
  const found = new Map<string, { reason: string; key: Buffer | null; value: Buffer | null; twice: boolean }>()
  for await (const letter of deadLetters(await world.log(), world.topology.dead_letters.name, {})) {
    const place = `${letter.topic} ${letter.source_partition}/${letter.source_offset}`
    found.set(place, { reason: letter.reason, key: letter.key, value: letter.value, twice: found.has(place) })
  }
  const same = (a: Buffer | null, b: Buffer | null): boolean => (a === null || b === null ? a === b : a.equals(b))
  const wrong: string[] = []
  const by_code: Record<string, number> = {}
  for (const [one, place] of places) {
    const letter = found.get(place)
    if (letter === undefined) wrong.push(`${one.name}: no dead letter (${place})`)
    else if (letter.twice) wrong.push(`${one.name}: two dead letters`)
    else if (letter.reason !== one.code) wrong.push(`${one.name}: ${letter.reason} instead of ${one.code}`)
    else if (!same(letter.value, one.record.value) || !same(letter.key, one.record.key)) wrong.push(`${one.name}: other bytes`)
    else by_code[one.code] = (by_code[one.code] ?? 0) + 1
  }
  return { sent: places.size, wrong: [...new Set(wrong)], by_code }
}

const rateText = (stage: PlainStage, seconds: number): string => `${stage.stage} ${shortCount(stage.records / seconds)}/s`

/** One whole replay, undisturbed or killed. */
const replay = async (name: string, kills: number, base_ms: number): Promise<Run> => {
  const { folder, file } = makeFolder(name)
  err.line(`${err.paint('bold', name)}: ${servers ? `${process.env['KAFKA_BROKERS']}` : folder}, ${cpus().length} cores`)
  const seconds: Record<string, number> = {}
  const timed = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await work()
    seconds[step] = (performance.now() - started) / 1_000
    return result
  }
  const malformedOf = (all: readonly Malformed[], kind: string) => all.filter(({ record }) => record.topic.endsWith(`.${kind}`))

  const first = await timed('publish catalogues', () =>
    withWorld(file, async (world) => {
      await world.prepare()
      const log = await world.log()
      for (const platform of world.platforms)
        for (const { topic } of platform.sources)
          if ((await log.offsets(topic)).some(({ end }) => end > 0))
            throw new Error(`${topic} holds records already: a replay needs fresh servers (node scripts/with-servers.ts …).`)
      const all = await makeMalformed(world, base_ms)
      return { all, ...(await publish(world, catalogues, limits.items, base_ms, malformedOf(all, 'items'))) }
    }),
  )
  const items = await timed('catalogues', () =>
    runRiver(file, Math.floor(kills * 0.3), kill_within_ms, first.rows + malformedOf(first.all, 'items').length),
  )
  const second = await timed('publish purchases', () =>
    withWorld(file, (world) => publish(world, [purchases], limits.interactions, base_ms, malformedOf(first.all, 'interactions'))),
  )
  const behaviour = await timed('purchases', () =>
    runRiver(file, kills - items.killed, kill_within_ms, second.rows + malformedOf(first.all, 'interactions').length),
  )
  const killed = items.killed + behaviour.killed
  const tally = killed === 0 ? tallyOf([items.report, behaviour.report]) : null

  return withWorld(file, async (world) => {
    const balances = await timed('balance', () => balanceOf(world, tally))
    const { count, sha256, busiest } = await profilesOf(world)
    const { points, engine } = await (await world.index()).describe()
    const lists = await listsOf(world, busiest)
    const malformed = await checkMalformed(world, new Map([...first.places, ...second.places]))
    const run: Run = {
      fingerprint: {
        base_ms,
        interactions: second.rows,
        items: first.rows,
        malformed: limits.malformed,
        profiles: count,
        profiles_sha256: sha256,
        vectors: points.items,
        balances: balances
          .filter((one) => one.records > 0)
          .map(({ topic, records, canonical, outputs, dead, rest }) => ({
            topic,
            records,
            canonical,
            outputs,
            dead: { ...dead },
            rest,
          })),
      },
      balances: balances.filter((one) => one.records > 0),
      lists,
      malformed,
      kills: killed,
      seconds,
      rates: [
        `catalogues: ${items.report.stages
          .slice(0, 3)
          .map((stage) => rateText(stage, seconds['catalogues']!))
          .join(', ')}`,
        `purchases: ${behaviour.report.stages
          .filter(({ stage }) => ['canonicalize', 'learn', 'recommend'].includes(stage))
          .map((stage) => rateText(stage, seconds['purchases']!))
          .join(', ')}`,
        `index: ${engine}`,
      ],
      computed: items.report.computed,
    }
    return run
  }).finally(() => {
    if (!options.keep) rmSync(folder, { recursive: true, force: true })
    else err.line(`Kept: ${folder}`)
  })
}

const reasonsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .sort((a, b) => b[1] - a[1])
    .map(([name, n]) => `${countText(n)} ${name}`)
    .join(', ')

const balanceTable = (run: Run): readonly string[] => [
  '| topic | records in | canonical | dropped | dead-lettered | holds |',
  '|---|--:|--:|---|---|---|',
  ...run.balances.map((one) => {
    const drops = one.counted === null ? '' : reasonsText(one.counted.dropped)
    return `| ${one.topic} | ${countText(one.records)} | ${countText(one.canonical)} | ${countText(one.rest)}${drops === '' ? '' : ` (${drops})`} | ${countText(sumOf(one.dead))}${sumOf(one.dead) === 0 ? '' : ` (${reasonsText(one.dead)})`} | ${one.holds ? 'yes' : '**NO**'} |`
  }),
]

const report = (run: Run, other: { what: string; same: boolean; kills: number } | null): string =>
  [
    '# Real tables through the whole river',
    '',
    `${servers ? 'Kafka, a schema registry over HTTP' : 'Embedded'}; ${run.rates.at(-1)}; Node ${process.versions.node}, ${cpus().length} cores of a machine shared with other work. Written by \`${['node scripts/replay-real.ts', ...process.argv.slice(2).filter((word) => !word.includes('/'))].join(' ').replace(/ --(out|save|compare)(?= |$)/g, '')}\` on ${new Date().toISOString().slice(0, 10)}.`,
    '',
    `${countText(run.fingerprint.items)} items of nine platforms (four shops of LSPC computers, Abt, Buy, Amazon, Google, Online Retail) and ${countText(run.fingerprint.interactions)} purchases of Online Retail II.`,
    '',
    '## Records in = canonical + dropped + dead-lettered',
    '',
    'Canonical and dead-lettered are counted in the topics, by the place that each record names as its origin; dropped is what is left, and the runtime, which counts for itself, must agree on every number.',
    '',
    ...balanceTable(run),
    '',
    '## What came of it',
    '',
    `- ${countText(run.fingerprint.vectors)} vectors in the index; ${countText(run.computed)} texts were computed in this run, the others came from an earlier one.`,
    `- ${countText(run.fingerprint.profiles)} profiles; sha256 over all of them, by key: \`${run.fingerprint.profiles_sha256}\`.`,
    `- ${Object.entries(run.seconds)
      .map(([step, s]) => `${step} ${durationText(s)}`)
      .join(', ')}.`,
    ...run.rates.slice(0, -1).map((line) => `- ${line} (until nothing was left to do, start of the process included).`),
    ...(run.malformed.sent === 0
      ? []
      : [
          '',
          '## Malformed records',
          '',
          `${countText(run.malformed.sent)} mixed in, of ${countText(new Set(Object.keys(run.malformed.by_code)).size)} codes: ${countText(sumOf(run.malformed.by_code))} dead-lettered with the expected code and their original bytes, ${countText(run.malformed.wrong.length)} kinds wrong.`,
          '',
          `${reasonsText(run.malformed.by_code)}.`,
          ...run.malformed.wrong.map((line) => `- **wrong**: ${line}`),
        ]),
    ...(other === null
      ? []
      : [
          '',
          other.kills > 0 ? '## Killed on the way' : '## Compared',
          '',
          `${other.kills > 0 ? `${countText(other.kills)} times SIGKILL at random instants, started again each time. ` : ''}Compared with ${other.what}: counts of every topic, vectors and the digest over all profiles are ${other.same ? 'the same' : '**NOT the same**'}.`,
        ]),
    '',
    '## Ten users',
    ...run.lists,
    '',
  ].join('\n')

/** As text in which the order of keys says nothing. */
const sortedText = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([x], [y]) => (x < y ? -1 : 1)))
      : inner,
  )

const same = (a: Fingerprint, b: Fingerprint): boolean => sortedText(a) === sortedText(b)

const main = async (): Promise<number> => {
  const absent = missingFiles()
  if (absent.length > 0) {
    console.log(
      `skipped: the tables are not beside the repository (${absent.length} of ${catalogues.length + 1} files missing in ${shared_data}).`,
    )
    return 0
  }
  const saved = options.compare === undefined ? null : (JSON.parse(readFileSync(options.compare, 'utf8')) as Fingerprint)
  // Times of records are relative to this; two runs that are compared must share it.
  const base_ms = saved?.base_ms ?? Date.now() - 3_600_000
  const runs: Run[] = []
  let other: { what: string; same: boolean; kills: number } | null = null
  if (limits.kills > 0 && saved === null) {
    if (servers)
      throw new Error('On servers --kill needs --compare FILE: save an undisturbed run with --save first, on servers of its own.')
    const undisturbed = await replay('undisturbed', 0, base_ms)
    const killed = await replay('killed', limits.kills, base_ms)
    runs.push(undisturbed, killed)
    other = {
      what: 'an undisturbed run of the same input',
      same: same(undisturbed.fingerprint, killed.fingerprint),
      kills: killed.kills,
    }
  } else {
    const run = await replay(limits.kills > 0 ? 'killed' : 'undisturbed', limits.kills, base_ms)
    runs.push(run)
    if (saved !== null)
      other = {
        what: 'an undisturbed run of the same input, embedded or on servers of its own',
        same: same(saved, run.fingerprint),
        kills: run.kills,
      }
  }
  const text = report(runs[0]!, other)
  console.log(text)
  if (options.out !== undefined) {
    mkdirSync(dirname(options.out), { recursive: true })
    writeFileSync(options.out, text)
  }
  if (options.save !== undefined) writeFileSync(options.save, JSON.stringify(runs[0]!.fingerprint))
  const failures = [
    ...runs.flatMap((run) => run.balances.filter((one) => !one.holds).map((one) => `${one.topic}: the balance does not hold`)),
    ...runs.flatMap((run) => run.malformed.wrong),
    ...(other !== null && !other.same
      ? [`not the same as ${other.what}: ${JSON.stringify(runs.map((run) => run.fingerprint))}`]
      : []),
    ...(limits.kills > 0 && other !== null && other.kills < limits.kills
      ? [`only ${other.kills} of ${limits.kills} kills: the river was done before; raise --interactions`]
      : []),
    ...runs.flatMap((run) => (run.fingerprint.profiles === 0 && limits.interactions > 0 ? ['no profile came of it'] : [])),
  ]
  for (const failure of failures) console.error(`FAILED ${failure}`)
  return failures.length === 0 ? 0 : 1
}

process.exitCode = await main()
