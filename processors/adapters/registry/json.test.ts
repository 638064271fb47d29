import { expect, test } from '@jest/globals'
import * as fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import { decodeJson } from './json.ts'
import { decode_limits } from './limits.ts'

const decode = (text: string) => decodeJson(Buffer.from(text), 0, decode_limits).value

/** What -0 becomes, and half surrogate pairs, so that JSON.parse's own answer can be compared. */
const normal = (value: unknown): unknown =>
  typeof value === 'string'
    ? value.toWellFormed()
    : typeof value === 'number'
      ? value + 0
      : Array.isArray(value)
        ? value.map(normal)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, normal(one)]))
          : value

const safe_key = fc.string({ unit: 'grapheme' }).filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key))
const json_value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false, 0, -1.5e-300, 9007199254740991),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true, max: 9e15, min: -9e15 }),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value'), { maxLength: 8 }),
    fc.dictionary(safe_key, tie('value'), { maxKeys: 8 }),
  ),
})).value

test('what JSON.parse makes of sound JSON, decodeJson makes too', () => {
  fc.assert(
    fc.property(json_value, fc.integer({ min: 0, max: 3 }), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      expect(decode(text)).toEqual(normal(JSON.parse(text)))
    }),
    { numRuns: 150 },
  )
})

test('any text is a value or a malformed fault', () => {
  const alphabet = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    '1',
    '-',
    'e',
    '.',
    'a',
    'null',
    ' ',
    '\\u00',
    '\ud800',
    'é',
  )
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 40 }), (parts) => {
      try {
        decode(parts.join(''))
      } catch (error) {
        expect(error).toBeInstanceOf(Fault)
        expect((error as Fault).kind).toBe('malformed')
      }
    }),
    { numRuns: 1_000 },
  )
})

test('any integer comes out exactly', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n }), (integer) => {
      const decoded = decode(`{"a":[${integer}]}`) as { a: (number | bigint)[] }
      expect(BigInt(decoded.a[0]!)).toBe(integer)
      expect(typeof decoded.a[0]).toBe(Number.isSafeInteger(Number(integer)) ? 'number' : 'bigint')
    }),
  )
})

test('an exact integer leaves its neighbours as they were', () => {
  expect(decode('{"id":788032119674292922,"price":"19.99","n":-0,"deep":[{"x":1.5,"y":null,"z":true}]}')).toEqual({
    id: 788032119674292922n,
    price: '19.99',
    n: 0,
    deep: [{ x: 1.5, y: null, z: true }],
  })
})

test('the value that validators see has rounded numbers in place of bigint', () => {
  const { rounded, value } = decodeJson(Buffer.from('{"id":9007199254740993}'), 0, decode_limits)
  expect(rounded).toEqual({ id: 9007199254740992 })
  expect(value).toEqual({ id: 9007199254740993n })
})

test('limits hold at their edge', () => {
  const limits = {
    record_bytes_max: 60,
    depth_max: 2,
    keys_max: 2,
    items_max: 3,
    entries_max: 5,
    values_max: 5,
    string_chars_max: 4,
  }
  const at = (text: string): unknown => {
    try {
      return decodeJson(Buffer.from(text), 0, limits).value
    } catch (error) {
      return (error as Fault).code
    }
  }
  expect(at('[[1,2,3]]')).toEqual([[1, 2, 3]])
  expect(at('[[1,2,3,4]]')).toBe('limits.items')
  expect(at('[[[1]]]')).toBe('limits.depth')
  expect(at('{"a":1,"b":2}')).toEqual({ a: 1, b: 2 })
  expect(at('{"a":1,"b":2,"c":3}')).toBe('limits.items')
  expect(at('[{"a":1},{"a":1},{}]')).toEqual([{ a: 1 }, { a: 1 }, {}])
  expect(at('[{"a":1},{"a":1},{"a":1}]')).toBe('limits.items')
  expect(at('"abcd"')).toBe('abcd')
  expect(at('"abcde"')).toBe('limits.string')
  expect(at(`[${' '.repeat(58)}]`)).toEqual([])
  expect(at(`[${' '.repeat(59)}]`)).toBe('limits.bytes')
})

test('messages tell the place, not the payload', () => {
  expect(() => decode('{"user":"alice@example.com"')).toThrow(/^The value is not JSON( at character \d+)?\.$/)
  expect(() => decode('{"a":1 "b":2}')).toThrow('The value is not JSON at character 7.')
})

test('decoding starts where it is told to', () => {
  expect(decodeJson(Buffer.from('\u0000\u0001\u0002{"a":1}'), 3, decode_limits).value).toEqual({ a: 1 })
})
