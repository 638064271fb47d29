import { expect, test } from '@jest/globals'
import { memoryStateStore } from '../adapters/memory/state-store.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Profile } from '../domain/profile.ts'
import type { InputRecord, ReadPorts } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import { account } from '../runtime/account.ts'
import { default_weights } from './fold.ts'
import { learn } from './processor.ts'

const profiles = topic<Profile>('profiles', {
  key: 'user_key',
  schema: 'profile',
  partitions: 1,
  keep: 'latest',
  holds: 'profiles',
})

/** learn over a real state store and an index that holds what `indexed` says. */
const stage = (over: { join_wait_ms?: number; join_waiting_max?: number; unknown_item?: 'wait' | 'drop' } = {}) => {
  const settings = {
    half_life_ms: 1_000,
    session_half_life_ms: 100,
    session_gap_ms: 500,
    weights: default_weights,
    join_wait_ms: 100,
    join_waiting_max: 2,
    ...over,
  }
  const indexed = new Map<string, Float32Array>()
  const state = memoryStateStore()
  const processor = learn(profiles, settings)
  const ports = {
    embedder: { model: { digest: 'm' } },
    index: {
      points: async (_: string, ids: readonly string[]) =>
        new Map(
          ids.flatMap((id) =>
            indexed.has(id) ? [[id, { id, version: 1, deleted: false, vector: indexed.get(id)!, payload: {} }]] : [],
          ),
        ),
    },
  } as unknown as ReadPorts
  let offset = 0
  const run = async (now_ms: number, ...values: Partial<Interaction>[]) => {
    const records: InputRecord<Interaction>[] = values.map((value) => ({
      offset: offset++,
      key: value.user_key ?? 'u',
      value: {
        event_id: `e${offset}`,
        user_key: 'u',
        type: 'VIEW',
        item_id: 'a',
        occurred_at: 1,
        received_at: 2,
        rating: null,
        ...value,
      } as Interaction,
      bytes: Buffer.from(`bytes ${offset - 1}`),
      timestamp_ms: now_ms,
      headers: [],
    }))
    const outcome = await processor.run({ topic: 't', partition: 0, now_ms, records }, processor.reads(ports, state))
    account(
      processor,
      records.map((record) => record.offset),
      outcome,
      [profiles],
    )
    state.apply(outcome.state ?? [])
    return {
      profiles: outcome.emit.map((emit) => ({ user: emit.key, causes: emit.causes, ...(emit.value as Profile) })),
      dropped: (outcome.dropped ?? []).map((drop) =>
        'reason' in drop ? drop.reason : `${drop.fault.code} ${drop.original?.bytes ?? ''}`,
      ),
    }
  }
  return { indexed, run, state }
}

test('one profile a user and batch, caused by all of that user’s interactions, in order', async () => {
  const { indexed, run } = stage()
  indexed.set('a', Float32Array.of(1, 0)).set('b', Float32Array.of(0, 1))
  const { profiles: moved } = await run(
    10,
    { user_key: 'u' },
    { user_key: 'v', item_id: 'b' },
    { user_key: 'u', type: 'PURCHASE', item_id: 'b' },
  )
  expect(moved.map(({ user, causes, events, preference }) => ({ user, causes, events, preference }))).toEqual([
    { user: 'u', causes: [0, 2], events: 2, preference: Float32Array.of(1, 8) },
    { user: 'v', causes: [1], events: 1, preference: Float32Array.of(0, 1) },
  ])
})

test('what teaches nothing is dropped for its reason', async () => {
  const { run } = stage()
  const { dropped } = await run(10, { type: 'VIEW_LIST' }, { type: 'SEARCH', item_id: null }, { type: 'RATE', rating: 0.5 })
  expect(dropped).toEqual(['exposure', 'no_item', 'teaches_nothing'])
})

test('a click before its product waits, and counts when the product is there', async () => {
  const { indexed, run, state } = stage()
  expect((await run(10, { item_id: 'late' })).profiles).toEqual([])
  expect((await run(50)).profiles).toEqual([])
  indexed.set('late', Float32Array.of(1, 0))
  const { profiles: moved } = await run(60)
  expect(moved.map(({ user, causes, events }) => ({ user, causes, events }))).toEqual([{ user: 'u', causes: [], events: 1 }])
  expect(state.entries('w/', 10)).toEqual([])
  expect((await run(70)).profiles).toEqual([])
})

test('a click whose product never comes is dead-lettered with its bytes, once', async () => {
  const { run } = stage()
  await run(10, { item_id: 'never' })
  expect((await run(109)).dropped).toEqual([])
  expect((await run(110)).dropped).toEqual(['join.missing bytes 0'])
  expect((await run(500)).dropped).toEqual([])
})

test('no more wait than the bound says; the rest is dead-lettered at once', async () => {
  const { run } = stage()
  const { dropped } = await run(10, { item_id: 'x' }, { item_id: 'y' }, { item_id: 'z' })
  expect(dropped).toEqual(['join.missing '])
})

test('another model’s profile is not mixed with this one’s', async () => {
  const { indexed, run, state } = stage()
  indexed.set('a', Float32Array.of(1, 0))
  await run(10, {})
  const [[key, bytes]] = state.entries('p/', 1) as [[string, Buffer]]
  state.apply([
    { key, value: Buffer.from(bytes.toString('latin1').replace('"model_digest":"m"', '"model_digest":"x"'), 'latin1') },
  ])
  expect((await run(20, {})).profiles[0]!.events).toBe(1)
})

test('out of history, an interaction with an item that is gone teaches nothing and waits for nothing', async () => {
  const { run, indexed, state } = stage({ unknown_item: 'drop' })
  indexed.set('a', Float32Array.from([1, 0]))
  const { dropped, profiles } = await run(0, { item_id: 'gone' }, { item_id: 'a' })
  expect(dropped).toEqual(['item_gone'])
  expect(profiles.map(({ causes }) => causes)).toEqual([[1]])
  expect(state.entries('w/', 10)).toEqual([])
})
