/** Schemas that somebody registers to do harm: each is to be refused by the lint, and soon. */
import type { Schema, SchemaFormat } from '../../ports/schema-registry.ts'

export type HostileSchema = { readonly name: string; readonly schema: Schema }

const range = <T>(count: number, make: (i: number) => T): readonly T[] => Array.from({ length: count }, (_, i) => make(i))
const of = (format: SchemaFormat, name: string, text: unknown): HostileSchema => ({
  name: `${format} ${name}`,
  schema: { format, text: typeof text === 'string' ? text : JSON.stringify(text) },
})
const nest = (depth: number, open: string, inside: string, close: string): string =>
  open.repeat(depth) + inside + close.repeat(depth)
const record = (name: string, ...fields: readonly unknown[]) => ({ type: 'record', name, fields })
const field = (name: string, type: unknown) => ({ name, type })
/** Records that each hold the one before twice, so that data doubles without a byte. */
const doubling = (levels: number): unknown => {
  const first: unknown = record('R0', field('a', 'null'))
  return range(levels, (i) => i + 1).reduce<unknown>(
    (inner, i) => record(`R${i}`, field('a', inner), field('b', `R${i - 1}`)),
    first,
  )
}

const injected = [
  '__proto__',
  'constructor',
  'prototype',
  'a;process.exit(9)',
  "a'];process.exit(9);//",
  'a b',
  'a\nb',
  '',
  '1a',
  'ünï',
  'a\u0000',
  'x'.repeat(300),
  'this.constructor.constructor("return process")()',
  '`;process.exit(9);`',
]

const avroSchemas = (size: number): readonly HostileSchema[] => [
  of('AVRO', `nested ${size} deep`, nest(size, '{"type":"array","items":', '"int"', '}')),
  of('AVRO', `maps nested ${size} deep`, nest(size, '{"type":"map","values":', '"int"', '}')),
  of('AVRO', `of ${size * 6} fields`, record('R', ...range(size * 6, (i) => field(`f${i}`, 'int')))),
  of('AVRO', `an enum of ${size * 6}`, { type: 'enum', name: 'E', symbols: range(size * 6, (i) => `S${i}`) }),
  of(
    'AVRO',
    `a union of ${size * 6}`,
    range(size * 6, (i) => ({ type: 'fixed', name: `F${i}`, size: 1 })),
  ),
  of('AVRO', `doubling ${10 + (size % 15)} times`, doubling(14 + (size % 15))),
]

const jsonSchemas = (size: number): readonly HostileSchema[] => [
  of('JSON', `nested ${size} deep`, nest(size, '{"items":', '{}', '}')),
  of('JSON', `not nested ${size} deep`, nest(size, '{"not":', '{}', '}')),
  of('JSON', `of ${size * 6} properties`, { properties: Object.fromEntries(range(size * 6, (i) => [`p${i}`, {}])) }),
  of('JSON', `an enum of ${size * 6}`, { enum: range(size * 6, (i) => i) }),
  of('JSON', `${size} patterns for each key`, { patternProperties: Object.fromEntries(range(size, (i) => [`^a${i}`, {}])) }),
  of('JSON', `a pattern of ${size} groups`, { pattern: '(a?'.repeat(size) + ')'.repeat(size) }),
  of('JSON', `an allOf that multiplies ${size} by ${size}`, {
    definitions: { a: { allOf: range(size, () => ({ $ref: '#/definitions/b' })) }, b: { allOf: range(size, () => ({})) } },
    allOf: range(2, () => ({ $ref: '#/definitions/a' })),
  }),
]

const protobufSchemas = (size: number): readonly HostileSchema[] => {
  const proto = (name: string, body: string): HostileSchema => of('PROTOBUF', name, `syntax = "proto3";\n${body}`)
  return [
    proto(`nested ${size} deep`, nest(size, 'message M { ', 'int32 a = 1; ', '}')),
    proto(`of ${size * 6} fields`, `message M { ${range(size * 6, (i) => `int32 f${i} = ${i + 1};`).join(' ')} }`),
    proto(`an enum of ${size * 6}`, `message M { E e = 1; } enum E { ${range(size * 6, (i) => `S${i} = ${i};`).join(' ')} }`),
    proto(`options nested ${size} deep`, `message M { int32 a = 1 [(o) = ${nest(size, '{ a: ', '1', ' }')}]; }`),
    proto(`${size * 6} messages`, range(size * 6, (i) => `message M${i} { int32 a = 1; }`).join(' ')),
  ]
}

