import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import type { Schema } from '../../ports/schema-registry.ts'
import { schema_limits } from './limits.ts'
import { lintSchema } from './lint.ts'
import type { LintRule } from './lint-finding.ts'

const avro = (schema: unknown): Schema => ({ format: 'AVRO', text: JSON.stringify(schema) })
const json = (schema: unknown): Schema => ({ format: 'JSON', text: JSON.stringify(schema) })
const proto = (body: string): Schema => ({ format: 'PROTOBUF', text: `syntax = "proto3";\n${body}` })
const record = (fields: readonly unknown[], more: object = {}) => ({ type: 'record', name: 'R', fields, ...more })
const field = (type: unknown, name = 'a', more: object = {}) => ({ name, type, ...more })
const nest = (levels: number, wrap: (inner: unknown) => unknown, core: unknown): unknown => {
  let schema = core
  for (let i = 0; i < levels; i++) schema = wrap(schema)
  return schema
}
const count = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i))

/** Every hostile kind, the rule that stops it, and where. */
const hostile: readonly (readonly [what: string, rule: LintRule, schema: Schema])[] = [
  [
    'Avro arrays 3,000 deep',
    'depth',
    { format: 'AVRO', text: `${'{"type":"array","items":'.repeat(3_000)}"int"${'}'.repeat(3_000)}` },
  ],
  ['Avro arrays 33 deep', 'depth', avro(nest(33, (items) => ({ type: 'array', items }), 'int'))],
  ['Avro record of 20,000 fields', 'size', avro(record(count(20_000, (i) => field('int', `f${i}`))))],
  ['Avro record of 2,001 fields', 'fields', avro(record(count(2_001, (i) => field('int', `f${i}`))))],
  ['Avro union of 10,001 branches', 'nodes', avro(count(10_001, () => 'int'))],
  ['Avro union of 101 branches', 'nodes', avro(count(101, (i) => ({ type: 'fixed', name: `F${i}`, size: 1 })))],
  ['Avro array of nulls', 'zero-width', avro({ type: 'array', items: 'null' })],
  ['Avro array of null in long form', 'zero-width', avro({ type: 'array', items: { type: 'null' } })],
  ['Avro map of nulls', 'zero-width', avro({ type: 'map', values: 'null' })],
  ['Avro array of an empty record', 'zero-width', avro({ type: 'array', items: { type: 'record', name: 'E', fields: [] } })],
  [
    'Avro array of records of nulls',
    'zero-width',
    avro({ type: 'array', items: { type: 'record', name: 'E', fields: [field('null')] } }),
  ],
  ['Avro array of an empty fixed', 'zero-width', avro({ type: 'array', items: { type: 'fixed', name: 'F', size: 0 } })],
  [
    'Avro array of an empty record by name',
    'zero-width',
    avro(record([field({ type: 'record', name: 'E', fields: [] }, 'e'), field({ type: 'array', items: 'E' }, 'all')])),
  ],
  ['Avro record that holds itself', 'recursion', avro(record([field('R')]))],
  ['Avro records that hold each other', 'recursion', avro(record([field({ type: 'record', name: 'S', fields: [field('R')] })]))],
  [
    'Avro records that double 30 times, of no bytes',
    'nodes',
    avro(
      record([
        field({ type: 'record', name: 'D0', fields: [] }, 'd0'),
        ...count(20, (i) =>
          field({ type: 'record', name: `D${i + 1}`, fields: [field(`D${i}`, 'l'), field(`D${i}`, 'r')] }, `d${i + 1}`),
        ),
      ]),
    ),
  ],
  ['Avro enum of 2,001 symbols', 'enum', avro({ type: 'enum', name: 'E', symbols: count(2_001, (i) => `S${i}`) })],
  ['Avro enum of no symbols', 'enum', avro({ type: 'enum', name: 'E', symbols: [] })],
  ['Avro fixed of a gigabyte', 'size', avro({ type: 'fixed', name: 'F', size: 2 ** 30 })],
  ['Avro decimal of 10^9 digits', 'size', avro({ type: 'bytes', logicalType: 'decimal', precision: 1e9 })],
  ['Avro decimal with more scale than digits', 'size', avro({ type: 'bytes', logicalType: 'decimal', precision: 2, scale: 3 })],
  ['code in an Avro field name', 'names', avro(record([field('int', 'a){process.exit(9)}//')]))],
  ['code in an Avro record name', 'names', avro({ ...record([]), name: 'R(){};process.exit(9);//' })],
  ['code in an Avro namespace', 'names', avro(record([], { namespace: "x'];process.exit(9);//" }))],
  ['code in an Avro symbol', 'names', avro({ type: 'enum', name: 'E', symbols: ['A);process.exit(9);//'] })],
  ['code in an Avro alias', 'names', avro(record([], { aliases: ['x){process.exit(9)}//'] }))],
  [
    'Avro field __proto__',
    'names',
    { format: 'AVRO', text: '{"type":"record","name":"R","fields":[{"name":"__proto__","type":"int"}]}' },
  ],
  ['Avro attribute __proto__', 'names', { format: 'AVRO', text: '{"type":"int","__proto__":{"x":1}}' }],
  ['Avro name of 257 characters', 'names', avro(record([field('int', 'x'.repeat(257))]))],
  ['Avro type defined twice', 'names', avro(record([field({ type: 'fixed', name: 'R', size: 1 })]))],
  ['Avro type that does not exist', 'references', avro(record([field('Nowhere')]))],
  ['Avro field twice', 'syntax', avro(record([field('int'), field('int')]))],
  ['Avro that is no JSON', 'syntax', { format: 'AVRO', text: '{"type":' }],
  ['Avro with a key twice', 'syntax', { format: 'AVRO', text: '{"type":"int","type":"long"}' }],
  [
    '51 references',
    'references',
    { ...avro('int'), references: count(51, (i) => ({ name: `n${i}`, subject: 's', version: 1 })) },
  ],
  ['300 KB of schema', 'size', avro(record([field('int', 'a', { doc: 'x'.repeat(300_000) })]))],

  ['JSON Schema 3,000 deep', 'depth', { format: 'JSON', text: `${'{"not":'.repeat(3_000)}true${'}'.repeat(3_000)}` }],
  ['JSON Schema 33 deep', 'depth', json(nest(33, (items) => ({ items }), true))],
  ['JSON Schema of 2,001 properties', 'fields', json({ properties: Object.fromEntries(count(2_001, (i) => [`p${i}`, true])) })],
  ['JSON Schema of 10,001 branches', 'nodes', json({ anyOf: count(10_001, () => true) })],
  ['JSON Schema with an exponential pattern', 'pattern', json({ pattern: '^(?=(a+)+$)' })],
  ['JSON Schema with a back reference', 'pattern', json({ properties: { a: { pattern: '(a)\\1' } } })],
  ['JSON Schema with repeated repetitions', 'pattern', json({ pattern: '((a{1,30}){1,30}){1,30}' })],
  ['JSON Schema with a pattern of 513 characters', 'pattern', json({ patternProperties: { ['a'.repeat(513)]: true } })],
  ['JSON Schema with a reference outside', 'references', json({ $ref: 'http://169.254.169.254/latest' })],
  ['JSON Schema with a reference to nowhere', 'references', json({ $ref: '#/definitions/x' })],
  ['JSON Schema that refers to itself', 'recursion', json({ $ref: '#' })],
  [
    'JSON Schema whose definitions refer in a circle',
    'recursion',
    json({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { allOf: [{ $ref: '#/$defs/a' }] } } }),
  ],
  [
    'JSON Schema that doubles at each level of the value',
    'recursion',
    json({ properties: { n: { anyOf: [{ $ref: '#' }, { $ref: '#' }] } } }),
  ],
  [
    'JSON Schema that recurs by property and pattern',
    'recursion',
    json({ properties: { n: { $ref: '#' } }, patternProperties: { '^n': { $ref: '#' } } }),
  ],
  [
    'JSON Schema that doubles 30 times',
    'cost',
    json({
      $ref: '#/$defs/d29',
      $defs: Object.fromEntries([
        ['d0', true],
        ...count(29, (i) => [`d${i + 1}`, { allOf: [{ $ref: `#/$defs/d${i}` }, { $ref: `#/$defs/d${i}` }] }]),
      ]),
    }),
  ],
  ['JSON Schema that compares objects with each other', 'cost', json({ type: 'array', uniqueItems: true })],
  [
    'JSON Schema with 21 patterns for each key',
    'cost',
    json({ patternProperties: Object.fromEntries(count(21, (i) => [`^p${i}`, true])) }),
  ],
  ['JSON Schema with an enum of objects', 'cost', json({ enum: count(21, (i) => ({ i })) })],
  ['JSON Schema with an enum of 2,001', 'enum', json({ enum: count(2_001, (i) => i) })],
  ['JSON Schema with a property __proto__', 'names', { format: 'JSON', text: '{"properties":{"__proto__":true}}' }],
  ['JSON Schema with a property constructor', 'names', json({ properties: { constructor: true } })],
  ['JSON Schema of draft 04', 'unsupported', json({ $schema: 'http://json-schema.org/draft-04/schema#' })],
  ['JSON Schema with a dynamic reference', 'unsupported', json({ $dynamicRef: '#x' })],
  ['JSON Schema with an id inside', 'unsupported', json({ properties: { a: { $id: 'http://x/y' } } })],
  ['JSON Schema that is a list', 'syntax', json([])],

  ['Protobuf 3,000 deep', 'depth', proto(`${'message M {'.repeat(3_000)}${'}'.repeat(3_000)}`)],
  ['Protobuf of 20,000 fields', 'size', proto(`message M { ${count(20_000, (i) => `int32 f${i} = ${i + 1};`).join('')} }`)],
  ['Protobuf of 10,001 messages', 'nodes', proto(count(10_001, (i) => `message M${i} {}`).join('\n'))],
  [
    'Protobuf of 501 fields in a message',
    'fields',
    proto(`message M { ${count(501, (i) => `int32 f${i} = ${i + 1};`).join('')} }`),
  ],
  [
    'Protobuf of 501 fields in a oneof and beside',
    'fields',
    proto(
      `message M { oneof o { ${count(400, (i) => `int32 f${i} = ${i + 1};`).join('')} } ${count(101, (i) => `int32 g${i} = ${i + 500};`).join('')} }`,
    ),
  ],
  [
    'Protobuf of 2,001 fields',
    'fields',
    proto(count(9, (m) => `message M${m} { ${count(230, (i) => `int32 f${i} = ${i + 1};`).join('')} }`).join('\n')),
  ],
  [
    'Protobuf enum of 2,001 symbols',
    'enum',
    proto(`message M { E e = 1; } enum E { ${count(2_001, (i) => `S${i} = ${i};`).join('')} }`),
  ],
  ['Protobuf import of a file', 'references', proto('import "/etc/passwd"; message M { int32 a = 1; }')],
  [
    'Protobuf import of descriptors',
    'references',
    proto('import "google/protobuf/descriptor.proto"; message M { int32 a = 1; }'),
  ],
  ['Protobuf type that does not exist', 'references', proto('message M { Nowhere a = 1; }')],
  ['Protobuf field __proto__', 'names', proto('message M { int32 __proto__ = 1; }')],
  ['Protobuf message constructor', 'names', proto('message constructor { int32 a = 1; }')],
  ['Protobuf option __proto__', 'names', proto('message M { option (__proto__).polluted = true; int32 a = 1; }')],
  ['Protobuf name of 257 characters', 'names', proto(`message M { int32 ${'x'.repeat(257)} = 1; }`)],
  ['Protobuf in Google’s own package', 'names', proto('package google.protobuf; message Timestamp { int32 a = 1; }')],
  [
    'Protobuf with a group',
    'unsupported',
    { format: 'PROTOBUF', text: 'syntax = "proto2"; message M { optional group G = 1 { optional int32 a = 1; } }' },
  ],
  [
    'Protobuf with an extension',
    'unsupported',
    { format: 'PROTOBUF', text: 'syntax = "proto2"; message M { extensions 100 to 199; } extend M { optional int32 a = 100; }' },
  ],
  ['Protobuf field number 19,500', 'syntax', proto('message M { int32 a = 19500; }')],
  ['Protobuf without a message', 'syntax', proto('enum E { A = 0; }')],
  ['Protobuf with an open comment', 'syntax', proto('message M { /* int32 a = 1; }')],
]

