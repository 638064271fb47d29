/**
 * Measures what embedding costs the second time: a catalogue through the real embed stage on the embedded adapters with the real encoder,
 * then the process begins again and the same catalogue comes once more with other prices and 1 % changed texts.
 *
 *   node scripts/bench/replay-embed.ts [--items 2000] [--changed 0.01] [--partitions 4] [--workers 2]
 *
 * Also, as counts: prices alone, listings taken down and put up again, and one text in four shops. Titles are real ones from ../shared/data
 * (four computer shops), each once; without that folder it says so and stops. Time runs from the first record sent to the last committed;
 * the encoder is loaded before. Avoided seconds are texts found times the full run's seconds a text.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { openWorld } from '../../processors/cli/compose.ts'
import type { World } from '../../processors/cli/world.ts'
import { loadSettings } from '../../processors/config/load.ts'
import type { Item } from '../../processors/domain/item.ts'
import { item } from '../../processors/embed/item.fixture.ts'
import { no_telemetry, type Telemetry } from '../../processors/telemetry/metrics.ts'
import { argumentsOf } from '../arguments.ts'
import { shared_data } from '../replay/tables.ts'
import { about, cpuSeconds, load, table } from './about.ts'

const { values: args } = argumentsOf(
  'node scripts/bench/replay-embed.ts [--items 2000] [--changed 0.01] [--partitions 4] [--workers 2]\n',
  {
    options: {
      items: { type: 'string', default: '2000' },
      changed: { type: 'string', default: '0.01' },
      partitions: { type: 'string', default: '4' },
      workers: { type: 'string', default: '2' },
    },
  },
)

const shops = join(shared_data, 'lspc-computers-4shops')
if (!existsSync(shops)) {
  process.stdout.write('Skipped: ../shared/data/lspc-computers-4shops is absent, and made-up titles would measure nothing.\n')
  process.exit(0)
}

const names = ['harddrivesdirect', 'sillworks', 'tweakers', 'usapartsdirect']
const titles = [
  ...new Set(
    names.flatMap((shop) =>
      gunzipSync(readFileSync(join(shops, `${shop}.csv.gz`)))
        .toString('utf8')
        .split('\n')
        .slice(1)
        // id, cluster, title: quoted when it holds a comma.
        .map((line) => /^\d+,\d+,(?:"((?:[^"]|"")*)"|([^,]*)),/u.exec(line))
        .map((found) => (found?.[1] ?? found?.[2] ?? '').trim()),
    ),
  ),
].filter((title) => title !== '')

const count = Math.min(Number(args.items), titles.length)
const changed_every = Math.max(1, Math.round(1 / Number(args.changed)))
const load_before = load()
const folder = mkdtempSync(join(tmpdir(), 'entrepot-replay-embed-'))

type Counts = { state: number; memory: number; miss: number }
const counts: Counts = { state: 0, memory: 0, miss: 0 }
const telemetry: Telemetry = {
  ...no_telemetry,
  count: (name, labels, n = 1) => {
    if (name === 'entrepot_embeddings_total') counts[(labels as { cache: 'state' | 'memory' | 'miss' }).cache] += n
  },
}

const open = async (): Promise<World> => {
  const { settings } = loadSettings({
    env: {},
    set: [
      'mode=embedded',
      `data.folder=${folder}`,
      `topics.partitions=${args.partitions}`,
      'platforms.enabled=shopify',
      `model.workers=${args.workers}`,
    ],
    working_folder: folder,
  })
  const world = await openWorld(settings, { telemetry, stages: ['embed'] })
  await world.prepare()
  return world
}

type Change = readonly [item_id: string, value: Item | null]
const listing = (shop: string, n: number, changes: Partial<Item>): Change => {
  const item_id = `${shop}:1:${n}`
  return [item_id, item({ item_id, platform: shop, ...changes })]
}

type Measured = Counts & { readonly records: number; readonly wall_s: number; readonly cpu_s: number }

/** Sends the records and waits until the stage has committed the last of them. */
const through = async (world: World, changes: readonly Change[]): Promise<Measured> => {
  const { name, schema } = world.topics.items
  const serde = await (await world.serdes()).of<Item>(name, schema)
  const log = await world.log()
  const records = changes.map(([item_id, value]) => ({
    topic: name,
    key: Buffer.from(item_id, 'utf8'),
    value: value === null ? null : serde.serialize(value),
    timestamp_ms: Date.now(),
  }))
  const before = { ...counts }
  const cpu = process.cpuUsage()
  const began_ms = performance.now()
  for (let from = 0; from < records.length; from += 500) await log.append(records.slice(from, from + 500))
  const ends = await log.offsets(name)
  const group = `${world.group_prefix}.embed`
  for (;;) {
    const positions = await log.positions(group, name)
    if (ends.every(({ partition, end }) => positions[partition]!.position >= end)) break
    await world.clock.sleep(20)
  }
  const wall_s = (performance.now() - began_ms) / 1000
  return {
    records: records.length,
    wall_s,
    cpu_s: cpuSeconds(cpu),
    state: counts.state - before.state,
    memory: counts.memory - before.memory,
    miss: counts.miss - before.miss,
  }
}

