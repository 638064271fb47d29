import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import avro from 'avsc'
import { canonical_samples } from '../../../schemas/canonical-samples.ts'
import { Fault } from '../../domain/fault.ts'
import type { Interaction } from '../../domain/interaction.ts'
import type { Profile } from '../../domain/profile.ts'
import type { SchemaRegistry } from '../../ports/schema-registry.ts'
import { avroIdentity } from './avro.ts'
import { openEmbeddedRegistry } from './embedded-registry.ts'
import { frame, header_bytes } from './framing.ts'
import { openSerdes, registerCanonical } from './serdes.ts'
import { avroString, zigzag } from './wire-bytes.ts'

const schemas_folder = join(import.meta.dirname, '../../../schemas/canonical')
const topic = 'behavior.interactions.v1'
const subject = `${topic}-value`

type Node = Record<string, unknown> & { fields: Record<string, unknown>[] }
const schemaOf = (name: string): Node => JSON.parse(readFileSync(join(schemas_folder, `${name}.avsc`), 'utf8')) as Node
const text = (schema: unknown) => ({ format: 'AVRO', text: JSON.stringify(schema) }) as const

const start = async (): Promise<SchemaRegistry> => {
  const registry = await openEmbeddedRegistry(null)
  await registerCanonical(registry, [{ topic, schema: 'interaction' }], schemas_folder)
  return registry
}
const sample = canonical_samples.interaction

describe('registration', () => {
  test('registers once, whatever is asked how often, and holds the subject to BACKWARD_TRANSITIVE', async () => {
    const registry = await openEmbeddedRegistry(null)
    const topics = [
      { topic, schema: 'interaction' },
      { topic: 'catalog.items.v1', schema: 'item' },
    ]
    const first = await registerCanonical(registry, topics, schemas_folder)
    expect(first).toEqual([
      { topic, schema: 'interaction', subject, id: 1, version: 1 },
      { topic: 'catalog.items.v1', schema: 'item', subject: 'catalog.items.v1-value', id: 2, version: 1 },
    ])
    expect(await registerCanonical(registry, topics, schemas_folder)).toEqual(first)
    const bold = { ...schemaOf('interaction'), fields: [...schemaOf('interaction').fields, { name: 'x', type: 'int' }] }
    await expect(registry.register(subject, text(bold))).rejects.toMatchObject({ code: 'schema.incompatible' })
  })

  test('a topic whose schema is not registered says what to run, and works once that was done', async () => {
    const registry = await openEmbeddedRegistry(null)
    const serdes = openSerdes(registry, { schemas_folder })
    await expect(serdes.of(topic, 'interaction')).rejects.toMatchObject({ code: 'schema.unregistered', kind: 'misconfigured' })
    await expect(serdes.of(topic, 'interaction')).rejects.toThrow('entrepot schemas register')
    await registerCanonical(registry, [{ topic, schema: 'interaction' }], schemas_folder)
    expect((await serdes.of(topic, 'interaction')).schema_id).toBe(1)
  })

  test('a schema that the registry wrote in its own way is still ours', async () => {
    const registry = await openEmbeddedRegistry(null)
    const schema = schemaOf('interaction')
    const rewritten = {
      namespace: schema['namespace'],
      fields: schema.fields,
      name: schema['name'],
      type: 'record',
      doc: 'other words',
    }
    const id = await registry.register(subject, text(rewritten))
    expect((await openSerdes(registry, { schemas_folder }).of(topic, 'interaction')).schema_id).toBe(id)
  })

  test('ours is found below a newer version', async () => {
    const registry = await start()
    const newer = {
      ...schemaOf('interaction'),
      fields: [...schemaOf('interaction').fields, { name: 'x', type: 'int', default: 1 }],
    }
    await registry.register(subject, text(newer))
    expect((await openSerdes(registry, { schemas_folder }).of(topic, 'interaction')).schema_id).toBe(1)
  })

  test('a file that is not there is named', async () => {
    const serdes = openSerdes(await start(), { schemas_folder })
    await expect(serdes.of(topic, 'nothing')).rejects.toMatchObject({ code: 'config.invalid' })
  })
})

