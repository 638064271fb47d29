import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodeHeaders, encodeHeaders, packChanges, packRecords, unpackChanges, unpackRecords } from './frame.ts'
import { afterPrefix, keyBytes, keyOf } from './state-key.ts'

const buffer = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map((codes) => String.fromCharCode(...codes))
const hex = (bytes: Buffer | null) => bytes?.toString('hex')

test('records come back as they went in', () => {
  const record = fc.record({
    table: fc.integer({ min: 0, max: 0xffffffff }),
    key: fc.option(buffer),
    value: fc.option(buffer),
    headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), buffer), { maxLength: 4 }),
    timestamp_ms: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  })
  fc.assert(
    fc.property(fc.array(record, { maxLength: 10 }), (records) => {
      const back = [...unpackRecords(packRecords(records))]
      expect(back.map((each) => [each.table, hex(each.key), hex(each.value), each.timestamp_ms])).toEqual(
        records.map((each) => [each.table, hex(each.key), hex(each.value), each.timestamp_ms]),
      )
      expect(back.map((each) => decodeHeaders(each.headers).map(([name, value]) => [name, hex(value)]))).toEqual(
        records.map((each) => each.headers.map(([name, value]) => [name, hex(value)])),
      )
    }),
  )
  expect(encodeHeaders([])).toBeNull()
  expect(encodeHeaders(undefined)).toBeNull()
})

test('state changes come back as they went in', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ key: units, value: fc.option(buffer) }), { maxLength: 10 }), (changes) => {
      const back = [...unpackChanges(packChanges(changes))]
      expect(back.map((each) => [keyOf(each.key), hex(each.value)])).toEqual(changes.map((each) => [each.key, hex(each.value)]))
    }),
  )
})

test('the order of key bytes is the order of strings, also around surrogates', () => {
  const sign = (number: number) => Math.sign(number)
  fc.assert(
    fc.property(units, units, (a, b) => {
      expect(sign(Buffer.compare(keyBytes(a), keyBytes(b)))).toBe(a < b ? -1 : a > b ? 1 : 0)
      const end = afterPrefix(keyBytes(a))
      if (a === '') expect(end).toBeUndefined()
      else {
        expect(Buffer.compare(keyBytes(a + b), end!)).toBeLessThan(0)
        if (!b.startsWith(a) && b > a) expect(Buffer.compare(keyBytes(b), end!)).toBeGreaterThanOrEqual(0)
      }
    }),
    { numRuns: 500 },
  )
  for (const key of ['', 'a', 'ü', '日本', '😀', '\ud83d', '\ude00x', '\ud7ff', '\ue000', '\uffff'])
    expect(keyOf(keyBytes(key))).toBe(key)
})
