import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { openEmbeddedRegistry } from '../processors/adapters/registry/embedded-registry.ts'
import { lintSchema } from '../processors/adapters/registry/lint.ts'
import { openSerdes, registerCanonical } from '../processors/adapters/registry/serdes.ts'
import { interaction_types } from '../processors/domain/interaction.ts'
import { reason_codes } from '../processors/domain/recommendation.ts'
import { canonical_samples } from './canonical-samples.ts'

const folder = join(import.meta.dirname, 'canonical')
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.avsc'))
  .map((file) => file.replace(/\.avsc$/, ''))

type Field = { readonly name: string; readonly type: unknown; readonly default?: unknown }
type Schema = { readonly type: string; readonly name: string; readonly namespace: string; readonly fields: readonly Field[] }
const schemaOf = (name: string): Schema => JSON.parse(readFileSync(join(folder, `${name}.avsc`), 'utf8')) as Schema

/** Every definition of one kind in a schema, wherever it stands. */
const definitions = (node: unknown, type: string): Record<string, unknown>[] => {
  if (typeof node !== 'object' || node === null) return []
  const found = Object.values(node).flatMap((child) => definitions(child, type))
  return (node as Record<string, unknown>)['type'] === type ? [node as Record<string, unknown>, ...found] : found
}

test('every canonical schema has a full sample', () => {
  expect(Object.keys(canonical_samples).sort()).toEqual(names.sort())
})

describe.each(names)('%s.avsc', (name) => {
  const sample = canonical_samples[name as keyof typeof canonical_samples] as Record<string, unknown>
  const schema = schemaOf(name)

  test('passes the lint', () => {
    expect(lintSchema({ format: 'AVRO', text: JSON.stringify(schema) })).toEqual([])
  })

  test('has exactly the fields of the domain type', () => {
    expect(schema.fields.map((field) => field.name)).toEqual(Object.keys(sample))
  })

  test('a full record comes back as it was', async () => {
    const registry = await openEmbeddedRegistry(null)
    await registerCanonical(registry, [{ topic: 'a.topic.v1', schema: name }], folder)
    const serde = await openSerdes(registry, { schemas_folder: folder }).of<typeof sample>('a.topic.v1', name)
    const bytes = serde.serialize(sample)
    expect([bytes[0], bytes.readInt32BE(1)]).toEqual([0, serde.schema_id])
    const [read] = await serde.deserialize([bytes])
    expect(read).toEqual(sample)
    expect(serde.serialize(read as typeof sample).equals(bytes)).toBe(true)
  })

  test('nullable fields come back as null, not as their default', async () => {
    const registry = await openEmbeddedRegistry(null)
    await registerCanonical(registry, [{ topic: 'a.topic.v1', schema: name }], folder)
    const serde = await openSerdes(registry, { schemas_folder: folder }).of<typeof sample>('a.topic.v1', name)
    const nullable = schema.fields.filter(({ type }) => Array.isArray(type) && type[0] === 'null').map((field) => field.name)
    const sparse = { ...sample, ...Object.fromEntries(nullable.map((field) => [field, null])) }
    expect(await serde.deserialize([serde.serialize(sparse)])).toEqual([sparse])
  })

  test('enums know a word for what newer writers say', () => {
    for (const { symbols, default: fallback } of definitions(schema, 'enum')) {
      expect((symbols as string[])[0]).toBe('UNKNOWN')
      expect(fallback).toBe('UNKNOWN')
    }
  })

  test('a field may follow in a later version, and its records are read by this one', async () => {
    const topic = 'a.topic.v1'
    const registry = await openEmbeddedRegistry(null)
    await registerCanonical(registry, [{ topic, schema: name }], folder)
    const later = { ...schema, fields: [...schema.fields, { name: 'added_later', type: ['null', 'string'], default: null }] }
    expect(await registry.compatible(`${topic}-value`, { format: 'AVRO', text: JSON.stringify(later) })).toEqual({
      compatible: true,
      reasons: [],
    })
    const demanding = { ...schema, fields: [...schema.fields, { name: 'added_later', type: 'string' }] }
    expect((await registry.compatible(`${topic}-value`, { format: 'AVRO', text: JSON.stringify(demanding) })).compatible).toBe(
      false,
    )
  })
})

test('closed lists of the domain are the enums of the schemas', () => {
  const symbols = (schema: string, name: string): unknown =>
    definitions(schemaOf(schema), 'enum').find((one) => one['name'] === name)?.['symbols']
  expect(symbols('interaction', 'InteractionType')).toEqual(['UNKNOWN', ...interaction_types])
  expect(symbols('profile', 'InteractionType')).toEqual(['UNKNOWN', ...interaction_types])
  expect(symbols('recommendation', 'ReasonCode')).toEqual(['UNKNOWN', ...reason_codes])
})