describe('writing', () => {
  test('the bytes are those of avsc behind the header', async () => {
    const serde = await openSerdes(await start(), { schemas_folder }).of<Interaction>(topic, 'interaction')
    const bare = avro.Type.forSchema(schemaOf('interaction') as never)
    const hard: Interaction = {
      ...sample,
      event_id: 'ü'.repeat(70),
      session_key: 'x'.repeat(63),
      query: '☕'.repeat(40_000),
      price_minor: -4503599627370496,
      value_minor: 1_073_741_824,
      position: -1_073_741_825,
      late_by_ms: 8_589_934_592,
      quantity: -1.5e-300,
    }
    for (const value of [sample, hard, sample])
      expect(serde.serialize(value).subarray(header_bytes).equals(bare.toBuffer(value))).toBe(true)
  })

  test('every safe integer comes back, where avsc itself loses the sign of those next to -2^53', async () => {
    const serde = await openSerdes(await start(), { schemas_folder }).of<Interaction>(topic, 'interaction')
    const longs = [
      0,
      -1,
      63,
      -64,
      64,
      -65,
      2 ** 30 - 1,
      2 ** 30,
      -(2 ** 30),
      -(2 ** 30) - 1,
      2 ** 52 + 1,
      9007199254740990,
      -9007199254740990,
    ]
    const values = longs.map((late_by_ms) => ({ ...sample, late_by_ms }))
    expect(await serde.deserialize(values.map(serde.serialize))).toEqual(values)
  })

  test('what was written does not change when the next is', async () => {
    const serde = await openSerdes(await start(), { schemas_folder }).of<Interaction>(topic, 'interaction')
    const first = serde.serialize(sample)
    const copy = Buffer.from(first)
    serde.serialize({ ...sample, event_id: 'other' })
    expect(first.equals(copy)).toBe(true)
  })

  test('half a surrogate pair, as cutting a text leaves it, is written as U+FFFD', async () => {
    const serde = await openSerdes(await start(), { schemas_folder }).of<Interaction>(topic, 'interaction')
    const [read] = await serde.deserialize([serde.serialize({ ...sample, query: 'a\ud83d', coupon: `${'b'.repeat(80)}\ude00` })])
    expect(read).toMatchObject({ query: 'a\ufffd', coupon: `${'b'.repeat(80)}\ufffd` })
  })

  test.each<[string, Partial<Record<keyof Interaction, unknown>>]>([
    ['quantity', { quantity: Number.NaN }],
    ['rating', { rating: Number.POSITIVE_INFINITY }],
    ['occurred_at', { occurred_at: 8.64e15 + 1 }],
    ['late_by_ms', { late_by_ms: 2 ** 60 }],
    ['position', { position: 1.5 }],
    ['type', { type: 'DANCE' }],
    ['user_key', { user_key: null }],
    ['provenance.rewrites', { provenance: { ...sample.provenance, rewrites: 'none' } }],
  ])('a wrong %s is our own defect, and named', async (field, wrong) => {
    const serde = await openSerdes(await start(), { schemas_folder }).of<Interaction>(topic, 'interaction')
    try {
      serde.serialize({ ...sample, ...wrong } as Interaction)
      expect('nothing').toBe('thrown')
    } catch (error) {
      expect(error).toMatchObject({ code: 'outcome.invalid', kind: 'defect', detail: { field } })
    }
    // The next record is not harmed by it.
    expect(await serde.deserialize([serde.serialize(sample)])).toEqual([sample])
  })
})

