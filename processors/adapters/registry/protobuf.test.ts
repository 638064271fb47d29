import { describe, expect, test } from '@jest/globals'
import * as fc from 'fast-check'
import protobuf from 'protobufjs'
import { Fault } from '../../domain/fault.ts'
import { decode_limits } from './limits.ts'
import { protobufDecoder } from './protobuf.ts'
import { protoBytes, protoDouble, protoTag, protoVarint, zigzag } from './wire-bytes.ts'

const decoder = (body: string, syntax = 'proto3') => {
  const decode = protobufDecoder(`syntax = "${syntax}";\n${body}`, decode_limits)
  return (bytes: Buffer, indexes: readonly number[] = [0]) => decode(bytes, 0, indexes)
}

const wide = `
message Wide {
  double double = 1; float float = 2; int32 int32 = 3; int64 int64 = 4; uint32 uint32 = 5; uint64 uint64 = 6; sint32 sint32 = 7;
  sint64 sint64 = 8; fixed32 fixed32 = 9; fixed64 fixed64 = 10; sfixed32 sfixed32 = 11; sfixed64 sfixed64 = 12; bool bool = 13;
  string string = 14; bytes bytes = 15; repeated int64 packed = 16; repeated string strings = 17; map<int64, string> map = 18; Wide inner = 19;
}`

const exact = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value)

test('what protobufjs encodes is read as it was, every type, 64 bits exact', () => {
  const type = protobuf.parse(`syntax = "proto3";${wide}`, { keepCase: true }).root.lookupType('Wide')
  const decode = decoder(wide)
  const signed = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const unsigned = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  fc.assert(
    fc.property(
      fc.record({
        double: fc.double({ noNaN: true, noDefaultInfinity: true }),
        float: fc.float({ noNaN: true, noDefaultInfinity: true }),
        int32: fc.integer(),
        int64: signed,
        uint32: fc.nat(),
        uint64: unsigned,
        sint32: fc.integer(),
        sint64: signed,
        fixed32: fc.nat(),
        fixed64: unsigned,
        sfixed32: fc.integer(),
        sfixed64: signed,
        bool: fc.boolean(),
        string: fc.string({ unit: 'grapheme' }),
        packed: fc.array(signed, { maxLength: 5 }),
        strings: fc.array(fc.string(), { maxLength: 5 }),
      }),
      (value) => {
        const longs = ['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64'] as const
        const given = type.fromObject({
          ...value,
          ...Object.fromEntries(longs.map((name) => [name, String(value[name])])),
          packed: value.packed.map(String),
          map: { '-7': 'x' },
          inner: { string: 'in' },
        })
        const bytes = Buffer.from(type.encode(given).finish())
        const decoded = decode(bytes) as Record<string, unknown>
        expect(decoded).toMatchObject({
          ...value,
          double: value.double + 0,
          float: value.float + 0,
          ...Object.fromEntries(longs.map((name) => [name, exact(value[name])])),
          packed: value.packed.map(exact),
          map: { '-7': 'x' },
          inner: { string: 'in', int64: 0, strings: [], map: {}, inner: null },
        })
      },
    ),
    { numRuns: 80 },
  )
})

