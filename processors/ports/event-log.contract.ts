/** The laws of the log, run against every adapter; where they come from is the simulated commit protocol (docs/adr). */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import { type Header, type LogRecord, type OutputRecord, placeName, type TopicPartition } from '../domain/record.ts'
import type {
  AssignmentHandler,
  Commit,
  EventLog,
  EventLogAdmin,
  LogTask,
  PollBounds,
  Subscription,
  TopicSpec,
} from './event-log.ts'

/** What a suite works on. Topics and groups get unique names, so one log, even a shared server, may serve a whole suite. */
export type OpenedLog = {
  readonly log: EventLog
  readonly admin: EventLogAdmin
  /** Another member, as a second process would be, on the same log. The suite closes it. */
  another(): Promise<EventLog>
  close(): Promise<void>
  /** Deletes the records below an offset, as retention would. */
  deleteRecords?(at: TopicPartition, before: number): Promise<void>
  /** Removes superseded records of a topic kept `latest`, now. */
  compact?(topic: string): Promise<void>
  /** Removes a topic, so that it can be created anew under its name. */
  deleteTopic?(topic: string): Promise<void>
  /** Resolves once everything committed so far is visible to readers. Leave it out where commit's own promise says so. */
  settle?(): Promise<void>
}

export type LogContractOptions = {
  /** Law -> why this adapter does not keep it. Printed, and shown as a skipped test. */
  readonly known?: Readonly<Record<string, string>>
  /** Time for one law. */
  readonly timeout_ms?: number
}

type Seat = {
  readonly owned: Map<string, LogTask>
  /** Tasks that were taken away or replaced: zombies, for those who keep them. */
  readonly lost: LogTask[]
  readonly subscription: Subscription
  /** The current task of a partition, once there is one other than `not`. */
  task(at: TopicPartition, not?: LogTask): Promise<LogTask>
}

type World = OpenedLog & {
  topic(spec?: Partial<TopicSpec>): Promise<string>
  group(): string
  /** Joins as a member; left at the end of the law. */
  seat(group: string, topics: readonly string[], from?: EventLog, accept_gaps?: readonly TopicPartition[]): Promise<Seat>
  /** Another process-like member's log, closed at the end of the law. */
  other(): Promise<EventLog>
  /** Resolves once the condition holds; looked at whenever any seat's assignment changes. */
  until(holds: () => boolean): Promise<void>
  /** Every visible record of a partition, after everything committed has settled. */
  all(at: TopicPartition, from?: number): Promise<LogRecord[]>
}

const bounds: PollBounds = { records_max: 1000, bytes_max: 1 << 20, linger_ms: 0, wait_ms: 3000 }
const never = new AbortController().signal

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
const text = (value: Buffer | null): string | null => (value === null ? null : value.toString('utf8'))
const record = (topic: string, key: string | null, value: string | null, more: Partial<OutputRecord> = {}): OutputRecord => ({
  topic,
  key: key === null ? null : bytes(key),
  value: value === null ? null : bytes(value),
  timestamp_ms: 1_700_000_000_000,
  ...more,
})
const values = (records: readonly LogRecord[]) => records.map((entry) => text(entry.value))
const nothing: Omit<Commit, 'position'> = { outputs: [], state: [] }
const next = (records: readonly LogRecord[]): number => records.at(-1)!.offset + 1

/** The code of the fault a promise rejects with; fails when it resolves or rejects with anything else. */
const faultOf = async (promise: Promise<unknown>): Promise<string> => {
  const outcome = await promise.then(
    () => 'resolved',
    (error: unknown) => error,
  )
  if (outcome instanceof Fault) return outcome.code
  throw outcome instanceof Error ? outcome : new Error(`Expected a Fault, but the promise ${String(outcome)}.`)
}

/** Polls until `count` records are there, as a consumer would that waits for a slow log. */
const take = async (task: LogTask, count: number, limits: PollBounds = bounds): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for (let idle = 0; records.length < count && idle < 5; ) {
    const polled = await task.poll({ ...limits, records_max: Math.min(limits.records_max, count - records.length) }, never)
    if (polled.records.length === 0) idle++
    records.push(...polled.records)
  }
  return records
}

/** Numbers that look random and are the same in every run (Numerical Recipes' LCG). */
const lcg = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

