import { describe, expect, test } from '@jest/globals'
import { openMemoryLog } from '../adapters/memory/event-log.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { seededRandom } from '../adapters/system/random.ts'
import { Fault } from '../domain/fault.ts'
import type { LogRecord } from '../domain/record.ts'
import type { Outcome, Processor, ReadPorts } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import { define, from, type Topology } from '../flow/topology.ts'
import type { Serde, Serdes } from '../ports/schema-registry.ts'
import type { PointWrite, VectorIndex } from '../ports/vector-index.ts'
import type { RuntimeEvent } from './events.ts'
import { default_limits, type RuntimeLimits } from './limits.ts'
import { supervise } from './supervise.ts'

type Word = { readonly word: string }
const words = topic<Word>('words', { key: 'word', schema: 'word', partitions: 2, keep: { days: 1 }, holds: 'words' })
const counts = topic<{ readonly n: number }>('counts', {
  key: 'word',
  schema: 'count',
  partitions: 1,
  keep: 'latest',
  holds: 'counts',
})
const dead = topic<unknown>('dead-letters.v1', {
  key: 'key',
  schema: 'none',
  partitions: 1,
  keep: { days: 1 },
  holds: 'dead letters',
})

const jsonSerdes: Serdes = {
  of: async <V>() =>
    ({
      schema_id: 1,
      serialize: (value: V) => Buffer.from(JSON.stringify(value)),
      deserialize: async (values) =>
        values.map((value) => {
          try {
            return JSON.parse(value.toString()) as V
          } catch (error) {
            return new Fault('json.syntax', 'Not JSON.', {}, error)
          }
        }),
    }) satisfies Serde<V>,
}

/** Counts words in state; `bad` is refused, `skip` dropped, and whatever `on` says happens first. */
const count = (on: (word: string) => void = () => undefined): Processor<Word, (key: string) => number> => ({
  name: 'count',
  does: 'counts words',
  drops: ['skipped'],
  reads: (_, state) => (key) => Number(state.get(key)?.toString() ?? 0),
  run: async (batch, seen): Promise<Outcome> => {
    const totals = new Map<string, number>()
    const emit: Outcome['emit'][number][] = []
    const dropped: NonNullable<Outcome['dropped']>[number][] = []
    for (const { offset, value } of batch.records) {
      const word = value!.word
      on(word)
      if (word === 'skip') dropped.push({ at: offset, reason: 'skipped' })
      else if (word === 'bad') dropped.push({ at: offset, fault: new Fault('semantics.enum', 'A bad word.') })
      else if (word !== 'lost') {
        totals.set(word, (totals.get(word) ?? seen(word)) + 1)
        emit.push({ to: counts, key: word, value: { n: totals.get(word)! }, causes: [offset] })
      }
    }
    return { emit, dropped, state: [...totals].map(([key, n]) => ({ key, value: Buffer.from(String(n)) })) }
  },
})

const noReads = {} as ReadPorts
const noIndex = { write: () => Promise.reject(new Error('not used')) } as unknown as VectorIndex

const start = async (
  topology: Topology,
  limits: Partial<RuntimeLimits> = {},
  index: VectorIndex = noIndex,
  moved_ms: (stage: string) => number = () => Number.NEGATIVE_INFINITY,
) => {
  const log = openMemoryLog(systemClock)
  await log.createTopics([words, counts, dead])
  const events: RuntimeEvent[] = []
  const run = () =>
    supervise({
      topology,
      stages: topology.stages.map((stage) => stage.processor.name),
      log: log.member(),
      serdes: jsonSerdes,
      index,
      reads: noReads,
      limits: { ...default_limits, backoff_first_ms: 1, backoff_max_ms: 5, ...limits },
      clock: systemClock,
      random: seededRandom(1),
      observe: (event) => events.push(event),
      moved_ms,
    })
  const publish = (...list: (string | Buffer | null)[]) =>
    log.append(
      list.map((word) => ({
        topic: 'words',
        partition: 0,
        key: Buffer.from('k'),
        value: typeof word === 'string' ? Buffer.from(JSON.stringify({ word })) : word,
        timestamp_ms: 5,
      })),
    )
  const read = async (name: string): Promise<LogRecord[]> => Array.fromAsync(log.scan({ topic: name, partition: 0 }, 0))
  const counted = async () => (await read('counts')).map((record) => `${record.key} ${JSON.parse(record.value!.toString()).n}`)
  /** Waits until the group has read everything. */
  const settled = async () => {
    for (;;) {
      const [position] = await log.positions('test.count', 'words')
      const [offsets] = await log.offsets('words')
      if ((position?.position ?? 0) >= offsets!.end) return
      await systemClock.sleep(2)
    }
  }
  return { log, events, run, publish, read, counted, settled }
}

const topologyOf = (processor: Processor<Word, never> | ReturnType<typeof count>, linger_ms = 0) =>
  define(
    'test',
    [
      from(words)
        .run(processor as ReturnType<typeof count>, { records_max: 3, bytes_max: 1_000, linger_ms })
        .to(counts),
    ],
    dead,
  )