describe('presence', () => {
  test('proto3: defaults where absence cannot be told, null where it can', () => {
    const decode = decoder(
      'message M { string s = 1; optional string o = 2; M m = 3; oneof x { int32 a = 4; string b = 5; } bool f = 6; E e = 7; } enum E { Z = 0; }',
    )
    expect(decode(protoVarint(6, 1))).toEqual({ s: '', o: null, m: null, a: null, b: null, f: true, e: 'Z' })
  })

  test('of a oneof the last one stands', () => {
    const decode = decoder('message M { oneof x { int32 a = 1; string b = 2; } }')
    expect(decode(Buffer.concat([protoVarint(1, 7), protoBytes(2, 'last')]))).toEqual({ a: null, b: 'last' })
  })

  test('proto2: a required field has to be there', () => {
    const decode = decoder('message M { required int32 a = 1; optional int32 b = 2; }', 'proto2')
    expect(decode(protoVarint(1, 0))).toEqual({ a: 0, b: null })
    expect(decode(protoVarint(2, 5))).toMatchObject({ code: 'decode.invalid' })
  })

  test('a message that comes twice is merged, a scalar replaced', () => {
    const decode = decoder('message M { N n = 1; int32 v = 2; } message N { int32 a = 1; repeated int32 r = 2; }')
    const bytes = Buffer.concat([
      protoBytes(1, Buffer.concat([protoVarint(1, 1), protoVarint(2, 5)])),
      protoVarint(2, 1),
      protoBytes(1, protoVarint(2, 6)),
      protoVarint(2, 2),
    ])
    expect(decode(bytes)).toEqual({ n: { a: 1, r: [5, 6] }, v: 2 })
  })
})

describe('wire', () => {
  test('repeated numbers may be packed or not, in one record', () => {
    const decode = decoder('message M { repeated sint32 r = 1; }')
    const bytes = Buffer.concat([protoTag(1, 0), zigzag(-1), protoBytes(1, Buffer.concat([zigzag(2), zigzag(-3)]))])
    expect(decode(bytes)).toEqual({ r: [-1, 2, -3] })
  })

  test('fields of newer writers are stepped over, groups too', () => {
    const decode = decoder('message M { int32 a = 1; }')
    const group = Buffer.concat([protoTag(9, 3), protoVarint(1, 5), protoTag(8, 3), protoTag(8, 4), protoTag(9, 4)])
    const bytes = Buffer.concat([protoVarint(2, 9), protoBytes(3, 'x'), protoDouble(4, 1), group, protoVarint(1, 7)])
    expect(decode(bytes)).toEqual({ a: 7 })
  })

  test('a group that ends another, a field of number 0, a wrong wire type', () => {
    const decode = decoder('message M { int32 a = 1; }')
    expect(decode(Buffer.concat([protoTag(9, 3), protoTag(8, 4)]))).toMatchObject({ code: 'decode.invalid' })
    expect(decode(protoVarint(0, 1))).toMatchObject({ code: 'decode.invalid' })
    expect(decode(protoBytes(1, 'x'))).toMatchObject({ code: 'decode.invalid' })
    expect(decode(Buffer.from([0x0f]))).toMatchObject({ code: 'decode.invalid' })
  })

  test('counts are bounded', () => {
    const decode = decoder('message M { repeated bool r = 1; map<int32, bool> m = 2; }')
    expect(decode(protoBytes(1, Buffer.alloc(10_001, 1)))).toMatchObject({ code: 'limits.items' })
    const entries = Array.from({ length: 1_001 }, (_, i) => protoBytes(2, protoVarint(1, i)))
    expect(decode(Buffer.concat(entries))).toMatchObject({ code: 'limits.items' })
  })

  test('a map holds a key once, and its default where it is absent', () => {
    const decode = decoder('message M { map<string, int32> m = 1; map<int32, M> n = 2; }')
    expect(decode(protoBytes(1, Buffer.alloc(0)))).toEqual({ m: { '': 0 }, n: {} })
    expect(decode(protoBytes(2, protoVarint(1, 3)))).toEqual({ m: {}, n: { '3': { m: {}, n: {} } } })
    expect(decode(Buffer.concat([protoBytes(1, protoBytes(1, 'k')), protoBytes(1, protoBytes(1, 'k'))]))).toMatchObject({
      code: 'json.dup_key',
    })
  })
})