describe('hostile schemas', () => {
  test.each(hostile)('%s', (_what, rule, schema) => {
    expect(lintSchema(schema).map((finding) => finding.rule)).toContain(rule)
  })
})

/** What looks odd and is not: the lint must not cry wolf. */
const sound: readonly (readonly [what: string, schema: Schema])[] = [
  ['an Avro primitive', avro('string')],
  ['an Avro list of itself', avro(record([field(['null', 'R'], 'next'), field({ type: 'array', items: 'R' }, 'children')]))],
  [
    'Avro names by namespace',
    avro(
      record([field({ type: 'enum', name: 'E', symbols: ['A'] }), field('x.y.E', 'b'), field('E', 'c')], { namespace: 'x.y' }),
    ),
  ],
  [
    'Avro records side by side',
    avro(record(count(200, (i) => field({ type: 'record', name: `S${i}`, fields: [field('int')] }, `f${i}`)))),
  ],
  [
    'an Avro default beyond 2^53',
    { format: 'AVRO', text: '{"type":"record","name":"R","fields":[{"name":"a","type":"long","default":-9007199254740993}]}' },
  ],
  ['an Avro field named toString', avro(record([field('int', 'toString')]))],
  ['an Avro array of unions', avro({ type: 'array', items: ['null', 'string'] })],
  [
    'a JSON tree',
    json({ properties: { left: { $ref: '#' }, right: { $ref: '#' }, parent: { anyOf: [{ type: 'null' }, { $ref: '#' }] } } }),
  ],
  ['a JSON Schema true', json(true)],
  ['a JSON Schema with definitions', json({ $ref: '#/definitions/a~1b', definitions: { 'a/b': { type: 'string' } } })],
  ['a JSON Schema with unique strings', json({ type: 'array', items: { type: 'string' }, uniqueItems: true })],
  [
    'a JSON Schema of 2020-12',
    json({ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }], items: false }),
  ],
  ['a JSON Schema with patterns of ECMA-262', json({ pattern: '^\\d{2}\\/[\\w-]+\\u00e9\\p{L}$' })],
  ['Protobuf that recurs', proto('message M { M next = 1; repeated M all = 2; map<string, M> named = 3; }')],
  [
    'Protobuf with well-known types',
    proto(
      'import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; message M { google.protobuf.Timestamp at = 1; google.protobuf.Int64Value n = 2; }',
    ),
  ],
  [
    'Protobuf with comments and strings full of braces',
    proto(
      '// {{{{ __proto__\n/* }}}} constructor */ message M { option deprecated = true; string a = 1 [json_name = "{{__proto__{{"]; }',
    ),
  ],
  [
    'Protobuf of version 2',
    { format: 'PROTOBUF', text: 'syntax = "proto2"; message M { required int32 a = 1; optional string b = 2 [default = "x"]; }' },
  ],
]

