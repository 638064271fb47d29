/** The crash set: records and schemas that could end a process or keep it busy for seconds; run in a child with a small heap. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { cappedGzip, zstd } from '../../adapters/kafka/compression.ts'
import { frame } from '../../adapters/registry/framing.ts'
import { openSourceDecoder } from '../../adapters/registry/source-decoder.ts'
import { protoBytes, varint, zigzag } from '../../adapters/registry/wire-bytes.ts'
import type { Platform } from '../../canonicalize/platform.ts'
import { canonicalize } from '../../canonicalize/processor.ts'
import { default_settings } from '../../canonicalize/settings.ts'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Schema } from '../../ports/schema-registry.ts'
import { topicsOf } from '../../topology.ts'
import { openAnyRegistry } from './bazaar.ts'

/** One attempt on the process: what became of it, and how long nothing else could run. */
export type Attempt = { readonly name: string; readonly ended: string; readonly blocked_ms: number }

type Bomb = { readonly name: string; readonly schema: Schema; readonly datum: Buffer }

const range = <T>(count: number, make: (i: number) => T): readonly T[] => Array.from({ length: count }, (_, i) => make(i))
const avro = (name: string, type: unknown, datum: Buffer): Bomb => ({
  name,
  schema: { format: 'AVRO', text: JSON.stringify(type) },
  datum,
})
const protobuf = (name: string, body: string, bytes: Buffer): Bomb => ({
  name,
  schema: { format: 'PROTOBUF', text: `syntax = "proto3";\n${body}` },
  datum: Buffer.concat([Buffer.from([0]), bytes]),
})
const json = (name: string, schema: unknown, value: unknown): Bomb => ({
  name,
  schema: { format: 'JSON', text: JSON.stringify(schema) },
  datum: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
})

const nulls = range(1_900, (i) => ({ name: `n${i}`, type: 'null' }))
const wide = (kind: string): string => range(400, (i) => `${kind} f${i} = ${i + 1};`).join(' ')
const lists = range(20, (i) => `repeated N n${i} = ${i + 1};`).join(' ')
const many = Buffer.concat(range(20, (i) => Buffer.concat(range(4_990, () => protoBytes(i + 1, '')))))
const tree = (levels: number): Buffer => {
  if (levels === 0) return Buffer.alloc(2)
  const branch = Buffer.concat([Buffer.from([2]), tree(levels - 1)])
  return Buffer.concat([branch, branch])
}
const each = (one: unknown, count: number) => ({
  definitions: { one },
  type: 'array',
  items: { allOf: range(count, () => ({ $ref: '#/definitions/one' })) },
})
const long_texts = range(15, () => 'a'.repeat(64_000))

