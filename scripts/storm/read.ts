/**
 * Reads topics read-committed with a plain kafkajs consumer and decodes with plain avsc: nothing here is the pipeline's own code. The end of
 * each partition is marked with a record first, and read up to; whatever hides it (an open transaction) shows as a time-out.
 */
import { randomBytes } from 'node:crypto'
import avsc from 'avsc'
import { Kafka, logLevel } from 'kafkajs'

export type PlainRecord = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
  readonly timestamp_ms: number
}

const end_header = 'storm-end'

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

/**
 * Every committed record of the topics, by topic, partitions in order of offsets. Marks the ends, so nothing may go on reading the topics
 * afterwards. Throws when an end cannot be reached within the patience.
 */
export const readAll = async (
  brokers: string,
  topics: readonly string[],
  patience_ms = 60_000,
): Promise<ReadonlyMap<string, readonly PlainRecord[]>> => {
  const mark = randomBytes(6).toString('hex')
  const open = new Set<string>()
  for (const topic of topics) {
    const partitions = await endsOf(brokers, topic)
    for (const { partition } of partitions) open.add(`${topic}/${partition}`)
    await produceRaw(
      brokers,
      topic,
      partitions.map(({ partition }) => ({
        key: 'storm-end',
        value: Buffer.from('end'),
        partition,
        headers: { [end_header]: mark },
      })),
    )
  }
  const records = new Map<string, PlainRecord[]>(topics.map((topic) => [topic, []]))
  const consumer = client(brokers).consumer({ groupId: `storm-${mark}`, maxWaitTimeInMs: 200, readUncommitted: false })
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`The ends of ${[...open].join(', ')} cannot be read: an open transaction hides them.`))
      }, patience_ms)
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      if (open.size === 0) return done()
      consumer
        .run({
          autoCommit: false,
          partitionsConsumedConcurrently: 4,
          eachBatch: async ({ batch }) => {
            const into = records.get(batch.topic)!
            const place = `${batch.topic}/${batch.partition}`
            for (const message of batch.messages) {
              if (!open.has(place)) break
              const headers = Object.fromEntries(
                Object.entries(message.headers ?? {}).map(([name, value]) => [
                  name,
                  String(Array.isArray(value) ? value[0] : (value ?? '')),
                ]),
              )
              const own = headers[end_header]
              if (own === mark) {
                open.delete(place)
                if (open.size === 0) done()
              }
              if (own !== undefined) continue
              into.push({
                topic: batch.topic,
                partition: batch.partition,
                offset: Number(message.offset),
                key: message.key === null ? null : message.key.toString('utf8'),
                value: message.value,
                headers,
                timestamp_ms: Number(message.timestamp),
              })
            }
          },
        })
        .catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  for (const list of records.values()) list.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
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
