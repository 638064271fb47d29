/**
 * Measures decoding and encoding of one interaction record beside the bare parser of the same bytes, in the same run: avsc without checks,
 * JSON.parse. Prints a markdown table of records per second of processor time; takes about a minute.
 *
 *   node scripts/bench/decode.ts [--seconds 1] [--rounds 3]
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import avro from 'avsc'
import { avroEncoder } from '../../processors/adapters/registry/avro.ts'
import { openEmbeddedRegistry } from '../../processors/adapters/registry/embedded-registry.ts'
import { frame, messagePathBytes } from '../../processors/adapters/registry/framing.ts'
import { openSerdes, registerCanonical } from '../../processors/adapters/registry/serdes.ts'
import { openSourceDecoder } from '../../processors/adapters/registry/source-decoder.ts'
import { Fault } from '../../processors/domain/fault.ts'
import type { Interaction } from '../../processors/domain/interaction.ts'
import type { SourceValue } from '../../processors/ports/schema-registry.ts'
import { canonical_samples } from '../../schemas/canonical-samples.ts'

const { values: args } = parseArgs({
  options: { seconds: { type: 'string', default: '1' }, rounds: { type: 'string', default: '3' } },
})
const round_ms = Number(args.seconds) * 1000
const rounds = Number(args.rounds)
const batch_records = 500

/** A shop's click as Segment's libraries publish it. */
const click = {
  event: 'Product Viewed',
  type: 'track',
  messageId: 'ajs-next-1763630400000-7f3c1b',
  userId: 'u-482911',
  anonymousId: 'f2d1c0b9-5a44-4f0e-9d6e-0c1b2a394857',
  timestamp: '2026-11-20T09:30:00.000Z',
  context: {
    ip: '203.0.113.7',
    locale: 'de-DE',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
    page: { url: 'https://shop.example/p/1', title: 'Kaffeemühle' },
  },
  properties: {
    product_id: '507f1f77bcf86cd799439011',
    sku: 'G-32',
    category: 'Games',
    name: 'Monopoly: 3rd Edition',
    brand: 'Hasbro',
    variant: '200 pieces',
    price: 18.99,
    quantity: 1,
    coupon: 'MAYDEALS',
    currency: 'USD',
    position: 3,
    value: 18.99,
  },
}

/** The same in one flat Avro record, as a Kafka-native shop would publish it. */
const text_fields = [
  'event',
  'message_id',
  'user_id',
  'anonymous_id',
  'locale',
  'url',
  'product_id',
  'sku',
  'category',
  'name',
  'currency',
]
const avro_schema = {
  type: 'record',
  name: 'Click',
  namespace: 'shop',
  fields: [
    ...text_fields.map((name) => ({ name, type: name === 'sku' || name === 'anonymous_id' ? ['null', 'string'] : 'string' })),
    { name: 'price', type: { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 } },
    { name: 'quantity', type: 'int' },
    { name: 'position', type: ['null', 'int'] },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
  ],
}
const avro_click = {
  event: click.event,
  message_id: click.messageId,
  user_id: click.userId,
  anonymous_id: click.anonymousId,
  locale: click.context.locale,
  url: click.context.page.url,
  product_id: click.properties.product_id,
  sku: click.properties.sku,
  category: click.properties.category,
  name: click.properties.name,
  currency: click.properties.currency,
  price: Buffer.from([0x07, 0x6b]),
  quantity: 1,
  position: 3,
  at: Date.parse(click.timestamp),
}
const proto_schema = `syntax = "proto3";
message Click { string event = 1; string message_id = 2; string user_id = 3; string name = 4; int64 at = 5; double price = 6; int32 quantity = 7; string url = 8; string sku = 9; string product_id = 10; }`

const lengthDelimited = (number: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)])
const proto_click = Buffer.concat([
  lengthDelimited(1, click.event),
  lengthDelimited(2, click.messageId),
  lengthDelimited(3, click.userId),
  lengthDelimited(4, click.properties.name),
  Buffer.from([5 << 3, 0x80, 0xf8, 0xce, 0xa9, 0xaa, 0x33]),
  Buffer.concat([Buffer.from([(6 << 3) | 1]), Buffer.from(Float64Array.of(click.properties.price).buffer)]),
  Buffer.from([7 << 3, 1]),
  lengthDelimited(8, click.context.page.url),
  lengthDelimited(9, click.properties.sku),
  lengthDelimited(10, click.properties.product_id),
])

const registry = await openEmbeddedRegistry(null)
const schemas_folder = join(import.meta.dirname, '../../schemas/canonical')
await registerCanonical(
  registry,
  [
    { topic: 'behavior.interactions.v1', schema: 'interaction' },
    { topic: 'catalog.items.v1', schema: 'item' },
  ],
  schemas_folder,
)
const serdes = openSerdes(registry, { schemas_folder })
const interactions = await serdes.of<Interaction>('behavior.interactions.v1', 'interaction')
const items = await serdes.of<typeof canonical_samples.item>('catalog.items.v1', 'item')
const sources = openSourceDecoder(registry)

const schema_text = JSON.stringify(avro_schema)
const avro_id = await registry.register('avro-value', { format: 'AVRO', text: schema_text })
const json_id = await registry.register('json-value', {
  format: 'JSON',
  text: JSON.stringify({
    type: 'object',
    required: ['event', 'messageId', 'properties'],
    properties: {
      event: { type: 'string' },
      messageId: { type: 'string', pattern: '^ajs-' },
      properties: { type: 'object', properties: { price: { type: 'number', minimum: 0 }, quantity: { type: 'integer' } } },
    },
  }),
})
const proto_id = await registry.register('proto-value', { format: 'PROTOBUF', text: proto_schema })

