import { expect, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import type { RuntimeEvent } from '../runtime/events.ts'
import { openTally, quantile, sumOf } from './tally.ts'

const committed = (more: Partial<Extract<RuntimeEvent, { event: 'committed' }>>): RuntimeEvent => ({
  event: 'committed',
  stage: 'canonicalize',
  input: { topic: 'a', partition: 0 },
  records: 3,
  bytes: 1,
  emitted: { items: 2 },
  dropped: { draft: 1 },
  dead: { 'map.missing': 1 },
  kept: 0,
  seconds: { run: 0.5 },
  latencies_s: [0.1],
  ...more,
})

test('sums by stage and by input topic; events of other stages are not counted', () => {
  const tally = openTally(['canonicalize'], () => 0)
  tally.observe(committed({}))
  tally.observe(committed({ input: { topic: 'b', partition: 1 }, dead: {}, kept: 2 }))
  tally.observe(committed({ stage: 'elsewhere' }))
  const stage = tally.stage('canonicalize')
  expect([stage.records, stage.out, stage.dropped, stage.dead, stage.seconds]).toEqual([6, 4, 2, 1, { run: 1 }])
  expect([...stage.topics.values()].map(({ topic, records, kept }) => [topic, records, kept])).toEqual([
    ['a', 3, 0],
    ['b', 3, 2],
  ])
  expect(tally.dead()).toEqual({ 'map.missing': 1 })
  expect(sumOf({ a: 1, b: 2 })).toBe(3)
})

test('lag is the latest of each partition, the rate is of the last three seconds, a commit ends a pause', () => {
  let now = 0
  const tally = openTally(['canonicalize'], () => now)
  const lag = (partition: number, records: number) =>
    tally.observe({ event: 'lag', stage: 'canonicalize', group: 'g', input: { topic: 'a', partition }, records, seconds: 0 })
  lag(0, 5)
  lag(1, 7)
  lag(0, 1)
  const stage = tally.stage('canonicalize')
  expect(stage.lag).toBe(8)
  const fault = new Fault('registry.unavailable', 'x')
  tally.observe({ event: 'paused', stage: 'canonicalize', input: { topic: 'a', partition: 0 }, fault, retry_in_ms: 1 })
  expect(stage.paused).toBe('registry.unavailable')
  tally.observe(committed({ records: 30 }))
  expect([stage.paused, stage.rate]).toEqual([null, 10])
  now = 4_000
  expect(stage.rate).toBe(0)
})

test('quantiles are nearest ranks, and latencies start anew when told', () => {
  expect([quantile([3, 1, 2], 0.5), quantile([1], 0.99), quantile([], 0.5)]).toEqual([2, 1, Number.NaN])
  const tally = openTally(['canonicalize'], () => 0)
  tally.observe(committed({}))
  tally.forgetLatencies()
  expect(tally.stage('canonicalize').latencies_s).toEqual([])
  for (let i = 0; i < 30_000; i++) tally.observe(committed({ latencies_s: [i] }))
  expect(tally.stage('canonicalize').latencies_s.length).toBeLessThanOrEqual(20_000)
})
