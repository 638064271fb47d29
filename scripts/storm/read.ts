/**
 * Reads topics and decodes them with plain avsc, for the checks. kafkajs' consumer would not do: it delivers records of aborted transactions
 * (see hideAborted in adapters/kafka/inside.ts). So this fetches everything, markers included, and tells by itself what was committed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import avsc from 'avsc'
import { Kafka, logLevel } from 'kafkajs'
import { type FetchedMessage, type OpenedKafka, openInside } from '../../processors/adapters/kafka/inside.ts'
import type { TopicPartition } from '../../processors/domain/record.ts'

export type PlainRecord = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
  readonly timestamp_ms: number
}

const read_uncommitted = 0

const client = (brokers: string) =>
  new Kafka({ clientId: 'storm', brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 20 } })

/** Partition count and [oldest, end) of each partition, markers included. */
export const endsOf = async (
  brokers: string,
  topic: string,
): Promise<readonly { readonly partition: number; readonly low: number; readonly high: number }[]> => {
  const admin = client(brokers).admin()
  await admin.connect()
  try {
    return (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
      partition,
      low: Number(low),
      high: Number(high),
    }))
  } finally {
    await admin.disconnect()
  }
}

/** Node ids of the leaders of a topic's partitions, by partition; those without a leader are left out. */
export const leadersOf = async (brokers: string, topic: string): Promise<readonly number[]> => {
  const admin = await openAdmin(brokers)
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions ?? []
    return partitions.toSorted((a, b) => a.partitionId - b.partitionId).flatMap(({ leader }) => (leader > 0 ? [leader] : []))
  } finally {
    await admin.disconnect()
  }
}

/** An admin client for whoever changes topics from outside; the caller disconnects it. */
export const openAdmin = async (brokers: string) => {
  const admin = client(brokers).admin()
  await admin.connect()
  return admin
}

