/** The catalogue of bad inputs, by the row numbers of the reliability reference (§4): those about bytes and decoding. */
import { describe, expect, test } from '@jest/globals'
import { Fault, type FaultCode } from '../../domain/fault.ts'
import type { Schema, SchemaRegistry, SourceFormat, SourceValue } from '../../ports/schema-registry.ts'
import { openEmbeddedRegistry } from './embedded-registry.ts'
import { frame, messagePathBytes } from './framing.ts'
import { openSourceDecoder } from './source-decoder.ts'
import { avroString, protoBytes, protoDouble, protoTag, protoVarint, varint, zigzag } from './wire-bytes.ts'

const avroSchema = (type: unknown): Schema => ({ format: 'AVRO', text: JSON.stringify(type) })
const record = (...fields: readonly (readonly [string, unknown])[]): Schema =>
  avroSchema({ type: 'record', name: 'R', fields: fields.map(([name, type]) => ({ name, type })) })
const proto = (body: string): Schema => ({ format: 'PROTOBUF', text: `syntax = "proto3";\n${body}` })

type Outcome = { readonly code: FaultCode } | { readonly value: unknown }
type Row = readonly [row: number, what: string, format: SourceFormat, schema: Schema | null, datum: Buffer, expected: Outcome]

const code = (fault_code: FaultCode): Outcome => ({ code: fault_code })
const value = (decoded: unknown): Outcome => ({ value: decoded })
const j = (text: string): Buffer => Buffer.from(text)
const double = (number: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(number)
  return bytes
}
const first = messagePathBytes([0])
const message = (...fields: readonly Buffer[]): Buffer => Buffer.concat([first, ...fields])

