/** Valid records of each format, changed at random places: whatever comes of it is a value that keeps its promises, or a malformed fault. */
import { openSourceDecoder } from '../../adapters/registry/source-decoder.ts'
import { avroString, protoBytes, protoDouble, protoVarint, zigzag } from '../../adapters/registry/wire-bytes.ts'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import type { Schema } from '../../ports/schema-registry.ts'
import { openAnyRegistry, openMaking } from './bazaar.ts'
import type { Kind } from './row.ts'

export const fuzzed_kinds = ['avro', 'protobuf', 'json', 'plain'] as const
export type FuzzedKind = (typeof fuzzed_kinds)[number]

export type FuzzReport = {
  readonly kind: FuzzedKind
  readonly records: number
  readonly seconds: number
  /** Longest batch of 500, ms. */
  readonly batch_ms_max: number
  /** How many ended as what: a fault's code, or `decoded`. */
  readonly ended: Readonly<Record<string, number>>
  /** What must not be: escapes, values that break a promise, a good record that is no longer read as before. */
  readonly wrong: readonly string[]
}

const batch_records = 500
const interesting = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x22, 0x5c, 0x7b, 0x5d]

/** Flips, cuts, splices, doubles, inserts, overwrites or extends; sometimes more than once. */
export const mutate = (bytes: Buffer, random: Random): Buffer => {
  const below = (max: number): number => Math.floor(random.next() * max)
  let out = Buffer.from(bytes)
  for (let times = random.next() < 0.7 ? 1 : 2 + below(4); times > 0; times--) {
    const at = below(out.length + 1)
    const other = below(out.length + 1)
    const noise = (): Buffer => Buffer.from(Uint8Array.from({ length: 1 + below(12) }, () => below(256)))
    switch (below(7)) {
      case 0:
        for (let flips = 1 + below(4); flips > 0 && out.length > 0; flips--) {
          const place = below(out.length)
          out[place] = out[place]! ^ (1 << below(8))
        }
        break
      case 1:
        out = Buffer.from(out.subarray(0, at))
        break
      case 2:
        out = Buffer.concat([out, noise()])
        break
      case 3:
        // A splice: something of the record stands in another place of it as well, or a piece is gone.
        out = Buffer.concat([out.subarray(0, at), out.subarray(other)])
        break
      case 4:
        out.fill(interesting[below(interesting.length)]!, at, Math.min(out.length, at + 1 + below(10)))
        break
      case 5:
        out = Buffer.concat([out.subarray(0, at), noise(), out.subarray(at)])
        break
      default:
        out = Buffer.concat([out.subarray(0, at), bytes.subarray(Math.min(at, other), Math.max(at, other)), out.subarray(at)])
    }
    if (out.length > 64 * 1024) out = Buffer.from(out.subarray(0, 64 * 1024))
  }
  return out
}

/** What is wrong with a decoded value, if anything: every number finite, every object without prototype, every name safe. */
export const brokenPromise = (value: unknown, depth = 0): string | undefined => {
  if (depth > 64) return 'nested deeper than it may be'
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0) ? undefined : `the number ${value}`
  if (typeof value === 'string') return value.isWellFormed() ? undefined : 'half a surrogate pair'
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return undefined
  if (Array.isArray(value)) {
    for (const one of value) {
      const broken = brokenPromise(one, depth + 1)
      if (broken !== undefined) return broken
    }
    return undefined
  }
  if ('toString' in value && !Object.hasOwn(value, 'toString')) return 'an object with a prototype'
  for (const name of Object.keys(value)) {
    if (name === '__proto__' || name === 'constructor' || name === 'prototype') return `the name ${name}`
    const broken = brokenPromise((value as Record<string, unknown>)[name], depth + 1)
    if (broken !== undefined) return broken
  }
  return undefined
}

const rich_avro: Schema = {
  format: 'AVRO',
  text: JSON.stringify({
    type: 'record',
    name: 'Rich',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'title', type: 'string' },
      { name: 'tags', type: { type: 'array', items: 'string' } },
      { name: 'attributes', type: { type: 'map', values: ['null', 'double', 'string'] } },
      { name: 'state', type: { type: 'enum', name: 'State', symbols: ['A', 'B', 'C'] } },
      { name: 'price', type: { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 } },
      { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
      { name: 'digest', type: { type: 'fixed', name: 'Digest', size: 4 } },
      { name: 'weight', type: 'float' },
      { name: 'count', type: 'int' },
      { name: 'parent', type: ['null', 'Rich'] },
    ],
  }),
}
const richAvro = (parent: Buffer): Buffer =>
  Buffer.concat([
    zigzag(788032119674292922n),
    avroString('Kaffeemühle ☕'),
    ...[zigzag(2), avroString('a'), avroString('bc'), zigzag(0)],
    ...[
      zigzag(2),
      avroString('w'),
      zigzag(1),
      Buffer.from(Float64Array.of(1.5).buffer),
      avroString('c'),
      zigzag(2),
      avroString('red'),
      zigzag(0),
    ],
    zigzag(1),
    avroString(Buffer.from([0x07, 0x6b])),
    zigzag(1_763_900_000_000_000n),
    Buffer.from([1, 2, 3, 4]),
    Buffer.from(Float32Array.of(0.25).buffer),
    zigzag(-7),
    parent,
  ])
