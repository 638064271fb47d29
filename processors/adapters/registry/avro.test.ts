import { describe, expect, test } from '@jest/globals'
import avro from 'avsc'
import * as fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import { avroEncoder, avroSourceDecoder } from './avro.ts'
import { WritingTap } from './avro-tap.ts'
import { decode_limits } from './limits.ts'
import { avroString, zigzag } from './wire-bytes.ts'

const decode = (schema: unknown, bytes: Buffer): unknown => avroSourceDecoder([schema as never], decode_limits)(bytes, 0)
const field = (name: string, type: unknown) => ({ name, type })

/** A number as big-endian two's complement of the fewest bytes. */
const twosComplement = (value: bigint): Buffer => {
  let length = 1
  while (BigInt.asIntN(length * 8, value) !== value) length++
  return Buffer.from(
    BigInt.asUintN(length * 8, value)
      .toString(16)
      .padStart(length * 2, '0'),
    'hex',
  )
}

test('what avsc encodes is read as it was', () => {
  const schema = {
    type: 'record',
    name: 'R',
    namespace: 'x',
    fields: [
      field('text', 'string'),
      field('bytes', 'bytes'),
      field('int', 'int'),
      field('float', 'float'),
      field('double', 'double'),
      field('flag', 'boolean'),
      field('nothing', 'null'),
      field('list', { type: 'array', items: 'int' }),
      field('map', { type: 'map', values: ['null', 'string'] }),
      field('kind', { type: 'enum', name: 'Kind', symbols: ['A', 'B'] }),
      field('fixed', { type: 'fixed', name: 'Two', size: 2 }),
      field('again', 'Kind'),
      field('self', ['null', 'R']),
    ],
  }
  const encode = avroEncoder([schema as never])
  const key = fc.string({ unit: 'grapheme' }).filter((one) => !['__proto__', 'constructor', 'prototype'].includes(one))
  fc.assert(
    fc.property(
      fc.record({
        text: fc.string({ unit: 'grapheme' }),
        bytes: fc.uint8Array({ maxLength: 20 }).map((one) => Buffer.from(one)),
        int: fc.integer(),
        float: fc.float({ noNaN: true, noDefaultInfinity: true }).map((one) => one + 0),
        double: fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => one + 0),
        flag: fc.boolean(),
        nothing: fc.constant(null),
        list: fc.array(fc.integer()),
        map: fc.dictionary(key, fc.option(fc.string({ unit: 'grapheme' }))),
        kind: fc.constantFrom('A', 'B'),
        fixed: fc.uint8Array({ minLength: 2, maxLength: 2 }).map((one) => Buffer.from(one)),
        again: fc.constantFrom('A', 'B'),
        self: fc.constant(null),
      }),
      (value) => {
        expect(decode(schema, encode({ ...value, self: value }))).toEqual({ ...value, self: value })
      },
    ),
    { numRuns: 60 },
  )
})

test('any long comes out exactly', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const decoded = decode('long', zigzag(value)) as number | bigint
      expect(BigInt(decoded)).toBe(value)
      expect(typeof decoded).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint')
    }),
    { numRuns: 500 },
  )
  for (const edge of [
    2n ** 53n,
    2n ** 53n - 1n,
    -(2n ** 53n),
    -(2n ** 53n) + 1n,
    2n ** 34n,
    -(2n ** 34n),
    134217727n,
    134217728n,
    -134217729n,
  ])
    expect(BigInt(decode('long', zigzag(edge)) as number)).toBe(edge)
})

test('any decimal comes out exactly, from bytes and from fixed', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 30n) + 1n, max: 10n ** 30n - 1n }),
      fc.integer({ min: 0, max: 30 }),
      (unscaled, scale) => {
        const logical = { logicalType: 'decimal', precision: 30, scale }
        const bytes = twosComplement(unscaled)
        const text = decode({ type: 'bytes', ...logical }, avroString(bytes)) as string
        expect(BigInt(text.replace('.', ''))).toBe(unscaled)
        expect(text.includes('.') ? text.length - text.indexOf('.') - 1 : 0).toBe(scale)
        expect(text).toMatch(/^-?(0|[1-9]\d*)(\.\d+)?$/)
        const padded = Buffer.concat([Buffer.alloc(16 - bytes.length, unscaled < 0n ? 0xff : 0), bytes])
        expect(decode({ type: 'fixed', name: 'D', size: 16, ...logical }, padded)).toBe(text)
      },
    ),
  )
})

