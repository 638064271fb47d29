import { expect, test } from '@jest/globals'
import type { LogRecord, OutputRecord } from '../../domain/record.ts'
import { memoryStateStore } from '../memory/state-store.ts'
import { changelogOf, changelogRecords, lastRead, positionIn, restore, transactionalIdOf } from './changelog.ts'

const input = { topic: 'catalog.items.v1', partition: 3 }
const stored = (records: readonly OutputRecord[]): LogRecord[] =>
  records.map(({ key, value, timestamp_ms }, offset) => ({ offset, key, value, headers: [], timestamp_ms }))
async function* given(records: readonly LogRecord[]) {
  yield* records
}
const bytes = (text: string) => Buffer.from(text)

test('what commits wrote is what a restore finds: the last value of each key, and the last position', async () => {
  const store = memoryStateStore()
  const records = stored([
    ...changelogRecords(
      'app.learn',
      input,
      [
        { key: 'a', value: bytes('1') },
        { key: '', value: bytes('empty key') },
      ],
      5,
      1,
    ),
    ...changelogRecords(
      'app.learn',
      input,
      [
        { key: 'a', value: null },
        { key: 'p', value: bytes('not the position') },
      ],
      9,
      2,
    ),
    ...changelogRecords('app.learn', input, [{ key: 'ü😀', value: bytes('2') }], 12, 3),
  ])
  expect(await restore(given(records), 'app.learn', input, store)).toEqual({ position: 12, last: undefined, records: 8 })
  expect(store.entries('', 10).map(([key, value]) => [key, value.toString()])).toEqual([
    ['', 'empty key'],
    ['p', 'not the position'],
    ['ü😀', '2'],
  ])
})

test('a position remembers the record before it, by which a topic made anew is told from the one that was read', async () => {
  const record: LogRecord = { offset: 11, key: bytes('k'), value: bytes('v'), headers: [], timestamp_ms: 5 }
  const last = lastRead(record)
  const records = stored(changelogRecords('g', input, [], 12, 3, last))
  expect(await restore(given(records), 'g', input, memoryStateStore())).toEqual({ position: 12, last, records: 1 })
  expect(lastRead({ ...record })).toEqual(last)
  for (const other of [{ key: null }, { key: bytes('kv'), value: bytes('') }, { value: null }, { timestamp_ms: 6 }])
    expect(lastRead({ ...record, ...other }).digest).not.toBe(last.digest)
})

test('a group that never committed has no position', async () => {
  expect((await restore(given([]), 'app.learn', input, memoryStateStore())).position).toBeUndefined()
})

test('all records of a commit go to the partition of its input, the position last', () => {
  const records = changelogRecords('g', input, [{ key: 'k', value: null }], 7, 1)
  expect(records.map(({ topic, partition }) => [topic, partition])).toEqual([
    ['g.catalog.items.v1.changelog', 3],
    ['g.catalog.items.v1.changelog', 3],
  ])
  expect(positionIn(stored(records)[1]!, 'g', input)).toBe(7)
})

test('two groups whose names run together do not take each other’s position', () => {
  const [theirs] = stored(changelogRecords('a.b', { topic: 'c', partition: 0 }, [], 7, 1))
  expect(changelogOf('a', 'b.c')).toBe(changelogOf('a.b', 'c'))
  expect(() => positionIn(theirs!, 'a', { topic: 'b.c', partition: 0 })).toThrow('choose another group prefix')
  expect(transactionalIdOf('', 'a', { topic: 'b.c', partition: 0 })).not.toBe(
    transactionalIdOf('', 'a.b', { topic: 'c', partition: 0 }),
  )
})

test('a position that is none is a fault', () => {
  const record = (value: string): LogRecord => ({ offset: 0, key: bytes('p'), value: bytes(value), headers: [], timestamp_ms: 0 })
  expect(() => positionIn(record('{'), 'g', input)).toThrow(expect.objectContaining({ code: 'log.corrupt' }))
  expect(() => positionIn(record(`{"group":"g","input":"${input.topic}/3","position":-1}`), 'g', input)).toThrow(
    expect.objectContaining({ code: 'log.corrupt' }),
  )
})

test.each([
  ['a group with a space', 't'],
  ['g', 't'.repeat(260)],
])('a name that Kafka refuses is refused before', (group, topic) => {
  expect(() => changelogOf(group, topic)).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