const rich_protobuf: Schema = {
  format: 'PROTOBUF',
  text: `syntax = "proto3";
import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
message Rich { int64 id = 1; string title = 2; repeated string tags = 3; map<string, double> attributes = 4; repeated sint32 deltas = 5;
  State state = 6; google.protobuf.Timestamp at = 7; Rich parent = 8; bytes digest = 9; oneof which { bool yes = 10; fixed64 number = 11; }
  google.protobuf.Struct more = 12; float weight = 13; map<int32, Rich> children = 14; } enum State { A = 0; B = 1; }`,
}
const richProtobuf = (parent: Buffer): Buffer =>
  Buffer.concat([
    protoVarint(1, 788032119674292922n),
    protoBytes(2, 'Kaffeemühle ☕'),
    protoBytes(3, 'a'),
    protoBytes(4, Buffer.concat([protoBytes(1, 'w'), protoDouble(2, 1.5)])),
    protoBytes(5, Buffer.concat([zigzag(-1), zigzag(300)])),
    protoVarint(6, 1),
    protoBytes(7, Buffer.concat([protoVarint(1, 1_763_900_000), protoVarint(2, 5_000_000)])),
    protoBytes(9, Buffer.from([1, 2, 3])),
    protoVarint(10, 1),
    protoBytes(12, protoBytes(1, Buffer.concat([protoBytes(1, 'k'), protoBytes(2, protoDouble(2, 1))]))),
    protoBytes(14, Buffer.concat([protoVarint(1, 5), protoBytes(2, protoVarint(1, 6))])),
    parent,
  ])
const rich_json =
  '{"id":788032119674292922,"title":"Kaffeem\\u00fchle \\ud83d\\ude00 ☕","tags":["a","bc"],"attributes":{"w":1.5e0},"deep":{"a":[{"b":null}]},"n":-1.5e3,"t":true}'
const rich_json_schema: Schema = {
  format: 'JSON',
  text: JSON.stringify({
    type: 'object',
    required: ['id'],
    properties: {
      id: { type: 'integer' },
      title: { type: 'string', pattern: '^\\p{L}' },
      tags: { type: 'array', items: { type: 'string', pattern: '^[a-z]' }, uniqueItems: true },
      attributes: { type: 'object', additionalProperties: { type: 'number' } },
    },
  }),
}

/** Mutates `records` times, half of them a record rich in types, half an ordinary one of the bazaar. */
export const fuzz = async (kind: FuzzedKind, records: number, clock: Clock, random: Random): Promise<FuzzReport> => {
  const registry = openAnyRegistry()
  const making = openMaking(registry, 'fuzz-', 0)
  const rich: Readonly<Record<FuzzedKind, () => Buffer>> = {
    avro: () => making.framed('avro', richAvro(Buffer.concat([zigzag(1), richAvro(zigzag(0))])), rich_avro),
    protobuf: () =>
      making.framed(
        'protobuf',
        Buffer.concat([Buffer.from([0]), richProtobuf(protoBytes(8, richProtobuf(Buffer.alloc(0))))]),
        rich_protobuf,
      ),
    json: () => making.framed('json', Buffer.from(rich_json), rich_json_schema),
    plain: () => Buffer.from(rich_json),
  }
  const seeds = [rich[kind](), making.good(kind as Kind, { price: 12.5, url: 'https://example.com/a' })]
  const format = ({ avro: 'AVRO', protobuf: 'PROTOBUF', json: 'JSON', plain: 'PLAIN_JSON' } as const)[kind]
  const decoder = openSourceDecoder(registry)
  const read = (values: readonly Buffer[]) => decoder.decode(`source.bazaar.${kind}`, format, values)
  // Compared as text, with bigint and bytes written out.
  const written = (values: readonly unknown[]): string =>
    JSON.stringify(values, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  const before = written(await read(seeds))
  const wrong: string[] = []
  if (before.includes('"code"')) wrong.push(`a good record is refused: ${before.slice(0, 200)}`)
  const ended: Record<string, number> = {}
  const began_ms = clock.monotonic_ms()
  let batch_ms_max = 0
  for (let done = 0; done < records && wrong.length < 10; done += batch_records) {
    const batch = Array.from({ length: Math.min(batch_records, records - done) }, (_, i) => mutate(seeds[i % 2]!, random))
    const batch_began_ms = clock.monotonic_ms()
    const decoded = await read(batch)
    batch_ms_max = Math.max(batch_ms_max, clock.monotonic_ms() - batch_began_ms)
    if (decoded.length !== batch.length) wrong.push(`${batch.length} records gave ${decoded.length} answers`)
    for (const [i, one] of decoded.entries()) {
      const end = one instanceof Fault ? one.code : 'decoded'
      ended[end] = (ended[end] ?? 0) + 1
      const broken =
        one instanceof Fault ? (one.kind === 'malformed' ? undefined : `a fault that is ${one.kind}`) : brokenPromise(one.value)
      if (broken !== undefined) wrong.push(`${broken}: ${batch[i]!.toString('base64')}`)
    }
  }
  const seconds = (clock.monotonic_ms() - began_ms) / 1_000
  if (written(await read(seeds)) !== before) wrong.push('a good record is not read as before')
  if (Object.keys(Object.prototype).length > 0 || 'admin' in {}) wrong.push('Object.prototype has grown')
  return { kind, records, seconds, batch_ms_max, ended, wrong }
}
