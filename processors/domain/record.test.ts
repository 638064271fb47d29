import { expect, test } from '@jest/globals'
import { murmur2, partitionOf } from './record.ts'

// The golden values of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %s is Kafka’s', (key, hash) => expect(murmur2(Buffer.from(key))).toBe(hash))

test('a null key goes to partition 0, others to the positive hash modulo the partitions', () => {
  expect(partitionOf(null, 12)).toBe(0)
  expect(partitionOf(Buffer.from('21'), 12)).toBe((-973932308 & 0x7fffffff) % 12)
})
