/**
 * What this adapter needs from inside kafkajs: reading a partition without a consumer group, and five repairs. kafkajs is frozen and
 * pinned at 2.2.4, so its inner modules may be relied on; the contract suite on a real broker notices if that ever changes.
 */
import { createRequire } from 'node:module'
import kafkajs, { CompressionTypes, type Kafka, type RetryOptions } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import type { TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import { cappedGzip, unsupported, zstd } from './compression.ts'

const require = createRequire(import.meta.url)

/** A record as kafkajs' fetch gives it, before control and aborted records are left out. */
export type FetchedMessage = {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>>
  isControlRecord: boolean
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean }
}
export type AbortedTransaction = { readonly producerId: string; readonly firstOffset: string }
export type FetchedPartition = {
  readonly partition: number
  readonly highWatermark: string
  readonly lastStableOffset: string
  abortedTransactions: readonly AbortedTransaction[] | null
  readonly messages: readonly FetchedMessage[]
}
export type FetchRequest = {
  readonly isolationLevel: number
  readonly maxWaitTime: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[]
  }[]
}
export type FetchResponse = {
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
}
export type InnerBroker = {
  readonly connectionPool: { readonly pool: readonly InnerConnection[] }
  fetch(request: FetchRequest): Promise<FetchResponse>
  isConnected(): boolean
}

type InnerConnection = {
  socket?: { destroy(): void }
  connectionStatus: string
  connect(): Promise<unknown>
  readonly requestQueue: { rejectAll(error: Error): void; destroy(): void }
}
type InnerPool = { createBroker(options: object): InnerBroker }
/** kafkajs' Cluster: connections, metadata, coordinators. */
export type InnerCluster = {
  retry?: RetryOptions
  readonly targetTopics: Set<string>
  readonly brokerPool: InnerPool
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(given: { readonly nodeId: string | number }): Promise<InnerBroker>
  findGroupCoordinator(given: { readonly groupId: string; readonly coordinatorType?: number }): Promise<InnerBroker>
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string
      readonly partitions: readonly { partition: number }[]
      readonly fromBeginning: boolean
    }[],
  ): Promise<
    { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly offset: string }[] }[]
  >
}
type ClusterOptions = {
  readonly metadataMaxAge?: number
  readonly allowAutoTopicCreation?: boolean
  readonly maxInFlightRequests?: number | null
  readonly isolationLevel?: number
}

const { version } = require('kafkajs/package.json') as { version: string }
if (version !== '2.2.4')
  throw new Fault('config.invalid', `kafkajs ${version} is installed, but this adapter is written for 2.2.4: run \`npm ci\`.`)

export const read_committed = 1

/**
 * Repair 1: marks the records of aborted transactions as control records, which kafkajs leaves out while it still moves past them.
 * Its own filter takes the broker's list of aborted transactions to be sorted by their first offset and looks at one of them a
 * record, but brokers list them by their end: of two transactions that abort in another order than they began, the records of the
 * first are delivered (shown on Kafka 4.1.0 in kafka-log.servers.test.ts). It also takes any key of four zero bytes for a marker.
 */
export const hideAborted = (partition: FetchedPartition): void => {
  const aborted = (partition.abortedTransactions ?? []).map(({ producerId, firstOffset }) => ({
    producer: producerId,
    first: Number(firstOffset),
  }))
  partition.abortedTransactions = []
  if (aborted.length === 0) return
  aborted.sort((a, b) => a.first - b.first)
  const open = new Set<string>()
  let next = 0
  for (const message of partition.messages) {
    const offset = Number(message.offset)
    while (next < aborted.length && aborted[next]!.first <= offset) open.add(aborted[next++]!.producer)
    const { producerId, inTransaction } = message.batchContext
    // A marker's key is its version and its kind; kind 0 aborts.
    if (message.isControlRecord) {
      if (message.key !== null && message.key.length >= 4 && message.key.readInt16BE(2) === 0) open.delete(producerId)
    } else if (inTransaction && open.has(producerId)) message.isControlRecord = true
  }
}

type QueueInside = { pending: unknown[]; throttledUntil: number; throttleCheckTimeoutId: unknown; checkPendingRequests(): void }
const RequestQueue = require('kafkajs/src/network/requestQueue') as { prototype: { scheduleCheckPendingRequests(): void } }

/** Repair 2: as shipped it sets a timer after every answer, of negative length where nothing is throttled (tulios/kafkajs#1751). */
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: QueueInside) {
  if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return
  const wait_ms = Math.max(this.throttledUntil - Date.now(), 10)
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null
    this.checkPendingRequests()
  }, wait_ms)
}

