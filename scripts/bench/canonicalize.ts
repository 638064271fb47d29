/**
 * Measures canonicalize on one core: registry bytes in, canonical bytes out. Interactions: Avro purchase lines, every event id and
 * most users new or seen before as in the wild. Items: Shopify products, beside JSON.parse and JSON.stringify of the same bytes in
 * the same run. Prints a markdown table of records per second of processor time and, with --steps, where the time goes.
 *
 *   node scripts/bench/canonicalize.ts [--records 200000] [--rounds 3] [--steps] [--only interactions|items]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openEmbeddedRegistry } from '../../processors/adapters/registry/embedded-registry.ts'
import { openSerdes, registerCanonical } from '../../processors/adapters/registry/serdes.ts'
import { openSourceDecoder } from '../../processors/adapters/registry/source-decoder.ts'
import { openSourceEncoder } from '../../processors/adapters/registry/source-encoder.ts'
import { canonicalize, mapRunOf } from '../../processors/canonicalize/processor.ts'
import { default_settings } from '../../processors/canonicalize/settings.ts'
import { loadPlatforms } from '../../processors/config/platforms.ts'
import { Fault } from '../../processors/domain/fault.ts'
import type { Interaction } from '../../processors/domain/interaction.ts'
import type { Item } from '../../processors/domain/item.ts'
import type { InputRecord } from '../../processors/flow/processor.ts'
import type { SourceBytes, Topic } from '../../processors/flow/topic.ts'
import type { SourceDecoder } from '../../processors/ports/schema-registry.ts'
import type { StateReader } from '../../processors/ports/state-store.ts'
import { about, cpuSeconds, load, table } from './about.ts'

const { values: args } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    steps: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const count = Number(args.records)
const rounds = Number(args.rounds)
const batch_records = 500
const start_ms = Date.UTC(2026, 10, 1)
const load_before = load()

const registry = await openEmbeddedRegistry(null)
const topic = <V>(name: string, schema: string): Topic<V> => ({ name, key: '', schema, partitions: 1, keep: 'latest', holds: '' })
const topics = {
  items: topic<Item>('catalog.items.v1', 'item'),
  interactions: topic<Interaction>('behavior.interactions.v1', 'interaction'),
}
const schemas_folder = join(import.meta.dirname, '..', '..', 'schemas', 'canonical')
await registerCanonical(
  registry,
  [
    { topic: topics.items.name, schema: 'item' },
    { topic: topics.interactions.name, schema: 'interaction' },
  ],
  schemas_folder,
)
const platforms = await loadPlatforms({ folder: null, enabled: ['online_retail', 'shopify'] }, { shops: {} })
for (const { schema, subject } of platforms.flatMap(({ sources }) => sources))
  if (schema !== null && subject !== null) await registry.register(subject, schema)
const serdes = openSerdes(registry, { schemas_folder })
const items = await serdes.of<Item>(topics.items.name, 'item')
const interactions = await serdes.of<Interaction>(topics.interactions.name, 'interaction')
const encoder = openSourceEncoder(registry)
const decoder = openSourceDecoder(registry)
const settings = {
  ...default_settings,
  late_after_ms: null,
  user_secret: Buffer.alloc(32, 1),
  user_key_version: 'k1',
  shops: { shopify: { currency: 'EUR', language: 'en' } },
}

/** Deterministic, uniform on 0 to 1 (mulberry32). */
const random = (() => {
  let state = 7
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
})()

const line = (i: number) => ({
  ts: Math.floor(start_ms / 1000) + Math.floor(i / 20),
  user_id: String(12_000 + Math.floor(random() ** 2 * 20_000)),
  invoice: String(489_000 + Math.floor(i / 20)),
  item_id: String(10_000 + ((i * 7) % 4_001)),
  qty: 1 + (i % 12),
  price: `${1 + (i % 40)}.${String(i % 100).padStart(2, '0')}`,
  country: 'United Kingdom',
})

