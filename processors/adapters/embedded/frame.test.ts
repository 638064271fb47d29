import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { keyIn, packChanges, packRecords, recordOf, unpackChanges, unpackRecords } from './frame.ts'
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
      expect(back.map(({ table }) => table)).toEqual(records.map(({ table }) => table))
      back.forEach(({ body }, i) => {
        const { table: _, headers, key, value, timestamp_ms } = records[i]!
        const read = recordOf(i, body)
        expect({
          ...read,
          key: hex(read.key),
          value: hex(read.value),
          headers: read.headers.map(([name, each]) => [name, hex(each)]),
        }).toEqual({
          offset: i,
          key: hex(key),
          value: hex(value),
          headers: headers.map(([name, each]) => [name, hex(each)]),
          timestamp_ms,
        })
        expect(hex(keyIn(body).key)).toBe(hex(key))
        expect(keyIn(body).deleted).toBe(value === null)
      })
    }),
  )
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
