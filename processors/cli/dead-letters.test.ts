import { expect, test } from '@jest/globals'
import { openMemoryLog } from '../adapters/memory/event-log.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { Fault, type FaultCode } from '../domain/fault.ts'
import type { Header, LogRecord } from '../domain/record.ts'
import { deadLetter } from '../runtime/dead-letter.ts'
import {
  type DeadLetterFilter,
  deadLetterAt,
  deadLetters,
  groupDeadLetters,
  parsePlace,
  type ReplayOptions,
  replayDeadLetters,
} from './dead-letters.ts'

const source = 'source.shop.items'
const dead = 'dead-letters.v1'
const trace: Header = ['traceparent', Buffer.from([0xff, 0])]

const world = async () => {
  const log = openMemoryLog(systemClock)
  await log.createTopics([
    { name: source, partitions: 2, keep: { days: 1 } },
    { name: dead, partitions: 3, keep: { days: 1 } },
  ])
  /** A record of the source that was refused for `code`. */
  const die = async (n: number, code: FaultCode, topic = source, headers: readonly Header[] = [trace]) => {
    const record: LogRecord = {
      offset: n,
      key: Buffer.from(`k${n}`),
      value: n % 4 === 3 ? null : Buffer.from([0, n]),
      headers,
      timestamp_ms: 1_000 + n,
    }
    const out = deadLetter(
      { name: dead, partitions: 3 },
      { topic, partition: n % 2 },
      record,
      'canonicalize',
      new Fault(code, 'why.'),
      5_000 + n,
    )
    await log.append([{ ...out, partition: n % 3 }])
  }
  const replay = (filter: DeadLetterFilter = {}, more: Partial<ReplayOptions> = {}) =>
    replayDeadLetters(log, {
      group: 'entrepot.dlq-replay',
      topic: dead,
      filter,
      limit: 1_000,
      dry_run: false,
      again: false,
      now_ms: () => 9_000,
      known_topics: new Set([source]),
      ...more,
    })
  const landed = async (): Promise<LogRecord[]> => {
    const records: LogRecord[] = []
    for (const partition of [0, 1]) records.push(...(await Array.fromAsync(log.scan({ topic: source, partition }, 0))))
    return records
  }
  return { log, die, replay, landed }
}

test('groups by reason with counts, times and the newest as example', async () => {
  const { log, die } = await world()
  for (let n = 0; n < 6; n++) await die(n, n < 4 ? 'decode.magic' : 'map.missing')
  const groups = await groupDeadLetters(deadLetters(log, dead, {}))
  expect(groups.map(({ reason, count, first_at, last_at }) => ({ reason, count, first_at, last_at }))).toEqual([
    { reason: 'decode.magic', count: 4, first_at: 5_000, last_at: 5_003 },
    { reason: 'map.missing', count: 2, first_at: 5_004, last_at: 5_005 },
  ])
  expect(groups[0]!.example).toMatchObject({ topic: source, source_partition: 1, source_offset: 3, partition: 0 })
  expect(await Array.fromAsync(deadLetters(log, dead, { since_ms: 5_005 }))).toHaveLength(1)
})

test('a letter is found by its place, and an empty place says so', async () => {
  const { log, die } = await world()
  await die(1, 'decode.magic')
  expect(await deadLetterAt(log, dead, parsePlace('1/0'))).toMatchObject({ reason: 'decode.magic', value: Buffer.from([0, 1]) })
  for (const place of ['1/1', '2/0', '7/0'])
    await expect(deadLetterAt(log, dead, parsePlace(place))).rejects.toMatchObject({ code: 'config.missing' })
  expect(() => parsePlace('1-0')).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})

test('a dry run changes nothing; a replay gives back key, bytes, tombstone and headers with the count raised', async () => {
  const { die, replay, landed } = await world()
  await die(2, 'map.missing')
  await die(3, 'map.missing', source, [trace, ['x-replay-count', Buffer.from('4')], ['x-first-seen', Buffer.from('77')]])
  expect(await replay({}, { dry_run: true })).toEqual({ replayed: { 'map.missing': 2 }, before: 0, homeless: 0 })
  expect(await landed()).toEqual([])
  expect(await replay()).toEqual({ replayed: { 'map.missing': 2 }, before: 0, homeless: 0 })
  const records = (await landed()).sort((a, b) => (a.key!.toString() < b.key!.toString() ? -1 : 1))
  const plain = records.map(({ key, value, headers }) => [
    key!.toString(),
    value,
    headers.map(([name, bytes]) => `${name}=${bytes.toString('latin1')}`),
  ])
  expect(plain).toEqual([
    ['k2', Buffer.from([0, 2]), ['traceparent=\xff\0', 'x-replay-count=1', 'x-first-seen=5002']],
    ['k3', null, ['traceparent=\xff\0', 'x-replay-count=5', 'x-first-seen=77']],
  ])
})

test('replayed twice is replayed once, whatever the filter chose first; --again means it', async () => {
  const { die, replay, landed } = await world()
  for (let n = 0; n < 40; n++) await die(n, n % 2 === 0 ? 'map.missing' : 'decode.magic')
  expect((await replay({ reason: 'map.missing' }, { limit: 7 })).replayed).toEqual({ 'map.missing': 7 })
  expect(await replay({ reason: 'map.missing' })).toEqual({ replayed: { 'map.missing': 13 }, before: 7, homeless: 0 })
  expect(await replay({})).toEqual({ replayed: { 'decode.magic': 20 }, before: 20, homeless: 0 })
  expect((await landed()).length).toBe(40)
  expect((await replay({ topic: source }, { again: true, limit: 5 })).before).toBe(0)
  expect((await landed()).length).toBe(45)
})

test('a letter whose topic is gone stays where it is and is counted', async () => {
  const { die, replay, landed } = await world()
  await die(1, 'map.missing', 'source.closed.items')
  expect(await replay()).toEqual({ replayed: {}, before: 0, homeless: 1 })
  expect(await landed()).toEqual([])
})
