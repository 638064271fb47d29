/** A Kafka log as the contract suite wants it, on brokers that are there: with retention, compaction and deletion at will. */
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Admin, Kafka, logLevel, type Producer } from 'kafkajs'
import type { OpenedLog } from '../../ports/event-log.contract.ts'
import { systemClock } from '../system/clock.ts'
import { systemRandom } from '../system/random.ts'
import { openKafkaLog } from './event-log.ts'
import type { KafkaOptions } from './options.ts'

/** Settings under which a rebalance takes little time; brokers must allow sessions this short. */
export const testOptions = (brokers: string, more: Partial<KafkaOptions> = {}): KafkaOptions => ({
  brokers: brokers.split(','),
  client_id: 'entrepot-test',
  session_timeout_ms: 10_000,
  heartbeat_ms: 250,
  rebalance_timeout_ms: 20_000,
  transaction_timeout_ms: 10_000,
  clock: systemClock,
  random: systemRandom,
  ...more,
})

const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  for (let waited_ms = 0; waited_ms < 30_000; waited_ms += 50) {
    if (await holds()) return
    await sleep(50)
  }
  throw new Error(`${what} did not happen within 30 s.`)
}

export const openTestLog = async (brokers: string): Promise<OpenedLog> => {
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, clientId: 'entrepot-test-tools' })
  const admin: Admin = kafka.admin()
  const producer: Producer = kafka.producer()
  await admin.connect()
  await producer.connect()
  const log = await openKafkaLog(testOptions(brokers))
  return {
    log,
    admin: log,
    another: () => openKafkaLog(testOptions(brokers)),
    close: async () => {
      await log.close()
      await admin.disconnect()
      await producer.disconnect()
    },
    deleteRecords: async ({ topic, partition }, before) => {
      // kafkajs deletes only in topics it has looked at.
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
    },
    deleteTopic: async (topic) => {
      await admin.deleteTopics({ topics: [topic] })
      await until(`The end of ${topic}`, async () => !(await admin.listTopics()).includes(topic))
    },
    compact: async (topic) => {
      const before = (await admin.fetchTopicOffsets(topic)).length
      await admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: topic,
            configEntries: [
              { name: 'cleanup.policy', value: 'compact' },
              { name: 'segment.ms', value: '1' },
              { name: 'min.cleanable.dirty.ratio', value: '0.001' },
            ],
          },
        ],
      })
      // Only closed segments are cleaned: a record of much later closes the one before it.
      for (let partition = 0; partition < before; partition++)
        await producer.send({ topic, messages: [{ partition, key: '~later', value: 'later' }] })
      await until(`The compaction of ${topic}`, async () => {
        const keys: string[] = []
        for await (const record of log.scan({ topic, partition: 0 }, 0)) if (record.key !== null) keys.push(record.key.toString())
        return new Set(keys).size === keys.length
      })
    },
  }
}
