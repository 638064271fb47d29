import { expect, test } from '@jest/globals'
import { openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import type { Indexed, ItemCard, ItemVector } from '../domain/catalog.ts'
import type { Profile } from '../domain/profile.ts'
import type { InputRecord } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import { account } from '../runtime/account.ts'
import { indexItems, indexUsers } from './processor.ts'

const indexed = topic<Indexed>('indexed', { key: 'item_id', schema: 'indexed', partitions: 1, keep: 'latest', holds: 'x' })
const item = (item_id: string, x: number): ItemVector => ({
  item_id,
  vector: Float32Array.of(x, 1 - x),
  content_hash: `h${x}`,
  model_digest: 'm',
  card: { title: `t${x}`, platform: 'p' } as ItemCard,
  source_updated_at: 1,
  ingested_at: 3,
})
const records = <V>(from: number, ...values: (readonly [key: string, value: V | null])[]): readonly InputRecord<V>[] =>
  values.map(([key, value], i) => ({ offset: from + i, key, value, bytes: null, timestamp_ms: 1, headers: [] }))
const batchOf = <V>(list: readonly InputRecord<V>[]) => ({ topic: 't', partition: 0, now_ms: 9, records: list })

test('a batch writes the last state of each key, and says of each record that it is searchable', async () => {
  const { index } = openMemoryVectorIndex({ dims: 2 })
  const processor = indexItems(indexed)
  const list = records(4, ['a', item('a', 0)], ['b', item('b', 0)], ['a', item('a', 1)], ['b', null])
  const outcome = await processor.run(batchOf(list), null)
  expect(account(processor, [4, 5, 6, 7], outcome, [indexed]).emitted).toBe(4)
  expect(outcome.emit.map((emit) => [emit.key, (emit.value as Indexed).op, (emit.value as Indexed).version])).toEqual([
    ['a', 'UPSERT', 4],
    ['b', 'UPSERT', 5],
    ['a', 'UPSERT', 6],
    ['b', 'DELETE', 7],
  ])
  await index.write(outcome.points!, 7)
  const stored = await index.points('items', ['a', 'b'])
  expect([stored.get('a')!.payload['title'], stored.get('a')!.version, stored.get('b')!.deleted]).toEqual(['t1', 7, true])
})

test('a replay in other batches, from an older offset, leaves the same points', async () => {
  const { index } = openMemoryVectorIndex({ dims: 2 })
  const processor = indexItems(indexed)
  const list = records(0, ['a', item('a', 0)], ['b', item('b', 0)], ['a', item('a', 1)], ['c', item('c', 1)])
  for (const [from, to] of [
    [0, 4],
    [0, 2],
    [1, 3],
    [0, 1],
    [3, 4],
  ] as const) {
    const outcome = await processor.run(batchOf(list.slice(from, to)), null)
    await index.write(outcome.points!, to - 1)
  }
  expect((await index.points('items', ['a'])).get('a')!.payload['title']).toBe('t1')
})

test('users without a direction are not found, forgotten ones are removed', async () => {
  const profile = (preference: Float32Array | null) => ({ preference, events: 1, as_of: 1, model_digest: 'm' }) as Profile
  const processor = indexUsers()
  const list = records(
    0,
    ['u', profile(Float32Array.of(1, 0))],
    ['v', profile(null)],
    ['u', profile(Float32Array.of(0, 1))],
    ['w', null],
    ['x', profile(Float32Array.of(0, 0))],
  )
  const outcome = await processor.run(batchOf(list), null)
  account(processor, [0, 1, 2, 3, 4], outcome, [])
  expect(outcome.dropped!.map((drop) => 'reason' in drop && drop.reason)).toEqual([
    'superseded',
    'no_vector',
    'indexed',
    'indexed',
    'no_vector',
  ])
  expect(outcome.points!.map(({ space, id, vector }) => [space, id, vector])).toEqual([
    ['users', 'u', Float32Array.of(0, 1)],
    ['users', 'v', null],
    ['users', 'w', null],
    ['users', 'x', null],
  ])
})