const rows: [string, Measured][] = []
try {
  const catalogue = Array.from({ length: count }, (_, n) => listing(names[n % names.length]!, n, { title: titles[n]! }))
  let world = await open()
  let stages = await world.start(['embed'], () => undefined)
  const full = await through(world, catalogue)
  rows.push(['full run', full])
  await stages.stop()
  await world.close()

  // Another process: nothing but what the log holds.
  world = await open()
  stages = await world.start(['embed'], () => undefined)
  const again = await through(
    world,
    catalogue.map(([, value], n) =>
      listing(value!.platform, n, {
        title: n % changed_every === 0 ? `${titles[n]!} (refurbished)` : titles[n]!,
        price_minor: 1_000 + n,
      }),
    ),
  )
  rows.push([`restart, replay with ${args.changed} changed`, again])
  const some = Math.min(count, 400)
  const from = Array.from({ length: some }, (_, n) => n).filter((n) => n % changed_every !== 0)
  rows.push([
    'price only',
    await through(
      world,
      from.map((n) => listing(names[n % names.length]!, n, { title: titles[n]!, price_minor: 5 })),
    ),
  ])
  const down = await through(
    world,
    from.map((n) => [`${names[n % names.length]!}:1:${n}`, null] as const),
  )
  rows.push(['taken down', down])
  rows.push([
    'put up again',
    await through(
      world,
      from.map((n) => listing(names[n % names.length]!, n, { title: titles[n]! })),
    ),
  ])
  const copies = Math.min(50, count)
  rows.push([
    'one new text in four shops',
    await through(
      world,
      Array.from({ length: copies }, (_, n) =>
        names.map((shop) => listing(shop, 1_000_000 + n, { title: `${titles[n]!} bundle` })),
      ).flat(),
    ),
  ])
  await stages.stop()
  await world.close()

  const fixed = (value: number, digits = 2): string => value.toFixed(digits)
  const lines = [
    ...about(load_before),
    `- model: ${world.model.name}, ${args.workers} workers; ${count} titles, ${args.partitions} partitions`,
    '',
    ...table(
      ['run', 'records', 'wall s', 'CPU s', 'computed', 'from state', 'from memory', 'avoided s'],
      rows.map(([name, row]) => [
        name,
        String(row.records),
        fixed(row.wall_s),
        fixed(row.cpu_s),
        String(row.miss),
        String(row.state),
        String(row.memory),
        fixed(((row.state + row.memory) * full.wall_s) / full.miss),
      ]),
    ),
    '',
    `Full run against the replay: ${fixed(full.wall_s / again.wall_s, 1)}x in wall time, ${fixed(full.cpu_s / again.cpu_s, 1)}x in CPU time (goal: at least 50x).`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