/** Every one ended a process with a heap of 256 MiB, or held it for more than 5 s, somewhere: in a library of its format, or here before. */
export const bombs = (): readonly Bomb[] => [
  avro('six bytes of nulls', { type: 'array', items: 'null' }, Buffer.from('808080800800', 'hex')),
  avro('six bytes of ints', { type: 'array', items: 'int' }, Buffer.from('808080800800', 'hex')),
  avro(
    'lists of records of 1,900 nulls',
    {
      type: 'record',
      name: 'M',
      fields: range(11, (i) => ({
        name: `l${i}`,
        type: {
          type: 'array',
          items: i > 0 ? 'N' : { type: 'record', name: 'N', fields: [{ name: 'b', type: 'boolean' }, ...nulls] },
        },
      })),
    },
    Buffer.concat(range(11, () => Buffer.concat([zigzag(9_000), Buffer.alloc(9_000), zigzag(0)]))),
  ),
  avro(
    'a tree of records of 1,900 nulls',
    { type: 'record', name: 'T', fields: [...['a', 'b'].map((name) => ({ name, type: ['null', 'T'] })), ...nulls] },
    tree(17),
  ),
  avro(
    'a list 900,000 deep',
    { type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'] }] },
    Buffer.alloc(900_000, 2),
  ),
  protobuf('messages of 400 absent lists', `message M { ${lists} } message N { ${wide('repeated int32')} }`, many),
  protobuf('messages of 400 absent maps', `message M { ${lists} } message N { ${wide('map<string, int32>')} }`, many),
  protobuf(
    'a oneof that changes 500,000 times',
    `message M { oneof w { N a = 1; O b = 2; } } message N { ${wide('int32')} } message O { ${wide('int32')} }`,
    Buffer.concat(range(250_000, () => Buffer.from([0x0a, 0, 0x12, 0]))),
  ),
  protobuf('groups 900,000 deep', 'message M { int32 a = 1; }', Buffer.alloc(900_000, 0x7b)),
  protobuf('a length of 2^63', 'message M { string a = 1; }', Buffer.concat([Buffer.from([0x0a]), varint(2n ** 63n)])),
  json('lists 500,000 deep', {}, '['.repeat(500_000) + ']'.repeat(500_000)),
  json('a million openings', {}, '['.repeat(1_000_000)),
  json('350,000 empty objects', {}, `[${range(340_000, () => '{}').join()}]`),
  json('100,000 keys', {}, `{${range(90_000, (i) => `"k${i}":0`).join()}}`),
  json('a million digits', {}, `[${'9'.repeat(1_000_000)}]`),
  json('half a million escapes', {}, `["${'\\u0061'.repeat(170_000)}"]`),
  json(
    'a pattern that doubles',
    { type: 'array', items: { pattern: '^(a+)+$' } },
    long_texts.map((text) => `${text}!`),
  ),
  json('a pattern that looks back', { type: 'array', items: { pattern: '(a)\\1' } }, long_texts),
  json('a pattern of 300 classes, 400 times', each({ pattern: '[\\p{L}\\p{N}]{300}' }, 400), long_texts),
  json(
    'uniqueItems of objects',
    { type: 'array', uniqueItems: true },
    range(9_999, (i) => ({ i })),
  ),
  json(
    'uniqueItems of texts',
    { type: 'array', uniqueItems: true, items: { type: 'string' } },
    range(9_999, (i) => `${i}`),
  ),
  json(
    'an enum of 2,000, a hundred times',
    each({ not: { enum: range(2_000, (i) => `${'s'.repeat(60)}${i}`) } }, 100),
    range(9_000, () => 's'.repeat(61)),
  ),
  json('a length counted 1,000 times', each({ minLength: 1 }, 1_000), long_texts),
  json(
    'a schema that doubles with each level',
    {
      definitions: { d: { anyOf: [{ items: { $ref: '#/definitions/d' } }, { items: { $ref: '#/definitions/d' } }] } },
      $ref: '#/definitions/d',
    },
    JSON.parse('['.repeat(30) + ']'.repeat(30)),
  ),
]

const product = (more: Readonly<Record<string, unknown>>) => ({ id: 1, title: 'T', ...more })
const variants = (count: number, more: Readonly<Record<string, unknown>> = {}) => range(count, (i) => ({ id: i + 1, ...more }))

/** Records that ask a shipped map for more than they hold: topic and value. */
export const heavy = (): readonly (readonly [name: string, topic: string, value: unknown])[] => [
  [
    'a product whose texts and images stand in 9,000 variants',
    'source.shopify.items',
    product({
      body_html: 'word '.repeat(13_000),
      images: range(50, (i) => ({ src: `https://x.example/${i}/${'p'.repeat(1_900)}` })),
      variants: variants(9_000),
    }),
  ],
  [
    'a product of 9,000 variants and 9,000 images',
    'source.shopify.items',
    product({ images: range(9_000, (id) => ({ id, src: 'x' })), variants: variants(9_000, { image_id: 5 }) }),
  ],
  [
    'tags without text in 9,000 variants',
    'source.shopify.items',
    product({ body_html: '<b></b>'.repeat(9_000), variants: variants(9_000) }),
  ],
  [
    '40,000 events of one hit',
    'source.ga4.events',
    {
      client_id: 'c',
      events: range(100, () => ({ name: 'view_item', params: { items: range(400, (i) => ({ item_id: `i${i}` })) } })),
    },
  ],
  [
    'an order of 9,999 lines',
    'source.segment.events',
    {
      type: 'track',
      event: 'Order Completed',
      userId: 'u',
      messageId: 'm',
      timestamp: '2026-10-31T00:00:00Z',
      properties: { products: range(9_999, (i) => ({ product_id: `i${i}` })) },
    },
  ],
]

const endOf = (outcome: unknown): string => (outcome instanceof Fault ? outcome.code : 'decoded')

/** Tries everything, one after the other, in this process. `platforms` are the shipped ones. */
export const attemptAll = async (clock: Clock, platforms: readonly Platform[]): Promise<readonly Attempt[]> => {
  const attempts: Attempt[] = []
  const timed = async (name: string, attempt: () => Promise<string>): Promise<void> => {
    const began_ms = clock.monotonic_ms()
    const ended = await attempt()
    attempts.push({ name, ended, blocked_ms: clock.monotonic_ms() - began_ms })
  }
  const registry = openAnyRegistry()
  const decoder = openSourceDecoder(registry)
  for (const { name, schema, datum } of bombs()) {
    const topic = `crash.${attempts.length}`
    const value = frame(registry.take(`${topic}-value`, schema), datum)
    await timed(`${schema.format}: ${name}`, async () => endOf((await decoder.decode(topic, schema.format, [value]))[0]))
  }
  const topics = topicsOf({ prefix: '', partitions: 1 })
  const settings = { ...default_settings, user_secret: Buffer.alloc(32, 7), user_key_version: 'k1' }
  const processor = canonicalize(platforms, topics, settings)
  const state = { get: () => undefined, entries: () => [] }
  const now_ms = clock.now_ms()
  for (const [name, topic, value] of heavy()) {
    const bytes = Buffer.from(JSON.stringify(value))
    // As plain JSON, whatever the platform writes: the map is what is tried here.
    const sources = { decode: (of: string, _: unknown, values: readonly Buffer[]) => decoder.decode(of, 'PLAIN_JSON', values) }
    await timed(`map: ${name}`, async () => {
      const record = { offset: 0, key: 'k', value: { bytes }, bytes, headers: [], timestamp_ms: now_ms }
      const reads = processor.reads({ sources } as never, state)
      const { emit, dropped } = await processor.run({ topic, partition: 0, now_ms, records: [record] }, reads)
      if (emit.length > 0) return `${emit.length} outputs`
      const [drop] = dropped ?? []
      return drop === undefined ? 'nothing' : 'fault' in drop ? drop.fault.code : drop.reason
    })
  }
  const unfold = (codec: typeof zstd, bytes: Buffer) => async (): Promise<string> =>
    codec.decompress(bytes).then(
      (unfolded) => `${unfolded.length} bytes`,
      (error: unknown) => (error instanceof Fault ? error.code : String(error)),
    )
  await timed('gzip: 100 MiB of zeros', unfold(cappedGzip, gzipSync(Buffer.alloc(100 << 20), { level: 1 })))
  await timed('zstd: 100 MiB of zeros', unfold(zstd, zstdCompressSync(Buffer.alloc(100 << 20))))
  return attempts
}