test('every record ends once: emitted, dropped or dead-lettered with its bytes', async () => {
  const world = await start(topologyOf(count()))
  await world.publish('a', 'skip', 'bad', 'a', Buffer.from('{'), 'b', 'a')
  const supervisor = await world.run()
  await world.settled()
  await supervisor.stop()
  expect(await supervisor.ended).toBeUndefined()
  expect(await world.counted()).toEqual(['a 1', 'a 2', 'b 1', 'a 3'])
  const letters = await world.read('dead-letters.v1')
  const reasons = letters.map((letter) => letter.headers.find(([name]) => name === 'x-reason-code')![1].toString())
  expect(reasons.toSorted()).toEqual(['json.syntax', 'semantics.enum'])
  expect(letters.map((letter) => letter.value!.toString()).toSorted()).toEqual(['{', '{"word":"bad"}'])
  const committed = world.events.filter((event) => event.event === 'committed')
  const sum = (pick: (event: (typeof committed)[number]) => Readonly<Record<string, number>>) =>
    committed.flatMap((event) => Object.values(pick(event))).reduce((a, b) => a + b, 0)
  expect(committed.reduce((total, event) => total + event.records, 0)).toBe(7)
  expect([sum((event) => event.emitted), sum((event) => event.dropped), sum((event) => event.dead)]).toEqual([4, 1, 2])
})

test('a second run goes on where the first stopped, with its state', async () => {
  const world = await start(topologyOf(count()))
  await world.publish('a', 'a')
  const first = await world.run()
  await world.settled()
  await first.stop()
  await world.publish('a')
  const second = await world.run()
  await world.settled()
  await second.stop()
  expect(await world.counted()).toEqual(['a 1', 'a 2', 'a 3'])
})

test('a transient fault is waited out on the same records, declared as a pause, and nothing is doubled', async () => {
  let failures = 3
  const flaky = count((word) => {
    if (word === 'b' && failures-- > 0) throw new Fault('registry.unavailable', 'Away.')
  })
  const world = await start(topologyOf(flaky))
  await world.publish('a', 'b', 'a')
  const supervisor = await world.run()
  await world.settled()
  await supervisor.stop()
  expect(await world.counted()).toEqual(['a 1', 'b 1', 'a 2'])
  expect(world.events.filter((event) => event.event === 'paused')).toHaveLength(3)
  expect(world.events.filter((event) => event.event === 'resumed')).toHaveLength(1)
})

test('corrupt state is dropped and restored, then work goes on', async () => {
  let failures = 1
  const corrupted = count(() => {
    if (failures-- > 0) throw new Fault('state.corrupt', 'Unreadable.')
  })
  const world = await start(topologyOf(corrupted))
  await world.publish('a', 'a')
  const supervisor = await world.run()
  await world.settled()
  await supervisor.stop()
  expect(await world.counted()).toEqual(['a 1', 'a 2'])
  expect(world.events.some((event) => event.event === 'restoring')).toBe(true)
})

test('a task that was fenced is not taken again from the one that a rebalance has brought since', async () => {
  let fenced = 0
  const once = count(() => {
    if (fenced++ === 0) throw new Fault('task.fenced', 'A newer owner.')
  })
  const world = await start(topologyOf(once), { backoff_first_ms: 80, backoff_max_ms: 80 })
  const supervisor = await world.run()
  await world.log.append([
    { topic: 'words', partition: 1, key: Buffer.from('k'), value: Buffer.from(JSON.stringify({ word: 'a' })), timestamp_ms: 5 },
  ])
  while (!world.events.some(({ event }) => event === 'fenced')) await systemClock.sleep(1)
  // Another member comes and goes: the second partition moves to it and back, within the wait.
  const handler = { assigned: () => undefined, revoked: async () => undefined, failed: () => undefined }
  const other = await world.log.member().subscribe('test.count', ['words'], handler)
  await other.close()
  const before = world.events.filter(({ event }) => event === 'assigned').length
  await systemClock.sleep(400)
  expect(world.events.filter(({ event }) => event === 'fenced')).toHaveLength(1)
  expect(world.events.filter(({ event }) => event === 'restoring')).toHaveLength(0)
  expect(world.events.filter(({ event }) => event === 'assigned')).toHaveLength(before)
  expect((await world.log.positions('test.count', 'words'))[1]!.position).toBe(1)
  await supervisor.stop()
})

