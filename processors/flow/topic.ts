/** A topic as a typed value: name, key, schema, partitions, retention. */
import type { Retention } from '../ports/event-log.ts'

/** V is the type of the topic's values. */
export type Topic<V> = {
  readonly name: string
  /** The field that is the record key. */
  readonly key: string
  /** File name in schemas/canonical without extension. */
  readonly schema: string
  readonly partitions: number
  readonly keep: Retention
  /** What one record is, in one line. */
  readonly holds: string
  /** Never set; carries V for the compiler. */
  readonly value?: V
}

export const topic = <V>(name: string, spec: Omit<Topic<V>, 'name' | 'value'>): Topic<V> => ({ name, ...spec })

/** Bytes as they stand in a platform's own topic; the processor decodes them by the platform's map. */
export type SourceBytes = { readonly bytes: Buffer | null }

/** One topic of a platform: theirs to name, to key and to keep. */
export type SourceTopic = { readonly name: string; readonly platform: string; readonly kind: string }
