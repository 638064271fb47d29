/** Our points in Qdrant's shape and back. */
import type { Schemas } from '@qdrant/js-client-rest'
import { Fault } from '../../domain/fault.ts'
import { namespace_entrepot, uuid5 } from '../../domain/ids.ts'
import type { Vector } from '../../domain/vector.ts'
import type { Hit, Payload, PayloadValue, Space, StoredPoint } from '../../ports/vector-index.ts'

/** Qdrant takes UUIDs for ids; ours stands in the payload. One id may be in both spaces. */
export const pointId = (space: Space, id: string): string => uuid5(namespace_entrepot, `${space}:${id}`)

/**
 * What stands in Qdrant's payload. The point's own payload is nested, so that its field names cannot meet ours;
 * `version` is always there, as a point without it would never match the guard again.
 */
export type StoredPayload = {
  readonly id: string
  readonly space: Space
  readonly version: number
  readonly deleted: boolean
  readonly payload: Payload
}

/** A lone surrogate is no JSON for Qdrant, and would have the whole batch refused for ever. */
const wellFormed = (payload: Payload): Payload => {
  const out: Record<string, PayloadValue> = {}
  for (const [field, value] of Object.entries(payload))
    out[field.toWellFormed()] = typeof value === 'string' ? value.toWellFormed() : value
  return out
}

/** A point to be upserted; a tombstone has no vector, so that no search can meet it. */
export const toPoint = (
  space: Space,
  id: string,
  version: number,
  vector: Vector | null,
  payload: Payload,
  /** What Qdrant calls the space's vectors. */
  vector_name: string = space,
): Schemas['PointStruct'] => {
  const stored: StoredPayload = {
    id: id.toWellFormed(),
    space,
    version,
    deleted: vector === null,
    payload: wellFormed(payload),
  }
  return { id: pointId(space, id), vector: vector === null ? {} : { [vector_name]: Array.from(vector) }, payload: stored }
}

/** The client reads whole numbers beyond 2^53 - 1 as bigint; payloads hold numbers. */
const plain = (value: unknown): PayloadValue => (typeof value === 'bigint' ? Number(value) : (value as PayloadValue))

type Returned = { readonly id: unknown; readonly payload?: unknown }

const storedOf = (point: Returned): StoredPayload => {
  const stored = point.payload as Partial<Record<keyof StoredPayload, unknown>> | null | undefined
  if (typeof stored?.id !== 'string' || stored.version === undefined)
    throw new Fault(
      'index.unavailable',
      `Point ${String(point.id)} was not written by this version of Entrepot; rebuild the collection.`,
    )
  const payload: Record<string, PayloadValue> = {}
  for (const [field, value] of Object.entries((stored.payload ?? {}) as object)) payload[field] = plain(value)
  return {
    id: stored.id,
    space: stored.space as Space,
    version: Number(stored.version),
    deleted: stored.deleted === true,
    payload,
  }
}

export const toVersion = (point: Returned): { readonly id: string; readonly version: number; readonly deleted: boolean } => {
  const { id, version, deleted } = storedOf({ ...point, payload: { payload: {}, ...(point.payload as object) } })
  return { id, version, deleted }
}

export const toStored = (vector_name: string, point: Returned & { readonly vector?: unknown }): StoredPoint => {
  const { id, version, deleted, payload } = storedOf(point)
  const vector = (point.vector as Readonly<Record<string, number[] | undefined>> | null | undefined)?.[vector_name]
  return { id, version, deleted, vector: vector === undefined ? null : Float32Array.from(vector), payload }
}

export const toHit = (point: Returned & { readonly score: number }): Hit => {
  const { id, payload } = storedOf(point)
  return { id, similarity: Math.min(1, Math.max(-1, point.score)), payload }
}
