/** Where records go, and how many fit into one request: decided before anything is sent, because kafkajs decides otherwise on a retry. */
import { Fault } from '../../domain/fault.ts'
import { type Header, type OutputRecord, partitionOf, placeName, type TopicPartition } from '../../domain/record.ts'

/** Records of one partition that go in one request, with their index in what was given. */
export type Sending = {
  readonly at: TopicPartition
  readonly records: readonly OutputRecord[]
  readonly indexes: readonly number[]
}

/** A broker takes 1 MiB a batch by default; what kafkajs adds to a record is at most this. */
export const request_bytes_max = 900_000
const record_overhead_bytes = 40

const sizeOf = ({ key, value, headers }: OutputRecord): number => {
  let bytes = record_overhead_bytes + (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, header] of headers ?? []) bytes += 20 + name.length * 3 + header.length
  return bytes
}

/**
 * Groups records by partition, in order of first appearance, each partition's in the order given, cut so that a request stays within
 * `bytes_max` (one record always goes). Throws `topic.missing` and `topic.mismatch`.
 */
export const sendings = async (
  records: readonly OutputRecord[],
  partitions: (topic: string) => Promise<number>,
  bytes_max: number = request_bytes_max,
): Promise<readonly Sending[]> => {
  type Open = { at: TopicPartition; records: OutputRecord[]; indexes: number[]; bytes: number }
  const open = new Map<string, Open>()
  const all: Open[] = []
  const counts = new Map<string, number>()
  for (const [index, record] of records.entries()) {
    let count = counts.get(record.topic)
    if (count === undefined) {
      count = await partitions(record.topic)
      counts.set(record.topic, count)
    }
    const partition = record.partition ?? partitionOf(record.key, count)
    if (!Number.isInteger(partition) || partition < 0 || partition >= count)
      throw new Fault('topic.mismatch', `Topic ${record.topic} has ${count} partitions; ${partition} is none of them.`, {
        topic: record.topic,
        partition,
      })
    const at = { topic: record.topic, partition }
    const place = placeName(at)
    const bytes = sizeOf(record)
    let group = open.get(place)
    if (group === undefined || (group.records.length > 0 && group.bytes + bytes > bytes_max)) {
      group = { at, records: [], indexes: [], bytes: 0 }
      open.set(place, group)
      all.push(group)
    }
    group.records.push(record)
    group.indexes.push(index)
    group.bytes += bytes
  }
  return all
}

/** A record as kafkajs sends it: partition explicit, headers by name. */
export const kafkaMessage = (record: OutputRecord, partition: number) => {
  // No prototype: a header may be called __proto__.
  const headers: Record<string, Buffer[]> = Object.create(null)
  for (const [name, value] of (record.headers ?? []) as readonly Header[]) {
    const values = headers[name]
    if (values === undefined) headers[name] = [value]
    else values.push(value)
  }
  return { key: record.key, value: record.value, headers, partition, timestamp: String(record.timestamp_ms) }
}
