/** Malformed records of every kind that reaches a source topic (JSON, Avro, Protobuf, plain JSON), each with the code it must die of. */
import { frame } from '../processors/adapters/registry/framing.ts'
import type { FaultCode } from '../processors/domain/fault.ts'
import type { OutputRecord } from '../processors/domain/record.ts'

/** What the breakers need to know of the world: good rows' bytes, and the registry's ids. */
export type Material = {
  /** The bytes of a good row of a platform's kind, as its platform writes them; `n` makes it one of its own. */
  readonly good: (platform: string, kind: string, n: number, change?: Readonly<Record<string, unknown>>) => Promise<Buffer>
  /** The registry id of a platform's schema. */
  readonly schemaId: (platform: string, kind: string) => Promise<number>
  readonly topic: (platform: string, kind: string) => string
}

export type Malformed = { readonly name: string; readonly code: FaultCode; readonly record: OutputRecord }

type Made = { readonly value: Buffer | null; readonly key?: Buffer | null }
type Kind = {
  readonly name: string
  readonly platform: string
  readonly kind: 'items' | 'interactions'
  readonly code: FaultCode
  readonly make: (material: Material, n: number) => Promise<Made>
}

const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8')

/** A framed JSON record of google_products from raw text, under its own schema id. */
const framedJson = (name: string, code: FaultCode, text: (n: number) => string): Kind => ({
  name: `json: ${name}`,
  platform: 'google_products',
  kind: 'items',
  code,
  make: async ({ schemaId }, n) => ({ value: frame(await schemaId('google_products', 'items'), utf8(text(n))) }),
})
/** A record of a topic of plain JSON from raw text. */
const plainJson = (name: string, code: FaultCode, text: (n: number) => string | Buffer): Kind => ({
  name: `plain json: ${name}`,
  platform: 'harddrivesdirect',
  kind: 'items',
  code,
  make: async (_, n) => {
    const made = text(n)
    return { value: typeof made === 'string' ? utf8(made) : made }
  },
})
const avro = (name: string, code: FaultCode, make: Kind['make']): Kind => ({
  name: `avro: ${name}`,
  platform: 'abt',
  kind: 'items',
  code,
  make,
})
const protobuf = (name: string, code: FaultCode, make: Kind['make']): Kind => ({
  name: `protobuf: ${name}`,
  platform: 'buy',
  kind: 'items',
  code,
  make,
})
const purchase = (name: string, code: FaultCode, change: Readonly<Record<string, unknown>>): Kind => ({
  name: `purchase: ${name}`,
  platform: 'online_retail',
  kind: 'interactions',
  code,
  make: async ({ good }, n) => ({ value: await good('online_retail', 'interactions', n, change) }),
})

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