/** Appends as is, without schema or partitioner: for damaged bytes and markers. */
export const produceRaw = async (
  brokers: string,
  topic: string,
  messages: readonly {
    key: Buffer | string | null
    value: Buffer | null
    partition?: number
    headers?: Record<string, string>
  }[],
): Promise<void> => {
  const producer = client(brokers).producer({ allowAutoTopicCreation: false, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    for (let at = 0; at < messages.length; at += 200)
      await producer.send({ topic, messages: messages.slice(at, at + 200).map((one) => ({ ...one })) })
  } finally {
    await producer.disconnect()
  }
}

const marker_kind = (key: Buffer | null): number => (key !== null && key.length >= 4 ? key.readInt16BE(2) : -1)

/** One partition from its oldest record to its end, everything in it: aborted records and markers too. */
const readPartition = async (
  inside: OpenedKafka,
  at: TopicPartition,
  patience_ms: number,
): Promise<readonly FetchedMessage[]> => {
  const began_ms = performance.now()
  const all: FetchedMessage[] = []
  let offset = -1
  let bytes = 1 << 20
  for (;;) {
    const cluster = inside.cluster()
    try {
      await cluster.connect()
      await cluster.addTargetTopic(at.topic)
      const leader = cluster.findTopicPartitionMetadata(at.topic).find(({ partitionId }) => partitionId === at.partition)?.leader
      if (leader === undefined || leader < 0) throw new Error(`${at.topic}/${at.partition} has no leader.`)
      const broker = await cluster.findBroker({ nodeId: leader })
      if (offset < 0) {
        const [first] = await cluster.fetchTopicsOffset([
          { topic: at.topic, partitions: [{ partition: at.partition }], fromBeginning: true },
        ])
        offset = Number(first!.partitions[0]!.offset)
      }
      for (;;) {
        const { responses } = await broker.fetch({
          isolationLevel: read_uncommitted,
          maxWaitTime: 0,
          minBytes: 0,
          maxBytes: bytes,
          topics: [{ topic: at.topic, partitions: [{ partition: at.partition, fetchOffset: String(offset), maxBytes: bytes }] }],
        })
        const answer = responses[0]!.partitions[0]!
        const from: number = offset
        all.push(...answer.messages.filter((message) => Number(message.offset) >= from))
        const last = answer.messages.at(-1)
        const next: number = last === undefined ? offset : Math.max(offset, Number(last.offset) + 1)
        if (next >= Number(answer.highWatermark)) return all
        // Batches that compaction emptied are not shown: the fetch must reach behind them.
        if (next === offset && bytes >= 1 << 26) throw new Error(`${at.topic}/${at.partition} cannot be read beyond ${offset}.`)
        bytes = next === offset ? bytes * 8 : 1 << 20
        offset = next
      }
    } catch (error) {
      if (performance.now() - began_ms > patience_ms) throw error
      await sleep(500)
    } finally {
      inside.cut(cluster)
    }
  }
}

export type ReadTopics = ReadonlyMap<string, readonly PlainRecord[]>

/**
 * Every committed record of the topics, by topic, partitions in order of offsets. Whether a record is committed is told by the next marker
 * of its producer in the partition, not by the broker's list of aborted transactions, nor by kafkajs' or the pipeline's filter. Throws
 * where a transaction is still open.
 */
export const readAll = async (brokers: string, topics: readonly string[], patience_ms = 60_000): Promise<ReadTopics> => {
  const records = new Map<string, PlainRecord[]>()
  const inside = openInside(client(brokers), { retries: 5 })
  try {
    for (const topic of topics) {
      const into: PlainRecord[] = []
      records.set(topic, into)
      const ends = await endsOf(brokers, topic)
      for (const { partition } of ends.toSorted((a, b) => a.partition - b.partition)) {
        const began_ms = performance.now()
        let committed: FetchedMessage[]
        for (;;) {
          const all = await readPartition(inside, { topic, partition }, patience_ms)
          committed = []
          /** Producers whose next marker, seen from the end, is a commit. */
          const commits = new Map<string, boolean>()
          let open = 0
          for (const message of all.toReversed()) {
            const { producerId, inTransaction } = message.batchContext
            if (message.isControlRecord) commits.set(producerId, marker_kind(message.key) === 1)
            else if (!inTransaction || commits.get(producerId) === true) committed.push(message)
            else if (!commits.has(producerId)) open++
          }
          if (open === 0) break
          if (performance.now() - began_ms > patience_ms)
            throw new Error(
              `${topic}/${partition}: ${open} records of a transaction that is still open after ${patience_ms / 1000} s.`,
            )
          await sleep(500)
        }
        for (const message of committed.toReversed())
          into.push({
            topic,
            partition,
            offset: Number(message.offset),
            key: message.key === null ? null : message.key.toString('utf8'),
            value: message.value,
            headers: Object.fromEntries(
              Object.entries(message.headers).map(([name, value]) => [
                name,
                String(Array.isArray(value) ? value[0] : (value ?? '')),
              ]),
            ),
            timestamp_ms: Number(message.timestamp),
          })
      }
    }
  } finally {
    inside.cutAll()
  }
  return records
}

/** Decodes framed Avro by the schema that the registry holds under the id in the frame. */
export const openDecoder = (registry_url: string) => {
  const types = new Map<number, Promise<avsc.Type>>()
  const typeOf = (id: number): Promise<avsc.Type> => {
    let type = types.get(id)
    type ??= (async () => {
      const answer = await fetch(`${registry_url}/schemas/ids/${id}`)
      const { schema } = (await answer.json()) as { schema: string }
      return avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { omitRecordMethods: true })
    })()
    types.set(id, type)
    return type
  }
  return async <V>(value: Buffer): Promise<V> => {
    if (value[0] !== 0) throw new Error(`A record begins with byte ${value[0]}, not with a frame.`)
    return (await typeOf(value.readInt32BE(1))).fromBuffer(value.subarray(5)) as V
  }
}