describe('logical types', () => {
  test.each<[string, unknown, Buffer, unknown]>([
    ['timestamp-nanos', { type: 'long', logicalType: 'timestamp-nanos' }, zigzag(1_763_900_000_000_999_999n), 1_763_900_000_000],
    ['local-timestamp-micros', { type: 'long', logicalType: 'local-timestamp-micros' }, zigzag(-1_500), -2],
    ['time-micros', { type: 'long', logicalType: 'time-micros' }, zigzag(1_500), 1],
    ['time-millis', { type: 'int', logicalType: 'time-millis' }, zigzag(1_500), 1_500],
    ['date before 1970', { type: 'int', logicalType: 'date' }, zigzag(-1), -86_400_000],
    [
      'uuid of 16 bytes',
      { type: 'fixed', name: 'U', size: 16, logicalType: 'uuid' },
      Buffer.from('1b4e28ba2fa15d2f883f0016d3cca427', 'hex'),
      '1b4e28ba-2fa1-5d2f-883f-0016d3cca427',
    ],
    ['uuid as text', { type: 'string', logicalType: 'uuid' }, avroString('1b4e28ba'), '1b4e28ba'],
    ['one that is not known', { type: 'int', logicalType: 'shoe-size' }, zigzag(42), 42],
    [
      'of a named type by its name',
      {
        type: 'record',
        name: 'R',
        fields: [
          field('a', { type: 'fixed', name: 'P', size: 2, logicalType: 'decimal', precision: 4, scale: 2 }),
          field('b', 'P'),
        ],
      },
      Buffer.from([0, 100, 0, 200]),
      { a: '1.00', b: '2.00' },
    ],
  ])('%s', (_name, schema, bytes, expected) => {
    expect(decode(schema, bytes)).toEqual(expected)
  })
})

test('schemas build on those before them', () => {
  const money = { type: 'record', name: 'Money', namespace: 'x', fields: [field('minor', 'long'), field('currency', 'string')] }
  const offer = { type: 'record', name: 'Offer', namespace: 'y', fields: [field('price', 'x.Money')] }
  const bytes = Buffer.concat([zigzag(1_999), avroString('EUR')])
  expect(avroSourceDecoder([money, offer], decode_limits)(bytes, 0)).toEqual({ price: { minor: 1_999, currency: 'EUR' } })
})

test('decoded values stand alone: they do not change with the buffer they were read from', () => {
  const schema = { type: 'record', name: 'R', fields: [field('a', 'string'), field('b', 'bytes')] }
  const bytes = Buffer.concat([avroString('text'), avroString('bytes')])
  const value = decode(schema, bytes)
  bytes.fill(0)
  expect(value).toEqual({ a: 'text', b: Buffer.from('bytes') })
})

test('a decoder is as good after a bad record as before', () => {
  const list = { type: 'record', name: 'L', fields: [field('next', ['null', 'L'])] }
  const read = avroSourceDecoder([list as never], decode_limits)
  for (let i = 0; i < 3; i++) {
    expect(read(Buffer.concat([Buffer.alloc(50, 2), zigzag(0)]), 0)).toMatchObject({ code: 'limits.depth' })
    expect(read(Buffer.concat([Buffer.alloc(20, 2), zigzag(0)]), 0)).not.toBeInstanceOf(Fault)
  }
})

test('the writing cursor writes what avsc writes', () => {
  const tap = new WritingTap(16)
  const written = (write: () => void): string => {
    tap.pos = 0
    write()
    return tap.buf.subarray(0, tap.pos).toString('hex')
  }
  const bare = (type: string, value: unknown): string =>
    avro.Type.forSchema(type as never)
      .toBuffer(value)
      .toString('hex')
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 52), max: 2 ** 53 - 2 }), (value) => {
      expect(written(() => tap.writeLong(value))).toBe(bare('long', value))
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      expect(written(() => tap.writeString(text))).toBe(bare('string', text))
    }),
    { numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.uint8Array({ maxLength: 99 }), fc.boolean(), (double, bytes, flag) => {
      expect(written(() => tap.writeDouble(double))).toBe(bare('double', double))
      expect(written(() => tap.writeFloat(double))).toBe(bare('float', double))
      expect(written(() => tap.writeBytes(bytes))).toBe(bare('bytes', Buffer.from(bytes)))
      expect(written(() => tap.writeBoolean(flag))).toBe(bare('boolean', flag))
    }),
    { numRuns: 200 },
  )
})

describe('a record costs its fields, though no byte pays for them', () => {
  const nulls = Array.from({ length: 1_900 }, (_, i) => field(`n${i}`, 'null'))
  test('a list, and a map, of records of 1,900 nulls', () => {
    const item = { type: 'record', name: 'I', fields: [field('b', 'boolean'), ...nulls] }
    const list = (count: number): Buffer => Buffer.concat([zigzag(count), Buffer.alloc(count), zigzag(0)])
    expect(decode({ type: 'array', items: item }, list(200))).toHaveLength(200)
    expect(decode({ type: 'array', items: item }, list(250))).toMatchObject({ code: 'limits.items' })
    const entries = Buffer.concat(Array.from({ length: 250 }, (_, i) => Buffer.concat([avroString(`k${i}`), Buffer.alloc(1)])))
    expect(decode({ type: 'map', values: item }, Buffer.concat([zigzag(250), entries, zigzag(0)]))).toMatchObject({
      code: 'limits.items',
    })
  })

  test('a tree of them through unions, and through a record between', () => {
    const between = { type: 'record', name: 'B', fields: [field('a', ['null', 'N']), field('b', ['null', 'N'])] }
    const node = { type: 'record', name: 'N', fields: [field('c', between), ...nulls] }
    const tree = (levels: number): Buffer =>
      levels === 0 ? Buffer.alloc(2) : Buffer.concat([Buffer.from([2]), tree(levels - 1), Buffer.from([2]), tree(levels - 1)])
    expect(decode(node, tree(6))).not.toBeInstanceOf(Fault)
    expect(decode(node, tree(10))).toMatchObject({ code: 'limits.items' })
  })
})
