import { expect, test } from '@jest/globals'
import { avroEncoder } from '../processors/adapters/registry/avro.ts'
import { openEmbeddedRegistry } from '../processors/adapters/registry/embedded-registry.ts'
import { frame, messagePathBytes } from '../processors/adapters/registry/framing.ts'
import { openSourceDecoder } from '../processors/adapters/registry/source-decoder.ts'
import { protoBytes, protoVarint } from '../processors/adapters/registry/wire-bytes.ts'
import { Fault } from '../processors/domain/fault.ts'
import type { Schema, SourceFormat } from '../processors/ports/schema-registry.ts'
import { malformedRecords } from './malformed-bytes.ts'

const topic = 'source.shop.items'
const avro = {
  type: 'record',
  name: 'R',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'tags', type: { type: 'array', items: 'long' } },
  ],
}
const schemas: Readonly<Record<'AVRO' | 'JSON' | 'PROTOBUF', readonly [Schema, datum: Buffer]>> = {
  AVRO: [{ format: 'AVRO', text: JSON.stringify(avro) }, avroEncoder([avro])({ id: 'abc', tags: [1, 2, 3_000] })],
  JSON: [{ format: 'JSON', text: '{"type":"object","required":["id"]}' }, Buffer.from('{"id":"abc"}')],
  PROTOBUF: [
    { format: 'PROTOBUF', text: 'syntax = "proto3"; message R { string id = 1; int64 n = 2; }' },
    Buffer.concat([messagePathBytes([0]), protoVarint(2, 300), protoBytes(1, 'abc')]),
  ],
}

test.each<SourceFormat>(['PLAIN_JSON', 'JSON', 'AVRO', 'PROTOBUF'])(
  '%s: each record is refused with the code it promises',
  async (format) => {
    const registry = await openEmbeddedRegistry(null)
    let target: Parameters<typeof malformedRecords>[2] = { format }
    if (format !== 'PLAIN_JSON') {
      const [schema, datum] = schemas[format]
      const id = await registry.register(`${topic}-value`, schema)
      const [other] = schemas[format === 'AVRO' ? 'JSON' : 'AVRO']
      const stranger = {
        ...schema,
        text: schema.text
          .replaceAll('"R"', '"S"')
          .replaceAll('message R', 'message S')
          .replace('"required"', '"title":"S","required"'),
      }
      target = {
        format,
        sample: frame(id, datum),
        unknown_id: 4_000_000,
        other_subject_id: await registry.register('another-value', stranger),
        other_format_id: await registry.register('third-value', other),
      }
      const [sound] = await openSourceDecoder(registry).decode(topic, format, [target.sample!])
      expect(sound).not.toBeInstanceOf(Fault)
    }
    const records = malformedRecords(200, 7, target)
    const decoded = await openSourceDecoder(registry).decode(
      topic,
      format,
      records.map(({ bytes }) => bytes),
    )
    expect(decoded.map((one, i) => [records[i]!.kind, one instanceof Fault ? one.code : 'decoded'])).toEqual(
      records.map(({ kind, expected_code }) => [kind, expected_code]),
    )
    expect(new Set(records.map(({ kind }) => kind)).size).toBeGreaterThanOrEqual(9)
  },
)

test('the same seed makes the same records, another one others', () => {
  const make = (seed: number) => malformedRecords(50, seed, { format: 'PLAIN_JSON' }).map(({ bytes }) => bytes.toString('hex'))
  expect(make(1)).toEqual(make(1))
  expect(make(1)).not.toEqual(make(2))
})