describe('ends loudly, commits nothing of the batch, and leaves the position', () => {
  test.each<[string, string, Partial<RuntimeLimits>, (word: string) => void]>([
    ['a lost record', 'outcome.lost', {}, () => undefined],
    ['an error nobody classified', 'defect.unexpected', {}, (word) => (word === 'lost' ? JSON.parse('{') : undefined)],
    [
      'a misconfiguration',
      'model.missing',
      {},
      (word) => {
        if (word === 'lost') throw new Fault('model.missing', 'No weights.')
      },
    ],
  ])('%s', async (_, code, limits, on) => {
    const world = await start(topologyOf(count(on)), limits)
    await world.publish('a', 'lost', 'a')
    const supervisor = await world.run()
    const fault = await supervisor.ended
    expect(fault?.code).toBe(code)
    expect(await world.read('counts')).toEqual([])
    expect((await world.log.positions('test.count', 'words'))[0]!.position).toBe(0)
  })

  test('a run of dead letters trips the breaker after they are committed', async () => {
    const world = await start(topologyOf(count()), { dead_letters_in_row_max: 5 })
    await world.publish(...Array.from({ length: 20 }, () => 'bad'))
    const supervisor = await world.run()
    expect((await supervisor.ended)?.code).toBe('breaker.open')
    expect((await world.read('dead-letters.v1')).length).toBe(6)
  })

  test('records that were deleted unread stop the group with offset.gap', async () => {
    const world = await start(topologyOf(count()))
    await world.publish('a', 'a')
    const first = await world.run()
    await world.settled()
    await first.stop()
    await world.publish('b', 'c', 'd')
    world.log.deleteRecords({ topic: 'words', partition: 0 }, 4)
    const second = await world.run()
    expect((await second.ended)?.code).toBe('offset.gap')
    expect(await world.counted()).toEqual(['a 1', 'a 2'])
  })

  test('a task that hangs while records wait ends the process', async () => {
    const stuck: Processor<Word, null> = {
      name: 'count',
      does: 'hangs',
      drops: [],
      reads: () => null,
      run: () => new Promise(() => undefined),
    }
    const world = await start(topologyOf(stuck as unknown as ReturnType<typeof count>), { progress_timeout_ms: 60, drain_ms: 10 })
    await world.publish('a')
    const supervisor = await world.run()
    expect((await supervisor.ended)?.code).toBe('progress.stalled')
  })

  test('a task that waits for an engine which is at work is slow; when the engine stands still, it hangs', async () => {
    const waiting: Processor<Word, null> = {
      name: 'count',
      does: 'waits for its turn',
      drops: [],
      reads: () => null,
      run: () => new Promise(() => undefined),
    }
    const began_ms = systemClock.monotonic_ms()
    const moved_ms = (stage: string): number => {
      expect(stage).toBe('count')
      return Math.min(systemClock.monotonic_ms(), began_ms + 300)
    }
    const limits = { progress_timeout_ms: 60, drain_ms: 10 }
    const world = await start(topologyOf(waiting as unknown as ReturnType<typeof count>), limits, noIndex, moved_ms)
    await world.publish('a')
    const supervisor = await world.run()
    expect((await supervisor.ended)?.code).toBe('progress.stalled')
    expect(systemClock.monotonic_ms() - began_ms).toBeGreaterThan(350)
  })
})

test('stop finishes the batch in flight before it leaves', async () => {
  let entered: () => void = () => undefined
  const inside = new Promise<void>((resolve) => {
    entered = resolve
  })
  let release: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const inner = count()
  const slow = {
    ...inner,
    run: async (...args: Parameters<typeof inner.run>) => {
      entered()
      await gate
      return inner.run(...args)
    },
  }
  const world = await start(topologyOf(slow))
  await world.publish('a', 'b', 'c', 'd')
  const supervisor = await world.run()
  await inside
  const stopped = supervisor.stop()
  release()
  await stopped
  expect(await world.counted()).toEqual(['a 1', 'b 1', 'c 1'])
  expect((await world.log.positions('test.count', 'words'))[0]!.position).toBe(3)
})

test('points are written before the commit, guarded by the last offset of the batch', async () => {
  const calls: { points: readonly PointWrite[]; version: number }[] = []
  let failures = 2
  const index = {
    write: async (points: readonly PointWrite[], version: number) => {
      if (failures-- > 0) throw new Fault('index.unavailable', 'Away.')
      calls.push({ points, version })
    },
  } as unknown as VectorIndex
  const writer: Processor<Word, null> = {
    name: 'count',
    does: 'indexes words',
    drops: ['indexed'],
    writes_index: true,
    reads: () => null,
    run: async (batch) => ({
      emit: [],
      dropped: batch.records.map((record) => ({ at: record.offset, reason: 'indexed' })),
      points: batch.records.map((record) => ({ space: 'items', id: record.value!.word, vector: null, payload: {} })),
    }),
  }
  const world = await start(topologyOf(writer as unknown as ReturnType<typeof count>), {}, index)
  await world.publish('a', 'b', 'c', 'd')
  const supervisor = await world.run()
  await world.settled()
  await supervisor.stop()
  expect(calls.map(({ points, version }) => [points.map((point) => point.id).join(''), version])).toEqual([
    ['abc', 2],
    ['d', 3],
  ])
})

test('a stage that does not exist is refused by name', async () => {
  const world = await start(topologyOf(count()))
  const options = {
    topology: topologyOf(count()),
    stages: ['cuont'],
    log: world.log.member(),
    serdes: jsonSerdes,
    index: noIndex,
    reads: noReads,
  }
  await expect(
    supervise({ ...options, limits: default_limits, clock: systemClock, random: seededRandom(1), observe: () => undefined }),
  ).rejects.toThrow(/no stage cuont; there are count/)
})
