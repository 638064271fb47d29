/** Valid records of each format with bytes flipped, cut, doubled and added: whatever comes of it, it is a value or a fault; a hang would run into jest's own time-out. */
import { describe, expect, test } from '@jest/globals'
import { canonical_samples } from '../../../schemas/canonical-samples.ts'
import { Fault } from '../../domain/fault.ts'
import type { Schema, SourceFormat } from '../../ports/schema-registry.ts'
import { openEmbeddedRegistry } from './embedded-registry.ts'
import { frame, messagePathBytes } from './framing.ts'
import { openSerdes, registerCanonical } from './serdes.ts'
import { openSourceDecoder } from './source-decoder.ts'
import { avroString, protoBytes, protoDouble, protoVarint, zigzag } from './wire-bytes.ts'

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const mutations_per_format = 4_000

const avro_schema: Schema = {
  format: 'AVRO',
  text: JSON.stringify({
    type: 'record',
    name: 'Fuzzed',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'title', type: 'string' },
      { name: 'tags', type: { type: 'array', items: 'string' } },
      { name: 'attributes', type: { type: 'map', values: ['null', 'double', 'string'] } },
      { name: 'state', type: { type: 'enum', name: 'State', symbols: ['A', 'B', 'C'] } },
      { name: 'price', type: { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 } },
      { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
      { name: 'digest', type: { type: 'fixed', name: 'Digest', size: 4 } },
      { name: 'parent', type: ['null', 'Fuzzed'] },
    ],
  }),
}
const avroDatum = (parent: Buffer): Buffer =>
  Buffer.concat([
    zigzag(788032119674292922n),
    avroString('Kaffeemühle ☕'),
    zigzag(2),
    avroString('a'),
    avroString('bc'),
    zigzag(0),
    zigzag(2),
    avroString('w'),
    zigzag(1),
    Buffer.from(Float64Array.of(1.5).buffer),
    avroString('c'),
    zigzag(2),
    avroString('red'),
    zigzag(0),
    zigzag(1),
    avroString(Buffer.from([0x07, 0x6b])),
    zigzag(1_763_900_000_000_000n),
    Buffer.from([1, 2, 3, 4]),
    parent,
  ])
const proto_schema: Schema = {
  format: 'PROTOBUF',
  text: `syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Fuzzed { int64 id = 1; string title = 2; repeated string tags = 3; map<string, double> attributes = 4; repeated sint32 deltas = 5;
  State state = 6; google.protobuf.Timestamp at = 7; Fuzzed parent = 8; bytes digest = 9; oneof which { bool yes = 10; fixed64 number = 11; } }
enum State { A = 0; B = 1; }`,
}
const protoFields = Buffer.concat([
  protoVarint(1, 788032119674292922n),
  protoBytes(2, 'Kaffeemühle ☕'),
  protoBytes(3, 'a'),
  protoBytes(3, 'bc'),
  protoBytes(4, Buffer.concat([protoBytes(1, 'w'), protoDouble(2, 1.5)])),
  protoBytes(5, Buffer.concat([zigzag(-1), zigzag(300)])),
  protoVarint(6, 1),
  protoBytes(7, Buffer.concat([protoVarint(1, 1_763_900_000), protoVarint(2, 5_000_000)])),
  protoBytes(9, Buffer.from([1, 2, 3])),
  protoVarint(10, 1),
])
const json_schema: Schema = {
  format: 'JSON',
  text: JSON.stringify({
    type: 'object',
    required: ['id'],
    properties: {
      id: { type: 'integer' },
      title: { type: 'string', pattern: '^\\p{L}' },
      tags: { type: 'array', items: { type: 'string' } },
    },
  }),
}
const json_text =
  '{"id":788032119674292922,"title":"Kaffeem\\u00fchle \\ud83d\\ude00 ☕","tags":["a","bc"],"deep":{"a":[{"b":null}]},"n":-1.5e3}'

const mutate = (bytes: Buffer, random: () => number): Buffer => {
  const at = Math.floor(random() * (bytes.length + 1))
  switch (Math.floor(random() * 6)) {
    case 0: {
      const flipped = Buffer.from(bytes)
      for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--) {
        const place = Math.floor(random() * flipped.length)
        flipped[place] = flipped[place]! ^ (1 << Math.floor(random() * 8))
      }
      return flipped
    }
    case 1:
      return Buffer.from(bytes.subarray(0, at))
    case 2:
      return Buffer.concat([
        bytes,
        Buffer.from(Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() * 256))),
      ])
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.floor(random() * bytes.length))])
    case 4: {
      const overwritten = Buffer.from(bytes)
      overwritten.fill(
        [0x00, 0x7f, 0x80, 0xff][Math.floor(random() * 4)]!,
        at,
        Math.min(bytes.length, at + 1 + Math.floor(random() * 10)),
      )
      return overwritten
    }
    default:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([Math.floor(random() * 256)]), bytes.subarray(at)])
  }
}

describe('fuzz', () => {
  const sources: readonly (readonly [SourceFormat, Schema | null, Buffer])[] = [
    ['AVRO', avro_schema, avroDatum(Buffer.concat([zigzag(1), avroDatum(zigzag(0))]))],
    ['PROTOBUF', proto_schema, Buffer.concat([messagePathBytes([0]), protoFields, protoBytes(8, protoFields)])],
    ['JSON', json_schema, Buffer.from(json_text)],
    ['PLAIN_JSON', null, Buffer.from(json_text)],
  ]
  test.each(sources)('%s: every mutation is answered', async (format, schema, datum) => {
    const registry = await openEmbeddedRegistry(null)
    const id = schema === null ? 0 : await registry.register('fuzz-value', schema)
    const decoder = openSourceDecoder(registry)
    const whole = schema === null ? datum : frame(id, datum)
    const [valid] = await decoder.decode('fuzz', format, [whole])
    expect(valid).not.toBeInstanceOf(Fault)
    const random = seeded(0x5eed + format.length)
    const codes = new Map<string, number>()
    for (let done = 0; done < mutations_per_format; done += 500) {
      const batch = Array.from({ length: 500 }, () => mutate(whole, random))
      const decoded = await decoder.decode('fuzz', format, batch)
      expect(decoded).toHaveLength(batch.length)
      for (const one of decoded) {
        if (one instanceof Fault) expect(one.kind).toBe('malformed')
        const code = one instanceof Fault ? one.code : 'decoded'
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    // The mutations reach past the framing, and not all of them are harmless.
    expect(codes.size).toBeGreaterThan(3)
    expect(codes.get('decoded') ?? 0).toBeLessThan(mutations_per_format)
  })

  test.each(Object.keys(canonical_samples))('canonical %s: every mutation is answered', async (name) => {
    const schemas_folder = new URL('../../../schemas/canonical', import.meta.url).pathname
    const registry = await openEmbeddedRegistry(null)
    await registerCanonical(registry, [{ topic: 'fuzz', schema: name }], schemas_folder)
    const serde = await openSerdes(registry, { schemas_folder }).of<unknown>('fuzz', name)
    const whole = serde.serialize(canonical_samples[name as keyof typeof canonical_samples])
    const random = seeded(0xcafe + name.length)
    const batch = Array.from({ length: 1_000 }, () => mutate(whole, random))
    const decoded = await serde.deserialize(batch)
    expect(decoded).toHaveLength(batch.length)
    for (const one of decoded) if (one instanceof Fault) expect(one.kind).toBe('malformed')
    expect(decoded.some((one) => one instanceof Fault)).toBe(true)
  })
})