const plain_bytes = Buffer.from(JSON.stringify(click))
const avro_datum = avroEncoder([avro_schema])(avro_click)
const batches = {
  avro: Array.from({ length: batch_records }, () => frame(avro_id, avro_datum)),
  json: Array.from({ length: batch_records }, () => frame(json_id, plain_bytes)),
  proto: Array.from({ length: batch_records }, () => frame(proto_id, Buffer.concat([messagePathBytes([0]), proto_click]))),
  plain: Array.from({ length: batch_records }, () => Buffer.from(plain_bytes)),
  interactions: Array.from({ length: batch_records }, () => interactions.serialize(canonical_samples.interaction)),
  items: Array.from({ length: batch_records }, () => items.serialize(canonical_samples.item)),
}
const bare_type = avro.Type.forSchema(avro_schema as never)
const bare_interaction = avro.Type.forSchema(JSON.parse((await registry.latest('behavior.interactions.v1-value'))!.text) as never)

const checked = <T>(results: readonly (T | Fault)[]): readonly T[] =>
  results.map((result) => {
    if (result instanceof Fault) throw result
    return result
  })

/** What a map does at least: take the fields, look at their types, build the canonical record. */
const toInteraction = (value: SourceValue, offset: number): Interaction => {
  const row = value as unknown as Record<string, string & number>
  return {
    ...canonical_samples.interaction,
    event_id: row['message_id']!,
    user_key: row['user_id']!,
    item_id: `segment:shop-1:${row['product_id']}`,
    quantity: row['quantity']!,
    price_minor: Math.round(Number(row['price']) * 100),
    currency: row['currency']!,
    position: row['position']!,
    occurred_at: row['at']!,
    provenance: { topic: 'avro', partition: 0, offset, schema_id: avro_id, map_version: '1', rewrites: [] },
  }
}

type Case = { readonly name: string; readonly bytes: number; readonly run: () => unknown }
const cases: readonly Case[] = [
  {
    name: 'JSON.parse, bare',
    bytes: plain_bytes.length,
    run: () => batches.plain.map((value) => JSON.parse(value.toString()) as unknown),
  },
  {
    name: 'plain JSON, decoded strictly',
    bytes: plain_bytes.length,
    run: async () => checked(await sources.decode('plain', 'PLAIN_JSON', batches.plain)),
  },
  {
    name: 'framed JSON, with its JSON Schema',
    bytes: plain_bytes.length,
    run: async () => checked(await sources.decode('json', 'JSON', batches.json)),
  },
  {
    name: 'avsc, bare: Avro click decoded',
    bytes: avro_datum.length,
    run: () => batches.avro.map((value) => bare_type.fromBuffer(value.subarray(5)) as unknown),
  },
  {
    name: 'Avro click, decoded strictly',
    bytes: avro_datum.length,
    run: async () => checked(await sources.decode('avro', 'AVRO', batches.avro)),
  },
  {
    name: 'Protobuf click, decoded strictly',
    bytes: proto_click.length,
    run: async () => checked(await sources.decode('proto', 'PROTOBUF', batches.proto)),
  },
  {
    name: 'avsc, bare: interaction encoded',
    bytes: batches.interactions[0]!.length,
    run: () => batches.interactions.map(() => bare_interaction.toBuffer(canonical_samples.interaction)),
  },
  {
    name: 'interaction encoded',
    bytes: batches.interactions[0]!.length,
    run: () => batches.interactions.map(() => interactions.serialize(canonical_samples.interaction)),
  },
  {
    name: 'avsc, bare: interaction decoded',
    bytes: batches.interactions[0]!.length,
    run: () => batches.interactions.map((value) => bare_interaction.fromBuffer(value.subarray(5)) as unknown),
  },
  {
    name: 'interaction decoded',
    bytes: batches.interactions[0]!.length,
    run: async () => checked(await interactions.deserialize(batches.interactions)),
  },
  {
    name: 'Avro click decoded, mapped plainly, encoded as interaction',
    bytes: avro_datum.length,
    run: async () =>
      checked(await sources.decode('avro', 'AVRO', batches.avro)).map(({ value }, i) =>
        interactions.serialize(toInteraction(value, i)),
      ),
  },
  {
    name: 'item encoded',
    bytes: batches.items[0]!.length,
    run: () => batches.items.map(() => items.serialize(canonical_samples.item)),
  },
  { name: 'item decoded', bytes: batches.items[0]!.length, run: async () => checked(await items.deserialize(batches.items)) },
]

/** Records per second of processor time, collection of garbage included, so that a busy machine does not blur it. */
const measure = async (one: Case): Promise<number> => {
  let batches_done = 0
  const start = performance.now()
  const before = process.cpuUsage()
  while (performance.now() - start < round_ms) {
    await one.run()
    batches_done++
  }
  const { user, system } = process.cpuUsage(before)
  return (batches_done * batch_records * 1e6) / (user + system)
}

const rates = new Map<string, number[]>(cases.map(({ name }) => [name, []]))
for (const one of cases) await measure(one)
for (let round = 0; round < rounds; round++) for (const one of cases) rates.get(one.name)!.push(await measure(one))

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
console.log(`${cpus()[0]?.model}, Node ${process.version}, median of ${rounds} rounds of ${round_ms} ms, by processor time\n`)
console.log('| what | bytes | k records/s | µs a record |\n|---|---:|---:|---:|')
for (const { name, bytes } of cases) {
  const rate = median(rates.get(name)!)
  console.log(`| ${name} | ${bytes} | ${(rate / 1000).toFixed(0)} | ${(1e6 / rate).toFixed(2)} |`)
}
