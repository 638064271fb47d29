import { expect, test } from '@jest/globals'
import { openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import type { Profile } from '../domain/profile.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import type { InputRecord, ReadPorts } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import { account } from '../runtime/account.ts'
import { recommend } from './processor.ts'

const lists = topic<Recommendation>('lists', {
  key: 'user_key',
  schema: 'recommendation',
  partitions: 1,
  keep: 'latest',
  holds: 'x',
})
const settings = { count: 3, session_share: 0.5, placement: 'home', candidates: 10, expires_ms: 1_000, evidence_max: 5 }

const stage = async (items: Readonly<Record<string, readonly [x: number, y: number, availability?: string]>>) => {
  const { index } = openMemoryVectorIndex({ dims: 2 })
  await index.write(
    Object.entries(items).map(([id, [x, y, availability = 'IN_STOCK']]) => ({
      space: 'items',
      id,
      vector: Float32Array.of(x, y),
      payload: { title: id, platform: 'p', merchant_id: 'm', availability },
    })),
    1,
  )
  const processor = recommend(lists, settings)
  const reads = processor.reads({ index } as unknown as ReadPorts, { get: () => undefined, entries: () => [] })
  return async (...profiles: (readonly [user: string, profile: Partial<Profile> | null])[]) => {
    const records: InputRecord<Profile>[] = profiles.map(([key, profile], i) => ({
      offset: i,
      key,
      value:
        profile === null
          ? null
          : {
              user_key: key,
              preference: null,
              session: null,
              recent: [],
              bought: [],
              events: 1,
              as_of: 5,
              model_digest: 'm',
              last_occurred_at: 40,
              last_received_at: 60,
              ...profile,
            },
      bytes: null,
      timestamp_ms: 1,
      headers: [],
    }))
    const outcome = await processor.run({ topic: 't', partition: 2, now_ms: 100, records }, reads)
    account(
      processor,
      records.map((record) => record.offset),
      outcome,
      [lists],
    )
    return {
      lists: outcome.emit.map((emit) => emit.value as Recommendation),
      dropped: (outcome.dropped ?? []).map((drop) => ('reason' in drop ? [drop.at, drop.reason] : [])),
    }
  }
}

test('retrieves by both vectors: what only the session is near to is in the list', async () => {
  const run = await stage({ east: [1, 0], north: [0, 1], west: [-1, 0] })
  const [list] = (await run(['u', { preference: Float32Array.of(5, 0), session: Float32Array.of(0, 1) }])).lists
  expect(list!.items.map((item) => item.item_id)).toEqual(['east', 'north', 'west'])
  expect([list!.latency_ms, list!.freshness_ms, list!.generated_at, list!.expires_at, list!.profile_version]).toEqual([
    40, 60, 100, 1_100, 0,
  ])
})

test('a user who moved twice in one batch gets one list, for the last profile', async () => {
  const run = await stage({ east: [1, 0], north: [0, 1] })
  const { lists: made, dropped } = await run(
    ['u', { preference: Float32Array.of(1, 0) }],
    ['v', {}],
    ['u', { preference: Float32Array.of(0, 1) }],
    ['w', null],
  )
  expect(made.map((list) => [list.user_key, list.items[0]!.item_id])).toEqual([['u', 'north']])
  expect(dropped).toEqual([
    [0, 'superseded'],
    [1, 'no_vector'],
    [3, 'forgotten'],
  ])
})

test('neither what was bought nor what cannot be had is shown', async () => {
  const run = await stage({ bought: [1, 0], gone: [1, 0.1, 'OUT_OF_STOCK'], left: [0.5, 0.5] })
  const [list] = (await run(['u', { preference: Float32Array.of(1, 0), bought: ['bought'] }])).lists
  expect(list!.items.map((item) => item.item_id)).toEqual(['left'])
})

test('an empty catalogue gives no list, and says so', async () => {
  const run = await stage({})
  expect((await run(['u', { preference: Float32Array.of(1, 0) }])).dropped).toEqual([[0, 'no_candidates']])
})

test('the same profile at the same place gets the same id', async () => {
  const run = await stage({ east: [1, 0] })
  const profile = ['u', { preference: Float32Array.of(1, 0) }] as const
  const ids = [(await run(profile)).lists, (await run(profile)).lists].flat().map((list) => list.recommendation_id)
  expect(new Set(ids).size).toBe(1)
})
