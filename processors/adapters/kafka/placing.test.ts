import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import { type OutputRecord, partitionOf, placeName } from '../../domain/record.ts'
import { kafkaMessage, sendings } from './placing.ts'

const partitions = async (topic: string) => {
  if (topic === 'absent') throw new Fault('topic.missing', 'absent')
  return topic === 'a' ? 4 : 1
}
const record = (topic: string, key: string | null, bytes = 10, partition?: number): OutputRecord => ({
  topic,
  key: key === null ? null : Buffer.from(key),
  value: Buffer.alloc(bytes),
  timestamp_ms: 1,
  ...(partition === undefined ? {} : { partition }),
})

test('every record goes to one request of its partition, in order, within the bound', async () => {
  const records = fc.array(
    fc
      .tuple(fc.constantFrom('a', 'b'), fc.option(fc.string({ maxLength: 3 })), fc.nat(400))
      .map(([topic, key, bytes]) => record(topic, key, bytes)),
    { maxLength: 60 },
  )
  await fc.assert(
    fc.asyncProperty(records, async (given) => {
      const sent = await sendings(given, partitions, 1000)
      const seen = new Map<string, number[]>()
      for (const { at, records: group, indexes } of sent) {
        expect(group).toEqual(indexes.map((index) => given[index]))
        expect(group.length).toBeGreaterThan(0)
        expect(group.length === 1 || group.reduce((sum, each) => sum + each.value!.length, 0) <= 1000).toBe(true)
        for (const each of group)
          expect(at).toEqual({ topic: each.topic, partition: partitionOf(each.key, await partitions(each.topic)) })
        seen.set(placeName(at), [...(seen.get(placeName(at)) ?? []), ...indexes])
      }
      expect([...seen.values()].flat().sort((a, b) => a - b)).toEqual(given.map((_, i) => i))
      for (const indexes of seen.values()) expect(indexes).toEqual(indexes.toSorted((a, b) => a - b))
    }),
  )
})

test('a partition that is not there and a topic that is not there are told apart', async () => {
  await expect(sendings([record('a', 'k', 1, 4)], partitions)).rejects.toMatchObject({ code: 'topic.mismatch' })
  await expect(sendings([record('a', 'k'), record('absent', 'k')], partitions)).rejects.toMatchObject({ code: 'topic.missing' })
})

test('headers keep the order of equal names, whatever they are called', () => {
  const headers = [
    ['x', Buffer.from('1')],
    ['__proto__', Buffer.from('2')],
    ['x', Buffer.from('3')],
  ] as const
  const message = kafkaMessage({ ...record('a', null), headers }, 2)
  expect(Object.keys(message.headers)).toEqual(['x', '__proto__'])
  expect(message.headers['x']!.map(String)).toEqual(['1', '3'])
  expect(Object.values(message.headers)[1]!.map(String)).toEqual(['2'])
  expect(message).toMatchObject({ partition: 2, timestamp: '1', key: null })
})
