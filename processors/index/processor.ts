/** Makes items and users searchable: the only writer of the vector index, fed from read-committed, compacted topics. */
import type { ImageVector, Indexed, ItemVector } from '../domain/catalog.ts'
import type { Profile } from '../domain/profile.ts'
import { norm, type Vector } from '../domain/vector.ts'
import type { Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { PointWrite } from '../ports/vector-index.ts'

/** The last record of each key in the batch: with the batch's last offset as guard, a point then holds its key's state as of that offset. */
export const lastByKey = <R extends { readonly key: string }>(records: readonly R[]): readonly R[] => {
  const last = new Map<string, R>()
  for (const record of records) last.set(record.key, record)
  return [...last.values()]
}

/** What the index holds of an item whose newest record this is. A null payload field would match no filter; it is kept as null. */
export const itemPoint = (item_id: string, value: ItemVector | null): PointWrite =>
  value === null
    ? { space: 'items', id: item_id, vector: null, payload: {} }
    : {
        space: 'items',
        id: item_id,
        vector: value.vector,
        payload: {
          ...value.card,
          content_hash: value.content_hash,
          model_digest: value.model_digest,
          updated_at: value.source_updated_at,
        },
      }

/** What the index holds of an item's image whose newest record this is. */
export const imagePoint = (item_id: string, value: ImageVector | null): PointWrite =>
  value === null
    ? { space: 'images', id: item_id, vector: null, payload: {} }
    : {
        space: 'images',
        id: item_id,
        vector: value.vector,
        payload: {
          ...value.card,
          image_url: value.image_url,
          content_hash: value.content_hash,
          model_digest: value.model_digest,
          updated_at: value.source_updated_at,
        },
      }

/** Whether a sum of vectors points anywhere: what was liked and disliked in equal parts does not. */
const directed = (vector: Vector | null): vector is Vector => {
  const n = vector === null ? 0 : norm(vector)
  return Number.isFinite(n) && n > 0
}

/** What the index holds of a user whose newest record this is: nothing to be found where the tastes have no direction. */
export const userPoint = (user_key: string, profile: Profile | null): PointWrite =>
  profile === null || !directed(profile.preference)
    ? { space: 'users', id: user_key, vector: null, payload: {} }
    : {
        space: 'users',
        id: user_key,
        vector: profile.preference,
        payload: { events: profile.events, as_of: profile.as_of, model_digest: profile.model_digest },
      }

/** catalog.vectors.v1 -> the index -> catalog.indexed.v1, after the acknowledgement. */
export const indexItems = (indexed: Topic<Indexed>): Processor<ItemVector, null> => ({
  name: 'index',
  does: 'upserts item vectors, and says so once they are acknowledged',
  drops: [],
  writes_index: true,
  entered_at: (emit) => (emit.value as Indexed).ingested_at,
  reads: () => null,
  run: async (batch) => {
    const emit: Emit[] = batch.records.map((record) => ({
      to: indexed,
      key: record.key,
      value: {
        item_id: record.key,
        op: record.value === null ? 'DELETE' : 'UPSERT',
        content_hash: record.value?.content_hash ?? null,
        model_digest: record.value?.model_digest ?? null,
        version: record.offset,
        ingested_at: record.value?.ingested_at ?? record.timestamp_ms,
      } satisfies Indexed,
      causes: [record.offset],
    }))
    return { emit, points: lastByKey(batch.records).map((record) => itemPoint(record.key, record.value)) }
  },
})

/** users.profiles.v1 -> the index, so that users like this one can be found. Nothing is emitted. */
export const indexUsers = (): Processor<Profile, null> => ({
  name: 'index-users',
  does: 'upserts user vectors',
  drops: ['indexed', 'superseded', 'no_vector'],
  writes_index: true,
  reads: () => null,
  run: async (batch) => {
    const last = lastByKey(batch.records)
    const newest = new Set(last.map((record) => record.offset))
    const points = last.map((record) => userPoint(record.key, record.value))
    const dropped = batch.records.map((record) => ({
      at: record.offset,
      reason: !newest.has(record.offset)
        ? 'superseded'
        : record.value !== null && !directed(record.value.preference)
          ? 'no_vector'
          : 'indexed',
    }))
    return { emit: [], points, dropped }
  },
})

/** catalog.image-vectors.v1 -> the index, so that items can be found by what they look like. Nothing is emitted. */
export const indexImages = (): Processor<ImageVector, null> => ({
  name: 'index-images',
  does: 'upserts image vectors',
  drops: ['indexed', 'superseded'],
  writes_index: true,
  reads: () => null,
  run: async (batch) => {
    const last = lastByKey(batch.records)
    const newest = new Set(last.map((record) => record.offset))
    return {
      emit: [],
      points: last.map((record) => imagePoint(record.key, record.value)),
      dropped: batch.records.map(({ offset }) => ({ at: offset, reason: newest.has(offset) ? 'indexed' : 'superseded' })),
    }
  },
})