const single: readonly HostileSchema[] = [
  of('AVRO', 'a list of nulls', { type: 'array', items: 'null' }),
  of('AVRO', 'a map of empty records', { type: 'map', values: record('E') }),
  of('AVRO', 'a list of empty fixed', { type: 'array', items: { type: 'fixed', name: 'F', size: 0 } }),
  of('AVRO', 'a record directly inside itself', record('R', field('r', 'R'))),
  of('AVRO', 'two records inside each other', record('A', field('b', record('B', field('a', 'A'))))),
  of('AVRO', 'a reference to nothing', record('R', field('r', 'Nothing'))),
  of('AVRO', 'a fixed of 2^40 bytes', { type: 'fixed', name: 'F', size: 2 ** 40 }),
  of('AVRO', 'a decimal of 10^9 digits', { type: 'bytes', logicalType: 'decimal', precision: 1e9 }),
  of('AVRO', 'no JSON', '{"type":"record",'),
  of('AVRO', 'a key twice', '{"type":"record","type":"enum","name":"E","symbols":["A"]}'),
  of('AVRO', 'a megabyte', record('R', { ...field('f', 'int'), doc: 'x'.repeat(1 << 20) })),
  of('JSON', 'a reference to the web', { $ref: 'http://169.254.169.254/latest' }),
  of('JSON', 'a reference to a file', { $ref: 'file:///etc/passwd' }),
  of('JSON', 'a reference to itself', { definitions: { a: { $ref: '#/definitions/a' } }, $ref: '#/definitions/a' }),
  of('JSON', 'references in a circle', {
    definitions: { a: { $ref: '#/definitions/b' }, b: { $ref: '#/definitions/a' } },
    $ref: '#/definitions/a',
  }),
  of('JSON', 'uniqueItems of anything', { type: 'array', uniqueItems: true }),
  of('JSON', 'a back reference', { pattern: '(a)\\1' }),
  of('JSON', 'a look-ahead', { pattern: '(?=a)' }),
  of('JSON', 'repetitions of repetitions', { pattern: '((a{100}){100}){100}' }),
  of('JSON', 'a pattern of 1,000 characters', { pattern: 'a'.repeat(1_000) }),
  of('JSON', '100 objects in an enum', { enum: range(100, (i) => ({ i })) }),
  of('JSON', 'both branches recur', { anyOf: [{ items: { $ref: '#' } }, { items: { $ref: '#' } }] }),
  of('JSON', 'a draft nobody wrote', { $schema: 'http://example.com/schema' }),
  of('JSON', 'a dynamic reference', { $dynamicRef: '#a' }),
  of('PROTOBUF', 'an import of a file', 'syntax = "proto3"; import "/etc/passwd"; message M { int32 a = 1; }'),
  of('PROTOBUF', 'a type that is nowhere', 'syntax = "proto3"; message M { Nothing a = 1; }'),
  of('PROTOBUF', 'a field of number 0', 'syntax = "proto3"; message M { int32 a = 0; }'),
  of('PROTOBUF', 'a field of number 2^40', 'syntax = "proto3"; message M { int32 a = 1099511627776; }'),
  of('PROTOBUF', 'no message', 'syntax = "proto3";'),
  of('PROTOBUF', 'a group', 'syntax = "proto2"; message M { required group G = 1 { optional int32 a = 1; } }'),
  of('PROTOBUF', 'an extension', 'syntax = "proto2"; message M { extensions 100 to 200; } extend M { optional int32 a = 100; }'),
  of('PROTOBUF', 'a comment that never ends', 'syntax = "proto3"; /* message M { int32 a = 1; }'),
  of('PROTOBUF', 'a text that never ends', 'syntax = "proto3"; option a = "x; message M { int32 a = 1; }'),
  of('PROTOBUF', '250 KB of comments', `syntax = "proto3";\n${'// x\n'.repeat(50_000)}`),
  of('PROTOBUF', '250 KB of semicolons', `syntax = "proto3"; ${';'.repeat(250_000)}`),
  of('PROTOBUF', '250 KB of quotes', `syntax = "proto3"; ${"''".repeat(120_000)}`),
  of('PROTOBUF', '250 KB of dots', `syntax = "proto3"; message M { ${'a.'.repeat(120_000)}b c = 1; }`),
]

const inNamespace = (name: string) => Object.assign(record('R', field('a', 'int')), Object.fromEntries([['namespace', name]]))

/** Names that would run if one were ever put into code, in each place where a schema has names. */
const names = injected.flatMap((name) => [
  of('AVRO', `a record called ${JSON.stringify(name.slice(0, 20))}`, record(name, field('a', 'int'))),
  of('AVRO', `a field called ${JSON.stringify(name.slice(0, 20))}`, record('R', field(name, 'int'))),
  of('AVRO', `a symbol called ${JSON.stringify(name.slice(0, 20))}`, { type: 'enum', name: 'E', symbols: [name] }),
  of('AVRO', `a namespace called ${JSON.stringify(name.slice(0, 20))}`, inNamespace(`${name} `)),
  of('PROTOBUF', `a message called ${JSON.stringify(name.slice(0, 20))}`, `syntax = "proto3"; message ${name} { int32 a = 1; }`),
  of('PROTOBUF', `a field called ${JSON.stringify(name.slice(0, 20))}`, `syntax = "proto3"; message M { int32 ${name} = 1; }`),
])

/** More than 200 of them. */
export const hostileSchemas = (): readonly HostileSchema[] => [
  ...single,
  ...names,
  ...[400, 700, 1_000, 1_500, 3_000].flatMap((size) => [...avroSchemas(size), ...jsonSchemas(size), ...protobufSchemas(size)]),
]
