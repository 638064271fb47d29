import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import type { LogRecord } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import { partitionQueue } from './partition-queue.ts'

/** A clock that moves when it is told to. */
const handClock = () => {
  let now_ms = 0
  const sleepers = new Set<{ at_ms: number; rise: () => void }>()
  const clock: Clock = {
    now_ms: () => now_ms,
    monotonic_ms: () => now_ms,
    sleep: (duration_ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const sleeper = { at_ms: now_ms + duration_ms, rise: resolve }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper)
          resolve()
        })
      }),
  }
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }
  return {
    clock,
    settle,
    pass: async (duration_ms: number) => {
      now_ms += duration_ms
      for (const sleeper of sleepers)
        if (sleeper.at_ms <= now_ms) {
          sleepers.delete(sleeper)
          sleeper.rise()
        }
      await settle()
    },
  }
}

const record = (offset: number, bytes = 10): LogRecord => ({
  offset,
  key: null,
  value: Buffer.alloc(bytes, offset % 256),
  headers: [],
  timestamp_ms: 0,
})
const offsets = (polled: { records: readonly LogRecord[] }) => polled.records.map(({ offset }) => offset)
const bounds = { records_max: 100, bytes_max: 1000, linger_ms: 0, wait_ms: 0 }
const never = new AbortController().signal

test('a poll waits for the first record, then lingers for more', async () => {
  const { clock, pass, settle } = handClock()
  const queue = partitionQueue(5, clock, 1000)
  const polling = queue.poll({ ...bounds, wait_ms: 100, linger_ms: 20 }, never)
  await pass(90)
  queue.push([record(5)], 6, 6)
  await settle()
  await pass(15)
  queue.push([record(6)], 7, 7)
  await pass(10)
  expect(offsets(await polling)).toEqual([5, 6])
})

test('bounds of records and bytes end a poll at once, but one record always fits', async () => {
  const { clock } = handClock()
  const queue = partitionQueue(0, clock, 1000)
  queue.push([record(0), record(1), record(2), record(3, 500)], 4, 4)
  const lingering = { ...bounds, linger_ms: 1e9, wait_ms: 1e9 }
  expect(offsets(await queue.poll({ ...lingering, records_max: 2 }, never))).toEqual([0, 1])
  expect(offsets(await queue.poll({ ...lingering, bytes_max: 12 }, never))).toEqual([2])
  expect(offsets(await queue.poll({ ...lingering, bytes_max: 12 }, never))).toEqual([3])
})

test('a poll that is aborted takes nothing', async () => {
  const { clock } = handClock()
  const queue = partitionQueue(0, clock, 1000)
  const abort = new AbortController()
  queue.push([record(0)], 1, 1)
  const polling = queue.poll({ ...bounds, linger_ms: 1e9 }, abort.signal)
  abort.abort()
  expect(offsets(await polling)).toEqual([])
  expect(offsets(await queue.poll(bounds, never))).toEqual([0])
})

test('a rewind gives again what was polled since the position, without the log', async () => {
  const { clock } = handClock()
  const queue = partitionQueue(0, clock, 1000)
  queue.push([record(0), record(1), record(2)], 3, 3)
  await queue.poll({ ...bounds, records_max: 2 }, never)
  queue.rewind()
  expect(offsets(await queue.poll(bounds, never))).toEqual([0, 1, 2])
  expect(queue.advance(2)).toBe(false)
  queue.rewind()
  expect(offsets(await queue.poll(bounds, never))).toEqual([2])
})

test('a position beyond what was delivered makes the log deliver from there', () => {
  const { clock } = handClock()
  const queue = partitionQueue(0, clock, 1000)
  queue.push([record(0)], 1, 1)
  expect(queue.advance(7)).toBe(true)
  expect(queue.expected()).toBe(7)
})