/** Every kind that a shop's own tables can show. */
export const kinds: readonly Kind[] = [
  avro('no bytes', 'decode.empty', async () => ({ value: Buffer.alloc(0) })),
  avro('JSON where Avro belongs', 'decode.magic', async (_, n) => ({ value: utf8(`{"id":"${n}"}`) })),
  avro('a header cut short', 'decode.truncated', async () => ({ value: Buffer.from([0, 0, 0]) })),
  avro('a schema id nobody knows', 'schema.unknown', async ({ good }, n) => {
    const value = await good('abt', 'items', n)
    value.writeInt32BE(1_900_000_000 + n, 1)
    return { value }
  }),
  avro('a schema of another topic', 'schema.subject_mismatch', async ({ good, schemaId }, n) => {
    const value = await good('abt', 'items', n)
    value.writeInt32BE(await schemaId('online_retail', 'items'), 1)
    return { value }
  }),
  avro('a schema of another format', 'schema.type', async ({ good, schemaId }, n) => {
    const value = await good('abt', 'items', n)
    value.writeInt32BE(await schemaId('buy', 'items'), 1)
    return { value }
  }),
  avro('bytes behind the datum', 'decode.trailing', async ({ good }, n) => ({
    value: Buffer.concat([await good('abt', 'items', n), Buffer.from([1, 2, 3])]),
  })),
  avro('a datum cut short', 'decode.truncated', async ({ good }, n) => {
    const value = await good('abt', 'items', n)
    return { value: value.subarray(0, value.length - 2) }
  }),
  avro('a negative length', 'decode.invalid', async ({ schemaId }) => ({
    value: frame(await schemaId('abt', 'items'), Buffer.from([0x03])),
  })),
  avro('a length of 2^31', 'decode.truncated', async ({ schemaId }) => ({
    value: frame(await schemaId('abt', 'items'), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x10])),
  })),
  avro('a key of 10 KB', 'key.too_long', async ({ good }, n) => ({
    value: await good('abt', 'items', n),
    key: Buffer.alloc(10_000, 0x61),
  })),
  avro('a key that is not UTF-8', 'decode.utf8', async ({ good }, n) => ({
    value: await good('abt', 'items', n),
    key: Buffer.from([0xff, 0xfe, n & 0x7f]),
  })),
  avro('a tombstone without a key', 'key.missing', async () => ({ value: null, key: null })),
  avro('a title of nothing', 'map.missing', async ({ good }, n) => ({ value: await good('abt', 'items', n, { name: '' }) })),
  avro('a string of 70 KB', 'limits.string', async ({ good }, n) => ({
    value: await good('abt', 'items', n, { description: 'x'.repeat(70_000) }),
  })),
  protobuf('a negative message index', 'decode.index', async ({ schemaId }) => ({
    value: frame(await schemaId('buy', 'items'), Buffer.from([0x01])),
  })),
  protobuf('a message index out of range', 'decode.index', async ({ schemaId }) => ({
    value: frame(await schemaId('buy', 'items'), Buffer.from([0x02, 0x40])),
  })),
  protobuf('a message index of 2^31 entries', 'decode.index', async ({ schemaId }) => ({
    value: frame(await schemaId('buy', 'items'), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x10])),
  })),
  protobuf('a string cut short', 'decode.truncated', async ({ good }, n) => {
    const value = await good('buy', 'items', n)
    return { value: value.subarray(0, value.length - 2) }
  }),
  protobuf('a wire type that does not exist', 'decode.invalid', async ({ schemaId }) => ({
    value: frame(await schemaId('buy', 'items'), Buffer.from([0x00, 0x0f, 0x01])),
  })),
  framedJson('cut short', 'json.syntax', (n) => `{"id":"${n}","title":"x`),
  framedJson('a key twice', 'json.dup_key', (n) => `{"id":"${n}","id":"${n + 1}","title":"x"}`),
  framedJson('a key __proto__', 'json.proto', (n) => `{"id":"${n}","title":"x","__proto__":{}}`),
  framedJson('another type', 'schema.validation', (n) => `{"id":${n},"title":"x"}`),
  framedJson('a field its schema forbids', 'schema.validation', (n) => `{"id":"${n}","title":"x","color":"red"}`),
  plainJson('nested 40 deep', 'limits.depth', (n) => `{"id":"${n}","title":"x","more":${nested(40)}}`),
  plainJson('nested 20,000 deep', 'limits.depth', () => nested(20_000)),
  plainJson('a list of 20,000', 'limits.items', (n) => `{"id":"${n}","title":"x","more":[${'0,'.repeat(19_999)}0]}`),
  plainJson('an object of 2,000 keys', 'limits.items', (n) => {
    const keys = Array.from({ length: 2_000 }, (_, i) => `"k${i}":0`).join(',')
    return `{"id":"${n}","title":"x",${keys}}`
  }),
  plainJson('a record of more than 1 MiB', 'limits.bytes', (n) => {
    const piece = `"${'x'.repeat(60_000)}"`
    return `{"id":"${n}","title":"x","more":[${Array.from({ length: 18 }, () => piece).join(',')}]}`
  }),
  plainJson('a number beyond a double', 'number.range', (n) => `{"id":"${n}","title":"x","w":1e400}`),
  plainJson('a byte order mark', 'json.syntax', (n) => `\ufeff{"id":"${n}","title":"x"}`),
  plainJson('a constructor', 'json.proto', (n) => `{"id":"${n}","title":"x","constructor":1}`),
  plainJson('a key that is not UTF-8', 'decode.utf8', (n) =>
    Buffer.concat([utf8(`{"id":"${n}","title":"x","`), Buffer.from([0xff]), utf8('":1}')]),
  ),
  plainJson('no title', 'map.missing', (n) => `{"id":"${n}"}`),
  plainJson('an id of another type', 'map.type', (n) => `{"id":{"n":${n}},"title":"x"}`),
  purchase('no user', 'semantics.user', { user_id: '' }),
  purchase('an e-mail address for an item', 'privacy.raw_id', { item_id: 'someone@example.com' }),
  purchase('a time in milliseconds', 'time.invalid', { ts: 1_259_653_500_000 }),
  purchase('a time in 1970', 'time.invalid', { ts: 86_400 }),
  purchase('no item', 'map.missing', { item_id: '' }),
  purchase('a price that is none', 'semantics.price', { price: 'about 3' }),
  purchase('a price below zero', 'semantics.price', { price: '-3' }),
  purchase('a price in a local format', 'semantics.price', { price: '1,234.50' }),
]

/** `count` records, each kind in turn, each its own. */
export const malformedRecords = async (
  material: Material,
  count: number,
  timestamp_ms: number,
): Promise<readonly Malformed[]> => {
  const records: Malformed[] = []
  for (let n = 0; n < count; n++) {
    const { name, platform, kind, code, make } = kinds[n % kinds.length]!
    const { value, key } = await make(material, n)
    records.push({
      name,
      code,
      record: {
        topic: material.topic(platform, kind),
        key: key === undefined ? utf8(`malformed-${n}`) : key,
        value,
        headers: [['x-malformed', utf8(String(n))]],
        timestamp_ms: timestamp_ms + n,
      },
    })
  }
  return records
}
