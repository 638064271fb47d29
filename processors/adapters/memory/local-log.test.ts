import { expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LogTask } from '../../ports/event-log.ts'
import { openMemoryLog } from './event-log.ts'
import { type LogStorage, localLog } from './local-log.ts'

/** A clock whose sleeps end when the test says so, or when they are aborted. */
const manual = () => {
  let now_ms = 0
  const sleepers = new Set<() => void>()
  const clock: Clock = {
    now_ms: () => now_ms,
    monotonic_ms: () => now_ms,
    sleep: (_, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const rise = () => {
          sleepers.delete(rise)
          resolve()
        }
        sleepers.add(rise)
        signal?.addEventListener('abort', rise, { once: true })
      }),
  }
  const pass = async (duration_ms: number) => {
    await settled()
    now_ms += duration_ms
    for (const rise of [...sleepers]) rise()
    await settled()
  }
  return { clock, pass, sleeping: () => sleepers.size }
}
const settled = async () => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}
const never = new AbortController().signal
const handlerOf = (tasks: LogTask[], revoked: () => Promise<void> = async () => {}, failures: unknown[] = []) => ({
  assigned: (task: LogTask) => void tasks.push(task),
  revoked,
  failed: (error: unknown) => void failures.push(error),
})
const topic = { name: 't', partitions: 2, keep: { days: 1 } }

test('waiting and lingering take the time of the clock and no other', async () => {
  const { clock, pass, sleeping } = manual()
  const log = openMemoryLog(clock)
  await log.createTopics([{ ...topic, partitions: 1 }])
  const tasks: LogTask[] = []
  await log.subscribe('g', ['t'], handlerOf(tasks))
  const polled = tasks[0]!.poll({ records_max: 9, bytes_max: 1000, linger_ms: 50, wait_ms: 100 }, never)
  let done = false
  void polled.then(() => {
    done = true
  })
  await pass(99)
  expect(done).toBe(false)
  await log.append([{ topic: 't', key: null, value: null, timestamp_ms: 1 }])
  await pass(49)
  expect(done).toBe(false)
  await log.append([{ topic: 't', key: null, value: null, timestamp_ms: 2 }])
  await pass(1)
  expect((await polled).records).toHaveLength(2)
  const empty = tasks[0]!.poll({ records_max: 9, bytes_max: 1000, linger_ms: 50, wait_ms: 100 }, never)
  await pass(100)
  expect((await empty).records).toEqual([])
  expect(sleeping()).toBe(0)
  await log.close()
})

test('a member that does not give up is waited for so long, then fenced', async () => {
  const { clock, pass } = manual()
  const log = openMemoryLog(clock, 10_000)
  await log.createTopics([topic])
  const stubborn: LogTask[] = []
  await log.subscribe(
    'g',
    ['t'],
    handlerOf(stubborn, () => new Promise(() => {})),
  )
  expect(stubborn).toHaveLength(2)
  const taking: LogTask[] = []
  const joined = log.member().subscribe('g', ['t'], handlerOf(taking))
  await settled()
  expect(taking).toEqual([])
  await pass(10_000)
  await joined
  expect(taking).toHaveLength(1)
  const lost = stubborn.find((task) => task.input.partition === taking[0]!.input.partition)!
  await expect(lost.commit({ outputs: [], state: [], position: 0 })).rejects.toEqual(
    expect.objectContaining({ code: 'task.fenced' }),
  )
  await log.close()
})

test('a poll that waits when its task is taken away ends', async () => {
  const { clock } = manual()
  const log = openMemoryLog(clock)
  await log.createTopics([topic])
  const tasks: LogTask[] = []
  const subscription = await log.subscribe('g', ['t'], handlerOf(tasks))
  const waiting = tasks.map((task) => task.poll({ records_max: 1, bytes_max: 1, linger_ms: 0, wait_ms: 1e9 }, never))
  await subscription.close()
  for (const poll of waiting) await expect(poll).rejects.toEqual(expect.objectContaining({ code: 'task.fenced' }))
  await log.close()
})

const storageThatClaims = (claim: () => Promise<never>): LogStorage => ({
  createTopics: async () => [],
  topics: () => ['t'],
  partitions: () => 1,
  offsets: () => ({ start: 0, end: 0 }),
  read: () => [],
  append: async () => [],
  claim,
  commit: async () => {},
  position: () => undefined,
})

test('a storage that cannot write now is asked again, and closing does not wait for it', async () => {
  const { clock, pass } = manual()
  let asked = 0
  const storage = storageThatClaims(async () => {
    asked++
    throw new Fault('log.full', 'No space.')
  })
  const log = localLog(storage, { clock, rebalance_ms_max: 1 })
  const failures: unknown[] = []
  const subscribing = log.subscribe('g', ['t'], handlerOf([], undefined, failures))
  await settled()
  await pass(1000)
  await pass(1000)
  expect(asked).toBeGreaterThanOrEqual(3)
  expect(failures).toEqual([])
  await log.close()
  await subscribing
})

test('a storage that refuses for good ends the subscription with its reason', async () => {
  const { clock } = manual()
  const storage = storageThatClaims(async () => {
    throw new Fault('log.corrupt', 'Damaged.')
  })
  const failures: unknown[] = []
  const log = localLog(storage, { clock, rebalance_ms_max: 1 })
  await log.subscribe('g', ['t'], handlerOf([], undefined, failures))
  expect(failures).toEqual([expect.objectContaining({ code: 'log.corrupt' })])
  await log.close()
})