test('lag is nothing when only markers are left, and what the broker says while more is there', async () => {
  const { clock } = handClock()
  const queue = partitionQueue(0, clock, 1000)
  expect((await queue.poll(bounds, never)).end_offset).toBe(0)
  // Offsets 2 and 3 are a marker and an aborted record.
  queue.push([record(0), record(1)], 4, 4)
  expect((await queue.poll({ ...bounds, records_max: 1 }, never)).end_offset).toBe(4)
  expect((await queue.poll(bounds, never)).end_offset).toBe(2)
  queue.advance(2)
  expect((await queue.poll(bounds, never)).end_offset).toBe(2)
  // More is in the log, behind an open transaction or not fetched yet.
  queue.push([record(4)], 5, 9)
  expect((await queue.poll(bounds, never)).end_offset).toBe(9)
})

test('room is what was not polled; a waiting poll that wants more makes more', async () => {
  const { clock, settle } = handClock()
  const queue = partitionQueue(0, clock, 100)
  queue.push([record(0, 60), record(1, 60)], 2, 2)
  expect(queue.hasRoom()).toBe(false)
  let woken = false
  const waiting = queue.untilRoom(1e9).then(() => {
    woken = true
  })
  await settle()
  expect(woken).toBe(false)
  const polling = queue.poll({ ...bounds, linger_ms: 1e9, bytes_max: 500 }, never)
  await waiting
  expect(queue.hasRoom()).toBe(true)
  queue.push([record(2, 400)], 3, 3)
  expect(offsets(await polling)).toEqual([0, 1])
  expect(queue.hasRoom()).toBe(false)
  await queue.poll(bounds, never)
  expect(queue.hasRoom()).toBe(true)
})

test('a stop lets the rest be polled first, an end does not', async () => {
  const { clock, settle } = handClock()
  const gap = new Fault('offset.gap', 'gone')
  const queue = partitionQueue(0, clock, 1000)
  queue.push([record(0)], 1, 1)
  queue.stop(gap)
  expect(offsets(await queue.poll({ ...bounds, linger_ms: 1e9 }, never))).toEqual([0])
  await expect(queue.poll(bounds, never)).rejects.toBe(gap)
  const other = partitionQueue(0, clock, 1000)
  const polling = other.poll({ ...bounds, wait_ms: 1e9 }, never)
  await settle()
  const fenced = new Fault('task.fenced', 'gone')
  other.end(fenced)
  await expect(polling).rejects.toBe(fenced)
})

test('whatever the order of pushes, polls, rewinds and commits, each record is seen once a run, in order', async () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({
        do: fc.constant('push' as const),
        sizes: fc.array(fc.nat(50), { minLength: 1, maxLength: 8 }),
        hole: fc.nat(3),
      }),
      fc.record({
        do: fc.constant('poll' as const),
        records_max: fc.integer({ min: 1, max: 5 }),
        bytes_max: fc.integer({ min: 1, max: 120 }),
      }),
      fc.record({ do: fc.constant('rewind' as const) }),
      fc.record({ do: fc.constant('commit' as const) }),
    ),
    { maxLength: 60 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const { clock } = handClock()
      const queue = partitionQueue(0, clock, 100)
      const log: number[] = []
      let end = 0
      let position = 0
      let polled: number[] = []
      for (const step of script) {
        if (step.do === 'push') {
          const more = step.sizes.map((size, i) => record(end + i, size))
          log.push(...more.map(({ offset }) => offset))
          end += more.length + step.hole
          queue.push(more, end, end)
        } else if (step.do === 'poll') {
          polled.push(...offsets(await queue.poll({ ...bounds, ...step }, never)))
          expect(polled).toEqual(log.filter((offset) => offset >= position).slice(0, polled.length))
        } else if (step.do === 'rewind') {
          queue.rewind()
          polled = []
        } else if (polled.length > 0) {
          position = polled.at(-1)! + 1
          polled = []
          expect(queue.advance(position)).toBe(false)
        }
        const left = log.filter((offset) => offset >= position).length - polled.length
        expect(queue.hasRoom() || left > 0).toBe(true)
      }
    }),
    { numRuns: 200 },
  )
})
