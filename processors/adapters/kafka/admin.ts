/** Topics, offsets and positions of a Kafka cluster. */
import kafkajs, { type Admin, type ITopicConfig } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import type { TopicPartition } from '../../domain/record.ts'
import type { EventLogAdmin, TopicSpec } from '../../ports/event-log.ts'
import { changelogOf, positionIn } from './changelog.ts'
import { kafkaFault } from './faults.ts'
import type { OpenedKafka } from './inside.ts'
import { type KafkaSettings, kafka_retry } from './options.ts'
import type { Reader } from './reader.ts'

const day_ms = 86_400_000
/** A dead letter is a record of up to 1 MiB with headers, so topics take more than Kafka's 1 MiB. */
const message_bytes_max = 4 << 20
const known_patience_ms = 15_000

export type KafkaAdmin = Omit<EventLogAdmin, 'close'> & {
  /** Creates a group's changelog of an input topic, or gives it the partitions the input has by now. */
  ensureChangelog(group: string, input: string): Promise<void>
}

export const openAdmin = (inside: OpenedKafka, reader: Reader, settings: KafkaSettings): KafkaAdmin => {
  const { clock } = settings
  const partitionsOrNone = (topic: string): Promise<number> =>
    reader.partitions(topic).catch((error: unknown) => {
      if (error instanceof Fault && error.code === 'topic.missing') return 0
      throw error
    })

  /** A client for one errand: kafkajs keeps what it once knew of the cluster, errands are rare. */
  const errand = async <T>(doing: string, run: (admin: Admin) => Promise<T>): Promise<T> => {
    const { made: admin, cluster } = inside.withCluster([], () => inside.kafka.admin({ retry: kafka_retry }))
    try {
      await admin.connect()
      return await run(admin)
    } catch (error) {
      throw kafkaFault(error, doing)
    } finally {
      inside.cut(cluster)
    }
  }

  /** A topic is created before every broker knows it. */
  const untilKnown = async (topic: string, partitions: number): Promise<void> => {
    const began_ms = clock.monotonic_ms()
    for (;;) {
      reader.forget(topic)
      const seen = await partitionsOrNone(topic)
      if (seen >= partitions) return
      if (clock.monotonic_ms() - began_ms > known_patience_ms)
        throw new Fault('log.unavailable', `Topic ${topic} was created, but the brokers do not show it.`, { topic })
      await clock.sleep(50)
    }
  }

  const create = async (admin: Admin, topics: readonly ITopicConfig[]): Promise<void> => {
    try {
      await admin.createTopics({ topics: [...topics], waitForLeaders: false, timeout: settings.request_timeout_ms })
    } catch (error) {
      const refusals = (error as { errors?: readonly { type?: string }[] }).errors
      const first = refusals?.find((each) => each.type !== 'TOPIC_ALREADY_EXISTS')
      // Another member may have been quicker.
      if (refusals === undefined || first !== undefined)
        throw kafkaFault(first ?? error, `Creating ${topics.map(({ topic }) => topic).join(', ')}`)
    }
    for (const { topic, numPartitions } of topics) await untilKnown(topic, numPartitions ?? 1)
  }

  const configOf = ({ name, partitions, keep }: TopicSpec): ITopicConfig => ({
    topic: name,
    numPartitions: partitions,
    replicationFactor: settings.replication_factor,
    configEntries: [
      { name: 'cleanup.policy', value: keep === 'latest' ? 'compact' : 'delete' },
      { name: 'max.message.bytes', value: String(message_bytes_max) },
      ...(keep === 'latest' ? [] : [{ name: 'retention.ms', value: String(keep.days * day_ms) }]),
    ],
  })

  const mismatch = (name: string, has: string, wanted: string): never => {
    throw new Fault('topic.mismatch', `Topic ${name} has ${has}; the topology asks for ${wanted}.`, { topic: name })
  }

  /** Throws where a topic that is there differs from what is asked for. */
  const compare = async (admin: Admin, specs: readonly TopicSpec[]): Promise<void> => {
    const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ name }) => name) })
    for (const { name, partitions } of specs) {
      const has = topics.find((topic) => topic.name === name)?.partitions.length
      if (has !== partitions) mismatch(name, `${has} partitions`, String(partitions))
    }
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: specs.map(({ name }) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames: ['cleanup.policy'] })),
    })
    for (const { name, keep } of specs) {
      const policy = resources.find((resource) => resource.resourceName === name)?.configEntries[0]?.configValue
      const wanted = keep === 'latest' ? 'compact' : 'delete'
      if (policy !== wanted) mismatch(name, `cleanup.policy=${policy}`, wanted)
    }
  }

  /** Reads back from the end, farther each time: every commit writes its position last. */
  const positionOf = async (group: string, input: TopicPartition): Promise<number> => {
    const at = { topic: changelogOf(group, input.topic), partition: input.partition }
    const bounds = (await reader.offsets(at.topic, [at.partition])).get(at.partition)!
    for (let span = 64; ; span *= 8) {
      const from = Math.max(bounds.start, bounds.end - span)
      let position: number | undefined
      for await (const record of reader.read(at, from)) position = positionIn(record, group, input) ?? position
      if (position !== undefined) return position
      if (from === bounds.start) return 0
    }
  }

  const places = async (topic: string): Promise<readonly TopicPartition[]> =>
    Array.from({ length: await reader.partitions(topic) }, (_, partition) => ({ topic, partition }))

  return {
    createTopics: (specs) =>
      errand('Creating topics', async (admin) => {
        const there = new Set(await admin.listTopics())
        const missing = specs.filter(({ name }) => !there.has(name))
        const present = specs.filter(({ name }) => there.has(name))
        if (present.length > 0) await compare(admin, present)
        if (missing.length > 0) await create(admin, missing.map(configOf))
        return missing.map(({ name }) => name)
      }),

    listTopics: () =>
      errand('Listing topics', async (admin) => (await admin.listTopics()).filter((name) => !name.startsWith('__')).toSorted()),

    offsets: async (topic) => {
      const all = await places(topic)
      const found = await reader.offsets(
        topic,
        all.map(({ partition }) => partition),
      )
      return all.map((at) => ({ ...at, ...found.get(at.partition)! }))
    },

    positions: async (group, topic) => {
      const all = await places(topic)
      const kept = await partitionsOrNone(changelogOf(group, topic))
      return Promise.all(all.map(async (at) => ({ ...at, position: at.partition < kept ? await positionOf(group, at) : 0 })))
    },

    ensureChangelog: async (group, input) => {
      const name = changelogOf(group, input)
      const wanted = await reader.partitions(input)
      const has = await partitionsOrNone(name)
      if (has >= wanted) return
      await errand(`Creating the changelog ${name}`, async (admin) => {
        if (has > 0) {
          await admin.createPartitions({ topicPartitions: [{ topic: name, count: wanted }] })
          await untilKnown(name, wanted)
        } else
          await create(admin, [
            {
              topic: name,
              numPartitions: wanted,
              replicationFactor: settings.replication_factor,
              configEntries: [
                { name: 'cleanup.policy', value: 'compact' },
                { name: 'max.message.bytes', value: String(message_bytes_max) },
                // A position a commit: cleaned early, so that a restore reads little more than the state.
                { name: 'segment.bytes', value: String(64 << 20) },
                { name: 'min.cleanable.dirty.ratio', value: '0.2' },
              ],
            },
          ])
      })
    },
  }
}