const one_string = record(['a', 'string'])
const list = avroSchema({ type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'] }] })
const thing = proto(
  'message M { map<string,int32> m = 1; int64 id = 2; string s = 3; repeated int32 r = 4; E e = 5; double d = 6; N n = 7; bytes b = 8; }' +
    ' enum E { A = 0; B = 1; } message N { N n = 1; string s = 2; }',
)
const nested = (levels: number): Buffer => {
  let bytes: Buffer = protoBytes(2, 'x')
  for (let i = 0; i < levels; i++) bytes = protoBytes(1, bytes)
  return protoBytes(7, bytes)
}
const decimal = record(['p', { type: 'bytes', logicalType: 'decimal', precision: 6, scale: 2 }])
const logical = (type: string, logicalType: string) => record(['t', { type, logicalType }])
const two_records = record([
  'u',
  [
    { type: 'record', name: 'A', fields: [{ name: 'x', type: 'int' }] },
    { type: 'record', name: 'B', fields: [{ name: 'x', type: 'int' }] },
  ],
])

/** `datum` is what follows the wire header; for PLAIN_JSON the whole value. */
const rows: readonly Row[] = [
  [1, 'empty JSON', 'PLAIN_JSON', null, j(''), code('decode.empty')],
  [1, 'empty JSON behind a header', 'JSON', { format: 'JSON', text: '{"type":"object"}' }, j(''), code('decode.empty')],
  [1, 'empty Protobuf message', 'PROTOBUF', thing, message(), code('decode.empty')],
  [1, 'empty Avro datum', 'AVRO', one_string, j(''), code('decode.truncated')],
  [9, 'message index missing', 'PROTOBUF', thing, j(''), code('decode.truncated')],
  [9, 'negative message index', 'PROTOBUF', thing, Buffer.concat([zigzag(1), zigzag(-1)]), code('decode.index')],
  [9, 'message index of 2^31 entries', 'PROTOBUF', thing, zigzag(2 ** 31), code('decode.index')],
  [9, 'message index of 17 entries', 'PROTOBUF', thing, Buffer.concat([zigzag(17), Buffer.alloc(17)]), code('decode.index')],
  [9, 'negative count of message indexes', 'PROTOBUF', thing, zigzag(-3), code('decode.index')],
  [9, 'message index out of range', 'PROTOBUF', thing, Buffer.concat([zigzag(1), zigzag(7), j('x')]), code('decode.index')],
  [9, 'message index longer than 5 bytes', 'PROTOBUF', thing, Buffer.alloc(9, 0xff), code('decode.index')],
  [10, 'bytes behind an Avro datum', 'AVRO', one_string, Buffer.concat([avroString('a'), j('xx')]), code('decode.trailing')],
  [10, 'text behind a JSON value', 'PLAIN_JSON', null, j('{"a":1} {"a":2}'), code('json.syntax')],
  [11, 'Avro string cut', 'AVRO', one_string, Buffer.concat([zigzag(9), j('abc')]), code('decode.truncated')],
  [11, 'Avro string of negative length', 'AVRO', one_string, Buffer.concat([zigzag(-3), j('abc')]), code('decode.invalid')],
  [11, 'Avro string of 2^31 bytes', 'AVRO', one_string, Buffer.concat([zigzag(2n ** 31n), j('a')]), code('decode.truncated')],
  [11, 'Avro integer longer than 64 bits', 'AVRO', record(['a', 'long']), Buffer.alloc(11, 0xff), code('decode.invalid')],
  [
    14,
    'array of nulls, six bytes',
    'AVRO',
    avroSchema({ type: 'array', items: 'null' }),
    Buffer.from('808080800800', 'hex'),
    code('schema.hostile'),
  ],
  [
    14,
    'array of ints that claims 2^30',
    'AVRO',
    avroSchema({ type: 'array', items: 'int' }),
    Buffer.from('808080800800', 'hex'),
    code('limits.items'),
  ],
  [
    14,
    'array that claims more than is there',
    'AVRO',
    avroSchema({ type: 'array', items: 'int' }),
    Buffer.concat([zigzag(9_000), j('ab')]),
    code('decode.truncated'),
  ],
  [
    14,
    'array in a block of negative count',
    'AVRO',
    avroSchema({ type: 'array', items: 'int' }),
    Buffer.concat([zigzag(-2), zigzag(2), zigzag(7), zigzag(8), zigzag(0)]),
    value([7, 8]),
  ],
  [
    14,
    'map that claims 2^30',
    'AVRO',
    avroSchema({ type: 'map', values: 'int' }),
    Buffer.from('808080800800', 'hex'),
    code('limits.items'),
  ],
  [15, 'Avro list 20,000 deep', 'AVRO', list, Buffer.concat([Buffer.alloc(20_000, 2), zigzag(0)]), code('limits.depth')],
  [
    15,
    'Avro list 20 deep',
    'AVRO',
    list,
    Buffer.concat([Buffer.alloc(2, 2), zigzag(0)]),
    value({ next: { next: { next: null } } }),
  ],
  [16, 'JSON arrays 10^5 deep', 'PLAIN_JSON', null, j('['.repeat(100_000) + ']'.repeat(100_000)), code('limits.depth')],
  [16, 'JSON objects 33 deep', 'PLAIN_JSON', null, j(`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`), code('limits.depth')],
  [
    16,
    'brackets in strings',
    'PLAIN_JSON',
    null,
    j(`{"a":"${'['.repeat(99)}\\"${'{'.repeat(99)}"}`),
    value({ a: `${'['.repeat(99)}"${'{'.repeat(99)}` }),
  ],
  [
    17,
    '1,001 keys',
    'PLAIN_JSON',
    null,
    j(JSON.stringify(Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`k${i}`, 1])))),
    code('limits.items'),
  ],
  [17, '10,001 items', 'PLAIN_JSON', null, j(JSON.stringify(Array.from({ length: 10_001 }, () => 1))), code('limits.items')],
  [17, 'string beyond 64 Ki', 'PLAIN_JSON', null, j(JSON.stringify({ a: 'x'.repeat(65_537) })), code('limits.string')],
  [17, 'Avro string beyond 64 Ki', 'AVRO', one_string, avroString('x'.repeat(65_537)), code('limits.string')],
  [17, 'Protobuf string beyond 64 Ki', 'PROTOBUF', thing, message(protoBytes(3, 'x'.repeat(65_537))), code('limits.string')],
  [
    17,
    'record beyond 1 MiB',
    'PLAIN_JSON',
    null,
    j(JSON.stringify(Array.from({ length: 20 }, () => 'x'.repeat(60_000)))),
    code('limits.bytes'),
  ],
  [17, 'Avro record beyond 1 MiB', 'AVRO', record(['a', 'bytes']), avroString(Buffer.alloc(1024 * 1024)), code('limits.bytes')],
  [18, 'key written twice', 'PLAIN_JSON', null, j('{"uid":"a","uid":"b"}'), code('json.dup_key')],
  [18, 'key written twice, once escaped', 'PLAIN_JSON', null, j('{"uid":"a","\\u0075id":"b"}'), code('json.dup_key')],
  [18, 'colons in strings', 'PLAIN_JSON', null, j('{"a:b":"c:\\\\","d":"\\":"}'), value({ 'a:b': 'c:\\', d: '":' })],
  [19, '2^53 + 1', 'PLAIN_JSON', null, j('{"id":9007199254740993,"n":7}'), value({ id: 9007199254740993n, n: 7 })],
  [
    19,
    '-2^53 and 2^53 - 1',
    'PLAIN_JSON',
    null,
    j('[-9007199254740992,9007199254740991]'),
    value([-9007199254740992n, 9007199254740991]),
  ],
  [
    19,
    'large but not an integer in writing',
    'PLAIN_JSON',
    null,
    j('[1e20,90071992547409931.5]'),
    value([1e20, Number('90071992547409931.5')]),
  ],
  [20, '1e400', 'PLAIN_JSON', null, j('{"p":1e400}'), code('number.range')],
  [20, '400 digits', 'PLAIN_JSON', null, j(`[${'9'.repeat(400)}]`), code('number.range')],
  [20, '-0', 'PLAIN_JSON', null, j('{"p":-0,"q":[-0.0]}'), value({ p: 0, q: [0] })],
  [21, 'NaN in an Avro double', 'AVRO', record(['d', 'double']), double(Number.NaN), code('number.nonfinite')],
  [21, 'Infinity in an Avro float', 'AVRO', record(['d', 'float']), Buffer.from('0000807f', 'hex'), code('number.nonfinite')],
  [
    21,
    'Infinity in a Protobuf double',
    'PROTOBUF',
    thing,
    message(protoDouble(6, Number.POSITIVE_INFINITY)),
    code('number.nonfinite'),
  ],
  [22, 'Avro long 2^53 + 1', 'AVRO', record(['l', 'long']), zigzag(2n ** 53n + 1n), value({ l: 2n ** 53n + 1n })],
  [22, 'Avro long 2^53 - 1', 'AVRO', record(['l', 'long']), zigzag(2n ** 53n - 1n), value({ l: Number.MAX_SAFE_INTEGER })],
  [22, 'Avro long -2^63', 'AVRO', record(['l', 'long']), zigzag(-(2n ** 63n)), value({ l: -(2n ** 63n) })],
  [22, 'Avro long 2^63 - 1', 'AVRO', record(['l', 'long']), zigzag(2n ** 63n - 1n), value({ l: 2n ** 63n - 1n })],
  [
    22,
    'Avro long in a union',
    'AVRO',
    record(['l', ['null', 'long']]),
    Buffer.concat([zigzag(1), zigzag(2n ** 60n)]),
    value({ l: 2n ** 60n }),
  ],
  [23, 'Avro int 2^40', 'AVRO', record(['i', 'int']), zigzag(2n ** 40n), code('number.range')],
  [23, 'Protobuf int32 2^40', 'PROTOBUF', thing, message(protoVarint(4, 2n ** 40n)), code('number.range')],
  [
    24,
    'Protobuf int64 2^53 + 1',
    'PROTOBUF',
    proto('message M { int64 id = 1; }'),
    message(protoVarint(1, 2n ** 53n + 1n)),
    value({ id: 2n ** 53n + 1n }),
  ],
  [24, 'Protobuf int64 -1', 'PROTOBUF', proto('message M { int64 id = 1; }'), message(protoVarint(1, -1n)), value({ id: -1 })],
  [25, 'Avro boolean of byte 7', 'AVRO', record(['b', 'boolean']), Buffer.from([7]), value({ b: true })],
  [26, 'union index out of range', 'AVRO', record(['u', ['null', 'int']]), Buffer.from([10, 2]), code('decode.invalid')],
  [26, 'union index negative', 'AVRO', record(['u', ['null', 'int']]), zigzag(-1), code('decode.invalid')],
  [
    27,
    'Avro enum index out of range',
    'AVRO',
    avroSchema({ type: 'enum', name: 'E', symbols: ['A', 'B'] }),
    zigzag(2),
    code('decode.invalid'),
  ],
  [
    27,
    'Protobuf enum number outside the schema',
    'PROTOBUF',
    proto('message M { E e = 1; } enum E { A = 0; B = 1; }'),
    message(protoVarint(1, 99)),
    value({ e: 'UNKNOWN' }),
  ],
  [28, 'union of two records', 'AVRO', two_records, Buffer.concat([zigzag(1), zigzag(5)]), value({ u: { x: 5 } })],
  [28, 'union of int and long', 'AVRO', record(['u', ['int', 'long']]), Buffer.concat([zigzag(1), zigzag(5)]), value({ u: 5 })],
  [29, 'decimal', 'AVRO', decimal, avroString(Buffer.from([0x30, 0x39])), value({ p: '123.45' })],
  [29, 'decimal below one', 'AVRO', decimal, avroString(Buffer.from([0xfb])), value({ p: '-0.05' })],
  [29, 'decimal of too many digits', 'AVRO', decimal, avroString(Buffer.from('7fffffff', 'hex')), code('number.range')],
  [29, 'decimal of no bytes', 'AVRO', decimal, zigzag(0), code('decode.invalid')],
  [
    30,
    'timestamp in ms',
    'AVRO',
    logical('long', 'timestamp-millis'),
    zigzag(1_763_900_000_000),
    value({ t: 1_763_900_000_000 }),
  ],
  [
    30,
    'timestamp in µs',
    'AVRO',
    logical('long', 'timestamp-micros'),
    zigzag(1_763_900_000_000_999n),
    value({ t: 1_763_900_000_000 }),
  ],
  [30, 'timestamp in µs before 1970', 'AVRO', logical('long', 'timestamp-micros'), zigzag(-1), value({ t: -1 })],
  [30, 'date', 'AVRO', logical('int', 'date'), zigzag(20_000), value({ t: 1_728_000_000_000 })],
  [
    31,
    'timestamp beyond dates',
    'AVRO',
    logical('long', 'timestamp-millis'),
    zigzag(8_640_000_000_000_001n),
    code('time.invalid'),
  ],
  [
    31,
    'µs in a field of ms',
    'AVRO',
    logical('long', 'timestamp-millis'),
    zigzag(1_763_900_000_000_000_000n),
    code('time.invalid'),
  ],
  [33, 'empty id, for the map to refuse', 'AVRO', record(['user_id', 'string']), avroString(''), value({ user_id: '' })],
  [35, 'Protobuf string cut', 'PROTOBUF', thing, message(Buffer.from([0x1a, 200, 1, 65])), code('decode.truncated')],
  [35, 'Protobuf varint cut', 'PROTOBUF', thing, message(Buffer.from([0x10, 0x80])), code('decode.truncated')],
  [35, 'Protobuf double cut', 'PROTOBUF', thing, message(Buffer.from([0x31, 1, 2])), code('decode.truncated')],
  [
    35,
    'cut inside a field of no known number',
    'PROTOBUF',
    thing,
    message(Buffer.from([0x7a, 200, 1, 65])),
    code('decode.truncated'),
  ],
  [
    35,
    'inner message longer than the outer',
    'PROTOBUF',
    thing,
    message(Buffer.from([0x3a, 3, 0x12, 9, 65])),
    code('decode.truncated'),
  ],
  [36, 'Protobuf nested 20,000 deep', 'PROTOBUF', thing, message(nested(20_000)), code('limits.depth')],
  [36, 'groups nested 20,000 deep', 'PROTOBUF', thing, message(Buffer.alloc(20_000, 0x7b)), code('limits.depth')],
  [
    37,
    'invalid UTF-8 in JSON text',
    'PLAIN_JSON',
    null,
    Buffer.concat([j('{"a":"'), Buffer.from([0xff, 0xfe]), j('A"}')]),
    value({ a: '\ufffd\ufffdA' }),
  ],
  [
    37,
    'invalid UTF-8 in a JSON key',
    'PLAIN_JSON',
    null,
    Buffer.concat([j('{"'), Buffer.from([0xff]), j('":1}')]),
    code('decode.utf8'),
  ],
  [
    37,
    'invalid UTF-8 in an Avro string',
    'AVRO',
    one_string,
    avroString(Buffer.from([0xff, 0xfe, 0x41])),
    value({ a: '\ufffd\ufffdA' }),
  ],
  [
    37,
    'invalid UTF-8 in an Avro map key',
    'AVRO',
    avroSchema({ type: 'map', values: 'int' }),
    Buffer.concat([zigzag(1), avroString(Buffer.from([0xff])), zigzag(1), zigzag(0)]),
    code('decode.utf8'),
  ],
  [
    37,
    'invalid UTF-8 in a Protobuf string',
    'PROTOBUF',
    proto('message M { string s = 1; }'),
    message(protoBytes(1, Buffer.from([0xff]))),
    value({ s: '\ufffd' }),
  ],
  [
    37,
    'invalid UTF-8 in a Protobuf map key',
    'PROTOBUF',
    thing,
    message(protoBytes(1, protoBytes(1, Buffer.from([0xff])))),
    code('decode.utf8'),
  ],
  [
    37,
    'U+FFFD as it is written',
    'AVRO',
    avroSchema({ type: 'map', values: 'int' }),
    Buffer.concat([zigzag(1), avroString('\ufffd'), zigzag(1), zigzag(0)]),
    value({ '\ufffd': 1 }),
  ],
  [38, 'lone surrogate in text', 'PLAIN_JSON', null, j('{"a":"x\\ud800y"}'), value({ a: 'x\ufffdy' })],
  [38, 'lone surrogate in a key', 'PLAIN_JSON', null, j('{"\\udc00":1}'), code('decode.utf8')],
  [38, 'pair of surrogates', 'PLAIN_JSON', null, j('{"\\ud83d\\ude00":"\\ud83d\\ude00"}'), value({ '😀': '😀' })],
  [
    39,
    'composed and decomposed stay apart',
    'PLAIN_JSON',
    null,
    j('["caf\\u00e9","cafe\\u0301"]'),
    value(['caf\u00e9', 'cafe\u0301']),
  ],
  [40, 'NUL, newline, escape', 'AVRO', one_string, avroString('a\u0000\n\u001b[0m'), value({ a: 'a\u0000\n\u001b[0m' })],
  [41, 'byte order mark', 'PLAIN_JSON', null, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), j('{}')]), code('json.syntax')],
  [42, '__proto__ as a JSON key', 'PLAIN_JSON', null, j('{"__proto__":{"admin":1}}'), code('json.proto')],
  [42, '__proto__ escaped', 'PLAIN_JSON', null, j('{"\\u005f_proto__":{"admin":1}}'), code('json.proto')],
  [42, 'constructor as a JSON key', 'PLAIN_JSON', null, j('{"a":{"constructor":1}}'), code('json.proto')],
  [
    42,
    '__proto__ as an Avro map key',
    'AVRO',
    avroSchema({ type: 'map', values: 'int' }),
    Buffer.concat([zigzag(1), avroString('__proto__'), zigzag(1), zigzag(0)]),
    code('json.proto'),
  ],
  [
    42,
    'prototype as a Protobuf map key',
    'PROTOBUF',
    thing,
    message(protoBytes(1, protoBytes(1, 'prototype'))),
    code('json.proto'),
  ],
  [42, '__proto__ as an Avro field', 'AVRO', record(['__proto__', 'int']), zigzag(1), code('schema.hostile')],
  [
    42,
    'constructor as a Protobuf field',
    'PROTOBUF',
    proto('message M { int32 constructor = 1; }'),
    message(protoVarint(1, 1)),
    code('schema.hostile'),
  ],
  [
    43,
    'hasOwnProperty, toString and then',
    'PLAIN_JSON',
    null,
    j('{"hasOwnProperty":1,"toString":2,"then":3}'),
    value(
      Object.fromEntries([
        ['hasOwnProperty', 1],
        ['toString', 2],
        ['then', 3],
      ]),
    ),
  ],
  [
    43,
    'then as an Avro field',
    'AVRO',
    record(['then', 'int'], ['valueOf', 'int']),
    Buffer.concat([zigzag(1), zigzag(2)]),
    value(
      Object.fromEntries([
        ['then', 1],
        ['valueOf', 2],
      ]),
    ),
  ],
]

