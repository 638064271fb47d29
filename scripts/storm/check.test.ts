import { expect, test } from '@jest/globals'
import { openChance } from './chance.ts'
import { exactlyOnce, type Seen } from './check.ts'
import type { PlainRecord } from './read.ts'

const source = (offset: number, number: number, user: string): PlainRecord => ({
  topic: 's',
  partition: 0,
  offset,
  key: user,
  value: Buffer.from(JSON.stringify({ messageId: `message-${number}`, userId: user })),
  headers: {},
  timestamp_ms: 1,
})
const records = [source(0, 1, 'u'), source(1, 2, 'v'), source(2, 3, 'u'), source(3, 4, 'u')]

/** What was seen when the sequenced topic holds these source offsets, in this order. */
const seen = (order: readonly number[], change: (at: number) => Partial<Seen['decoded'][number]> = () => ({})): Seen => ({
  events: new Map(records.map((record, at) => [at + 1, { number: at + 1, user: record.key!, record }])),
  sent_again: 0,
  source: records,
  interactions: [],
  decoded: order.map((offset, at) => ({
    record: { ...records[offset]!, topic: 'i', offset: at },
    event_id: `e${offset}`,
    user_key: records[offset]!.key!,
    price_minor: offset + 1,
    source: `s/0/${offset}`,
    ...change(at),
  })),
  profiles: [],
  dead: [],
})
const broken = (given: Seen, published = 4): readonly string[] =>
  exactlyOnce(given, published)
    .filter(({ holds }) => !holds)
    .map(({ name, figure }) => `${name}: ${figure}`)

test('each anomaly is noticed, and told by its name', () => {
  expect(broken(seen([0, 1, 2, 3]))).toEqual([])
  // Another user's event in between is no disorder.
  expect(broken(seen([1, 0, 2, 3]))).toEqual([])
  expect(broken(seen([0, 1, 3]))).toEqual(['lost: 1 of 4'])
  expect(broken(seen([0, 1, 2, 3, 3]))).toEqual(['duplicated: 1 of 4', 'order violations: 1 of 5'])
  expect(broken(seen([0, 1, 3, 2]))).toEqual(['order violations: 1 of 4'])
  expect(broken(seen([0, 1, 2, 3], (at) => (at === 2 ? { price_minor: 9 } : {})))).toEqual(['altered or unexplained: 1 of 4'])
  expect(broken(seen([0, 1, 2, 3]), 5)).toEqual(['acknowledged to the producer but not in the source topic: 1 of 5'])
  expect(
    broken(seen([0, 1, 2, 3], (at) => (at === 1 ? { user_key: 'u', record: { ...records[1]!, topic: 'i', key: 'u' } } : {}))),
  ).toContain('two users under one key: 1')
})

test('chance is told again by its seed', () => {
  const drawn = (seed: number) => {
    const chance = openChance(seed)
    return Array.from({ length: 50 }, () => chance.between(3, 9))
  }
  expect(drawn(7)).toEqual(drawn(7))
  expect(drawn(7)).not.toEqual(drawn(8))
  expect(Math.min(...drawn(7))).toBeGreaterThanOrEqual(3)
  expect(Math.max(...drawn(7))).toBeLessThanOrEqual(9)
})
