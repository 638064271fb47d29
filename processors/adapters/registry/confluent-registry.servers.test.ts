import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { canonical_samples } from '../../../schemas/canonical-samples.ts'
import { schemaRegistryContract } from '../../ports/schema-registry.contract.ts'
import type { Schema, SourceFormat } from '../../ports/schema-registry.ts'
import { openConfluentRegistry } from './confluent-registry.ts'
import { frame, messagePathBytes } from './framing.ts'
import { openSerdes, registerCanonical } from './serdes.ts'
import { openSourceDecoder } from './source-decoder.ts'
import { avroString, protoBytes, protoVarint, zigzag } from './wire-bytes.ts'

const url = process.env['SCHEMA_REGISTRY_URL'] ?? ''
const open = () => openConfluentRegistry({ url, timeout_ms: 10_000 })

/** Apicurio's default level is a setting of its operator. */
const apicurio = url.includes('/ccompat/')

if (url === '') {
  process.stderr.write(
    'SCHEMA_REGISTRY_URL is not set: no law of SchemaRegistry was checked on a real registry, and no record decoded by one.\n',
  )
  test.skip('SchemaRegistry: Confluent API (no law was checked: SCHEMA_REGISTRY_URL is not set)', () => {})
} else {
  schemaRegistryContract(
    'Confluent API',
    async () => ({ registry: await open(), reopen: open, close: async () => {} }),
    apicurio
      ? {
          known: {
            'a subject is held to BACKWARD unless it is told otherwise': 'Apicurio starts with NONE; its operator sets the level',
          },
        }
      : {},
  )

  describe('over a real registry', () => {
    const run = `servers.${process.pid}.${Date.now()}`

    test('every canonical record comes back as it was, read by a process that did not register', async () => {
      const schemas_folder = join(import.meta.dirname, '../../../schemas/canonical')
      const topics = Object.keys(canonical_samples).map((schema) => ({ topic: `${run}.${schema}`, schema }))
      const registered = await registerCanonical(await open(), topics, schemas_folder)
      expect(await registerCanonical(await open(), topics, schemas_folder)).toEqual(registered)
      const [writing, reading] = [openSerdes(await open(), { schemas_folder }), openSerdes(await open(), { schemas_folder })]
      for (const { topic, schema, id } of registered) {
        const sample = canonical_samples[schema as keyof typeof canonical_samples]
        const bytes = (await writing.of<unknown>(topic, schema)).serialize(sample)
        expect(bytes.readInt32BE(1)).toBe(id)
        expect(await (await reading.of<unknown>(topic, schema)).deserialize([bytes])).toEqual([sample])
      }
    })

    const money = {
      type: 'record',
      name: 'Money',
      namespace: run.replace(/[^A-Za-z0-9_]/g, '_'),
      fields: [{ name: 'minor', type: 'long' }],
    }
    const offer = {
      type: 'record',
      name: 'Offer',
      fields: [
        { name: 'title', type: 'string' },
        { name: 'price', type: `${money.namespace}.Money` },
      ],
    }
    const sources: readonly (readonly [SourceFormat, Schema, Buffer, unknown])[] = [
      [
        'AVRO',
        {
          format: 'AVRO',
          text: JSON.stringify(offer),
          references: [{ name: `${money.namespace}.Money`, subject: `${run}.money`, version: 1 }],
        },
        Buffer.concat([avroString('Mühle'), zigzag(2n ** 60n)]),
        { title: 'Mühle', price: { minor: 2n ** 60n } },
      ],
      [
        'JSON',
        { format: 'JSON', text: '{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}' },
        Buffer.from('{"id":9007199254740993}'),
        { id: 9007199254740993n },
      ],
      [
        'PROTOBUF',
        {
          format: 'PROTOBUF',
          text: 'syntax = "proto3"; message First { string a = 1; } message Second { int64 id = 1; string b = 2; }',
        },
        Buffer.concat([messagePathBytes([1]), protoVarint(1, 2n ** 60n), protoBytes(2, 'x')]),
        { id: 2n ** 60n, b: 'x' },
      ],
    ]
    test.each(sources)('%s records are decoded by the schema of their id', async (format, schema, datum, expected) => {
      const registry = await open()
      await registry.register(`${run}.money`, { format: 'AVRO', text: JSON.stringify(money) })
      const topic = `${run}.${format}`
      const id = await registry.register(`${topic}-value`, schema)
      const decoded = await openSourceDecoder(await open()).decode(topic, format, [frame(id, datum), frame(1_999_999_999, datum)])
      expect(decoded).toMatchObject([{ value: expected, schema_id: id }, { code: 'schema.unknown' }])
      expect(await openSourceDecoder(await open()).decode(`${topic}.other`, format, [frame(id, datum)])).toMatchObject([
        { code: 'schema.subject_mismatch' },
      ])
    })
  })
}