const product = (i: number) => {
  const id = 788_032_119_674_290_000n + BigInt(i) * 2n
  return {
    id,
    admin_graphql_api_id: `gid://shopify/Product/${id}`,
    title: `Lumen desk lamp ${i}`,
    body_html: `<p>Desk lamp by <strong>Lumen &amp; Oak</strong>.</p><ul><li>dimmable</li><li>USB-C</li><li>${i} lumen</li></ul>`,
    vendor: 'Lumen & Oak',
    product_type: 'Home & Garden > Lighting > Lamps',
    handle: `lumen-desk-lamp-${i}`,
    status: 'active',
    tags: 'lamp, desk, led',
    created_at: '2026-09-01T12:00:00+01:00',
    updated_at: '2026-10-31T12:00:00+01:00',
    options: [{ id: id + 1n, product_id: id, name: 'Color', position: 1, values: ['white'] }],
    images: [{ id: 1, src: `https://cdn.example/${i}.jpg` }],
    image: { id: 1, src: `https://cdn.example/${i}.jpg` },
    variant_gids: [{ admin_graphql_api_id: `gid://shopify/ProductVariant/${id + 7n}`, updated_at: '2026-10-31T12:00:00+01:00' }],
    variants: [
      {
        id: id + 7n,
        admin_graphql_api_id: `gid://shopify/ProductVariant/${id + 7n}`,
        product_id: id,
        title: 'white',
        sku: `LAMP-${i}`,
        barcode: '4006381333931',
        price: '39.95',
        compare_at_price: '49.95',
        position: 1,
        inventory_policy: 'deny',
        inventory_quantity: 12,
        option1: 'white',
        option2: null,
        option3: null,
        image_id: 1,
        taxable: true,
        updated_at: '2026-10-31T12:00:00+01:00',
      },
    ],
  }
}

/** CPU milliseconds of the main thread alone: what garbage collection and compilation do beside it is in the totals. */
const mainMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1e3
}

const memory = () => {
  const entries = new Map<string, Buffer>()
  const state: StateReader = { get: (key) => entries.get(key), entries: () => [] }
  return { entries, state }
}

type Run = { readonly records: number; readonly seconds: number; readonly steps: Readonly<Record<string, number>> }

/** One pass over all values: decode, map and encode in batches, state applied as a store would. */
const pass = async (source: string, values: readonly Buffer[], serialize: (value: never) => Buffer): Promise<Run> => {
  const { entries, state } = memory()
  const steps: Record<string, number> = { decode: 0, 'map and state': 0, encode: 0 }
  const timed: SourceDecoder = {
    decode: async (...given) => {
      const from = mainMs()
      const decoded = await decoder.decode(...given)
      steps['decode']! += mainMs() - from
      return decoded
    },
  }
  const processor = canonicalize(platforms, topics, settings)
  const reads = processor.reads({ sources: timed } as never, state)
  const from = process.cpuUsage()
  let emitted = 0
  for (let at = 0; at < values.length; at += batch_records) {
    const records: InputRecord<SourceBytes>[] = values.slice(at, at + batch_records).map((bytes, i) => ({
      offset: at + i,
      key: 'key',
      value: { bytes },
      bytes,
      timestamp_ms: start_ms + Math.floor((at + i) / 20) * 1000,
      headers: [],
    }))
    const began = mainMs()
    const outcome = await processor.run({ topic: source, partition: 0, now_ms: start_ms + 86_400_000, records }, reads)
    const mapped = mainMs()
    for (const { value } of outcome.emit) serialize(value as never)
    steps['encode']! += mainMs() - mapped
    steps['map and state']! += mapped - began
    for (const { key, value } of outcome.state ?? [])
      if (value === null) entries.delete(key)
      else entries.set(key, value)
    emitted += outcome.emit.length
  }
  const seconds = cpuSeconds(from)
  if (emitted !== values.length) throw new Error(`${values.length} records gave ${emitted} outputs.`)
  steps['map and state']! -= steps['decode']!
  return { records: values.length, seconds, steps }
}