/** Repair 3: refusals younger than kafkajs get their names. */
const { errorCodes } = require('kafkajs/src/protocol/error') as {
  errorCodes: { type: string; code: number; retriable: boolean; message: string }[]
}
for (const [code, type, retriable] of [
  [89, 'THROTTLING_QUOTA_EXCEEDED', true],
  [90, 'PRODUCER_FENCED', false],
  [100, 'UNKNOWN_TOPIC_ID', true],
  [120, 'TRANSACTION_ABORTABLE', false],
] as const)
  if (!errorCodes.some((known) => known.code === code))
    errorCodes.push({ type, code, retriable, message: type.toLowerCase().replaceAll('_', ' ') })

type Fetched = { readonly key: string; readonly value: Buffer | null }
type HeaderDecoder = { readVarInt(): number; readVarIntArray(read: (decoder: HeaderDecoder) => Fetched): unknown }
const Decoder = require('kafkajs/src/protocol/decoder') as { prototype: HeaderDecoder }

/**
 * Repair 5: headers are gathered by name in one pass, into an object that inherits nothing. As shipped, the object is copied for each
 * header (a record of 1 MiB may have 170,000), and a header called `constructor` or `toString` meets the function of that name, which
 * then stands among its values. Headers are all that kafkajs reads by this method, and the first thing it does is to reduce them.
 */
Decoder.prototype.readVarIntArray = function (this: HeaderDecoder, read) {
  const headers = Object.create(null) as Record<string, Buffer | null | (Buffer | null)[]>
  for (let left = this.readVarInt(); left > 0; left--) {
    const { key, value } = read(this)
    const known = headers[key]
    if (known === undefined) headers[key] = value
    else if (Array.isArray(known)) known.push(value)
    else headers[key] = [known, value]
  }
  return { reduce: () => headers }
}

kafkajs.CompressionCodecs[CompressionTypes.GZIP] = () => cappedGzip
kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = () => zstd
kafkajs.CompressionCodecs[CompressionTypes.Snappy] = () => unsupported('snappy')
kafkajs.CompressionCodecs[CompressionTypes.LZ4] = () => unsupported('lz4')

/**
 * kafkajs asks who coordinates before each request to the coordinator: a third of a transaction's round trips. Remembered for a few
 * seconds instead, which is also how long a producer that outlives a move of its coordinator keeps asking the old one.
 */
export const rememberCoordinator = (cluster: InnerCluster, clock: Clock): void => {
  const find = cluster.findGroupCoordinator.bind(cluster)
  const known = new Map<string, { readonly broker: InnerBroker; readonly until_ms: number }>()
  cluster.findGroupCoordinator = async (given) => {
    const name = `${given.coordinatorType ?? 0} ${given.groupId}`
    const last = known.get(name)
    if (last?.broker.isConnected() === true && clock.monotonic_ms() < last.until_ms) return last.broker
    const broker = await find(given)
    known.set(name, { broker, until_ms: clock.monotonic_ms() + coordinator_ms })
    return broker
  }
}
const coordinator_ms = 5_000

const cutOff = (): Error =>
  Object.assign(new Error('The connection was cut.'), { name: 'KafkaJSConnectionError', retriable: false })

const cut = (cluster: InnerCluster, brokers: Iterable<InnerBroker>): void => {
  const refuse = async (): Promise<never> => {
    throw cutOff()
  }
  const refuseNow = (): never => {
    throw cutOff()
  }
  Object.assign(cluster.brokerPool, { connect: refuse, connectBroker: refuse, createBroker: refuseNow })
  for (const broker of brokers)
    for (const connection of broker.connectionPool.pool) {
      connection.connectionStatus = 'disconnected'
      connection.connect = refuse
      connection.requestQueue.rejectAll(cutOff())
      connection.requestQueue.destroy()
      connection.socket?.destroy()
    }
}

/** A kafkajs client whose clusters can be reached and cut off. */
export type OpenedKafka = {
  readonly kafka: Kafka
  /** A cluster of our own, for reads without a group. */
  cluster(): InnerCluster
  /** What `make` opens (a producer, consumer or admin), and the cluster it stands on. Its metadata is asked for these topics only. */
  withCluster<T>(topics: readonly string[], make: () => T): { readonly made: T; readonly cluster: InnerCluster }
  /** Ends a cluster at once and for good: what waits for an answer is rejected, nothing reconnects, no socket or timer stays. */
  cut(cluster: InnerCluster): void
  /** Nothing can be opened any more. */
  cutAll(): void
  /** Aborts with cutAll, for those who wait. */
  readonly closing: AbortSignal
}

