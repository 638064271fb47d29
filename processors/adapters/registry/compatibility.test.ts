import { describe, expect, test } from '@jest/globals'
import type { Compatibility, Schema } from '../../ports/schema-registry.ts'
import { incompatibilities } from './compatibility.ts'

const judge = (level: Compatibility, next: Schema, ...earlier: readonly Schema[]): readonly string[] =>
  incompatibilities(
    level,
    { schema: next, referenced: [] },
    earlier.map((schema) => ({ schema, referenced: [] })),
  )
const ok = (next: Schema, old: Schema): boolean => judge('BACKWARD', next, old).length === 0

const avro = (schema: unknown): Schema => ({ format: 'AVRO', text: JSON.stringify(schema) })
const record = (...fields: readonly object[]): Schema => avro({ type: 'record', name: 'R', fields })
const json = (schema: unknown): Schema => ({ format: 'JSON', text: JSON.stringify(schema) })
const proto = (body: string): Schema => ({ format: 'PROTOBUF', text: `syntax = "proto3";\n${body}` })

const a = { name: 'a', type: 'string' }

describe('levels', () => {
  const with_default = record(a, { name: 'b', type: 'int', default: 0 })
  const demanding = record(a, { name: 'b', type: 'int' })
  test.each<[Compatibility, boolean, boolean]>([
    ['NONE', true, true],
    ['BACKWARD', true, false],
    ['FORWARD', true, true],
    ['FULL', true, false],
  ])('%s: a field with default %s, without %s', (level, fine, bold) => {
    expect(judge(level, with_default, record(a)).length === 0).toBe(fine)
    expect(judge(level, demanding, record(a)).length === 0).toBe(bold)
  })

  test('transitive levels look at every version', () => {
    expect(judge('BACKWARD', demanding, record(a), with_default)).toEqual([])
    expect(judge('BACKWARD_TRANSITIVE', demanding, record(a), with_default)).not.toEqual([])
    expect(
      judge('FORWARD_TRANSITIVE', record({ name: 'b', type: 'int' }), with_default, record({ name: 'b', type: 'int' })),
    ).not.toEqual([])
    expect(judge('FULL_TRANSITIVE', with_default, record(a), record(a))).toEqual([])
  })

  test('a first version has nothing to be held against', () => {
    expect(judge('FULL_TRANSITIVE', demanding)).toEqual([])
  })

  test('the format never changes', () => {
    expect(judge('BACKWARD', json({}), record(a))).toEqual(['New cannot read old: The format changes from AVRO to JSON.'])
  })
})

describe('Avro', () => {
  test.each<[string, boolean, Schema, Schema]>([
    ['int becomes long', true, record({ name: 'a', type: 'long' }), record({ name: 'a', type: 'int' })],
    ['long becomes int', false, record({ name: 'a', type: 'int' }), record({ name: 'a', type: 'long' })],
    ['text becomes number', false, record({ name: 'a', type: 'double' }), record(a)],
    ['a field is removed', true, record({ name: 'b', type: 'int', default: 0 }), record(a, { name: 'b', type: 'int' })],
    ['a field is renamed', false, record({ name: 'c', type: 'string' }), record(a)],
    ['a field is renamed with an alias', true, record({ name: 'c', type: 'string', aliases: ['a'] }), record(a)],
    ['a field becomes optional', true, record({ name: 'a', type: ['null', 'string'] }), record(a)],
    ['an optional field becomes required', false, record(a), record({ name: 'a', type: ['null', 'string'] })],
    ['the namespace changes', true, avro({ type: 'record', name: 'R', namespace: 'x', fields: [a] }), record(a)],
    [
      'an enum loses a symbol',
      false,
      avro({ type: 'enum', name: 'E', symbols: ['A'] }),
      avro({ type: 'enum', name: 'E', symbols: ['A', 'B'] }),
    ],
    [
      'an enum with default loses a symbol',
      true,
      avro({ type: 'enum', name: 'E', symbols: ['A'], default: 'A' }),
      avro({ type: 'enum', name: 'E', symbols: ['A', 'B'] }),
    ],
  ])('%s: %s', (_what, accepted, next, old) => {
    expect(ok(next, old)).toBe(accepted)
  })
})

