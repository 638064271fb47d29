/**
 * What the Kafka adapter sees of kafkajs, over simulated brokers: producers with sequence numbers that are taken back after a rejected
 * send, transactions whose end is never repeated, a consumer that fetches, heartbeats and joins as kafkajs 2.2.4 does, and its cluster.
 * Everything above it is the adapter's own code.
 */

import { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import {
  type FetchedMessage,
  type FetchedPartition,
  type FetchRequest,
  type FetchResponse,
  hideAborted,
  type InnerBroker,
  type InnerCluster,
  type OpenedKafka,
} from '../../adapters/kafka/inside.ts'
import { kafka_retry } from '../../adapters/kafka/options.ts'
import type { Header, TopicPartition } from '../../domain/record.ts'
import { placeName } from '../../domain/record.ts'
import type { Network, Serve } from '../network.ts'
import type { Machine } from '../scheduler.ts'
import type { Weather } from '../weather.ts'
import type { Brokers } from './brokers.ts'
import type { Joined } from './groups.ts'
import type { Entry, NewRecord, Refusal } from './partition.ts'

const { errorCodes } = createRequire(import.meta.url)('kafkajs/src/protocol/error') as {
  errorCodes: readonly { type: string; retriable: boolean }[]
}

type ClientError = Error & { type?: string; retriable: boolean; topic?: string; partition?: number }

const named = (name: string, message: string, more: object): ClientError =>
  Object.assign(new Error(message), { name, retriable: false, ...more })
/** A refusal as kafkajs raises it, retriable where its own table says so. */
const protocolError = (type: string, more: object = {}): ClientError =>
  named(type === 'OFFSET_OUT_OF_RANGE' ? 'KafkaJSOffsetOutOfRange' : 'KafkaJSProtocolError', type, {
    type,
    retriable: errorCodes.find((known) => known.type === type)?.retriable ?? false,
    ...more,
  })
const timedOut = (): ClientError => named('KafkaJSRequestTimeoutError', 'Request timed out', { retriable: true })
const cutOff = (): ClientError => named('KafkaJSConnectionError', 'The connection was cut.', {})

const isRefusal = (answer: object): answer is Refusal => 'refused' in answer

export type SimClientOptions = {
  readonly machine: Machine
  readonly brokers: Brokers
  readonly network: Network
  readonly weather: Weather
  readonly request_timeout_ms: number
}

type SimCluster = InnerCluster & {
  isCut(): boolean
  cut(): void
  ask<T>(point: string, serve: Serve<T>): Promise<T>
}

type Message = {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Record<string, readonly Buffer[]>
  readonly partition: number
  readonly timestamp: string
}
type SendRequest = { readonly topic: string; readonly messages: readonly Message[] }

const fetch_records_max = 60
/** What the server side may hold a join for beyond the rebalance. */
const join_spare_ms = 2_000

const recordOf = (message: Message): NewRecord => ({
  key: message.key,
  value: message.value,
  headers: Object.entries(message.headers ?? {}).flatMap(([name, values]) => values.map((value): Header => [name, value])),
  timestamp_ms: Number(message.timestamp),
})

const headersOf = (headers: readonly Header[]): FetchedMessage['headers'] => {
  if (headers.length === 0) return no_headers
  const by_name: Record<string, Buffer[]> = Object.create(null)
  for (const [name, value] of headers) {
    const values = by_name[name]
    if (values === undefined) by_name[name] = [value]
    else values.push(value)
  }
  return by_name
}
const no_headers: FetchedMessage['headers'] = {}
const marker_keys = { commit: Buffer.from([0, 0, 0, 1]), abort: Buffer.from([0, 0, 0, 0]) }

const messageOf = (entry: Entry): FetchedMessage => ({
  offset: String(entry.offset),
  timestamp: String(entry.timestamp_ms),
  key: entry.marker === null ? entry.key : marker_keys[entry.marker],
  value: entry.value,
  headers: headersOf(entry.headers),
  isControlRecord: entry.marker !== null,
  batchContext: { producerId: String(entry.producer_id), inTransaction: entry.transactional },
})

export const openSimKafka = (options: SimClientOptions): OpenedKafka => {
  const { machine, brokers, network, weather, request_timeout_ms } = options
  const { clock } = machine
  const closing = new AbortController()
  const live = new Set<SimCluster>()
  let members = 0
  let last: SimCluster | undefined

  /** kafkajs' retry: exponential, bounded, over for good when the error says so. */
  const retrying = async <T>(
    cluster: SimCluster,
    step: () => Promise<T>,
    passes: (error: ClientError) => boolean,
  ): Promise<T> => {
    let wait_ms = kafka_retry.initialRetryTime!
    for (let attempt = 0; ; attempt++) {
      try {
        return await step()
      } catch (error) {
        const raised = error as ClientError
        if (cluster.isCut() || !passes(raised))
          throw named('KafkaJSNonRetriableError', raised.message, {
            cause: raised,
            ...(raised.type === undefined ? {} : { type: raised.type }),
          })
        if (attempt >= kafka_retry.retries!)
          throw named('KafkaJSNumberOfRetriesExceeded', raised.message, {
            cause: raised,
            ...(raised.type === undefined ? {} : { type: raised.type }),
          })
        await clock.sleep(wait_ms)
        wait_ms = Math.min(kafka_retry.maxRetryTime!, wait_ms * kafka_retry.multiplier! * (0.8 + 0.4 * weather.uniform()))
      }
    }
  }
  const retriable = (error: ClientError) => error.retriable

  const createCluster = (): SimCluster => {
    let metadata = new Map<string, { partitionId: number; leader: number }[]>()
    const targets = new Set<string>()
    const pending = new Set<(error: Error) => void>()
    let cut = false
    let adding: Promise<void> = Promise.resolve()

    const ask = <T>(point: string, serve: Serve<T>, timeout_ms = request_timeout_ms): Promise<T> =>
      new Promise((resolve, reject) => {
        if (cut) return reject(cutOff())
        pending.add(reject)
        const end = () => pending.delete(reject)
        network.call(machine, point, timeout_ms, timedOut, serve).then(
          (value) => {
            end()
            resolve(value)
          },
          (error: unknown) => {
            end()
            reject(error)
          },
        )
      })

    const refresh = async (): Promise<void> => {
      metadata = await ask('metadata', (reply, refuse) => {
        const known: typeof metadata = new Map()
        for (const topic of targets) {
          const of = brokers.topics.get(topic)
          if (of === undefined) return refuse(protocolError('UNKNOWN_TOPIC_OR_PARTITION'))
          known.set(
            topic,
            of.partitions.map(({ leader }, partitionId) => ({ partitionId, leader })),
          )
        }
        reply(known)
      })
    }

    const fetch = (request: FetchRequest): Promise<FetchResponse> => {
      const asked = request.topics.flatMap(({ topic, partitions }) =>
        partitions.map(({ partition, fetchOffset }) => ({ at: { topic, partition }, from: Number(fetchOffset) })),
      )
      const point = request.minBytes === 0 ? 'read' : 'fetch'
      return ask<FetchResponse>(
        point,
        (reply, refuse) => {
          const records_max = weather.strikes('fetch_cut_short') ? 1 + weather.below(4) : fetch_records_max
          const places = weather.strikes('fetch_reordered') ? asked.toReversed() : asked
          const look = (may_wait: boolean): void => {
            const responses = new Map<string, FetchedPartition[]>()
            let found = 0
            for (const { at, from } of places) {
              const answer = brokers.fetch(at, from, records_max, request.isolationLevel === 0)
              if ('refused' in answer) {
                refuse(protocolError(answer.refused, at))
                return
              }
              found += answer.entries.length
              const list = responses.get(at.topic) ?? []
              responses.set(at.topic, list)
              list.push({
                partition: at.partition,
                highWatermark: String(answer.high_watermark),
                lastStableOffset: String(answer.last_stable),
                abortedTransactions: answer.aborted.map(({ producer_id, first }) => ({
                  producerId: String(producer_id),
                  firstOffset: String(first),
                })),
                messages: answer.entries.map(messageOf),
              })
            }
            if (found === 0 && may_wait && request.minBytes > 0)
              brokers.whenNews(
                asked.map(({ at }) => at),
                request.maxWaitTime,
                () => look(false),
              )
            else reply({ responses: [...responses].map(([topicName, partitions]) => ({ topicName, partitions })) })
          }
          look(true)
        },
        request_timeout_ms + request.maxWaitTime,
      )
    }

    const cluster: SimCluster = {
      targetTopics: targets,
      brokerPool: {
        createBroker: (): InnerBroker => ({
          connectionPool: { pool: [] },
          isConnected: () => !cut,
          fetch: async (request) => {
            const answer = await fetch(request)
            for (const { partitions } of answer.responses) for (const partition of partitions) hideAborted(partition)
            return answer
          },
        }),
      },
      isCut: () => cut,
      cut: () => {
        cut = true
        live.delete(cluster)
        for (const reject of pending) reject(cutOff())
        pending.clear()
      },
      ask,
      connect: async () => {
        if (cut) throw cutOff()
      },
      disconnect: async () => undefined,
      refreshMetadata: refresh,
      // One after the other, as kafkajs does: a topic that is not there fails its own look-up alone.
      addTargetTopic: (topic) => {
        const added = adding.then(async () => {
          if (targets.has(topic) && metadata.has(topic)) return
          targets.add(topic)
          try {
            await refresh()
          } catch (error) {
            targets.delete(topic)
            throw error
          }
        })
        adding = added.catch(() => undefined)
        return added
      },
      findTopicPartitionMetadata: (topic) => metadata.get(topic) ?? [],
      findBroker: async () => cluster.brokerPool.createBroker({}),
      findGroupCoordinator: async () => cluster.brokerPool.createBroker({}),
      fetchTopicsOffset: (topics) =>
        retrying(
          cluster,
          () =>
            ask('offsets', (reply, refuse) => {
              const answer = []
              for (const { topic, partitions, fromBeginning } of topics) {
                const of = brokers.topics.get(topic)
                if (of === undefined) return refuse(protocolError('UNKNOWN_TOPIC_OR_PARTITION'))
                answer.push({
                  topic,
                  partitions: partitions.map(({ partition }) => {
                    const each = of.partitions[partition]!
                    return { partition, offset: String(fromBeginning ? each.start : each.lastStable()) }
                  }),
                })
              }
              reply(answer)
            }),
          retriable,
        ),
    }
    live.add(cluster)
    last = cluster
    return cluster
  }

  const createProducer = (
    cluster: SimCluster,
    config: { readonly transactionalId?: string; readonly transactionTimeout?: number },
  ) => {
    const id = config.transactionalId ?? null
    let stamp: { producer_id: number; epoch: number } | null = null
    let sequences = new Map<string, number>()
    let in_transaction = false

    const init = (): Promise<void> =>
      retrying(
        cluster,
        async () => {
          stamp = await cluster.ask<{ producer_id: number; epoch: number }>('init_producer_id', (reply, refuse) => {
            const answer = brokers.transactions.init(id, config.transactionTimeout ?? 60_000)
            if (isRefusal(answer)) refuse(protocolError(answer.refused))
            else reply(answer)
          })
          sequences = new Map()
        },
        (error) =>
          [
            'NOT_COORDINATOR_FOR_GROUP',
            'COORDINATOR_LOAD_IN_PROGRESS',
            'GROUP_LOAD_IN_PROGRESS',
            'CONCURRENT_TRANSACTIONS',
          ].includes(error.type ?? ''),
      )

    const produce = async (at: TopicPartition, records: readonly NewRecord[], added: Set<string> | null): Promise<number> => {
      const place = placeName(at)
      if (added !== null && id !== null && !added.has(place)) {
        const { producer_id, epoch } = stamp!
        await cluster.ask<null>('add_partitions', (reply, refuse) => {
          const refused = brokers.transactions.add(id, producer_id, epoch, at)
          if (refused === null) reply(null)
          else refuse(protocolError(refused.refused))
        })
        added.add(place)
      }
      const sequence = sequences.get(place) ?? 0
      sequences.set(place, sequence + records.length)
      try {
        const point = at.topic.endsWith('.changelog') ? 'produce_changelog' : added === null ? 'produce' : 'produce_output'
        return await cluster.ask<number>(point, (reply, refuse) =>
          brokers.produce(at, records, { ...stamp!, sequence, transactional: added !== null }, (outcome) => {
            if (isRefusal(outcome)) refuse(protocolError(outcome.refused))
            else reply(outcome.base_offset)
          }),
        )
      } catch (error) {
        sequences.set(place, sequence)
        throw error
      }
    }

    const send = async ({ topic, messages }: SendRequest, added: Set<string> | null) => {
      const by_partition = new Map<number, NewRecord[]>()
      for (const message of messages) {
        const list = by_partition.get(message.partition) ?? []
        by_partition.set(message.partition, list)
        list.push(recordOf(message))
      }
      return Promise.all(
        [...by_partition].map(async ([partition, records]) => {
          const base = await retrying(cluster, () => produce({ topic, partition }, records, added), retriable)
          return { topicName: topic, partition, errorCode: 0, baseOffset: String(base) }
        }),
      )
    }

    return {
      connect: async () => {
        if (id === null) await init()
      },
      disconnect: async () => undefined,
      send: (request: SendRequest) => send(request, null),
      transaction: async () => {
        if (stamp === null) await init()
        in_transaction = true
        const added = new Set<string>()
        const end = async (how: 'commit' | 'abort') => {
          in_transaction = false
          if (added.size === 0) return
          const { producer_id, epoch } = stamp!
          await cluster.ask<null>(how === 'commit' ? 'end_commit' : 'end_abort', (reply, refuse) => {
            const refused = brokers.transactions.end(id!, producer_id, epoch, how)
            if (refused === null) reply(null)
            else refuse(protocolError(refused.refused))
          })
        }
        return {
          send: (request: SendRequest) => send(request, added),
          commit: () => end('commit'),
          abort: () => end('abort'),
          isActive: () => in_transaction,
        }
      },
    }
  }

  type ConsumerConfig = {
    readonly groupId: string
    readonly sessionTimeout: number
    readonly rebalanceTimeout: number
    readonly heartbeatInterval: number
    readonly maxWaitTimeInMs: number
    readonly readUncommitted: boolean
  }
  type RunConfig = { readonly eachBatch: (payload: object) => Promise<void> }

  const createConsumer = (cluster: SimCluster, config: ConsumerConfig) => {
    const events = { GROUP_JOIN: 'join', HEARTBEAT: 'beat', REBALANCING: 'rebalancing', CRASH: 'crash' } as const
    const emitter = new EventEmitter()
    const group = config.groupId
    const paused = new Set<string>()
    const seeks = new Map<string, number>()
    let topics: readonly string[] = []
    let member_id = `${machine.name}-${String(members++).padStart(3, '0')}`
    let generation = -1
    let assigned: TopicPartition[] = []
    let next = new Map<string, number>()
    let running = false
    let over = false
    let last_beat_ms = 0
    /** Partitions of the subscribed topics when the group was joined: more than these, and kafkajs joins again. */
    let known_partitions = 0
    const partitionsNow = () => topics.reduce((sum, topic) => sum + (brokers.topics.get(topic)?.partitions.length ?? 0), 0)
    let broker: InnerBroker | undefined

    const resolveOffset = (place: string, offset: number) => {
      if (next.has(place)) next.set(place, Math.max(next.get(place)!, offset + 1))
    }

    const join = async (): Promise<void> => {
      const joined = await retrying(
        cluster,
        () =>
          new Promise<Joined>((resolve, reject) => {
            network
              .call<Joined>(machine, 'join', config.rebalanceTimeout + join_spare_ms, timedOut, (reply, refuse) =>
                brokers.groups.join(
                  group,
                  { id: member_id, topics, session_ms: config.sessionTimeout, rebalance_ms: config.rebalanceTimeout },
                  (answer) => (isRefusal(answer) ? refuse(protocolError(answer.refused)) : reply(answer)),
                ),
              )
              .then(resolve, reject)
          }),
        (error) => error.retriable || error.type === 'REBALANCE_IN_PROGRESS',
      )
      if (over) return
      generation = joined.generation
      known_partitions = joined.partitions
      assigned = Object.entries(joined.assignment).flatMap(([topic, partitions]) =>
        partitions.map((partition) => ({ topic, partition })),
      )
      const committed = await retrying(
        cluster,
        () =>
          cluster.ask<ReadonlyMap<string, string>>('offset_fetch', (reply) => reply(new Map(brokers.groups.offsetsOf(group)))),
        retriable,
      )
      next = new Map(
        assigned.map((at) => {
          const place = placeName(at)
          return [place, Number(committed.get(place) ?? brokers.partition(at)?.start ?? 0)]
        }),
      )
      seeks.clear()
      last_beat_ms = clock.monotonic_ms()
      emitter.emit(events.GROUP_JOIN, { payload: { memberAssignment: joined.assignment } })
    }

    const heartbeat = async (): Promise<void> => {
      if (clock.monotonic_ms() - last_beat_ms < config.heartbeatInterval) return
      last_beat_ms = clock.monotonic_ms()
      if (partitionsNow() > known_partitions) throw named('KafkaJSStaleTopicMetadataAssignment', 'There are more partitions.', {})
      await cluster.ask<null>('heartbeat', (reply, refuse) => {
        const refused = brokers.groups.heartbeat(group, member_id, generation)
        if (refused === null) reply(null)
        else refuse(protocolError(refused.refused))
      })
      emitter.emit(events.HEARTBEAT, {})
    }

    const handle = async (at: TopicPartition, asked: number, answer: FetchedPartition): Promise<void> => {
      const place = placeName(at)
      const raw = answer.messages
      if (raw.length === 0) return
      const last_offset = raw.at(-1)!.offset
      const messages = raw.filter((message) => !message.isControlRecord && Number(message.offset) >= asked)
      if (messages.length === 0) return resolveOffset(place, Number(last_offset))
      await run!.eachBatch({
        batch: {
          topic: at.topic,
          partition: at.partition,
          fetchedOffset: String(asked),
          messages,
          highWatermark: answer.highWatermark,
          lastOffset: () => last_offset,
        },
        resolveOffset: (offset: string) => resolveOffset(place, Number(offset)),
        heartbeat,
        isRunning: () => running,
      })
    }

    /** One round: what is wanted is fetched, handed over, and waited for; nothing to fetch is waited out. */
    const round = async (): Promise<void> => {
      for (const [place, offset] of seeks) if (next.has(place)) next.set(place, offset)
      seeks.clear()
      const wanted = assigned.filter((at) => !paused.has(placeName(at)))
      if (wanted.length === 0) {
        await clock.sleep(config.maxWaitTimeInMs)
        return heartbeat()
      }
      const mine = generation
      const by_topic = new Map<string, { partition: number; fetchOffset: string; maxBytes: number }[]>()
      const asked = new Map<string, number>()
      for (const at of wanted) {
        const from = next.get(placeName(at))!
        asked.set(placeName(at), from)
        const list = by_topic.get(at.topic) ?? []
        by_topic.set(at.topic, list)
        list.push({ partition: at.partition, fetchOffset: String(from), maxBytes: 1 << 20 })
      }
      broker ??= cluster.brokerPool.createBroker({})
      const { responses } = await broker.fetch({
        isolationLevel: config.readUncommitted ? 0 : 1,
        maxWaitTime: config.maxWaitTimeInMs,
        minBytes: 1,
        maxBytes: 1 << 20,
        topics: [...by_topic].map(([topic, partitions]) => ({ topic, partitions })),
      })
      if (!running || mine !== generation) return
      let handled = 0
      await Promise.all(
        responses.flatMap(({ topicName, partitions }) =>
          partitions.map(async (answer) => {
            const at = { topic: topicName, partition: answer.partition }
            const place = placeName(at)
            if (paused.has(place) || seeks.has(place) || answer.messages.length === 0) return
            handled++
            await handle(at, asked.get(place)!, answer)
          }),
        ),
      )
      if (handled === 0) await heartbeat()
    }

    let run: RunConfig | undefined
    const crash = (error: unknown) => {
      running = false
      emitter.emit(events.CRASH, { payload: { error, groupId: group } })
    }

    const loop = async (): Promise<void> => {
      let failures = 0
      let wait_ms = kafka_retry.initialRetryTime!
      while (running) {
        try {
          await round()
          failures = 0
          wait_ms = kafka_retry.initialRetryTime!
        } catch (error) {
          const raised = error as ClientError
          if (!running) return
          const again = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'NOT_COORDINATOR_FOR_GROUP'].includes(raised.type ?? '')
          if (raised.name === 'KafkaJSStaleTopicMetadataAssignment') {
            await join()
            continue
          }
          if (again || raised.type === 'UNKNOWN_MEMBER_ID') {
            if (again && raised.type !== 'NOT_COORDINATOR_FOR_GROUP')
              emitter.emit(events.REBALANCING, { payload: { groupId: group } })
            if (raised.type === 'NOT_COORDINATOR_FOR_GROUP') {
              await clock.sleep(20)
              continue
            }
            if (raised.type === 'UNKNOWN_MEMBER_ID') member_id = `${machine.name}-${String(members++).padStart(3, '0')}`
            await join()
            continue
          }
          if (++failures > kafka_retry.retries! || cluster.isCut()) throw raised
          await clock.sleep(wait_ms)
          wait_ms = Math.min(kafka_retry.maxRetryTime!, wait_ms * kafka_retry.multiplier!)
        }
      }
    }

    return {
      events,
      on: (event: string, listener: (event: object) => void) => void emitter.on(event, listener),
      connect: () => cluster.connect(),
      subscribe: async (given: { readonly topics: readonly string[] }) => {
        topics = given.topics
      },
      run: async (given: RunConfig) => {
        run = given
        try {
          await join()
        } catch (error) {
          return crash(error)
        }
        if (over) return
        running = true
        loop().catch(crash)
      },
      pause: (places: readonly { readonly topic: string; readonly partitions: readonly number[] }[]) => {
        for (const { topic, partitions } of places)
          for (const partition of partitions) paused.add(placeName({ topic, partition }))
      },
      resume: (places: readonly { readonly topic: string; readonly partitions: readonly number[] }[]) => {
        for (const { topic, partitions } of places)
          for (const partition of partitions) paused.delete(placeName({ topic, partition }))
      },
      seek: ({ topic, partition, offset }: { readonly topic: string; readonly partition: number; readonly offset: string }) =>
        void seeks.set(placeName({ topic, partition }), Number(offset)),
      commitOffsets: (offsets: readonly (TopicPartition & { readonly offset: string })[]) =>
        cluster.ask<null>('offset_commit', (reply, refuse) => {
          const refused = brokers.groups.commit(
            group,
            member_id,
            generation,
            new Map(offsets.map((each) => [placeName(each), each.offset])),
          )
          if (refused === null) reply(null)
          else refuse(protocolError(refused.refused))
        }),
      disconnect: async () => {
        over = true
        running = false
        await cluster.ask<null>('leave', (reply) => {
          brokers.groups.leave(group, member_id)
          reply(null)
        })
      },
    }
  }

  const createAdmin = (cluster: SimCluster) => ({
    connect: async () => undefined,
    disconnect: async () => undefined,
    listTopics: () => cluster.ask<string[]>('list_topics', (reply) => reply([...brokers.topics.keys()])),
    fetchOffsets: ({ groupId, topics }: { readonly groupId: string; readonly topics: readonly string[] }) =>
      cluster.ask<object[]>('offset_fetch', (reply) => {
        const committed = brokers.groups.offsetsOf(groupId)
        reply(
          topics.map((topic) => ({
            topic,
            partitions: (brokers.topics.get(topic)?.partitions ?? []).map((_, partition) => ({
              partition,
              offset: committed.get(placeName({ topic, partition })) ?? '-1',
            })),
          })),
        )
      }),
    createTopics: ({
      topics,
    }: {
      readonly topics: readonly {
        topic: string
        numPartitions?: number
        configEntries?: readonly { name: string; value: string }[]
      }[]
    }) =>
      cluster.ask<boolean>('create_topics', (reply, refuse) => {
        const errors = topics.flatMap(({ topic, numPartitions, configEntries }) => {
          const compact = configEntries?.some(({ name, value }) => name === 'cleanup.policy' && value === 'compact') === true
          return brokers.createTopic(topic, numPartitions ?? 1, compact) === 'exists'
            ? [protocolError('TOPIC_ALREADY_EXISTS', { topic })]
            : []
        })
        if (errors.length > 0) refuse(named('KafkaJSAggregateError', 'Topic creation errors', { errors }))
        else reply(true)
      }),
  })

  const withCluster = <T>(topics: readonly string[], make: () => T) => {
    const made = make()
    const cluster = last!
    for (const topic of topics) cluster.targetTopics.add(topic)
    return { made, cluster }
  }

  const kafka = {
    producer: (config: { readonly transactionalId?: string; readonly transactionTimeout?: number }) =>
      createProducer(createCluster(), config),
    consumer: (config: ConsumerConfig) => createConsumer(createCluster(), config),
    admin: () => createAdmin(createCluster()),
  }

  return {
    kafka: kafka as unknown as OpenedKafka['kafka'],
    cluster: createCluster,
    withCluster,
    cut: (cluster) => (cluster as SimCluster).cut(),
    cutAll: () => {
      closing.abort()
      for (const cluster of live) cluster.cut()
    },
    closing: closing.signal,
  }
}
