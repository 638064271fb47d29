/** Records and places in the log, in Kafka's own words. */

export type TopicPartition = { readonly topic: string; readonly partition: number }

/** Header names may repeat; values are bytes. */
export type Header = readonly [name: string, value: Buffer]

/** A record as it stands in the log. Offsets are exact below 2^53. A null value is a tombstone. */
export type LogRecord = {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  /** Epoch milliseconds, from the producer. */
  readonly timestamp_ms: number
}

/** A record to be appended. Without `partition` the key decides (murmur2, as every Kafka client). */
export type OutputRecord = {
  readonly topic: string
  readonly partition?: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: readonly Header[]
  readonly timestamp_ms: number
}

export const samePlace = (a: TopicPartition, b: TopicPartition): boolean => a.topic === b.topic && a.partition === b.partition
export const placeName = (at: TopicPartition): string => `${at.topic}/${at.partition}`

/** Kafka's murmur2 (org.apache.kafka.common.utils.Utils.murmur2), so that every client and both logs agree on a key's partition. */
export const murmur2 = (key: Uint8Array): number => {
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ key.length
  let i = 0
  for (; i + 4 <= key.length; i += 4) {
    let k = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const left = key.length - i
  if (left === 3) h ^= key[i + 2]! << 16
  if (left >= 2) h ^= key[i + 1]! << 8
  if (left >= 1) h = Math.imul(h ^ key[i]!, m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}

/** The partition of a key among `partitions`, as Kafka's default partitioner. A null key goes to partition 0. */
export const partitionOf = (key: Uint8Array | null, partitions: number): number =>
  key === null ? 0 : (murmur2(key) & 0x7fffffff) % partitions
