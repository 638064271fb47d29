/** From kafkajs' errors to ours. Messages name what was done to which topic; the client's own texts stay in `cause`. */
import { Fault, type FaultCode, type FaultDetail } from '../../domain/fault.ts'

type KafkaError = { readonly name?: string; readonly type?: string; readonly code?: unknown; readonly cause?: unknown }

/** The error and what caused it, outermost first. */
const chain = (error: unknown): readonly KafkaError[] => {
  const errors: KafkaError[] = []
  for (let at: unknown = error; typeof at === 'object' && at !== null && errors.length < 10; at = (at as KafkaError).cause)
    errors.push(at)
  return errors
}

/** Kafka's own name of the refusal, or kafkajs' name of the error. */
export const kafkaName = (error: unknown): string => {
  const errors = chain(error)
  return errors.find((each) => each.type !== undefined)?.type ?? errors.at(-1)?.name ?? 'unknown'
}

const codes: Readonly<Record<string, FaultCode>> = {
  // A newer owner of the transactional id, or the broker gave the transaction up: this producer is over.
  INVALID_PRODUCER_EPOCH: 'task.fenced',
  PRODUCER_FENCED: 'task.fenced',
  INVALID_PRODUCER_ID_MAPPING: 'task.fenced',
  UNKNOWN_PRODUCER_ID: 'task.fenced',
  TRANSACTION_COORDINATOR_FENCED: 'task.fenced',

  UNKNOWN_TOPIC_OR_PARTITION: 'topic.missing',
  INVALID_TOPIC_EXCEPTION: 'topic.missing',
  KafkaJSTopicMetadataNotLoaded: 'topic.missing',
  MESSAGE_TOO_LARGE: 'emit.too_large',
  RECORD_LIST_TOO_LARGE: 'emit.too_large',
  KAFKA_STORAGE_ERROR: 'log.full',
  CORRUPT_MESSAGE: 'log.corrupt',
  INVALID_TIMESTAMP: 'outcome.invalid',
  INVALID_RECORD: 'outcome.invalid',

  TOPIC_AUTHORIZATION_FAILED: 'log.unauthorized',
  GROUP_AUTHORIZATION_FAILED: 'log.unauthorized',
  CLUSTER_AUTHORIZATION_FAILED: 'log.unauthorized',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'log.unauthorized',
  SASL_AUTHENTICATION_FAILED: 'log.unauthorized',
  UNSUPPORTED_SASL_MECHANISM: 'log.unauthorized',
  KafkaJSSASLAuthenticationError: 'log.unauthorized',

  INVALID_SESSION_TIMEOUT: 'config.invalid',
  INVALID_TRANSACTION_TIMEOUT: 'config.invalid',
  INVALID_GROUP_ID: 'config.invalid',
  INCONSISTENT_GROUP_PROTOCOL: 'config.invalid',
  GROUP_MAX_SIZE_REACHED: 'config.invalid',
  INVALID_CONFIG: 'config.invalid',
  INVALID_REPLICATION_FACTOR: 'config.invalid',
  INVALID_PARTITIONS: 'config.invalid',
  POLICY_VIOLATION: 'config.invalid',
  UNSUPPORTED_VERSION: 'config.invalid',
  KafkaJSServerDoesNotSupportApiKey: 'config.invalid',
}

/** What an error means when nothing is at stake but the request itself: a connection that failed is `log.unavailable`. */
export const kafkaFault = (error: unknown, doing: string, detail: FaultDetail = {}): Fault => {
  for (const each of chain(error)) if (each instanceof Fault) return each
  for (const each of chain(error)) {
    const code = codes[each.type ?? ''] ?? codes[each.name ?? '']
    if (code !== undefined) return new Fault(code, `${doing}: Kafka answered ${kafkaName(error)}.`, detail, error)
  }
  const known = chain(error).some((each) => each.name?.startsWith('KafkaJS') === true || typeof each.code === 'string')
  return known
    ? new Fault('log.unavailable', `${doing}: ${kafkaName(error)}.`, detail, error)
    : new Fault('defect.unexpected', `${doing}: ${error instanceof Error ? error.message : String(error)}`, detail, error)
}

/**
 * What an error means inside a transaction. The producer is used up by any of them (kafkajs takes its sequence numbers back after a
 * rejected send), so what is not certain is `commit.unknown`: the state is dropped and read again from the log.
 */
export const commitFault = (error: unknown, doing: string, detail: FaultDetail = {}): Fault => {
  const fault = kafkaFault(error, doing, detail)
  // No fault of the input: the same records fit once the topic takes them, so they wait for that.
  if (fault.code === 'emit.too_large')
    return new Fault('log.refused', `${doing}: topic ${String(detail['topic'])} refuses a record as too large.`, detail, error)
  return fault.kind === 'transient' || fault.kind === 'defect'
    ? new Fault('commit.unknown', `${doing}: the outcome is not known (${kafkaName(error)}).`, detail, error)
    : fault
}