describe('JSON Schema', () => {
  const closed = (properties: object, more: object = {}) =>
    json({ type: 'object', properties, additionalProperties: false, ...more })
  const open = (properties: object, more: object = {}) => json({ type: 'object', properties, ...more })
  const text = { type: 'string' }
  test.each<[string, boolean, Schema, Schema]>([
    ['nothing but words changes', true, open({ a: { type: 'string', description: 'new' } }), open({ a: text })],
    ['a closed model gains a property', true, closed({ a: text, b: text }), closed({ a: text })],
    ['an open model gains a property, which old values may hold otherwise', false, open({ a: text, b: text }), open({ a: text })],
    ['an open model gains a property that may be anything', true, open({ a: text, b: {} }), open({ a: text })],
    ['a closed model loses a property', false, closed({ a: text }), closed({ a: text, b: text })],
    ['an open model loses a property', true, open({ a: text }), open({ a: text, b: text })],
    ['a property becomes required', false, closed({ a: text }, { required: ['a'] }), closed({ a: text })],
    ['a property is required no more', true, closed({ a: text }), closed({ a: text }, { required: ['a'] })],
    ['a type is narrowed', false, closed({ a: { type: 'integer' } }), closed({ a: { type: 'number' } })],
    ['a type is widened', true, closed({ a: { type: ['number', 'null'] } }), closed({ a: { type: 'integer' } })],
    ['an open model is closed', false, closed({ a: text }), open({ a: text })],
    ['a closed model is opened', true, open({ a: text }), closed({ a: text })],
    ['a bound shrinks', false, json({ maxLength: 5 }), json({ maxLength: 6 })],
    ['a bound grows', true, json({ maxLength: 6, minimum: 0 }), json({ maxLength: 5, minimum: 0 })],
    ['a bound comes', false, json({ minimum: 1 }), json({})],
    ['an enum grows', true, json({ enum: ['a', 'b'] }), json({ enum: ['b'] })],
    ['an enum shrinks', false, json({ enum: ['a'] }), json({ enum: ['a', 'b'] })],
    ['a constant becomes one of many', true, json({ enum: ['a', 'b'] }), json({ const: 'a' })],
    ['items are narrowed', false, json({ type: 'array', items: text }), json({ type: 'array' })],
    [
      'items of a definition are widened',
      true,
      json({ type: 'array', items: { $ref: '#/$defs/x' }, $defs: { x: { type: ['string', 'null'] } } }),
      json({ type: 'array', items: text }),
    ],
    [
      'a definition behind the same reference is narrowed',
      false,
      json({ $ref: '#/$defs/x', $defs: { x: { type: 'string' } } }),
      json({ $ref: '#/$defs/x', $defs: { x: {} } }),
    ],
    ['a pattern comes', false, json({ pattern: 'a' }), json({})],
    [
      'a recursive schema stays',
      true,
      json({ properties: { n: { $ref: '#' }, a: text } }),
      json({ properties: { n: { $ref: '#' }, a: text } }),
    ],
    ['everything is refused', false, json(false), json({})],
    ['everything is admitted', true, json(true), json({ type: 'string', pattern: 'x' })],
  ])('%s: %s', (_what, accepted, next, old) => {
    expect(ok(next, old)).toBe(accepted)
  })
})

describe('Protobuf', () => {
  test.each<[string, boolean, string, string]>([
    ['a field is added', true, 'message M { string a = 1; string b = 2; }', 'message M { string a = 1; }'],
    ['a field is removed', true, 'message M { string a = 1; }', 'message M { string a = 1; string b = 2; }'],
    ['a field is renamed', true, 'message M { string c = 1; }', 'message M { string a = 1; }'],
    ['int32 becomes int64', true, 'message M { int64 a = 1; }', 'message M { int32 a = 1; }'],
    ['an enum becomes int32', true, 'message M { int32 a = 1; }', 'message M { E a = 1; } enum E { Z = 0; }'],
    ['string becomes bytes', true, 'message M { bytes a = 1; }', 'message M { string a = 1; }'],
    ['int64 becomes sint64', false, 'message M { sint64 a = 1; }', 'message M { int64 a = 1; }'],
    ['string becomes int64', false, 'message M { int64 a = 1; }', 'message M { string a = 1; }'],
    [
      'a number is given to another type',
      false,
      'message M { N b = 1; } message N { int32 x = 1; }',
      'message M { string a = 1; }',
    ],
    ['a field moves to another number', false, 'message M { string a = 2; }', 'message M { string a = 1; }'],
    ['one becomes many', false, 'message M { repeated int32 a = 1; }', 'message M { int32 a = 1; }'],
    ['a message goes', false, 'message M { string a = 1; }', 'message M { string a = 1; } message N { int32 x = 1; }'],
    [
      'messages change places',
      false,
      'message N { int32 x = 1; } message M { string a = 1; }',
      'message M { string a = 1; } message N { int32 x = 1; }',
    ],
    ['the package changes', false, 'package x; message M { string a = 1; }', 'message M { string a = 1; }'],
    ['the values of a map change', false, 'message M { map<string, string> a = 1; }', 'message M { map<string, int32> a = 1; }'],
    [
      'a nested message changes a type',
      false,
      'message M { message I { int32 x = 1; } I i = 1; }',
      'message M { message I { string x = 1; } I i = 1; }',
    ],
  ])('%s: %s', (_what, accepted, next, old) => {
    expect(ok(proto(next), proto(old))).toBe(accepted)
  })

  test('proto2: required fields neither come nor go', () => {
    const two = (body: string): Schema => ({ format: 'PROTOBUF', text: `syntax = "proto2"; message M { ${body} }` })
    expect(ok(two('required int32 a = 1; required int32 b = 2;'), two('required int32 a = 1;'))).toBe(false)
    expect(ok(two('optional int32 b = 2;'), two('required int32 a = 1; optional int32 b = 2;'))).toBe(false)
  })
})
