import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { OutputRecord, TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import { eventLogContract } from '../../ports/event-log.contract.ts'
import type { EventLog, LogTask, TopicSpec } from '../../ports/event-log.ts'
import { openMemoryLog } from '../memory/event-log.ts'
import { systemClock } from '../system/clock.ts'
import { type DatabaseOptions, type EmbeddedDatabase, openDatabase } from './database.ts'
import { type EmbeddedLog, type EmbeddedLogOptions, openEmbeddedLog } from './event-log.ts'

eventLogContract('embedded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-log-'))
  const database = openDatabase(folder)
  const log = openEmbeddedLog(database, { clock: systemClock })
  return {
    log,
    admin: log,
    another: async () => log.member(),
    close: async () => {
      await log.close()
      database.check()
      database.close()
      rmSync(folder, { recursive: true })
    },
    deleteRecords: (at, before) => log.deleteRecords(at, before),
    compact: async () => {
      while (await log.trim(true));
    },
    deleteTopic: (topic) => log.deleteTopic(topic),
  }
})

let folder: string
let database: EmbeddedDatabase
let log: EmbeddedLog
const open = (options: Partial<EmbeddedLogOptions> = {}, file: DatabaseOptions = {}) => {
  database = openDatabase(folder, file)
  log = openEmbeddedLog(database, { clock: systemClock, ...options })
}
const reopen = async (options: Partial<EmbeddedLogOptions> = {}, file: DatabaseOptions = {}) => {
  await log.close()
  database.close()
  open(options, file)
}
// Opened by each test, for a writer takes a while to start.
const days: TopicSpec = { name: 'days', partitions: 1, keep: { days: 1 } }
const latest: TopicSpec = { name: 'latest', partitions: 1, keep: 'latest' }
const never = new AbortController().signal
const bounds = { records_max: 10_000, bytes_max: 1 << 24, linger_ms: 0, wait_ms: 0 }
const record = (topic: string, key: string | null, value: string | null): OutputRecord => ({
  topic,
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  timestamp_ms: 1,
})
const shown = async (from: EventLog, at: TopicPartition) => {
  const records: string[] = []
  for await (const { offset, key, value } of from.scan(at, 0)) records.push(`${offset} ${key}=${value}`)
  return records
}
const tasksOf = async (from: EventLog, group: string, topics: readonly string[]): Promise<LogTask[]> => {
  const tasks: LogTask[] = []
  await from.subscribe(group, topics, {
    assigned: (task) => void tasks.push(task),
    revoked: async () => {},
    failed: (error) => {
      throw error
    },
  })
  return tasks
}
const fault = (code: string) => expect.objectContaining({ code })

