/** The searchable view of the log: rebuildable, written by the `index` processor alone. */
import type { Vector } from '../domain/vector.ts'

/**
 * Named vector spaces of the one collection: a search names its space, and they do not mix. `images` are items again, by what is seen
 * of them, with ids of items and dimensions of their own; the space is there only where an image model is configured.
 */
export type Space = 'items' | 'users' | 'images'

/** What the space of images is made for. Of another model's vectors nothing is found. */
export type ImageSpace = {
  readonly dims: number
  /** SHA-256 of the image encoder, hex. */
  readonly model_digest: string
}

export type PayloadValue = string | number | boolean | null
export type Payload = Readonly<Record<string, PayloadValue>>

/** Typed values only: no user text ever becomes a field name, an operator or a filter object. */
export type Condition =
  | { readonly field: string; readonly equals: string | number | boolean }
  | { readonly field: string; readonly any_of: readonly (string | number)[] }
  | { readonly field: string; readonly at_least?: number; readonly at_most?: number }
export type Filter = {
  readonly must?: readonly Condition[]
  readonly must_not?: readonly Condition[]
  /** Ids that may not come back. */
  readonly exclude?: readonly string[]
}

export type Query = { readonly space: Space; readonly vector: Vector; readonly limit: number; readonly filter?: Filter }

/** `similarity` is the cosine, greater is closer. Hits are sorted by similarity, ties by id. */
export type Hit = { readonly id: string; readonly similarity: number; readonly payload: Payload }

export type StoredPoint = {
  readonly id: string
  readonly version: number
  readonly deleted: boolean
  /** Unit length; for a tombstone null. */
  readonly vector: Vector | null
  readonly payload: Payload
}

/** A point to be written; a null vector makes a soft tombstone, which no search returns. */
export type PointWrite = { readonly space: Space; readonly id: string; readonly vector: Vector | null; readonly payload: Payload }

export interface VectorIndexRead {
  /**
   * One answer per query, in order. Vectors need not be normalised; a zero or non-finite one is refused.
   * Faults: index.unavailable, index.dimension, embed.degenerate.
   */
  search(queries: readonly Query[]): Promise<readonly (readonly Hit[])[]>
  /** The points that exist, tombstones included, by id. */
  points(space: Space, ids: readonly string[]): Promise<ReadonlyMap<string, StoredPoint>>
}

export interface VectorIndex extends VectorIndexRead {
  /**
   * Writes points whose stored version is smaller than `version`, and returns once they are durable and searchable.
   * `version` is the offset of the batch's last record in the topic it was read from (one guard serves a call):
   * an equal or older version never replaces a newer one, so replays from any older offset are harmless.
   * Of an id that comes twice in one call the last point stands. A call that faults by its arguments writes nothing;
   * one that faults with index.unavailable may have written a part and is sent again as it was.
   * Faults: index.unavailable, index.dimension, embed.degenerate.
   */
  write(points: readonly PointWrite[], version: number): Promise<void>
}

export type IndexDescription = {
  readonly collection: string
  /** Of items and users. */
  readonly dims: number
  /** Of images; null where there is no such space. */
  readonly image_dims: number | null
  /** Live points by space, tombstones not counted; without a space of images there is no number of them. */
  readonly points: Readonly<Record<'items' | 'users', number> & Partial<Record<'images', number>>>
  readonly engine: string
}

/**
 * What a point should be as of the offset `version`, to stand in place of what was seen of it: `seen` is the version that was stored,
 * or null where no point was.
 */
export type Correction = PointWrite & { readonly version: number; readonly seen: number | null }

/** An empty collection beside the live one: filled, compared, then made the live one. */
export interface StagedIndex extends VectorIndex {
  /** As VectorIndexAdmin.describe, of the staged collection. */
  describe(): Promise<IndexDescription>
  /** As VectorIndexAdmin.versions, of the staged collection. */
  versions(space: Space): AsyncIterable<PointVersion>
  /** As VectorIndexAdmin.correct, of the staged collection. */
  correct(points: readonly Correction[]): Promise<void>
  /**
   * Makes the staged collection the live one in one step, for every reader and writer of this index in any process, and drops the one
   * that it replaces. Whoever reads meanwhile is answered from one or the other. What others wrote to the old one since the staged
   * one was filled is not in it: write it again afterwards. The staged index is not to be used any more.
   */
  promote(): Promise<void>
  /** Deletes the staged collection. */
  discard(): Promise<void>
}

export type PointVersion = { readonly id: string; readonly version: number; readonly deleted: boolean }

export interface VectorIndexAdmin {
  /** Creates collection, payload indexes and quantisation where they are missing; faults with `index.dimension` where they differ. */
  ensure(): Promise<void>
  describe(): Promise<IndexDescription>
  /** Every point's id and version, tombstones included, for comparison with the log. */
  versions(space: Space): AsyncIterable<PointVersion>
  /**
   * Writes each point where the stored version is exactly the one that was seen, even over a newer version or an equal one; where no
   * point is, it is inserted. A point that changed since it was looked at stays as it is. Durable and searchable when it returns.
   * For repairs alone: nothing else may write against the guard. Faults as write; a call that is sent again changes nothing more.
   */
  correct(points: readonly Correction[]): Promise<void>
  /** Opens an empty collection beside the live one; what an earlier attempt left there is deleted. One at a time. */
  stage(): Promise<StagedIndex>
  /** Hard-deletes tombstones whose version is smaller than `version`. Returns how many. */
  purge(space: Space, version: number): Promise<number>
  close(): Promise<void>
}