/** A registry that answers with any schema, as a careless or hostile one would: it does not lint. */
const serving = (format: Schema['format'], schema: Schema): SchemaRegistry => ({
  ...absent,
  byId: async (id) => (id === 7 ? { ...schema, format, id } : undefined),
  subjectsOf: async () => ['source.x.items-value'],
})
const refuse = async (): Promise<never> => {
  throw new Error('not asked for in these tests')
}
const absent: SchemaRegistry = {
  register: refuse,
  byId: refuse,
  latest: refuse,
  version: refuse,
  subjectsOf: refuse,
  subjects: refuse,
  compatible: refuse,
  setCompatibility: refuse,
  ping: refuse,
}

const topic = 'source.x.items'
const decodeOne = async (format: SourceFormat, schema: Schema | null, datum: Buffer): Promise<SourceValue | Fault> => {
  const registry = schema === null ? absent : serving(schema.format, schema)
  const bytes = format === 'PLAIN_JSON' ? datum : frame(7, datum)
  const [decoded] = await openSourceDecoder(registry).decode(topic, format, [bytes])
  return decoded instanceof Fault ? decoded : decoded!.value
}

describe('bad inputs (§4)', () => {
  test.each(rows)('row %i: %s', async (_row, _what, format, schema, datum, expected) => {
    const decoded = await decodeOne(format, schema, datum)
    if ('code' in expected) {
      expect(decoded).toBeInstanceOf(Fault)
      expect(decoded).toMatchObject({ code: expected.code, kind: 'malformed' })
    } else expect(decoded).toEqual(expected.value)
  })

  const wire: readonly (readonly [row: number, what: string, bytes: Buffer, code: FaultCode])[] = [
    [1, 'no bytes', Buffer.alloc(0), 'decode.empty'],
    [4, 'JSON in an Avro topic', j('{"a":"b"}'), 'decode.magic'],
    [4, 'magic byte 1', Buffer.from([1, 0, 0, 0, 7, 2, 65]), 'decode.magic'],
    [5, 'one byte', Buffer.from([0]), 'decode.truncated'],
    [5, 'four bytes', Buffer.from([0, 0, 0, 0]), 'decode.truncated'],
    [6, 'unknown id', frame(99, avroString('a')), 'schema.unknown'],
    [6, 'negative id', frame(-1, avroString('a')), 'schema.unknown'],
    [7, 'id of another subject', frame(2, avroString('a')), 'schema.subject_mismatch'],
    [8, 'id of a Protobuf schema', frame(3, avroString('a')), 'schema.type'],
  ]
  test.each(wire)('row %i: %s', async (_row, _what, bytes, expected) => {
    const registry = await openEmbeddedRegistry(null)
    expect(await registry.register(`${topic}-value`, one_string)).toBe(1)
    expect(await registry.register('other-value', record(['b', 'string']))).toBe(2)
    expect(await registry.register(`${topic}-proto`, thing)).toBe(3)
    const [decoded] = await openSourceDecoder(registry).decode(topic, 'AVRO', [bytes])
    expect(decoded).toMatchObject({ code: expected, kind: 'malformed' })
  })

  test('row 6: an outage throws for the batch, and dead-letters nothing', async () => {
    const down: SchemaRegistry = {
      ...absent,
      byId: async () => {
        throw new Fault('registry.unavailable', 'The schema registry does not answer.')
      },
    }
    const decoder = openSourceDecoder(down)
    await expect(decoder.decode(topic, 'AVRO', [frame(1, avroString('a')), j('{')])).rejects.toMatchObject({
      code: 'registry.unavailable',
      kind: 'transient',
    })
    // What needs no registry is still answered.
    expect(await decoder.decode(topic, 'AVRO', [j('{')])).toMatchObject([{ code: 'decode.magic' }])
  })

  test('row 7: configured subjects are allowed besides', async () => {
    const registry = await openEmbeddedRegistry(null)
    const id = await registry.register('com.acme.R', one_string)
    const decoder = openSourceDecoder(registry, { allow: () => ['com.acme.R'] })
    expect(await decoder.decode(topic, 'AVRO', [frame(id, avroString('a'))])).toEqual([{ value: { a: 'a' }, schema_id: id }])
  })

  test('one bad record takes none of its batch with it', async () => {
    const decoder = openSourceDecoder(absent)
    const decoded = await decoder.decode(topic, 'PLAIN_JSON', [j('{"a":1}'), j('{'), j('[2]')])
    expect(decoded).toMatchObject([{ value: { a: 1 } }, { code: 'json.syntax' }, { value: [2] }])
  })

  test('rows 42, 43: decoded objects inherit nothing', async () => {
    const schemas: readonly (readonly [SourceFormat, Schema | null, Buffer])[] = [
      ['PLAIN_JSON', null, j('{"a":{"b":[{}]}}')],
      ['AVRO', record(['a', { type: 'map', values: 'int' }]), Buffer.concat([zigzag(1), avroString('k'), zigzag(1), zigzag(0)])],
      ['PROTOBUF', thing, message(protoBytes(1, protoBytes(1, 'k')))],
    ]
    const all = (one: unknown): object[] =>
      typeof one === 'object' && one !== null && !Buffer.isBuffer(one)
        ? [...(Array.isArray(one) ? [] : [one]), ...Object.values(one).flatMap(all)]
        : []
    for (const [format, schema, datum] of schemas) {
      const objects = all(await decodeOne(format, schema, datum))
      expect(objects.length).toBeGreaterThan(1)
      for (const object of objects)
        for (const name of ['toString', 'constructor', '__proto__', 'then']) expect(name in object).toBe(false)
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
  })

  test('faults hold no payload', async () => {
    const secret = 'alice@example.com'
    const inputs: readonly (readonly [SourceFormat, Schema | null, Buffer])[] = [
      ['PLAIN_JSON', null, j(`{"${secret}":"${secret}",}`)],
      ['PLAIN_JSON', null, j(`{"${secret}":1,"${secret}":2}`)],
      ['PLAIN_JSON', null, j(secret)],
      ['JSON', { format: 'JSON', text: '{"additionalProperties":{"type":"integer"}}' }, j(`{"${secret}":"${secret}"}`)],
      ['AVRO', one_string, Buffer.concat([zigzag(30), j(secret)])],
      ['PROTOBUF', thing, message(protoBytes(1, Buffer.concat([protoBytes(1, secret), protoTag(2, 1)])))],
      ['PROTOBUF', thing, message(protoBytes(1, protoBytes(1, secret)), protoBytes(1, protoBytes(1, secret)))],
    ]
    for (const [format, schema, datum] of inputs) {
      const decoded = await decodeOne(format, schema, datum)
      expect(decoded).toBeInstanceOf(Fault)
      const fault = decoded as Fault
      expect(`${fault.message} ${JSON.stringify(fault.detail)} ${String(fault.cause)}`).not.toContain('alice')
    }
  })

  test('row 14: many small parts cost a budget of their own, in every format', async () => {
    const eleven_of_9999 = (one: Buffer): Buffer => Buffer.concat(Array.from({ length: 11 }, () => one))
    const json = j(`[${Array.from({ length: 11 }, () => `[${'0,'.repeat(9_998)}0]`).join(',')}]`)
    expect(await decodeOne('PLAIN_JSON', null, json)).toMatchObject({ code: 'limits.items' })
    const lists = avroSchema({ type: 'array', items: { type: 'array', items: 'boolean' } })
    const list_of_booleans = Buffer.concat([zigzag(9_999), Buffer.alloc(9_999), zigzag(0)])
    const avro = Buffer.concat([zigzag(11), eleven_of_9999(list_of_booleans), zigzag(0)])
    expect(await decodeOne('AVRO', lists, avro)).toMatchObject({ code: 'limits.items' })
    const messages = proto('message M { repeated N n = 1; } message N { repeated bool b = 1; }')
    const message_of_booleans = protoBytes(1, protoBytes(1, Buffer.alloc(9_999)))
    expect(await decodeOne('PROTOBUF', messages, message(eleven_of_9999(message_of_booleans)))).toMatchObject({
      code: 'limits.items',
    })
    expect(await decodeOne('PROTOBUF', messages, message(message_of_booleans))).toMatchObject({ n: [{}] })
  })

  test('a varint of ten bytes whose last holds more than one bit', async () => {
    const eleven = Buffer.concat([Buffer.alloc(9, 0xff), Buffer.from([2])])
    expect(await decodeOne('PROTOBUF', thing, message(protoTag(2, 0), eleven))).toMatchObject({ code: 'decode.invalid' })
    expect(await decodeOne('PROTOBUF', thing, message(protoTag(2, 0), varint(2n ** 64n - 1n)))).toMatchObject({ id: -1 })
  })
})
