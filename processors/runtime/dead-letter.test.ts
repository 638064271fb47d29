import { expect, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import { deadLetter } from './dead-letter.ts'

const value = (letter: ReturnType<typeof deadLetter>, name: string) =>
  letter.headers!.filter(([header]) => header === name).map(([, bytes]) => bytes.toString())

const record = {
  offset: 7,
  key: Buffer.from([0xff]),
  value: Buffer.from([1, 2, 3]),
  headers: [['trace', Buffer.from('t')]] as const,
  timestamp_ms: 5,
}
const fault = new Fault('decode.magic', 'The first byte is 1.')
const to = { name: 'dead-letters.v1', partitions: 3 }

test('keeps the original bytes and headers, and says where, why and when first', () => {
  const letter = deadLetter(to, { topic: 'source.a.items', partition: 4 }, record, 'canonicalize', fault, 99)
  expect([letter.key, letter.value, letter.partition, letter.topic]).toEqual([record.key, record.value, 1, 'dead-letters.v1'])
  expect(
    ['trace', 'x-reason-code', 'x-first-seen', 'x-replay-count', '__connect.errors.topic', '__connect.errors.offset'].map(
      (name) => value(letter, name),
    ),
  ).toEqual([['t'], ['decode.magic'], ['99'], ['0'], ['source.a.items'], ['7']])
  expect(value(letter, '__connect.errors.exception.message')[0]).toMatch(/^The first byte is 1\. /)
})

test('a letter that dies again keeps its first sighting and names its last death only', () => {
  const again = deadLetter(to, { topic: 'source.a.items', partition: 4 }, record, 'canonicalize', fault, 99)
  const letter = deadLetter(
    to,
    { topic: 'source.a.items', partition: 0 },
    { ...record, offset: 12, headers: [...again.headers!, ['x-replay-count', Buffer.from('2')]] },
    'learn',
    fault,
    200,
  )
  expect(
    ['x-first-seen', '__connect.errors.offset', '__connect.errors.stage', 'x-reason-code'].map((name) => value(letter, name)),
  ).toEqual([['99'], ['12'], ['learn'], ['decode.magic']])
})

test('a flood of foreign headers is cut, ours are not', () => {
  const headers = Array.from({ length: 1_000 }, (_, i) => [`h${i}`, Buffer.alloc(10)] as const)
  const letter = deadLetter(to, { topic: 't', partition: 0 }, { ...record, headers }, 'learn', fault, 1)
  expect(letter.headers!.length).toBeLessThan(64 + 12)
  expect(value(letter, 'x-reason-code')).toEqual(['decode.magic'])
})