/** Decode, apply the map and encode, with no state: what one record costs before anything is compared with what came before. */
const mapAlone = async (source: string, values: readonly Buffer[], serialize: (value: never) => Buffer): Promise<Run> => {
  const map = platforms.flatMap((platform) => platform.maps).find((one) => one.source.topic === source)!
  const run = mapRunOf(settings)
  const from = process.cpuUsage()
  for (let at = 0; at < values.length; at += batch_records) {
    const decoded = await decoder.decode(source, map.source.format, values.slice(at, at + batch_records))
    for (const [i, one] of decoded.entries()) {
      if (one instanceof Fault) throw one
      const time = start_ms + Math.floor((at + i) / 20) * 1000
      const log = { topic: source, partition: 0, offset: at + i, time, key: 'key', schema_id: one.schema_id }
      const reading = map.read(map.open({ value: one.value, headers: [], bytes: values[at + i]!.length, log }, run))
      if (reading.kind === 'interactions') for (const draft of reading.interactions) serialize(draft as never)
    }
  }
  return { records: values.length, seconds: cpuSeconds(from), steps: {} }
}

const best = async (run: () => Promise<Run> | Run): Promise<Run> => {
  let fastest: Run | undefined
  for (let round = 0; round <= rounds; round++) {
    const one = await run()
    // The first round warms up.
    if (round > 0 && (fastest === undefined || one.seconds < fastest.seconds)) fastest = one
  }
  return fastest!
}

const encoded = async (
  source: string,
  format: 'AVRO' | 'JSON',
  value: (i: number) => unknown,
  records: number,
): Promise<Buffer[]> => {
  const out: Buffer[] = []
  for (let i = 0; i < records; i++) out.push(await encoder.encode(source, format, value(i)))
  return out
}

const rows: string[][] = []
const report = (what: string, run: Run, beside?: Run) => {
  const rate = run.records / run.seconds
  rows.push([
    what,
    String(run.records),
    Math.round(rate).toLocaleString('en'),
    ((run.seconds / run.records) * 1e6).toFixed(2),
    beside === undefined ? '' : (rate / (beside.records / beside.seconds)).toFixed(2),
  ])
  if (args.steps)
    for (const [step, ms] of Object.entries(run.steps))
      rows.push([`&nbsp; ${step} (main thread)`, '', '', ((ms / run.records) * 1000).toFixed(2), ''])
}

if (args.only !== 'items') {
  const lines = await encoded('source.online_retail.interactions', 'AVRO', line, count)
  report(
    'interactions: Avro decode, map, encode',
    await best(() => mapAlone('source.online_retail.interactions', lines, (value) => interactions.serialize(value))),
  )
  report(
    'the same with repetitions recognised, in batches with state',
    await best(() => pass('source.online_retail.interactions', lines, (value) => interactions.serialize(value))),
  )
}
if (args.only !== 'interactions') {
  const product_count = Math.max(2_000, Math.floor(count / 10))
  const products = await encoded('source.shopify.items', 'JSON', product, product_count)
  const plain = await best(() => {
    const from = process.cpuUsage()
    let bytes = 0
    for (const value of products) bytes += JSON.stringify(JSON.parse(value.toString('utf8', 5))).length
    if (bytes === 0) throw new Error('nothing was read')
    return { records: products.length, seconds: cpuSeconds(from), steps: {} }
  })
  report(
    'Shopify items: decode with schema, map, encode',
    await best(() => pass('source.shopify.items', products, (value) => items.serialize(value))),
    plain,
  )
  report('&nbsp; JSON.parse and JSON.stringify of the same bytes', plain)
}
process.stdout.write(
  `${[...about(load_before), '', ...table(['what', 'records', 'records/s of CPU', 'µs each', 'to parse + stringify'], rows)].join(
    '\n',
  )}\n`,
)
