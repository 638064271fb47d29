import { expect, test } from '@jest/globals'
import { packRecords } from './frame.ts'
import { openTail } from './tail.ts'

const block = (...tables: readonly number[]) =>
  packRecords(tables.map((table, i) => ({ table, key: Buffer.from(`${i}`), value: Buffer.alloc(75, table), timestamp_ms: i })))
const shown = (records: readonly { offset: number; key: Buffer | null }[] | undefined) =>
  records?.map(({ offset, key }) => `${offset}:${key}`)
const much = 1 << 20

test('what was added is read from any offset it holds, within the bounds', () => {
  const tail = openTail(much)
  tail.add(block(1, 2, 1, 1), [
    { table: 1, first: 10 },
    { table: 2, first: 0 },
  ])
  tail.add(block(1, 1), [{ table: 1, first: 13 }])
  expect(shown(tail.read(1, 10, 99, much))).toEqual(['10:0', '11:2', '12:3', '13:0', '14:1'])
  expect(shown(tail.read(1, 12, 99, much))).toEqual(['12:3', '13:0', '14:1'])
  expect(shown(tail.read(1, 14, 99, much))).toEqual(['14:1'])
  expect(shown(tail.read(1, 15, 99, much))).toEqual([])
  expect(tail.read(1, 9, 99, much)).toBeUndefined()
  expect(tail.read(3, 0, 99, much)).toBeUndefined()
  expect(shown(tail.read(1, 10, 2, much))).toEqual(['10:0', '11:2'])
  expect(shown(tail.read(1, 10, 99, 250))).toEqual(['10:0', '11:2'])
  expect(shown(tail.read(1, 10, 99, 1))).toEqual(['10:0'])
  expect(tail.read(2, 0, 9, much)![0]!.value).toEqual(Buffer.alloc(75, 2))
})

test('the oldest is forgotten first, and memory stays within its bound', () => {
  const tail = openTail(2500)
  for (let i = 0; i < 50; i++) {
    tail.add(block(1), [{ table: 1, first: 2 * i }])
    tail.add(block(1, 2), [
      { table: 1, first: 2 * i + 1 },
      { table: 2, first: i },
    ])
    expect(tail.bytes()).toBeLessThanOrEqual(2500)
  }
  expect(tail.read(1, 90, 99, much)).toBeUndefined()
  expect(shown(tail.read(1, 97, 99, much))).toEqual(['97:0', '98:0', '99:0'])
  expect(shown(tail.read(2, 48, 99, much))).toEqual(['48:1', '49:1'])
  const small = openTail(10)
  small.add(block(1), [{ table: 1, first: 0 }])
  expect(small.read(1, 0, 9, much)).toBeUndefined()
  expect(small.bytes()).toBe(0)
})

test('many small additions are found as one run', () => {
  const tail = openTail(much)
  for (let i = 0; i < 500; i++) tail.add(block(1 + (i % 3)), [{ table: 1 + (i % 3), first: Math.floor(i / 3) }])
  for (const from of [0, 1, 77, 165]) expect(tail.read(1, from, 10, much)![0]!.offset).toBe(from)
  expect(tail.read(2, 0, 1000, much)).toHaveLength(167)
  tail.drop(2)
  expect(tail.read(1, 0, 1000, much)).toHaveLength(167)
})

test('a table is forgotten when told, and when a hole appears', () => {
  const tail = openTail(much)
  tail.add(block(1, 1), [{ table: 1, first: 0 }])
  tail.add(block(1), [{ table: 1, first: 5 }])
  expect(tail.read(1, 0, 9, much)).toBeUndefined()
  expect(shown(tail.read(1, 5, 9, much))).toEqual(['5:0'])
  tail.drop(1)
  expect(tail.read(1, 5, 9, much)).toBeUndefined()
  expect(tail.bytes()).toBe(0)
  tail.add(block(1), [{ table: 1, first: 6 }])
  expect(shown(tail.read(1, 6, 9, much))).toEqual(['6:0'])
})