describe('reading', () => {
  test('records of older and newer writers are read as ours', async () => {
    const registry = await openEmbeddedRegistry(null)
    const ours = schemaOf('interaction')
    const older = { ...ours, fields: ours.fields.filter(({ name }) => name !== 'coupon' && name !== 'late_by_ms') }
    const newer = structuredClone(ours)
    newer.fields.push({ name: 'brand_new', type: { type: 'array', items: 'string' }, default: [] })
    const type = newer.fields.find(({ name }) => name === 'type')!['type'] as { symbols: string[] }
    type.symbols.push('TELEPATHY')
    const old_id = await registry.register(subject, text(older))
    await registerCanonical(registry, [{ topic, schema: 'interaction' }], schemas_folder)
    const new_id = await registry.register(subject, text(newer))
    const serde = await openSerdes(registry, { schemas_folder }).of<Interaction>(topic, 'interaction')

    const { coupon: _coupon, late_by_ms: _late, ...rest } = sample
    const from_old = frame(old_id, avro.Type.forSchema(older as never).toBuffer(rest))
    const from_new = frame(
      new_id,
      avro.Type.forSchema(newer as never).toBuffer({ ...sample, type: 'TELEPATHY', brand_new: ['a', 'b'] }),
    )
    expect(await serde.deserialize([from_new, serde.serialize(sample), from_old])).toEqual([
      { ...sample, type: 'UNKNOWN' },
      sample,
      { ...sample, coupon: null, late_by_ms: 0 },
    ])
  })

  test('a writer whose records cannot be read as ours costs its records, and says why', async () => {
    const registry = await start()
    await registry.setCompatibility(subject, 'NONE')
    const price_as_text = structuredClone(schemaOf('interaction'))
    price_as_text.fields.find(({ name }) => name === 'price_minor')!['type'] = 'string'
    const id = await registry.register(subject, text(price_as_text))
    const lacking = {
      ...schemaOf('interaction'),
      fields: schemaOf('interaction').fields.filter(({ name }) => name !== 'user_key'),
    }
    const other_id = await registry.register(subject, text(lacking))
    const serde = await openSerdes(registry, { schemas_folder }).of<Interaction>(topic, 'interaction')
    const decoded = await serde.deserialize([
      frame(id, Buffer.from([0])),
      serde.serialize(sample),
      frame(other_id, Buffer.from([0])),
    ])
    expect(decoded).toMatchObject([{ code: 'schema.resolve' }, sample, { code: 'schema.resolve' }])
    expect((decoded[2] as Fault).message).toContain('user_key')
  })

  test('wrong ids and broken bytes cost their records', async () => {
    const registry = await start()
    const stranger = await registry.register('other-value', text({ type: 'record', name: 'X', fields: [] }))
    const protobuf = await registry.register('p', { format: 'PROTOBUF', text: 'syntax = "proto3"; message M { int32 a = 1; }' })
    const serde = await openSerdes(registry, { schemas_folder }).of<Interaction>(topic, 'interaction')
    const good = serde.serialize(sample)
    const values = [
      Buffer.alloc(0),
      Buffer.from('{"event_id":1}'),
      good.subarray(0, 4),
      frame(77, good.subarray(5)),
      frame(stranger, Buffer.alloc(0)),
      frame(protobuf, good.subarray(5)),
      good.subarray(0, good.length - 1),
      Buffer.concat([good, Buffer.from([0])]),
      frame(1, Buffer.concat([avroString('e'), zigzag(99)])),
      good,
    ]
    const decoded = await serde.deserialize(values)
    expect(decoded.map((one) => (one instanceof Fault ? one.code : 'decoded'))).toEqual([
      'decode.empty',
      'decode.magic',
      'decode.truncated',
      'schema.unknown',
      'schema.subject_mismatch',
      'schema.type',
      'decode.truncated',
      'decode.trailing',
      'decode.invalid',
      'decoded',
    ])
  })

  test('an outage waits; what is known goes on', async () => {
    const registry = await start()
    let down = false
    const failing: SchemaRegistry = {
      ...registry,
      byId: async (id) => {
        if (down) throw new Fault('registry.unavailable', 'down')
        return registry.byId(id)
      },
    }
    const serde = await openSerdes(failing, { schemas_folder }).of<Interaction>(topic, 'interaction')
    const good = serde.serialize(sample)
    down = true
    expect(await serde.deserialize([good])).toEqual([sample])
    await expect(serde.deserialize([good, frame(2, good.subarray(5))])).rejects.toMatchObject({ code: 'registry.unavailable' })
    down = false
    expect(await serde.deserialize([good, frame(2, good.subarray(5))])).toMatchObject([sample, { code: 'schema.unknown' }])
  })

  test('vectors are copies, aligned, and their own', async () => {
    const registry = await openEmbeddedRegistry(null)
    await registerCanonical(registry, [{ topic: 'users.profiles.v1', schema: 'profile' }], schemas_folder)
    const serde = await openSerdes(registry, { schemas_folder }).of<Profile>('users.profiles.v1', 'profile')
    const whole = new Float32Array([9, 1, 2, 3])
    const profile: Profile = { ...canonical_samples.profile, preference: whole.subarray(1), session: new Float32Array(0) }
    const bytes = serde.serialize(profile)
    const [read] = (await serde.deserialize([bytes])) as [Profile]
    expect([...read.preference!]).toEqual([1, 2, 3])
    expect(read.preference!.byteOffset % 4).toBe(0)
    expect(read.session).toHaveLength(0)
    bytes.fill(0)
    expect([...read.preference!]).toEqual([1, 2, 3])
    expect(() => serde.serialize({ ...profile, preference: [1, 2] as unknown as Float32Array })).toThrow('preference')
    expect(
      await serde.deserialize([frame(serde.schema_id, Buffer.concat([avroString('u'), zigzag(1), avroString('abc')]))]),
    ).toMatchObject([{ code: 'decode.invalid' }])
  })
})

