/** The shape of every processor: reads are arguments, writes are the return value. */
import type { Fault } from '../domain/fault.ts'
import type { Header } from '../domain/record.ts'
import type { Embedder } from '../ports/embedder.ts'
import type { ImageEmbedder } from '../ports/image-embedder.ts'
import type { ImageSource } from '../ports/image-source.ts'
import type { SourceDecoder } from '../ports/schema-registry.ts'
import type { StateChange, StateReader } from '../ports/state-store.ts'
import type { PointWrite, VectorIndexRead } from '../ports/vector-index.ts'
import type { Topic } from './topic.ts'

export type InputRecord<V> = {
  readonly offset: number
  readonly key: string
  /** Null is a tombstone. */
  readonly value: V | null
  /** The value as it stands in the log. */
  readonly bytes: Buffer | null
  readonly timestamp_ms: number
  readonly headers: readonly Header[]
}

export type Batch<V> = {
  readonly topic: string
  readonly partition: number
  /** Wall time of the batch; the only clock a processor has. */
  readonly now_ms: number
  readonly records: readonly InputRecord<V>[]
}

/** An output record and the input offsets that caused it. A null value is a tombstone. */
export type Emit<V = unknown> = {
  readonly to: Topic<V>
  readonly key: string
  readonly value: V | null
  readonly causes: readonly number[]
}

/**
 * An input that leaves no output: filtered for a closed reason, or refused by a malformed fault (dead-lettered with its bytes).
 * `original` is for a record of an earlier batch, parked in state until now: its bytes travel with it.
 */
export type Dropped =
  | { readonly at: number; readonly reason: string }
  | { readonly at: number; readonly fault: Fault; readonly original?: { readonly key: string; readonly bytes: Buffer | null } }

/** A state change; `causes` names the input offsets that end in this change alone (parked until later). */
export type CausedChange = StateChange & { readonly causes?: readonly number[] }

/**
 * What a batch leads to. Each input offset must appear as a cause of an emit, of a caused state change, or as dropped:
 * the runtime counts, and refuses an outcome that loses one (`outcome.lost`).
 */
export type Outcome = {
  readonly emit: readonly Emit[]
  readonly state?: readonly CausedChange[]
  readonly dropped?: readonly Dropped[]
  /** Writes to the vector index; only a processor that declares `writes_index` may return any. */
  readonly points?: readonly PointWrite[]
}

/** What a processor may look at. Nothing here can change the world. */
export type ReadPorts = {
  readonly index: VectorIndexRead
  readonly embedder: Embedder
  readonly sources: SourceDecoder
  /** Only where an image model is configured. */
  readonly images?: { readonly source: ImageSource; readonly embedder: ImageEmbedder }
}

export type Processor<I, R> = {
  /** A verb; names the consumer group `<app>.<name>` and the metric label `stage`. */
  readonly name: string
  /** One line for `explain`. */
  readonly does: string
  /** Every drop reason it may give, for metrics and docs. */
  readonly drops: readonly string[]
  readonly writes_index?: boolean
  /** Call `run` with an empty batch at least this often, for state that waits for something. */
  readonly wakes_ms?: number
  /** When the event behind an output entered the log, epoch ms, for the end-to-end latency; null when the output has none. */
  readonly entered_at?: (emit: Emit) => number | null
  /** One line naming what it may look at. */
  readonly reads: (ports: ReadPorts, state: StateReader) => R
  readonly run: (batch: Batch<I>, reads: R) => Promise<Outcome>
}
