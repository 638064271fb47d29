/** Appends outside any task: idempotent, in order per partition, gathered for a few milliseconds, one partition a request. */
import type { Producer } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import { type OutputRecord, placeName, type TopicPartition } from '../../domain/record.ts'
import { kafkaFault } from './faults.ts'
import { disconnectSoon, type InnerCluster, type OpenedKafka } from './inside.ts'
import { type KafkaSettings, kafka_retry } from './options.ts'
import { request_bytes_max, sendings } from './placing.ts'
import type { Reader } from './reader.ts'
import { compression_types, givenPartition, sendOne } from './transaction.ts'

type Place = TopicPartition & { readonly offset: number }
type Opened = { readonly producer: Producer; readonly cluster: InnerCluster; readonly connected: Promise<void>; uses: number }
type Waiting = {
  readonly records: readonly OutputRecord[]
  readonly resolve: (first_offset: number) => void
  readonly reject: (fault: Fault) => void
}
/** What waits for one partition; sent one request after the other. */
type Lane = { readonly at: TopicPartition; waiting: Waiting[]; busy: boolean }

export type Appender = {
  append(records: readonly OutputRecord[]): Promise<readonly Place[]>
  close(): Promise<void>
}

export const openAppender = (inside: OpenedKafka, reader: Reader, settings: KafkaSettings): Appender => {
  const lanes = new Map<string, Lane>()
  const sending = new Set<Promise<void>>()
  let opened: Opened | undefined
  let closed = false

  const producer = (): Opened => {
    if (opened !== undefined) return opened
    const { made, cluster } = inside.withCluster([], () =>
      inside.kafka.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        createPartitioner: givenPartition,
        retry: kafka_retry,
      }),
    )
    for (const { at } of lanes.values()) cluster.targetTopics.add(at.topic)
    opened = { producer: made, cluster, connected: made.connect(), uses: 0 }
    return opened
  }
  /** After an error the producer's sequence numbers are not to be trusted: other lanes finish on it, new requests take another one. */
  const drop = (broken: Opened) => {
    if (opened === broken) opened = undefined
    if (broken.uses === 0) void disconnectSoon(inside, broken.producer, broken.cluster, settings.clock)
  }

  const drain = async (lane: Lane): Promise<void> => {
    if (settings.append_linger_ms > 0 && lane.waiting.length > 0) await settings.clock.sleep(settings.append_linger_ms)
    while (lane.waiting.length > 0) {
      const batch: Waiting[] = []
      let bytes = 0
      for (const each of lane.waiting) {
        const more = each.records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0) + 100, 0)
        if (batch.length > 0 && bytes + more > request_bytes_max) break
        batch.push(each)
        bytes += more
      }
      lane.waiting = lane.waiting.slice(batch.length)
      const using = producer()
      using.uses++
      try {
        await using.connected
        const records = batch.flatMap((each) => each.records)
        let offset = await sendOne(using.producer, { at: lane.at, records, indexes: [] }, compression_types[settings.compression])
        using.uses--
        for (const each of batch) {
          each.resolve(offset)
          offset += each.records.length
        }
      } catch (error) {
        using.uses--
        drop(using)
        const fault = kafkaFault(error, `Appending to ${placeName(lane.at)}`, { ...lane.at })
        if (fault.code === 'topic.missing') reader.forget(lane.at.topic)
        for (const each of batch) each.reject(fault)
      }
    }
    lane.busy = false
  }

  const put = (at: TopicPartition, records: readonly OutputRecord[]): Promise<number> =>
    new Promise((resolve, reject) => {
      const place = placeName(at)
      const lane = lanes.get(place) ?? { at, waiting: [], busy: false }
      lanes.set(place, lane)
      lane.waiting.push({ records, resolve, reject })
      if (lane.busy) return
      lane.busy = true
      const drained: Promise<void> = drain(lane).finally(() => sending.delete(drained))
      sending.add(drained)
    })

  return {
    append: async (records) => {
      if (closed) throw new Fault('log.unavailable', 'The log is closed.')
      const groups = await sendings(records, reader.partitions)
      const places = new Array<Place>(records.length)
      // Groups of one partition are put in order, and a lane keeps it.
      await Promise.all(
        groups.map(async ({ at, records: group, indexes }) => {
          const first = await put(at, group)
          for (const [i, index] of indexes.entries()) places[index] = { ...at, offset: first + i }
        }),
      )
      return places
    },
    close: async () => {
      closed = true
      await Promise.allSettled(sending)
      if (opened !== undefined) await disconnectSoon(inside, opened.producer, opened.cluster, settings.clock)
      opened = undefined
    },
  }
}