test('the path leads to nested messages, in the order of the text', () => {
  const decode = decoder(
    'message A { message B { int32 b = 1; } enum E { Z = 0; } message C { int32 c = 1; message D { int32 d = 1; } } } message F { int32 f = 1; }',
  )
  expect(decode(protoVarint(1, 5), [0, 0])).toEqual({ b: 5 })
  expect(decode(protoVarint(1, 5), [0, 1, 0])).toEqual({ d: 5 })
  expect(decode(protoVarint(1, 5), [1])).toEqual({ f: 5 })
  expect(decode(protoVarint(1, 5), [0, 2])).toMatchObject({ code: 'decode.index' })
})

test('well-known types are plain values', () => {
  const decode = decoder(`
    import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto";
    message M { google.protobuf.Timestamp at = 1; google.protobuf.Duration for = 2; google.protobuf.Int64Value n = 3; google.protobuf.Struct s = 4; google.protobuf.StringValue t = 5; }`)
  const value = (fields: Buffer) => protoBytes(2, fields)
  const entry = (key: string, fields: Buffer) => protoBytes(1, Buffer.concat([protoBytes(1, key), value(fields)]))
  const bytes = Buffer.concat([
    protoBytes(1, Buffer.concat([protoVarint(1, 1_763_900_000), protoVarint(2, 5_999_999)])),
    protoBytes(2, protoVarint(1, -2n)),
    protoBytes(3, protoVarint(1, 2n ** 60n)),
    protoBytes(
      4,
      Buffer.concat([
        entry('a', protoDouble(2, 1.5)),
        entry('b', protoVarint(1, 0)),
        entry('c', protoBytes(6, protoBytes(1, protoVarint(4, 1)))),
      ]),
    ),
  ])
  expect(decode(bytes)).toEqual({
    at: 1_763_900_000_005,
    for: -2_000,
    n: 2n ** 60n,
    s: { a: 1.5, b: null, c: [true] },
    t: null,
  })
  expect(decode(protoBytes(1, protoVarint(1, 10n ** 15n)))).toMatchObject({ code: 'time.invalid' })
})

test('any bytes are a value or a malformed fault', () => {
  const decode = decoder(wide)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      const decoded = decode(Buffer.from(bytes))
      if (decoded instanceof Fault) expect(decoded.kind).toBe('malformed')
    }),
    { numRuns: 1_000 },
  )
})

describe('a message costs its fields, though none of them is there', () => {
  const wide = (name: string, kind: string): string =>
    `message ${name} { ${Array.from({ length: 400 }, (_, i) => `${kind} f${i} = ${i + 1};`).join(' ')} }`
  test.each(['repeated int32', 'map<string, int32>', 'int32'])('lists of messages of 400 fields: %s', (kind) => {
    const decode = decoder(`message M { repeated N n = 1; } ${wide('N', kind)}`)
    const messages = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => protoBytes(1, '')))
    expect(decode(messages(900))).not.toBeInstanceOf(Fault)
    expect(decode(messages(1_100))).toMatchObject({ code: 'limits.items' })
  })

  test('two members of a oneof that replace each other', () => {
    const decode = decoder(`message M { oneof one { N a = 1; O b = 2; } } ${wide('N', 'int32')} ${wide('O', 'int32')}`)
    const turns = Array.from({ length: 1_500 }, () => Buffer.concat([protoBytes(1, ''), protoBytes(2, '')]))
    expect(decode(Buffer.concat(turns))).toMatchObject({ code: 'limits.items' })
  })

  test('absent lists and maps of two messages are not one', () => {
    const decode = decoder('message M { repeated N n = 1; } message N { repeated int32 r = 1; map<string, int32> m = 2; }')
    const full = protoBytes(1, Buffer.concat([protoVarint(1, 7), protoBytes(2, protoBytes(1, 'k'))]))
    expect(decode(Buffer.concat([protoBytes(1, ''), full, protoBytes(1, '')]))).toEqual({
      n: [
        { r: [], m: {} },
        { r: [7], m: { k: 0 } },
        { r: [], m: {} },
      ],
    })
  })
})
