/**
 * Reads partitions without a consumer group: restores, scans, offsets. A throw-away group would cost a join (1-3 s with a rebalance
 * delay) for every restore; a fetch costs a round trip. Fetches are read-committed and start at any offset, all partitions at once.
 */
import { Fault } from '../../domain/fault.ts'
import { type Header, type LogRecord, placeName, type TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import { kafkaFault, kafkaName } from './faults.ts'
import {
  disconnectSoon,
  type FetchedMessage,
  type FetchRequest,
  type FetchResponse,
  type InnerBroker,
  type InnerCluster,
  type OpenedKafka,
  read_committed,
} from './inside.ts'

type Message = Pick<FetchedMessage, 'offset' | 'timestamp' | 'key' | 'value' | 'headers'>

const no_headers: readonly Header[] = []
const no_bytes = Buffer.alloc(0)

/** kafkajs keeps headers by name: the order of equal names is theirs, between names it is lost. */
const headersOf = (headers: Message['headers']): readonly Header[] => {
  const names = Object.keys(headers)
  if (names.length === 0) return no_headers
  return names.flatMap((name): Header[] => {
    const value = headers[name]
    const values = Array.isArray(value) ? (value as readonly (Buffer | null)[]) : [value as Buffer | null]
    return values.map((each) => [name, each ?? no_bytes])
  })
}

export const logRecord = ({ offset, timestamp, key, value, headers }: Message): LogRecord => ({
  offset: Number(offset),
  key,
  value,
  headers: headersOf(headers),
  timestamp_ms: Number(timestamp),
})

/** What one fetch of one partition brought. */
type Page = {
  readonly records: readonly LogRecord[]
  /** Behind everything looked at, markers and aborted records included. */
  readonly next_offset: number
  /** Read-committed end as of this fetch, and the end with open transactions. */
  readonly stable_end: number
  readonly end: number
}

export type Reader = {
  /** Number of partitions. Throws `topic.missing`. Remembered for a minute. */
  partitions(topic: string): Promise<number>
  /** Forgets what is remembered of a topic. */
  forget(topic: string): void
  /** Oldest offset and read-committed end of partitions of one topic. */
  offsets(
    topic: string,
    partitions: readonly number[],
  ): Promise<ReadonlyMap<number, { readonly start: number; readonly end: number }>>
  /**
   * Read-committed records from `from` (clamped to the oldest) up to the end as it stands when the read gets there. A commit is
   * answered before its markers are written, so transactions that are open when the read begins are waited for, but not long.
   */
  read(at: TopicPartition, from: number): AsyncIterable<LogRecord>
  /**
   * The same, but up to an end that stands still and hides no open transaction: for a partition whose only writer was fenced before.
   * A key whose record was compacted away in favour of a later one is missed otherwise.
   */
  readSettled(at: TopicPartition): AsyncIterable<LogRecord>
  close(): Promise<void>
}

const remember_ms = 60_000
const page_bytes = 1 << 20
const page_bytes_most = 64 << 20
const patience_ms = 15_000
const open_patience_ms = 2_000
const settle_patience_ms = 30_000
/** A topic that was just created is not known to every broker at once. */
const missing_patience_ms = 500
/** Without a right or with a batch that cannot be opened, trying again changes nothing. */
const may_pass = new Set(['log.unavailable', 'log.full', 'topic.missing'])

/** While brokers fail over, a partition may have no leader for a moment, or be left out. */
const leaderOf = (cluster: InnerCluster, at: TopicPartition): number => {
  const known = cluster.findTopicPartitionMetadata(at.topic)
  const leader = known.find(({ partitionId }) => partitionId === at.partition)?.leader
  if (leader !== undefined && leader >= 0) return leader
  if (leader === undefined && known.length > 0 && known.every(({ partitionId }) => partitionId < at.partition))
    throw new Fault('topic.mismatch', `Topic ${at.topic} has no partition ${at.partition}.`, { ...at })
  throw new Fault('log.unavailable', `${placeName(at)} has no leader at the moment.`, { ...at })
}

const fetchOr = async (broker: InnerBroker, at: TopicPartition, request: FetchRequest): Promise<FetchResponse> => {
  try {
    return await broker.fetch(request)
  } catch (error) {
    if (kafkaName(error) !== 'OFFSET_OUT_OF_RANGE') throw error
    throw new Fault('offset.gap', `${placeName(at)} no longer holds the offset that was to be read.`, { ...at }, error)
  }
}

export const openReader = (inside: OpenedKafka, clock: Clock): Reader => {
  let cluster: InnerCluster | undefined
  let closed = false
  const remembered = new Map<string, { readonly count: number; readonly at_ms: number }>()

  const current = (): InnerCluster => {
    if (closed) throw new Fault('log.unavailable', 'The log is closed.')
    cluster ??= inside.cluster()
    return cluster
  }
  /** After any error the next attempt starts with fresh connections and metadata: kafkajs keeps stale ones of both. */
  const drop = (broken: InnerCluster) => {
    if (cluster !== broken) return
    cluster = undefined
    // What others wait for on it may still come; what does not is cut off with it and tried again on the next one.
    void disconnectSoon(inside, broken, broken, clock)
  }

  const patiently = async <T>(doing: string, topic: string, step: (cluster: InnerCluster) => Promise<T>): Promise<T> => {
    const began_ms = clock.monotonic_ms()
    for (let pause_ms = 20; ; pause_ms = Math.min(1_000, pause_ms * 2)) {
      const using = current()
      try {
        await using.connect()
        await using.addTargetTopic(topic)
        return await step(using)
      } catch (error) {
        drop(using)
        const fault = kafkaFault(error, doing, { topic })
        const waited_ms = clock.monotonic_ms() - began_ms
        const patience = fault.code === 'topic.missing' ? missing_patience_ms : patience_ms
        if (closed || !may_pass.has(fault.code) || waited_ms > patience)
          throw fault.code === 'topic.missing'
            ? new Fault(
                'topic.missing',
                `Topic ${topic} does not exist. Create it with \`entrepot topics create\`.`,
                { topic },
                error,
              )
            : fault
        await clock.sleep(pause_ms)
      }
    }
  }

  const partitions = async (topic: string): Promise<number> => {
    const known = remembered.get(topic)
    if (known !== undefined && clock.monotonic_ms() - known.at_ms < remember_ms) return known.count
    const looked_up = patiently(`Looking up ${topic}`, topic, async (using) => {
      // The first lookup of a topic has just asked; a later one asks anew.
      if (known !== undefined) await using.refreshMetadata()
      return using.findTopicPartitionMetadata(topic).length
    })
    // A broker that comes back may not know its topics yet; one that is gone for good shows when it is written to.
    const count = await looked_up.catch((error: unknown) => {
      if (known !== undefined && error instanceof Fault && error.code === 'topic.missing') return known.count
      throw error
    })
    remembered.set(topic, { count, at_ms: clock.monotonic_ms() })
    return count
  }

  const page = (at: TopicPartition, from: number, bytes_max: number): Promise<Page> =>
    patiently(`Reading ${placeName(at)}`, at.topic, async (using) => {
      const leader = leaderOf(using, at)
      const broker = await using.findBroker({ nodeId: leader })
      const { responses } = await fetchOr(broker, at, {
        isolationLevel: read_committed,
        maxWaitTime: 0,
        minBytes: 0,
        maxBytes: bytes_max,
        topics: [{ topic: at.topic, partitions: [{ partition: at.partition, fetchOffset: String(from), maxBytes: bytes_max }] }],
      })
      const answer = responses[0]?.partitions[0]
      if (answer === undefined)
        throw new Fault('log.unavailable', `Reading ${placeName(at)}: the broker answered nothing.`, { ...at })
      const last = answer.messages.at(-1)
      return {
        // A batch may begin before the asked offset.
        records: answer.messages.filter((each) => !each.isControlRecord && Number(each.offset) >= from).map(logRecord),
        next_offset: last === undefined ? from : Math.max(from, Number(last.offset) + 1),
        stable_end: Number(answer.lastStableOffset),
        end: Number(answer.highWatermark),
      }
    })

  const offsets = async (topic: string, wanted: readonly number[]) =>
    patiently(`Asking for the offsets of ${topic}`, topic, async (using) => {
      const places = wanted.map((partition) => ({ partition }))
      for (const { partition } of places) leaderOf(using, { topic, partition })
      const [first] = await using.fetchTopicsOffset([{ topic, partitions: places, fromBeginning: true }])
      const [last] = await using.fetchTopicsOffset([{ topic, partitions: places, fromBeginning: false }])
      const ends = new Map((last?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]))
      if (first?.partitions.length !== wanted.length || ends.size !== wanted.length)
        throw new Fault('log.unavailable', `Asking for the offsets of ${topic}: not every partition answered.`, { topic })
      return new Map(
        first.partitions.map(({ partition, offset }) => {
          const start = Number(offset)
          return [partition, { start, end: Math.max(start, ends.get(partition) ?? start) }] as const
        }),
      )
    })

  const startOf = async (at: TopicPartition): Promise<{ readonly start: number; readonly end: number }> => {
    return (await offsets(at.topic, [at.partition])).get(at.partition)!
  }

  /** Pages from an offset until `done` says so of a page behind which nothing can be read. */
  async function* pages(at: TopicPartition, from: number, done: (page: Page) => Promise<boolean>): AsyncGenerator<LogRecord> {
    let offset = from
    let bytes_max = page_bytes
    for (;;) {
      let found: Page
      try {
        found = await page(at, offset, bytes_max)
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'offset.gap') throw error
        // Deleted under the read: it goes on at the oldest record that is left.
        const { start } = await startOf(at)
        if (start <= offset) return
        offset = start
        continue
      }
      yield* found.records
      if (found.next_offset > offset) {
        offset = found.next_offset
        bytes_max = page_bytes
        continue
      }
      // Only batches that compaction emptied: kafkajs shows nothing of them, so the fetch must reach behind them.
      if (offset < found.stable_end && bytes_max < page_bytes_most) {
        bytes_max *= 8
        continue
      }
      if (await done(found)) return
    }
  }

  return {
    partitions,
    forget: (topic) => {
      remembered.delete(topic)
    },
    offsets,
    read: async function* (at, from) {
      const { start, end } = await startOf(at)
      if (from > end) return
      const began_ms = clock.monotonic_ms()
      let first_end: number | undefined
      yield* pages(at, Math.max(from, start), async (found) => {
        first_end ??= found.end
        if (found.stable_end >= first_end || clock.monotonic_ms() - began_ms > open_patience_ms) return true
        await clock.sleep(2)
        return false
      })
    },
    readSettled: async function* (at) {
      const { start } = await startOf(at)
      const began_ms = clock.monotonic_ms()
      let seen_end: number | undefined
      yield* pages(at, start, async (found) => {
        if (seen_end === found.end && found.stable_end >= found.end) return true
        if (clock.monotonic_ms() - began_ms > settle_patience_ms)
          throw new Fault(
            'log.unavailable',
            `${placeName(at)} does not settle: an open transaction hides what lies behind offset ${found.stable_end}. See \`kafka-transactions.sh find-hanging\`.`,
            { ...at },
          )
        if (seen_end === found.end) await clock.sleep(5)
        seen_end = found.end
        return false
      })
    },
    close: async () => {
      closed = true
      if (cluster !== undefined) inside.cut(cluster)
      cluster = undefined
    },
  }
}
