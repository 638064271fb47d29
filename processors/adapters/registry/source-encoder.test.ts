import { beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import type { Schema, SchemaRegistry, SourceFormat } from '../../ports/schema-registry.ts'
import { openEmbeddedRegistry } from './embedded-registry.ts'
import { openSourceDecoder } from './source-decoder.ts'
import { openSourceEncoder } from './source-encoder.ts'

let registry: SchemaRegistry
beforeAll(async () => {
  registry = await openEmbeddedRegistry(null)
})

let topics = 0
/** Registers, encodes, decodes. */
const roundTrip = async (schema: Schema, values: readonly unknown[]): Promise<unknown[]> => {
  const topic = `source.t${topics++}.items`
  await registry.register(`${topic}-value`, schema)
  const encoder = openSourceEncoder(registry)
  const encoded = await Promise.all(values.map((value) => encoder.encode(topic, schema.format, value)))
  const decoded = await openSourceDecoder(registry).decode(topic, schema.format, encoded)
  return decoded.map((one) => {
    if (one instanceof Fault) throw one
    return JSON.parse(JSON.stringify(one.value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner)))
  })
}

const avro: Schema = {
  format: 'AVRO',
  text: JSON.stringify({
    type: 'record',
    name: 'Thing',
    namespace: 'shop',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'price', type: ['null', { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 }], default: null },
      { name: 'weight', type: ['null', 'double'], default: null },
      { name: 'tags', type: { type: 'array', items: 'string' }, default: [] },
      { name: 'more', type: { type: 'map', values: ['null', 'string', 'long'] }, default: {} },
      { name: 'state', type: { type: 'enum', name: 'State', symbols: ['ON', 'OFF'] }, default: 'ON' },
      { name: 'next', type: ['null', 'Thing'], default: null },
      { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' }, default: 0 },
      { name: 'ok', type: 'boolean', default: false },
    ],
  }),
}

test('Avro: exact longs, decimals, unions by kind, defaults, recursion, texts of a CSV', async () => {
  const [first, second] = await roundTrip(avro, [
    {
      id: 788032119674292922n,
      price: '-1234.5',
      weight: 2,
      tags: ['é', ''],
      more: { a: 'x', b: 9007199254740993n, c: null },
      state: 'OFF',
      next: { id: -1 },
      at: 1_700_000_000_000,
      ok: true,
    },
    { id: '42', weight: '1.5', price: '3' },
  ])
  expect(first).toMatchObject({
    id: '788032119674292922n',
    price: '-1234.50',
    weight: 2,
    tags: ['é', ''],
    more: { a: 'x', b: '9007199254740993n', c: null },
    state: 'OFF',
    next: { id: -1, tags: [], next: null },
    at: 1_700_000_000_000,
    ok: true,
  })
  expect(second).toMatchObject({ id: 42, weight: 1.5, price: '3.00', state: 'ON' })
})

test('Avro integers of 64 bits come back as they went in', async () => {
  const schema: Schema = {
    format: 'AVRO',
    text: JSON.stringify({ type: 'record', name: 'N', fields: [{ name: 'n', type: 'long' }] }),
  }
  const topic = 'source.longs.items'
  await registry.register(`${topic}-value`, schema)
  const encoder = openSourceEncoder(registry)
  const decoder = openSourceDecoder(registry)
  await fc.assert(
    fc.asyncProperty(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), async (n) => {
      const [decoded] = await decoder.decode(topic, 'AVRO', [await encoder.encode(topic, 'AVRO', { n })])
      expect(BigInt((decoded as unknown as { value: { n: number | bigint } }).value.n)).toBe(n)
    }),
  )
})

test('Protobuf: nested, repeated, maps, enums, exact 64-bit integers', async () => {
  const text = `syntax = "proto3";
message Product { string id = 1; int64 made = 2; repeated Sku skus = 3; map<string, string> more = 4; Kind kind = 5; double w = 6; bool ok = 7; sint32 delta = 8; fixed64 big = 9; }
message Sku { string id = 1; optional string price = 2; }
enum Kind { KIND_UNKNOWN = 0; KIND_A = 1; }`
  const [value] = await roundTrip({ format: 'PROTOBUF', text }, [
    {
      id: 'p',
      made: 9007199254740993n,
      skus: [{ id: 's', price: '1.99' }, { id: 't' }],
      more: { a: 'b' },
      kind: 'KIND_A',
      w: 0.5,
      ok: true,
      delta: -3,
      big: 7,
    },
  ])
  expect(value).toMatchObject({
    id: 'p',
    made: '9007199254740993n',
    skus: [
      { id: 's', price: '1.99' },
      { id: 't', price: null },
    ],
    more: { a: 'b' },
    kind: 'KIND_A',
    w: 0.5,
    ok: true,
    delta: -3,
    big: 7,
  })
})

test('JSON, framed and plain, keeps integers beyond 2^53', async () => {
  const text = JSON.stringify({ type: 'object', properties: { id: { type: 'integer' } } })
  expect(await roundTrip({ format: 'JSON', text }, [{ id: 788032119674292922n }])).toEqual([{ id: '788032119674292922n' }])
  const plain = await openSourceEncoder(registry).encode('source.any.items', 'PLAIN_JSON', { id: 2n ** 60n })
  expect(plain.toString()).toBe('{"id":1152921504606846976}')
})

test.each<[string, SourceFormat, unknown, string]>([
  ['a topic without schema', 'AVRO', {}, 'schema.unknown'],
  ['a field of another type', 'AVRO', { id: 'x' }, 'map.type'],
  ['an integer too large', 'AVRO', { id: 2n ** 63n }, 'map.type'],
  ['an unknown symbol', 'AVRO', { id: 1, state: 'MAYBE' }, 'map.type'],
  ['another format than registered', 'JSON', { id: 1 }, 'schema.type'],
])('%s is refused', async (name, format, value, code) => {
  const topic = name === 'a topic without schema' ? 'source.none.items' : 'source.refusals.items'
  await registry.register('source.refusals.items-value', avro)
  await expect(openSourceEncoder(registry).encode(topic, format, value)).rejects.toMatchObject({ code })
})
