/** The log on Kafka, by kafkajs: transactions fenced per input partition, position and state in a compacted changelog. */
import { Kafka } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import type { EventLog, EventLogAdmin, Subscription } from '../../ports/event-log.ts'
import { openAdmin } from './admin.ts'
import { openAppender } from './appender.ts'
import { kafkaFault } from './faults.ts'
import { type OpenedKafka, openInside } from './inside.ts'
import { type KafkaOptions, type KafkaSettings, kafka_retry, kafkaConfig, kafkaSettings } from './options.ts'
import { openReader } from './reader.ts'
import { openSockets } from './sockets.ts'
import { openSubscription } from './subscription.ts'

/**
 * Connects to the brokers and checks that they answer. Throws `config.invalid` for settings that cannot be, `log.unauthorized` for
 * credentials that are refused, `log.unavailable` when no broker answers.
 */
export const openKafkaLog = async (options: KafkaOptions): Promise<EventLog & EventLogAdmin> => {
  const settings = kafkaSettings(options)
  const sockets = openSockets()
  const inside = openInside(new Kafka({ ...kafkaConfig(options, settings), socketFactory: sockets.factory }), kafka_retry)
  try {
    const probe = inside.cluster()
    await probe.connect()
    inside.cut(probe)
  } catch (error) {
    inside.cutAll()
    sockets.end()
    throw kafkaFault(error, `Connecting to ${options.brokers.join(', ')}`)
  }
  return kafkaLogOver(inside, settings, sockets.end)
}

/** The log over a client that is connected; simulation brings its own. `ended` is called when nothing of it is needed any more. */
export const kafkaLogOver = (inside: OpenedKafka, settings: KafkaSettings, ended: () => void): EventLog & EventLogAdmin => {
  const reader = openReader(inside, settings.clock)
  const admin = openAdmin(inside, reader, settings)
  const appender = openAppender(inside, reader, settings)
  const subscriptions = new Set<Subscription>()
  let closed = false

  const ensureOpen = () => {
    if (closed) throw new Fault('log.unavailable', 'The log is closed.')
  }

  return {
    subscribe: async (group, topics, handler, accept_gaps = []) => {
      ensureOpen()
      const subscription = await openSubscription({ inside, reader, admin, settings }, group, topics, handler, accept_gaps)
      subscriptions.add(subscription)
      return {
        reacquire: subscription.reacquire,
        close: async () => {
          subscriptions.delete(subscription)
          await subscription.close()
        },
      }
    },
    append: appender.append,
    scan: (at, from) => {
      ensureOpen()
      return reader.read(at, from)
    },
    createTopics: admin.createTopics,
    listTopics: admin.listTopics,
    offsets: admin.offsets,
    positions: admin.positions,
    close: async () => {
      if (closed) return
      closed = true
      await Promise.all([...subscriptions].map((subscription) => subscription.close()))
      await appender.close()
      await reader.close()
      inside.cutAll()
      ended()
    },
  }
}