const laws: Record<string, (world: World) => Promise<void>> = {
  'append answers each record with its place, in order, and a partition keeps that order': async (w) => {
    const topic = await w.topic({ partitions: 3 })
    const records = Array.from({ length: 60 }, (_, i) => record(topic, `k${i % 7}`, `v${i}`, i % 5 === 0 ? { partition: 2 } : {}))
    const places = [...(await w.log.append(records.slice(0, 50))), ...(await w.log.append(records.slice(50)))]
    expect(places).toHaveLength(60)
    for (const partition of [0, 1, 2]) {
      const mine = records.filter((_, i) => places[i]!.partition === partition)
      const seen = await w.all({ topic, partition })
      expect(values(seen)).toEqual(mine.map((entry) => text(entry.value)))
      expect(seen.map((entry) => entry.offset)).toEqual(places.filter((at) => at.partition === partition).map((at) => at.offset))
    }
    records.forEach((entry, i) => {
      expect(places[i]!.topic).toBe(topic)
      if (entry.partition !== undefined) expect(places[i]!.partition).toBe(entry.partition)
    })
    expect(await w.log.append([])).toEqual([])
  },

  'a key chooses its partition by murmur2, a null key partition 0': async (w) => {
    const topic = await w.topic({ partitions: 7 })
    // Kafka's own expectations: clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2.
    const golden = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ] as const
    const places = await w.log.append([...golden.map(([key]) => record(topic, key, '')), record(topic, null, '')])
    expect(places.map((at) => at.partition)).toEqual([...golden.map(([, hash]) => (hash & 0x7fffffff) % 7), 0])
    const input = await w.topic()
    const seat = await w.seat(w.group(), [input])
    const task = await seat.task({ topic: input, partition: 0 })
    await task.commit({ outputs: golden.map(([key]) => record(topic, key, 'commit')), state: [], position: task.position() })
    for (const [key, hash] of golden) {
      const seen = await w.all({ topic, partition: (hash & 0x7fffffff) % 7 })
      expect(seen.filter((entry) => text(entry.key) === key && text(entry.value) === 'commit')).toHaveLength(1)
    }
  },

  'keys, values, headers and times survive byte for byte': async (w) => {
    const topic = await w.topic()
    const at = { topic, partition: 0 }
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const headers: Header[] = [
      ['again', bytes('1')],
      ['again', bytes('2')],
      ['again', binary],
      ['empty', Buffer.alloc(0)],
      ['ключ', bytes('ü')],
    ]
    const sent: OutputRecord[] = [
      { topic, partition: 0, key: null, value: null, timestamp_ms: 1 },
      { topic, partition: 0, key: Buffer.alloc(0), value: Buffer.alloc(0), timestamp_ms: 1_700_000_000_001 },
      { topic, partition: 0, key: binary, value: binary, headers, timestamp_ms: 1_700_000_000_002 },
      { topic, partition: 0, key: bytes('t'), value: null, headers: [['h', binary]], timestamp_ms: 1_700_000_000_003 },
      { topic, partition: 0, key: bytes('big'), value: Buffer.alloc(300_000, 7), timestamp_ms: 1_700_000_000_004 },
    ]
    await w.log.append(sent)
    const input = await w.topic()
    const task = await (await w.seat(w.group(), [input])).task({ topic: input, partition: 0 })
    await task.commit({ outputs: sent, state: [], position: task.position() })
    const read = await w.all(at)
    const polled = await take(await (await w.seat(w.group(), [topic])).task(at), 10)
    const grouped = (list: readonly Header[]) => {
      const by_name: Record<string, string[]> = {}
      for (const [name, value] of list) by_name[name] = [...(by_name[name] ?? []), value.toString('hex')]
      return by_name
    }
    for (const seen of [read, polled]) {
      expect(seen).toHaveLength(10)
      seen.forEach((entry, i) => {
        const original = sent[i % 5]!
        expect(entry.key?.toString('hex')).toBe(original.key?.toString('hex'))
        expect(entry.value?.toString('hex')).toBe(original.value?.toString('hex'))
        expect(entry.timestamp_ms).toBe(original.timestamp_ms)
        // The order of equal names is kept; between different names it is not promised.
        expect(grouped(entry.headers)).toEqual(grouped(original.headers ?? []))
      })
    }
  },

  'a commit appears whole: outputs in every topic and partition, state and position': async (w) => {
    const [input, a, b] = [await w.topic(), await w.topic({ partitions: 2 }), await w.topic()]
    const group = w.group()
    const task = await (await w.seat(group, [input])).task({ topic: input, partition: 0 })
    await w.log.append(Array.from({ length: 20 }, (_, i) => record(input, null, `${i}`)))
    const read = await take(task, 20)
    const places = [
      { topic: a, partition: 0 },
      { topic: a, partition: 1 },
      { topic: b, partition: 0 },
    ]
    // What a reader has seen of a commit in one place, it finds in every place it looks at afterwards.
    let round = 0
    const look = async () => {
      const order = round++ % 2 === 0 ? places : places.toReversed()
      let seen: (string | null)[] = []
      for (const at of order) {
        const now = values(await w.all(at))
        expect(now.slice(0, seen.length)).toEqual(seen)
        seen = now
      }
      return seen
    }
    for (const [i, entry] of read.entries()) {
      const committing = task.commit({
        outputs: places.map((at) => record(at.topic, null, `${i}`, { partition: at.partition })),
        state: [{ key: 'last', value: bytes(`${i}`) }],
        position: entry.offset + 1,
      })
      await look()
      await committing
      expect(await look()).toHaveLength(i + 1)
    }
    for (const at of places) expect(values(await w.all(at))).toEqual(read.map((_, i) => `${i}`))
    expect(text(task.state.get('last') ?? null)).toBe('19')
    expect(task.position()).toBe(next(read))
    expect((await w.admin.positions(group, input))[0]!.position).toBe(next(read))
  },

  'a commit that cannot be whole leaves nothing: a missing topic is topic.missing': async (w) => {
    const [input, a] = [await w.topic(), await w.topic({ partitions: 2 })]
    const group = w.group()
    const at = { topic: input, partition: 0 }
    const seat = await w.seat(group, [input])
    let task = await seat.task(at)
    await w.log.append([record(input, null, 'x')])
    const read = await take(task, 1)
    const broken: OutputRecord[][] = [
      [record(a, 'k', 'lost', { partition: 0 }), record(`${a}.absent`, 'k', 'lost')],
      [record(`${a}.absent`, 'k', 'lost'), record(a, 'k', 'lost', { partition: 1 })],
    ]
    for (const outputs of broken) {
      const failed = await faultOf(task.commit({ outputs, state: [{ key: 's', value: bytes('lost') }], position: next(read) }))
      expect(failed).toBe('topic.missing')
      await task.release()
      await seat.subscription.reacquire(at)
      task = await seat.task(at, task)
      expect(task.state.get('s')).toBeUndefined()
    }
    expect(await faultOf(w.log.append([record(a, 'k', 'lost', { partition: 99 })]))).toMatch(/^topic\.(missing|mismatch)$/)
    expect(await faultOf(w.log.append([record(`${a}.absent`, 'k', 'lost')]))).toBe('topic.missing')
    expect(await w.admin.listTopics()).not.toContain(`${a}.absent`)
    expect(values(await take(task, 1))).toEqual(['x'])
    await task.commit({
      outputs: [record(a, 'k', 'kept', { partition: 0 }), record(a, 'k', 'kept', { partition: 1 })],
      state: [],
      position: next(read),
    })
    for (const partition of [0, 1]) expect(values(await w.all({ topic: a, partition }))).toEqual(['kept'])
  },

  'a position never moves back': async (w) => {
    const input = await w.topic()
    const group = w.group()
    const task = await (await w.seat(group, [input])).task({ topic: input, partition: 0 })
    await w.log.append([record(input, null, 'a'), record(input, null, 'b')])
    const read = await take(task, 2)
    await task.commit({ ...nothing, position: next(read) })
    expect(await faultOf(task.commit({ ...nothing, position: read[0]!.offset }))).toBe('outcome.invalid')
    expect((await w.admin.positions(group, input))[0]!.position).toBe(next(read))
  },

  'position and state come back from the commit, and from nothing else': async (w) => {
    const [input, out] = [await w.topic(), await w.topic()]
    const at = { topic: input, partition: 0 }
    const group = w.group()
    const seat = await w.seat(group, [input])
    let task = await seat.task(at)
    await w.log.append(Array.from({ length: 10 }, (_, i) => record(input, null, `${i}`)))
    const read = await take(task, 10)
    expect(values(read)).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
    await task.commit({
      outputs: [record(out, null, '3')],
      state: [{ key: 'n', value: bytes('4') }],
      position: read[3]!.offset + 1,
    })
    // Polled on, never committed: forgotten.
    await task.release()
    await seat.subscription.reacquire(at)
    task = await seat.task(at, task)
    expect(task.position()).toBe(read[3]!.offset + 1)
    expect(text(task.state.get('n') ?? null)).toBe('4')
    expect(values(await take(task, 6))).toEqual(['4', '5', '6', '7', '8', '9'])
    // The same in another member after this one left.
    await seat.subscription.close()
    const elsewhere = await (await w.seat(group, [input], await w.other())).task(at)
    expect(elsewhere.position()).toBe(read[3]!.offset + 1)
    expect(values(await take(elsewhere, 6))).toEqual(['4', '5', '6', '7', '8', '9'])
    // Another group has its own position and state.
    const fresh = await (await w.seat(w.group(), [input])).task(at)
    expect(fresh.state.get('n')).toBeUndefined()
    expect(values(await take(fresh, 10))).toHaveLength(10)
  },

  'state after a takeover is what was committed: many keys, several commits a key, deletions': async (w) => {
    const input = await w.topic()
    const at = { topic: input, partition: 0 }
    const group = w.group()
    const seat = await w.seat(group, [input])
    let task = await seat.task(at)
    const model = new Map<string, string>()
    const random = lcg(7)
    for (let round = 0; round < 5; round++) {
      const state = Array.from({ length: 500 }, () => {
        const key = `key-${Math.floor(random() * 900)}`
        const value = random() < 0.2 ? null : `${round}-${random()}`
        if (value === null) model.delete(key)
        else model.set(key, value)
        return { key, value: value === null ? null : bytes(value) }
      })
      await task.commit({ outputs: [], state, position: task.position() })
      if (round === 2) {
        await task.release()
        await seat.subscription.reacquire(at)
        task = await seat.task(at, task)
      }
    }
    const odd = ['', ' ', 'ünï', '日本', '😀', 'a\u0000b', '%', 'key-\uffff']
    await task.commit({ outputs: [], state: odd.map((key) => ({ key, value: bytes(`odd ${key}`) })), position: task.position() })
    for (const key of odd) model.set(key, `odd ${key}`)
    await seat.subscription.close()
    const heir = await (await w.seat(group, [input], await w.other())).task(at)
    const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(heir.state.entries('', 10_000).map(([key, value]) => [key, text(value)])).toEqual(sorted)
    expect(heir.state.entries('key-1', 20).map(([key]) => key)).toEqual(
      sorted
        .filter(([key]) => key.startsWith('key-1'))
        .map(([key]) => key)
        .slice(0, 20),
    )
    for (let i = 0; i < 900; i++) expect(text(heir.state.get(`key-${i}`) ?? null)).toBe(model.get(`key-${i}`) ?? null)
  },

  'partitions of one group keep their state apart': async (w) => {
    const input = await w.topic({ partitions: 2 })
    const seat = await w.seat(w.group(), [input])
    const tasks = [await seat.task({ topic: input, partition: 0 }), await seat.task({ topic: input, partition: 1 })] as const
    for (const [i, task] of tasks.entries())
      await task.commit({ outputs: [], state: [{ key: 'same', value: bytes(`${i}`) }], position: task.position() })
    expect(tasks.map((task) => text(task.state.get('same') ?? null))).toEqual(['0', '1'])
    expect(tasks.map((task) => task.state.entries('', 10).length)).toEqual([1, 1])
  },

  'poll moves a cursor, rewind returns to the position': async (w) => {
    const input = await w.topic()
    const task = await (await w.seat(w.group(), [input])).task({ topic: input, partition: 0 })
    await w.log.append(['a', 'b', 'c', 'd'].map((value) => record(input, null, value)))
    const two = { ...bounds, records_max: 2 }
    const first = (await task.poll(two, never)).records
    expect(values(first)).toEqual(['a', 'b'])
    const second = await task.poll(two, never)
    expect(values(second.records)).toEqual(['c', 'd'])
    expect(second.end_offset).toBeGreaterThanOrEqual(next(second.records))
    task.rewind()
    expect(values(await take(task, 4))).toEqual(['a', 'b', 'c', 'd'])
    await task.commit({ ...nothing, position: next(first) })
    task.rewind()
    expect(values(await take(task, 2))).toEqual(['c', 'd'])
    expect((await task.poll({ ...bounds, wait_ms: 0 }, never)).records).toEqual([])
  },

  'poll keeps its bounds of records and bytes, and always gives one record': async (w) => {
    const input = await w.topic()
    const task = await (await w.seat(w.group(), [input])).task({ topic: input, partition: 0 })
    await w.log.append(Array.from({ length: 30 }, (_, i) => ({ ...record(input, null, null), value: Buffer.alloc(1000, i) })))
    await w.settle?.()
    for (const [limits, most] of [
      [{ ...bounds, records_max: 4 }, 4],
      [{ ...bounds, bytes_max: 3500 }, 3],
      [{ ...bounds, bytes_max: 10 }, 1],
    ] as const) {
      task.rewind()
      const got: LogRecord[] = []
      while (got.length < 30) {
        const { records } = await task.poll(limits, never)
        expect(records.length).toBeGreaterThanOrEqual(1)
        expect(records.length).toBeLessThanOrEqual(most)
        got.push(...records)
      }
      expect(got.map((entry) => entry.value![0])).toEqual(Array.from({ length: 30 }, (_, i) => i))
    }
  },

  'poll waits for the first record, lingers for more, and stops at its bound': async (w) => {
    const input = await w.topic()
    const task = await (await w.seat(w.group(), [input])).task({ topic: input, partition: 0 })
    expect((await task.poll({ ...bounds, wait_ms: 1 }, never)).records).toEqual([])
    const waiting = task.poll({ ...bounds, wait_ms: 60_000 }, never)
    await w.log.append([record(input, null, 'first')])
    const woken = (await waiting).records
    expect(values(woken)).toEqual(['first'])
    // With an hour to linger, only the bound on records can end this poll.
    const gathering = task.poll({ ...bounds, records_max: 3, linger_ms: 3_600_000, wait_ms: 60_000 }, never)
    for (const value of ['1', '2', '3', '4']) await w.log.append([record(input, null, value)])
    expect(values((await gathering).records)).toEqual(['1', '2', '3'])
    expect(values(await take(task, 1))).toEqual(['4'])
    await w.log.append([record(input, null, '5')])
    expect(values((await task.poll({ ...bounds, linger_ms: 20 }, never)).records)).toEqual(['5'])
  },

  'an aborted poll returns nothing and loses nothing': async (w) => {
    const input = await w.topic()
    const task = await (await w.seat(w.group(), [input])).task({ topic: input, partition: 0 })
    const aborted = new AbortController()
    const waiting = task.poll({ ...bounds, wait_ms: 3_600_000 }, aborted.signal)
    aborted.abort()
    expect((await waiting).records).toEqual([])
    await w.log.append([record(input, null, 'kept')])
    const while_lingering = new AbortController()
    const gathering = task.poll({ ...bounds, linger_ms: 3_600_000 }, while_lingering.signal)
    while_lingering.abort()
    expect((await gathering).records).toEqual([])
    expect(values(await take(task, 1))).toEqual(['kept'])
  },

  'a second owner fences the first: a zombie commits nothing, the rightful owner goes on': async (w) => {
    const [input, out] = [await w.topic(), await w.topic()]
    const at = { topic: input, partition: 0 }
    const group = w.group()
    const seat = await w.seat(group, [input])
    const zombie = await seat.task(at)
    await w.log.append([record(input, null, 'a'), record(input, null, 'b')])
    const read = await take(zombie, 2)
    await zombie.commit({
      outputs: [record(out, null, 'a')],
      state: [{ key: 'k', value: bytes('a') }],
      position: read[0]!.offset + 1,
    })
    // Not released: the old owner only seems dead.
    await seat.subscription.reacquire(at)
    const owner = await seat.task(at, zombie)
    const late: Commit = {
      outputs: [record(out, null, 'zombie')],
      state: [{ key: 'k', value: bytes('zombie') }],
      position: next(read),
    }
    expect(await faultOf(zombie.commit(late))).toBe('task.fenced')
    expect(await faultOf(zombie.commit(late))).toBe('task.fenced')
    expect(owner.position()).toBe(read[0]!.offset + 1)
    expect(values(await take(owner, 1))).toEqual(['b'])
    await owner.commit({ outputs: [record(out, null, 'b')], state: [{ key: 'l', value: bytes('b') }], position: next(read) })
    expect(await faultOf(zombie.commit(late))).toBe('task.fenced')
    await zombie.release()
    await owner.commit({ outputs: [record(out, null, 'end')], state: [], position: next(read) })
    expect(values(await w.all({ topic: out, partition: 0 }))).toEqual(['a', 'b', 'end'])
    await seat.subscription.reacquire(at)
    const heir = await seat.task(at, owner)
    expect(heir.position()).toBe(next(read))
    expect(heir.state.entries('', 10).map(([key, value]) => [key, text(value)])).toEqual([
      ['k', 'a'],
      ['l', 'b'],
    ])
  },

  'a released task commits nothing': async (w) => {
    const input = await w.topic()
    const group = w.group()
    const task = await (await w.seat(group, [input])).task({ topic: input, partition: 0 })
    await w.log.append([record(input, null, 'a')])
    const read = await take(task, 1)
    await task.release()
    await task.release()
    expect(await faultOf(task.commit({ ...nothing, position: next(read) }))).toBe('task.fenced')
    expect((await w.admin.positions(group, input))[0]!.position).toBe(0)
  },

  'exactly once under takeovers in the middle of batches, with zombies that go on': async (w) => {
    const [input, out, copy] = [await w.topic(), await w.topic({ partitions: 2 }), await w.topic()]
    const at = { topic: input, partition: 0 }
    const seat = await w.seat(w.group(), [input])
    const inputs = Array.from({ length: 120 }, (_, i) => `${i}`)
    await w.log.append(inputs.map((value) => record(input, null, value)))
    const random = lcg(11)
    const zombies: { task: LogTask; commit: Commit }[] = []
    let task = await seat.task(at)
    const work = (owner: LogTask, read: readonly LogRecord[]): Commit => {
      const before = Number(text(owner.state.get('count') ?? bytes('0')))
      return {
        outputs: read.flatMap((entry) => [
          { ...record(out, null, text(entry.value)), partition: Number(text(entry.value)) % 2 },
          record(copy, null, text(entry.value)),
        ]),
        state: [{ key: 'count', value: bytes(`${before + read.length}`) }],
        position: next(read),
      }
    }
    let takeovers = 0
    for (let turn = 0; ; turn++) {
      if (turn > 1000) throw new Error('The group makes no progress.')
      const read = await take(task, 1 + Math.floor(random() * 7), { ...bounds, wait_ms: 100 })
      if (read.length === 0) break
      const commit = work(task, read)
      const chance = random()
      if (chance < 0.4 || takeovers >= 25) {
        await task.commit(commit)
        continue
      }
      // The old owner's commit races the takeover, or comes after it; either way it happens once or not at all.
      const racing = chance < 0.7 ? task.commit(commit) : undefined
      const [result] = await Promise.allSettled([racing, seat.subscription.reacquire(at)])
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: expect.stringMatching(/^(task\.fenced|commit\.unknown)$/) })
      const old = task
      task = await seat.task(at, old)
      takeovers++
      zombies.push({ task: old, commit })
      const undead = zombies[Math.floor(random() * zombies.length)]!
      expect(await faultOf(undead.task.commit(undead.commit))).toBe('task.fenced')
    }
    expect(takeovers).toBeGreaterThan(10)
    expect(text(task.state.get('count') ?? null)).toBe('120')
    expect(values(await w.all({ topic: copy, partition: 0 }))).toEqual(inputs)
    for (const partition of [0, 1])
      expect(values(await w.all({ topic: out, partition }))).toEqual(inputs.filter((value) => Number(value) % 2 === partition))
  },

  'members share the partitions: each has one owner, every one has an owner, takeovers lose nothing': async (w) => {
    const [input, out] = [await w.topic({ partitions: 4 }), await w.topic()]
    const group = w.group()
    const places = [0, 1, 2, 3].map((partition) => ({ topic: input, partition }))
    const one = await w.seat(group, [input])
    await w.until(() => one.owned.size === 4)
    const early = new Map(one.owned)
    for (const at of places) await w.log.append([record(input, null, `a${at.partition}`, at)])
    for (const at of places) {
      const task = one.owned.get(placeName(at))!
      const read = await take(task, 1)
      await task.commit({ outputs: [record(out, null, text(read[0]!.value))], state: [], position: next(read) })
    }
    const two = await w.seat(group, [input], await w.other())
    const apart = () => [...one.owned.keys()].every((place) => !two.owned.has(place))
    await w.until(() => one.owned.size >= 1 && two.owned.size >= 1 && one.owned.size + two.owned.size === 4 && apart())
    // What the first member was told to give up is fenced by now, whether or not it listened.
    for (const [place, task] of early)
      if (two.owned.has(place)) expect(await faultOf(task.commit({ ...nothing, position: task.position() }))).toBe('task.fenced')
    const work = async (seat: Seat) => {
      for (const task of seat.owned.values()) {
        const read = await take(task, 1)
        await task.commit({ outputs: [record(out, null, text(read[0]!.value))], state: [], position: next(read) })
      }
    }
    for (const at of places) await w.log.append([record(input, null, `b${at.partition}`, at)])
    await work(one)
    await work(two)
    await two.subscription.close()
    await w.until(() => one.owned.size === 4)
    for (const at of places) await w.log.append([record(input, null, `c${at.partition}`, at)])
    await work(one)
    const got = values(await w.all({ topic: out, partition: 0 }))
    expect(got.toSorted()).toEqual(['a', 'b', 'c'].flatMap((wave) => places.map((at) => `${wave}${at.partition}`)))
  },

  'a member reads several topics, and only those it asked for': async (w) => {
    const [a, b] = [await w.topic(), await w.topic({ partitions: 2 })]
    const seat = await w.seat(w.group(), [a, b])
    await w.until(() => seat.owned.size === 3)
    expect([...seat.owned.keys()].toSorted()).toEqual([`${a}/0`, `${b}/0`, `${b}/1`].toSorted())
    const absent: AssignmentHandler = { assigned: () => {}, revoked: async () => {}, failed: () => {} }
    expect(await faultOf(w.log.subscribe(w.group(), [`${a}.absent`], absent))).toBe('topic.missing')
  },

  'records deleted before they were read stop the task with offset.gap; accepted, it goes on from the oldest': async (w) => {
    if (w.deleteRecords === undefined) throw new Error('Give deleteRecords, or list this law as known.')
    const input = await w.topic()
    const at = { topic: input, partition: 0 }
    const group = w.group()
    const seat = await w.seat(group, [input])
    const task = await seat.task(at)
    const places = await w.log.append(Array.from({ length: 6 }, (_, i) => record(input, null, `${i}`)))
    const read = await take(task, 2)
    await task.commit({ ...nothing, position: next(read) })
    await w.deleteRecords(at, places[1]!.offset)
    task.rewind()
    // Deleted up to the position: nothing unread is lost.
    expect(values(await take(task, 4))).toEqual(['2', '3', '4', '5'])
    await w.deleteRecords(at, places[4]!.offset)
    await seat.subscription.close()
    expect((await w.admin.offsets(input))[0]!.start).toBe(places[4]!.offset)
    const stopped = await w.seat(group, [input])
    expect(await faultOf((await stopped.task(at)).poll(bounds, never))).toBe('offset.gap')
    await stopped.subscription.close()
    const accepting = await w.seat(group, [input], w.log, [at])
    const heir = await accepting.task(at)
    const rest = await take(heir, 2)
    expect(values(rest)).toEqual(['4', '5'])
    await heir.commit({ ...nothing, position: next(rest) })
    await accepting.subscription.close()
    await w.log.append([record(input, null, '6')])
    expect(values(await take(await (await w.seat(group, [input])).task(at), 1))).toEqual(['6'])
  },

  'a group that never committed starts at the oldest record without a gap': async (w) => {
    if (w.deleteRecords === undefined) throw new Error('Give deleteRecords, or list this law as known.')
    const input = await w.topic()
    const at = { topic: input, partition: 0 }
    const places = await w.log.append(['0', '1', '2'].map((value) => record(input, null, value)))
    await w.deleteRecords(at, places[2]!.offset)
    expect(values(await w.all(at))).toEqual(['2'])
    expect(values(await take(await (await w.seat(w.group(), [input])).task(at), 1))).toEqual(['2'])
  },

  'a topic made anew that ends before the position is an offset.gap; accepted, it is read from its start': async (w) => {
    if (w.deleteTopic === undefined) throw new Error('Give deleteTopic, or list this law as known.')
    const input = await w.topic()
    const at = { topic: input, partition: 0 }
    const group = w.group()
    const seat = await w.seat(group, [input])
    const task = await seat.task(at)
    await w.log.append(['0', '1', '2'].map((value) => record(input, null, value)))
    await task.commit({ ...nothing, position: next(await take(task, 3)) })
    await seat.subscription.close()
    await w.deleteTopic(input)
    await w.admin.createTopics([{ name: input, partitions: 1, keep: { days: 7 } }])
    await w.log.append([record(input, null, 'new')])
    const stopped = await w.seat(group, [input])
    expect(await faultOf((await stopped.task(at)).poll(bounds, never))).toBe('offset.gap')
    await stopped.subscription.close()
    const accepting = await w.seat(group, [input], w.log, [at])
    expect(values(await take(await accepting.task(at), 1))).toEqual(['new'])
  },

  'a compacted topic keeps the last record of each key; offsets stay, with holes': async (w) => {
    if (w.compact === undefined) throw new Error('Give compact, or list this law as known.')
    const topic = await w.topic({ keep: 'latest' })
    const at = { topic, partition: 0 }
    const written = [
      ['a', 'a1'],
      ['b', 'b1'],
      ['a', 'a2'],
      ['c', 'c1'],
      ['b', null],
      ['a', 'a3'],
      ['d', 'd1'],
    ] as const
    const places = await w.log.append(written.map(([key, value]) => record(topic, key, value)))
    await w.compact(topic)
    const kept = await w.all(at)
    const found = new Map(kept.map((entry) => [text(entry.key), entry]))
    expect(text(found.get('a')!.value)).toBe('a3')
    expect(text(found.get('c')!.value)).toBe('c1')
    expect(text(found.get('d')!.value)).toBe('d1')
    // A deleted key is gone or says so.
    expect(found.get('b')?.value ?? null).toBeNull()
    expect(values(kept)).not.toContain('a1')
    expect(values(kept)).not.toContain('a2')
    expect(values(kept)).not.toContain('b1')
    expect(found.get('a')!.offset).toBe(places[5]!.offset)
    expect(kept.map((entry) => entry.offset)).toEqual(kept.map((entry) => entry.offset).toSorted((x, y) => x - y))
    const group = w.group()
    const seat = await w.seat(group, [topic])
    const task = await seat.task(at)
    const read = await take(task, kept.length)
    expect(values(read)).toEqual(values(kept))
    await task.commit({ ...nothing, position: read[0]!.offset + 1 })
    task.rewind()
    expect(values(await take(task, kept.length - 1))).toEqual(values(kept).slice(1))
    await w.log.append([record(topic, 'a', 'a4')])
    expect(values(await take(task, 1))).toEqual(['a4'])
  },

  'scan reads from an offset, from the oldest, and up to the end': async (w) => {
    const topic = await w.topic()
    const at = { topic, partition: 0 }
    expect(await w.all(at)).toEqual([])
    const places = await w.log.append(Array.from({ length: 1500 }, (_, i) => record(topic, null, `${i}`)))
    expect(values(await w.all(at))).toEqual(Array.from({ length: 1500 }, (_, i) => `${i}`))
    expect(values(await w.all(at, places[1490]!.offset))).toEqual(Array.from({ length: 10 }, (_, i) => `${1490 + i}`))
    expect(await w.all(at, places[1499]!.offset + 1000)).toEqual([])
    // A reader may stop early.
    const some: LogRecord[] = []
    for await (const entry of w.log.scan(at, 0)) if (some.push(entry) === 3) break
    expect(values(some)).toEqual(['0', '1', '2'])
    const absent = (async () => {
      for await (const _ of w.log.scan({ topic: `${topic}.absent`, partition: 0 }, 0))
        throw new Error('A missing topic has no records.')
    })()
    expect(await faultOf(absent)).toBe('topic.missing')
  },

  'createTopics creates what is missing, once, and refuses other partitions': async (w) => {
    const stem = w.group()
    const specs: TopicSpec[] = [
      { name: `${stem}.a`, partitions: 1, keep: 'latest' },
      { name: `${stem}.b`, partitions: 3, keep: { days: 1 } },
    ]
    expect(await w.admin.createTopics(specs.slice(0, 1))).toEqual([`${stem}.a`])
    expect(await w.admin.createTopics(specs)).toEqual([`${stem}.b`])
    expect(await w.admin.createTopics(specs)).toEqual([])
    const names = await w.admin.listTopics()
    expect(names).toEqual(expect.arrayContaining([`${stem}.a`, `${stem}.b`]))
    const more = [
      ...specs.map((spec) => ({ ...spec, partitions: 2 })),
      { name: `${stem}.c`, partitions: 1, keep: 'latest' as const },
    ]
    expect(await faultOf(w.admin.createTopics(more))).toBe('topic.mismatch')
    expect(await w.admin.listTopics()).not.toContain(`${stem}.c`)
    expect((await w.admin.offsets(`${stem}.b`)).map((place) => place.partition)).toEqual([0, 1, 2])
  },

  'offsets and positions say where the log and a group stand': async (w) => {
    const topic = await w.topic({ partitions: 2 })
    const group = w.group()
    expect(await w.admin.offsets(topic)).toEqual([0, 1].map((partition) => ({ topic, partition, start: 0, end: 0 })))
    expect(await w.admin.positions(group, topic)).toEqual([0, 1].map((partition) => ({ topic, partition, position: 0 })))
    const places = await w.log.append(['0', '1', '2'].map((value) => record(topic, null, value, { partition: 1 })))
    expect((await w.admin.offsets(topic))[1]!.end).toBeGreaterThan(places[2]!.offset)
    const task = await (await w.seat(group, [topic])).task({ topic, partition: 1 })
    const read = await take(task, 2)
    expect((await w.admin.positions(group, topic))[1]!.position).toBe(0)
    await task.commit({ ...nothing, position: next(read) })
    expect((await w.admin.positions(group, topic)).map((place) => place.position)).toEqual([0, next(read)])
    expect(await faultOf(w.admin.offsets(`${topic}.absent`))).toBe('topic.missing')
    expect(await faultOf(w.admin.positions(group, `${topic}.absent`))).toBe('topic.missing')
  },
}

