/** One task's transactions: a producer of its own, under a transactional id that fences whoever had it before. */
import { CompressionTypes, type Producer, type Transaction } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import { placeName } from '../../domain/record.ts'
import { commitFault, kafkaFault } from './faults.ts'
import { disconnectSoon, type OpenedKafka, rememberCoordinator } from './inside.ts'
import { type KafkaSettings, kafka_retry } from './options.ts'
import { kafkaMessage, type Sending } from './placing.ts'

export const compression_types = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  zstd: CompressionTypes.ZSTD,
} as const

/** Takes the partition that is named, which placing.ts decided. */
export const givenPartition = () => (given: { message: { partition?: number } }) => given.message.partition!

/** Sends records of one partition in one request; asserts that exactly this partition answered. kafkajs may resolve with less. */
export const sendOne = async (
  to: Pick<Producer | Transaction, 'send'>,
  { at, records }: Sending,
  compression: CompressionTypes,
): Promise<number> => {
  const answers = await to.send({
    topic: at.topic,
    acks: -1,
    compression,
    messages: records.map((record) => kafkaMessage(record, at.partition)),
  })
  const [answer] = answers
  if (answers.length !== 1 || answer?.topicName !== at.topic || answer.partition !== at.partition || answer.errorCode !== 0)
    throw new Fault('log.unavailable', `Sending to ${placeName(at)}: ${answers.length} partitions answered, not this one.`, {
      ...at,
    })
  return Number(answer.baseOffset)
}

export type Transactions = {
  /** Opens the connections; nobody is fenced by it. */
  connect(): Promise<void>
  /** Fences earlier owners; their open transaction is over when this resolves. Once, before anything is read. */
  fence(): Promise<void>
  /** All or nothing. After a throw nothing more can be committed here. */
  commit(sendings: readonly Sending[]): Promise<void>
  /** Lets the producer go, without waiting for its connections. Idempotent. */
  close(): void
}

export const openTransactions = (
  inside: OpenedKafka,
  transactional_id: string,
  changelog: string,
  settings: KafkaSettings,
): Transactions => {
  const { made: producer, cluster } = inside.withCluster([changelog], () =>
    inside.kafka.producer({
      transactionalId: transactional_id,
      idempotent: true,
      maxInFlightRequests: 1,
      transactionTimeout: settings.transaction_timeout_ms,
      allowAutoTopicCreation: false,
      createPartitioner: givenPartition,
      retry: kafka_retry,
    }),
  )
  rememberCoordinator(cluster, settings.clock)
  const compression = compression_types[settings.compression]
  let used_up = false
  let closed = false

  const close = () => {
    if (closed) return
    closed = true
    void disconnectSoon(inside, producer, cluster, settings.clock)
  }

  const orClose = async (doing: string, step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      close()
      throw kafkaFault(error, `${doing} ${transactional_id}`, { transactional_id })
    }
  }

  return {
    connect: () => orClose('Connecting as', () => producer.connect()),
    fence: () =>
      orClose('Fencing earlier owners of', async () => {
        const transaction = await producer.transaction()
        await transaction.abort()
      }),
    commit: async (sendings) => {
      if (used_up || closed) throw new Fault('task.fenced', 'This task’s producer is over.', { transactional_id })
      let transaction: Transaction | undefined
      let topic: string | undefined
      try {
        transaction = await producer.transaction()
        for (const sending of sendings) {
          topic = sending.at.topic
          await sendOne(transaction, sending, compression)
        }
        topic = undefined
        await transaction.commit()
      } catch (error) {
        used_up = true
        // So that readers behind it need not wait for the time-out; the next owner's fencing aborts it anyway.
        const aborted = transaction?.isActive() === true ? transaction.abort() : Promise.resolve()
        aborted.then(close, close)
        throw commitFault(error, `Committing as ${transactional_id}`, { transactional_id, topic })
      }
    },
    close,
  }
}
