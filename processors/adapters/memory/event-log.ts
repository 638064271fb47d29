/** The log in memory, for tests and simulation: nothing but arrays, and no time but its clock's. */
import { Fault } from '../../domain/fault.ts'
import { type LogRecord, placeName, type TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { TopicSpec } from '../../ports/event-log.ts'
import type { StateStore } from '../../ports/state-store.ts'
import { type Claim, type LocalLog, type LogStorage, localLog, type Place, type PlacedRecord, recordBytes } from './local-log.ts'
import { memoryStateStore } from './state-store.ts'

type Partition = { records: LogRecord[]; start: number; end: number }
/** `born` tells topics of one name apart. */
type Topic = { spec: TopicSpec; born: number; partitions: Partition[] }
/** What a group keeps of one input partition. */
type Owned = { epoch: number; position: number | undefined; born: number; state: StateStore }

/** What tests and simulation may do to the log from outside. */
export type MemoryLog = LocalLog & {
  /** Deletes the records below an offset, read or not. */
  deleteRecords(at: TopicPartition, before: number): void
  /** Removes superseded records, and the tombstones with them. */
  compact(topic: string): void
  deleteTopic(topic: string): void
}

/** First index whose offset is not smaller. */
const indexOf = (records: readonly LogRecord[], offset: number): number => {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (records[middle]!.offset < offset) low = middle + 1
    else high = middle
  }
  return low
}

/** An empty log. The same calls in the same order give the same log. Buffers are taken over, not copied. */
export const openMemoryLog = (clock: Clock, rebalance_ms_max = 10_000): MemoryLog => {
  const topics = new Map<string, Topic>()
  const groups = new Map<string, Owned>()
  let births = 0

  const topicOf = (name: string): Topic => {
    const topic = topics.get(name)
    if (topic === undefined) throw new Fault('topic.missing', `Topic ${name} does not exist.`, { topic: name })
    return topic
  }
  const partitionAt = (at: TopicPartition): Partition => topicOf(at.topic).partitions[at.partition]!
  const ownedKey = (group: string, at: TopicPartition): string => `${group} ${placeName(at)}`

  const write = (records: readonly PlacedRecord[]): readonly Place[] => {
    // Looked up before anything is written, so that a topic deleted meanwhile leaves nothing behind.
    const targets = records.map(partitionAt)
    return records.map(({ topic, partition, key, value, headers, timestamp_ms }, i) => {
      const target = targets[i]!
      const offset = target.end++
      target.records.push({ offset, key, value, headers: headers ?? [], timestamp_ms })
      return { topic, partition, offset }
    })
  }

  const storage: LogStorage = {
    createTopics: async (specs) => {
      const missing = specs.filter((spec) => !topics.has(spec.name))
      for (const spec of specs) {
        const there = topics.get(spec.name)?.spec
        if (
          there !== undefined &&
          (there.partitions !== spec.partitions || (there.keep === 'latest') !== (spec.keep === 'latest'))
        )
          throw new Fault(
            'topic.mismatch',
            `Topic ${spec.name} exists with ${there.partitions} partitions, kept ${JSON.stringify(there.keep)}; asked for are ${spec.partitions}, ${JSON.stringify(spec.keep)}.`,
            { topic: spec.name },
          )
      }
      for (const spec of missing)
        topics.set(spec.name, {
          spec,
          born: births++,
          partitions: Array.from({ length: spec.partitions }, () => ({ records: [], start: 0, end: 0 })),
        })
      return missing.map((spec) => spec.name)
    },
    topics: () => [...topics.keys()],
    partitions: (topic) => topics.get(topic)?.partitions.length,
    offsets: (at) => {
      const { start, end } = partitionAt(at)
      return { start, end }
    },
    read: (at, from, records_max, bytes_max) => {
      const { records } = partitionAt(at)
      const found: LogRecord[] = []
      let bytes = 0
      for (let i = indexOf(records, from); i < records.length && found.length < records_max; i++) {
        bytes += recordBytes(records[i]!)
        if (found.length > 0 && bytes > bytes_max) break
        found.push(records[i]!)
      }
      return found
    },
    append: async (records) => write(records),
    claim: async (group, input): Promise<Claim> => {
      const { born } = topicOf(input.topic)
      const key = ownedKey(group, input)
      const owned = groups.get(key) ?? { epoch: 0, position: undefined, born, state: memoryStateStore() }
      groups.set(key, owned)
      owned.epoch++
      const { epoch, position, state } = owned
      return { group, input, epoch, position, recreated: position !== undefined && owned.born !== born, state }
    },
    commit: async (claim, outputs, commit) => {
      const owned = groups.get(ownedKey(claim.group, claim.input))!
      if (owned.epoch !== claim.epoch)
        throw new Fault('task.fenced', `Group ${claim.group} has a newer owner of ${placeName(claim.input)}.`, { ...claim.input })
      const { born } = topicOf(claim.input.topic)
      write(outputs)
      owned.state.apply(commit.state)
      owned.position = commit.position
      owned.born = born
    },
    position: (group, at) => groups.get(ownedKey(group, at))?.position,
  }

  return {
    ...localLog(storage, { clock, rebalance_ms_max }),
    deleteRecords: (at, before) => {
      const partition = partitionAt(at)
      partition.start = Math.max(partition.start, Math.min(before, partition.end))
      partition.records.splice(0, indexOf(partition.records, partition.start))
    },
    compact: (topic) => {
      for (const partition of topicOf(topic).partitions) {
        const last = new Map(partition.records.map((record) => [record.key?.toString('latin1'), record.offset]))
        partition.records = partition.records.filter(
          (record) => record.value !== null && last.get(record.key?.toString('latin1')) === record.offset,
        )
      }
    },
    deleteTopic: (topic) => {
      topicOf(topic)
      topics.delete(topic)
    },
  }
}