/** Gives access to the clusters of a client. `retry` is also used where kafkajs forgets to (initialising a transactional producer). */
export const openInside = (kafka: Kafka, retry: RetryOptions): OpenedKafka => {
  const key = Object.getOwnPropertySymbols(kafka).find((symbol) => symbol.description === 'private:Kafka:createCluster')
  if (key === undefined) throw new Fault('defect.unexpected', 'kafkajs keeps its clusters elsewhere than version 2.2.4 does.')
  const holder = kafka as unknown as Record<symbol, (options: ClusterOptions) => InnerCluster>
  const create = holder[key]!
  let last: InnerCluster | undefined
  /** With every broker each has ever connected to: kafkajs forgets some without closing them. */
  const live = new Map<InnerCluster, Set<InnerBroker>>()
  const closing = new AbortController()
  const end = (cluster: InnerCluster) => {
    const brokers = live.get(cluster)
    live.delete(cluster)
    if (brokers !== undefined) cut(cluster, brokers)
  }
  holder[key] = (options) => {
    if (closing.signal.aborted) throw new Fault('log.unavailable', 'The log is closed.')
    const cluster = create(options)
    cluster.retry = retry
    const brokers = new Set<InnerBroker>()
    const createBroker = cluster.brokerPool.createBroker
    cluster.brokerPool.createBroker = (given) => {
      const broker = createBroker(given)
      brokers.add(broker)
      const fetch = broker.fetch.bind(broker)
      broker.fetch = async (request) => {
        const answer = await fetch(request)
        for (const { partitions } of answer.responses) for (const partition of partitions) hideAborted(partition)
        return answer
      }
      return broker
    }
    last = cluster
    live.set(cluster, brokers)
    return cluster
  }
  return {
    kafka,
    cluster: () => holder[key]!({ allowAutoTopicCreation: false, isolationLevel: read_committed, metadataMaxAge: 60_000 }),
    withCluster: (topics, make) => {
      const made = make()
      const cluster = last!
      for (const topic of topics) cluster.targetTopics.add(topic)
      return { made, cluster }
    },
    cut: end,
    cutAll: () => {
      closing.abort()
      for (const cluster of live.keys()) end(cluster)
    },
    closing: closing.signal,
  }
}

/** A batch that cannot be unfolded fails the whole fetch: asked for one at a time, the partitions tell which of them holds it. */
const placed = async (fault: Fault, request: FetchRequest, fetch: InnerBroker['fetch']): Promise<Fault> => {
  for (const { topic, partitions } of request.topics)
    for (const each of partitions) {
      const alone = { ...request, maxWaitTime: 0, minBytes: 0, topics: [{ topic, partitions: [each] }] }
      const refusal = await fetch(alone).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (!(refusal instanceof Fault)) continue
      const at = { topic, partition: each.partition, offset: Number(each.fetchOffset) }
      const message = `${topic}/${each.partition}, at or soon after offset ${each.fetchOffset}: ${refusal.message}`
      // Without a cause: kafkajs passes the cause of an error on in its place.
      return Object.assign(new Fault(refusal.code, message, at), { retriable: false })
    }
  return fault
}

/**
 * Repair 4: an offset that the log no longer holds is told to `gone` and answered with nothing. kafkajs would reset it to the oldest
 * record without a word and even commit that. `fetched` sees every answer with the offset that was asked for, `failed` is told of every
 * other refusal and of answers that did not come.
 */
export const watchFetches = (
  cluster: InnerCluster,
  watch: {
    readonly fetched: (topic: string, asked: ReadonlyMap<number, number>, answer: FetchedPartition) => void
    readonly gone: (at: TopicPartition) => void
    readonly failed: () => void
  },
): void => {
  const createBroker = cluster.brokerPool.createBroker
  cluster.brokerPool.createBroker = (given) => {
    const broker = createBroker(given)
    const fetch = broker.fetch
    broker.fetch = async (request) => {
      try {
        const answer = await fetch(request)
        for (const { topicName, partitions } of answer.responses) {
          const asked = new Map(
            request.topics
              .filter(({ topic }) => topic === topicName)
              .flatMap((each) => each.partitions.map(({ partition, fetchOffset }) => [partition, Number(fetchOffset)] as const)),
          )
          for (const partition of partitions) watch.fetched(topicName, asked, partition)
        }
        return answer
      } catch (error) {
        if (error instanceof Fault) throw await placed(error, request, fetch)
        const refusal = error as { name?: string; topic?: string; partition?: number }
        if (refusal.name !== 'KafkaJSOffsetOutOfRange' || refusal.topic === undefined || refusal.partition === undefined) {
          watch.failed()
          throw error
        }
        watch.gone({ topic: refusal.topic, partition: refusal.partition })
        return { responses: [] }
      }
    }
    return broker
  }
}

/** Disconnects in the background; what has not ended soon is cut. */
export const disconnectSoon = async (
  inside: OpenedKafka,
  client: { disconnect(): Promise<void> },
  cluster: InnerCluster,
  clock: Clock,
  patience_ms = 2_000,
): Promise<void> => {
  const over = new AbortController()
  const end = () => over.abort()
  client.disconnect().then(end, end)
  await clock.sleep(patience_ms, AbortSignal.any([over.signal, inside.closing]))
  inside.cut(cluster)
}