describe('embedded log', () => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'entrepot-log-'))
  })
  afterEach(async () => {
    await log.close()
    database.close()
    rmSync(folder, { recursive: true })
  })

  describe('after reopening', () => {
    test('topics, records, positions and state are there, and offsets go on', async () => {
      open()
      await log.createTopics([days, latest])
      await log.append([record('days', 'a', '1'), record('days', 'b', null)])
      const [task] = await tasksOf(log, 'g', ['days'])
      await task!.commit({ outputs: [record('latest', 'k', 'v')], state: [{ key: 's', value: Buffer.from('t') }], position: 1 })
      await reopen()
      expect(await log.listTopics()).toEqual(['days', 'latest'])
      expect(await log.createTopics([days, latest])).toEqual([])
      expect(await log.append([record('days', 'c', '3')])).toEqual([{ topic: 'days', partition: 0, offset: 2 }])
      expect(await shown(log, { topic: 'days', partition: 0 })).toEqual(['0 a=1', '1 b=null', '2 c=3'])
      expect(await shown(log, { topic: 'latest', partition: 0 })).toEqual(['0 k=v'])
      expect(await log.positions('g', 'days')).toEqual([{ topic: 'days', partition: 0, position: 1 }])
      const [again] = await tasksOf(log, 'g', ['days'])
      expect(again!.position()).toBe(1)
      expect(`${again!.state.get('s')}`).toBe('t')
    })

    test('ends survive a log whose records are all deleted', async () => {
      open()
      await log.createTopics([days])
      await log.append([record('days', 'a', '1'), record('days', 'a', '2')])
      await log.deleteRecords({ topic: 'days', partition: 0 }, 2)
      await reopen()
      expect(await log.offsets('days')).toEqual([{ topic: 'days', partition: 0, start: 2, end: 2 }])
      expect(await log.append([record('days', 'a', '3')])).toEqual([{ topic: 'days', partition: 0, offset: 2 }])
    })

    test('days may be changed in place, partitions and the way of keeping may not', async () => {
      open()
      await log.createTopics([days])
      expect(await log.createTopics([{ ...days, keep: { days: 3 } }])).toEqual([])
      await expect(log.createTopics([{ ...days, keep: 'latest' }])).rejects.toEqual(fault('topic.mismatch'))
      await expect(log.createTopics([{ ...days, name: 'none', partitions: 0 }])).rejects.toEqual(fault('config.invalid'))
      expect(await log.listTopics()).toEqual(['days'])
    })
  })

  describe('reading beside the owner', () => {
    test('a second process scans what was committed, and may not write', async () => {
      open()
      await log.createTopics([days])
      await log.append([record('days', 'a', '1')])
      const [task] = await tasksOf(log, 'g', ['days'])
      await task!.commit({ outputs: [], state: [], position: 1 })
      const reading = openDatabase(folder, { access: 'read' })
      const reader = openEmbeddedLog(reading, { clock: systemClock })
      const at = { topic: 'days', partition: 0 }
      expect(await shown(reader, at)).toEqual(['0 a=1'])
      await log.append([record('days', 'b', '2')])
      await log.createTopics([latest])
      expect(await shown(reader, at)).toEqual(['0 a=1', '1 b=2'])
      expect(await reader.listTopics()).toEqual(['days', 'latest'])
      expect(await reader.offsets('days')).toEqual([{ ...at, start: 0, end: 2 }])
      expect(await reader.positions('g', 'days')).toEqual([{ ...at, position: 1 }])
      await expect(reader.append([record('days', 'c', '3')])).rejects.toEqual(fault('log.locked'))
      await expect(tasksOf(reader, 'g', ['days'])).rejects.toEqual(fault('log.locked'))
      await reader.close()
      reading.close()
    })
  })

  /** A clock that stands until it is set. Sleeps last until they are aborted. */
  const settable = (): Clock & { set(now_ms: number): void } => {
    let now_ms = 1_700_000_000_000
    return {
      now_ms: () => now_ms,
      monotonic_ms: () => now_ms,
      sleep: (_, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) resolve()
          signal?.addEventListener('abort', () => resolve(), { once: true })
        }),
      set: (value) => {
        now_ms = value
      },
    }
  }
  const day_ms = 86_400_000

  describe('retention', () => {
    const clock = settable()
    let now_ms: number
    const later = async (by_ms: number) => {
      now_ms += by_ms
      clock.set(now_ms)
      while (await log.trim(true));
    }
    beforeEach(() => {
      now_ms = 1_700_000_000_000
      clock.set(now_ms)
      open({ clock })
    })

    test('days are counted from the append, and what a group has not read stays', async () => {
      await log.createTopics([days])
      const at = { topic: 'days', partition: 0 }
      await log.append([record('days', 'a', '1'), record('days', 'b', '2')])
      await later(0)
      await later(day_ms / 2)
      await log.append([record('days', 'c', '3')])
      const [task] = await tasksOf(log, 'g', ['days'])
      await later(day_ms / 2 + 1)
      // Old enough, but the group has not read it.
      expect((await log.offsets('days'))[0]!.start).toBe(0)
      await task!.commit({ outputs: [], state: [], position: 1 })
      await later(0)
      expect(await shown(log, at)).toEqual(['1 b=2', '2 c=3'])
      await task!.commit({ outputs: [], state: [], position: 3 })
      await later(0)
      expect(await shown(log, at)).toEqual(['2 c=3'])
      await later(day_ms)
      expect(await shown(log, at)).toEqual([])
      expect(await log.offsets('days')).toEqual([{ ...at, start: 3, end: 3 }])
      expect(await log.append([record('days', 'd', '4')])).toEqual([{ ...at, offset: 3 }])
      expect((await task!.poll(bounds, never)).records).toHaveLength(1)
    })

    test('a group without members is waited for a week; forgotten, not at all', async () => {
      await log.createTopics([days])
      await log.append([record('days', 'a', '1'), record('days', 'a', '2')])
      const [leaving] = await tasksOf(log, 'gone', ['days'])
      await leaving!.commit({ outputs: [], state: [], position: 1 })
      await tasksOf(log, 'forgotten', ['days'])
      await later(0)
      await expect(log.deleteGroup('gone')).rejects.toEqual(fault('config.invalid'))
      await reopen({ clock })
      await later(6 * day_ms)
      expect((await log.offsets('days'))[0]!.start).toBe(0)
      expect(await log.deleteGroup('forgotten')).toBe(true)
      expect(await log.deleteGroup('forgotten')).toBe(false)
      await later(0)
      expect((await log.offsets('days'))[0]!.start).toBe(1)
      await later(2 * day_ms)
      expect((await log.offsets('days'))[0]!.start).toBe(2)
      // Back after all, the group is told that it missed something.
      const [back] = await tasksOf(log, 'gone', ['days'])
      await expect(back!.poll(bounds, never)).rejects.toEqual(fault('offset.gap'))
    })

    test('of a key the last record stays; a deletion goes a day after it was read by all', async () => {
      await log.createTopics([latest])
      const at = { topic: 'latest', partition: 0 }
      const [task] = await tasksOf(log, 'g', ['latest'])
      await log.append([
        record('latest', 'a', '1'),
        record('latest', 'b', '1'),
        record('latest', 'a', '2'),
        record('latest', 'b', null),
      ])
      await log.append([record('latest', null, 'keyless'), record('latest', null, 'keyless')])
      await later(0)
      expect(await shown(log, at)).toHaveLength(6)
      await task!.commit({ outputs: [], state: [], position: 3 })
      await later(1)
      expect(await shown(log, at)).toEqual(['1 b=1', '2 a=2', '3 b=null', '4 null=keyless', '5 null=keyless'])
      await task!.commit({ outputs: [], state: [], position: 6 })
      await later(1)
      expect(await shown(log, at)).toEqual(['2 a=2', '3 b=null', '4 null=keyless', '5 null=keyless'])
      await later(day_ms)
      expect(await shown(log, at)).toEqual(['2 a=2', '4 null=keyless', '5 null=keyless'])
      // A key that comes back, is deleted, and comes back again.
      await log.append([
        record('latest', 'b', '3'),
        record('latest', 'b', null),
        record('latest', 'b', '4'),
        record('latest', 'a', null),
      ])
      await task!.commit({ outputs: [], state: [], position: 10 })
      await later(day_ms)
      await later(day_ms)
      expect(await shown(log, at)).toEqual(['4 null=keyless', '5 null=keyless', '8 b=4'])
    })

    test('much is compacted in slices, between which commits go on', async () => {
      await log.createTopics([latest, { ...latest, name: 'other', partitions: 2 }])
      for (let round = 0; round < 5; round++)
        await log.append(
          Array.from({ length: 2000 }, (_, i) => record(i % 2 === 0 ? 'latest' : 'other', `${i % 50}`, `${round}:${i}`)),
        )
      expect(await log.trim()).toBe(true)
      const appended = log.append([record('latest', 'x', 'y')])
      let slices = 1
      while (await log.trim()) slices++
      await appended
      expect(slices).toBeGreaterThan(3)
      await later(0)
      const left = (await Promise.all([0, 1].map((partition) => shown(log, { topic: 'other', partition })))).flat()
      expect(left).toHaveLength(25)
      expect(left.every((line) => line.includes('=4:'))).toBe(true)
      expect(await shown(log, { topic: 'latest', partition: 0 })).toHaveLength(26)
    })

    test('records deleted from a compacted topic leave it able to go on', async () => {
      await log.createTopics([latest])
      const at = { topic: 'latest', partition: 0 }
      await log.append([record('latest', 'a', '1'), record('latest', 'b', null), record('latest', 'c', '1')])
      await later(0)
      await log.deleteRecords(at, 2)
      await log.append([record('latest', 'a', '2'), record('latest', 'b', '2'), record('latest', 'c', null)])
      await later(day_ms)
      await later(day_ms)
      expect(await shown(log, at)).toEqual(['3 a=2', '4 b=2'])
    })
  })

  describe('when there is no space', () => {
    test('a commit is log.full, nothing of it is visible, and work resumes with space', async () => {
      open({}, { file_bytes_max: 1 << 20 })
      await log.createTopics([days])
      await log.append([record('days', 'a', '1')])
      const tasks = await tasksOf(log, 'g', ['days'])
      const big = { ...record('days', 'big', null), value: Buffer.alloc(2 << 20) }
      const commit = { outputs: [big], state: [{ key: 'k', value: Buffer.from('v') }], position: 1 }
      await expect(tasks[0]!.commit(commit)).rejects.toEqual(fault('log.full'))
      await expect(log.append([big])).rejects.toEqual(fault('log.full'))
      // Beside one that is too large, one that fits goes through.
      const together = await Promise.allSettled([
        log.append([big]),
        log.append([record('days', 'b', '2')]),
        tasks[0]!.commit(commit),
      ])
      expect(together.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected'])
      expect(await shown(log, { topic: 'days', partition: 0 })).toEqual(['0 a=1', '1 b=2'])
      expect(tasks[0]!.state.get('k')).toBeUndefined()
      expect(tasks[0]!.position()).toBe(0)
      // The same task goes on once there is room: here, for a smaller record.
      await tasks[0]!.commit({ ...commit, outputs: [record('days', 'c', '3')] })
      expect(`${tasks[0]!.state.get('k')}`).toBe('v')
      expect(await shown(log, { topic: 'days', partition: 0 })).toEqual(['0 a=1', '1 b=2', '2 c=3'])
      await reopen()
      await log.append([big])
      expect((await log.offsets('days'))[0]!.end).toBe(4)
    })
  })

  describe('commits that come together', () => {
    test('share a transaction: one that is fenced does not fail the others, and all keep their order', async () => {
      open()
      await log.createTopics([
        { ...days, partitions: 8 },
        { ...days, name: 'out' },
      ])
      const tasks = await tasksOf(log, 'g', ['days'])
      const zombie = tasks[3]!
      const other = await tasksOf(log, 'h', ['days'])
      const commits = [...tasks, ...other].map((task, i) =>
        task.commit({ outputs: [record('out', null, `${i}`)], state: [{ key: 'i', value: Buffer.from(`${i}`) }], position: 0 }),
      )
      expect((await Promise.allSettled(commits)).every(({ status }) => status === 'fulfilled')).toBe(true)
      expect(await shown(log, { topic: 'out', partition: 0 })).toEqual(Array.from({ length: 16 }, (_, i) => `${i} null=${i}`))
      await zombie.release()
      const outcomes = await Promise.allSettled(
        tasks.map((task) => task.commit({ outputs: [record('out', null, 'x')], state: [], position: 0 })),
      )
      expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1)
      expect((await log.offsets('out'))[0]!.end).toBe(23)
    })
  })

  test('tasks, records and outcomes are those of the memory log, whatever is done in whatever order', async () => {
    open()
    const memory = openMemoryLog(systemClock)
    const logs = [memory, log] as const
    const specs: TopicSpec[] = [
      { name: 'in', partitions: 2, keep: { days: 7 } },
      { name: 'out', partitions: 3, keep: { days: 7 } },
    ]
    const worlds = await Promise.all(
      logs.map(async (each) => {
        await each.createTopics(specs)
        const tasks = new Map<number, LogTask>()
        const all: LogTask[] = []
        const subscription = await each.subscribe('g', ['in'], {
          assigned: (task) => {
            tasks.set(task.input.partition, task)
            all.push(task)
          },
          revoked: async () => {},
          failed: () => {},
        })
        return { log: each, tasks, all, subscription }
      }),
    )
    let seed = 5
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const outcome = (promise: Promise<unknown>) =>
      promise.then(
        (value) => JSON.stringify(value),
        (error: { code?: string }) => error.code,
      )
    for (let step = 0; step < 400; step++) {
      const kind = random(6)
      const partition = random(2)
      const n = random(20)
      const old = random(1000)
      const texts = Array.from({ length: 1 + random(5) }, () => `${step}-${random(50)}`)
      const answers = await Promise.all(
        worlds.map(async ({ log, tasks, all, subscription }) => {
          const task = kind === 5 ? all[old % all.length]! : tasks.get(partition)!
          if (kind === 0) return outcome(log.append(texts.map((each) => record('in', each, each))))
          if (kind === 1) return outcome(task.poll({ ...bounds, records_max: 1 + n, bytes_max: 1 + n * 7 }, never))
          if (kind === 2) {
            task.rewind()
            return `${task.position()}`
          }
          if (kind === 3 && n < 4) return outcome(subscription.reacquire({ topic: 'in', partition }))
          const state = texts.map((key, i) => ({ key: key.slice(-2), value: i % 3 === 0 ? null : Buffer.from(key) }))
          const missing = n === 0 ? [record('absent', 'a', 'b')] : []
          const position = Math.max(0, task.position() + n - 8)
          const done = await outcome(
            task.commit({ outputs: [...texts.map((each) => record('out', each, each)), ...missing], state, position }),
          )
          return `${done} ${task.position()} ${JSON.stringify(task.state.entries('', 5))} ${task.state.get(texts[0]!.slice(-2))}`
        }),
      )
      // A fenced task may not be read from: only its refusal counts.
      const [expected, got] = answers.map((answer) => (answer?.startsWith('task.fenced') ? 'task.fenced' : answer))
      expect(`${step}: ${got}`).toBe(`${step}: ${expected}`)
    }
    for (const { name, partitions } of specs)
      for (let partition = 0; partition < partitions; partition++)
        expect(await shown(log, { topic: name, partition })).toEqual(await shown(memory, { topic: name, partition }))
    expect(await log.positions('g', 'in')).toEqual(await memory.positions('g', 'in'))
    await memory.close()
  })
})