describe('sound schemas', () => {
  test.each(sound)('%s', (_what, schema) => {
    expect(lintSchema(schema)).toEqual([])
  })

  test('every schema of this repository', () => {
    const folder = join(import.meta.dirname, '../../../schemas/canonical')
    for (const file of readdirSync(folder))
      expect([file, lintSchema({ format: 'AVRO', text: readFileSync(join(folder, file), 'utf8') })]).toEqual([file, []])
  })

  test('a schema that builds on another, and not one that lacks it', () => {
    const money = avro({ type: 'record', name: 'Money', namespace: 'x', fields: [field('long', 'minor')] })
    const offer = { ...avro(record([field('x.Money')])), references: [{ name: 'x.Money', subject: 'money', version: 1 }] }
    expect(lintSchema(offer, schema_limits, [money])).toEqual([])
    expect(lintSchema(offer)).toMatchObject([{ rule: 'references', path: '.a' }])
    expect(lintSchema(offer, schema_limits, [proto('message M { int32 a = 1; }')])).toMatchObject([{ rule: 'references' }])
    expect(lintSchema(json({}), schema_limits, [json({})])).toMatchObject([{ rule: 'references' }])
  })
})

test('findings name the place and hold no control characters', () => {
  const [finding] = lintSchema(
    avro(record([field({ type: 'array', items: { type: 'record', name: 'In', fields: [field('int', 'b\u001b[2J')] } }, 'list')])),
  )
  expect(finding?.path).toBe('.list.items.b?[2J')
  expect(finding?.message).not.toContain('\u001b')
})