test('maps may hold any key but are no way to a prototype', async () => {
  const registry = await openEmbeddedRegistry(null)
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-serdes-'))
  try {
    writeFileSync(
      join(folder, 'm.avsc'),
      JSON.stringify({ type: 'record', name: 'M', fields: [{ name: 'm', type: { type: 'map', values: 'int' } }] }),
    )
    await registerCanonical(registry, [{ topic: 't', schema: 'm' }], folder)
    const serde = await openSerdes(registry, { schemas_folder: folder }).of<{ m: Record<string, number> }>('t', 'm')
    const map = Object.fromEntries([
      ['__proto__', 1],
      ['constructor', 2],
    ]) as Record<string, number>
    const [read] = (await serde.deserialize([serde.serialize({ m: map })])) as [{ m: Record<string, number> }]
    expect(Object.keys(read.m)).toEqual(['__proto__', 'constructor'])
    expect([Object.values(read.m), read.m['toString']]).toEqual([[1, 2], undefined])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('identity of schemas looks at meaning, not at layout', () => {
  const one = {
    type: 'record',
    name: 'R',
    namespace: 'x',
    doc: 'a',
    fields: [
      { name: 'a', type: { type: 'string' } },
      { name: 'b', type: 'E' },
    ],
  }
  const two = {
    fields: [
      { type: 'string', name: 'a', doc: 'b' },
      { name: 'b', type: 'x.E' },
    ],
    name: 'x.R',
    type: 'record',
  }
  expect(avroIdentity(one)).toBe(avroIdentity(two))
  expect(avroIdentity({ ...two, fields: [] })).not.toBe(avroIdentity(two))
  const dated = { type: 'long', logicalType: 'timestamp-millis' }
  expect(avroIdentity(dated)).not.toBe(avroIdentity('long'))
  expect(avroIdentity({ type: 'record', name: 'R', fields: [{ name: 'a', type: 'int', default: 1 }] })).not.toBe(
    avroIdentity({ type: 'record', name: 'R', fields: [{ name: 'a', type: 'int', default: 2 }] }),
  )
})