/** Registers the suite. `open` is called once; laws use topics and groups of their own. */
export const eventLogContract = (name: string, open: () => Promise<OpenedLog>, options: LogContractOptions = {}): void => {
  const { known = {}, timeout_ms = 10_000 } = options
  for (const law of Object.keys(known)) if (!(law in laws)) throw new Error(`${name}: there is no law "${law}".`)
  describe(`event log contract: ${name}`, () => {
    let opened: OpenedLog
    beforeAll(async () => {
      opened = await open()
    }, timeout_ms)
    afterAll(async () => {
      await opened?.close()
      for (const [law, reason] of Object.entries(known)) process.stderr.write(`GAP ${name}: ${law}: ${reason}\n`)
    }, timeout_ms)

    for (const [law, holds] of Object.entries(laws)) {
      if (known[law] !== undefined) {
        test.skip(`${law} [gap: ${known[law]}]`, () => {})
        continue
      }
      test(law, () => inWorld(opened, holds), timeout_ms)
    }
  })
}

/** Runs one law with names, seats and members of its own, and leaves the group behind it. */
const inWorld = async (opened: OpenedLog, law: (world: World) => Promise<void>): Promise<void> => {
  const stem = `law-${randomUUID().slice(0, 8)}`
  const seats: Seat[] = []
  const others: EventLog[] = []
  const failures: unknown[] = []
  let names = 0
  let ring = () => {}
  let changed = new Promise<void>((resolve) => {
    ring = resolve
  })
  const turn = () => {
    ring()
    changed = new Promise<void>((resolve) => {
      ring = resolve
    })
  }
  const until = async (holds: () => boolean) => {
    while (!holds()) {
      if (failures.length > 0) throw failures[0]
      await changed
    }
  }
  const world: World = {
    ...opened,
    until,
    group: () => `${stem}-group-${names++}`,
    topic: async (spec = {}) => {
      const topic = { name: `${stem}-topic-${names++}`, partitions: 1, keep: { days: 7 }, ...spec }
      await opened.admin.createTopics([topic])
      return topic.name
    },
    other: async () => {
      const log = await opened.another()
      others.push(log)
      return log
    },
    seat: async (group, topics, from = opened.log, accept_gaps = []) => {
      const owned = new Map<string, LogTask>()
      const lost: LogTask[] = []
      const lose = (input: TopicPartition) => {
        const task = owned.get(placeName(input))
        if (task !== undefined) lost.push(task)
        owned.delete(placeName(input))
      }
      const handler: AssignmentHandler = {
        assigned: (task) => {
          lose(task.input)
          owned.set(placeName(task.input), task)
          turn()
        },
        revoked: async (input) => {
          lose(input)
          turn()
        },
        failed: (error) => {
          failures.push(error)
          turn()
        },
      }
      const subscription = await from.subscribe(group, topics, handler, accept_gaps)
      const task = async (at: TopicPartition, not?: LogTask): Promise<LogTask> => {
        const current = () => owned.get(placeName(at))
        await until(() => current() !== undefined && current() !== not)
        return current()!
      }
      const seat: Seat = { owned, lost, subscription, task }
      seats.push(seat)
      return seat
    },
    all: async (at, from = 0) => {
      await opened.settle?.()
      const records: LogRecord[] = []
      for await (const entry of opened.log.scan(at, from)) records.push(entry)
      return records
    },
  }
  try {
    await law(world)
    expect(failures).toEqual([])
  } finally {
    for (const seat of seats) await seat.subscription.close()
    for (const log of others) await log.close()
  }
}
