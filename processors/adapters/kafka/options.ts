/** What a Kafka log is opened with, checked before anything connects. */
import { readFileSync } from 'node:fs'
import type { KafkaConfig, RetryOptions, SASLOptions } from 'kafkajs'
import { logLevel } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import type { TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'

/** A secret that prints as nothing; config/secret.ts is one. */
type Revealed = { reveal(): string }

export type KafkaSasl = {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512' | 'oauthbearer' | null
  readonly username?: string | null
  readonly password?: Revealed | null
  /** For `oauthbearer`: gives a token that is valid now; called for each connection and before its session ends. */
  readonly token?: () => Promise<string>
}

export type KafkaSsl = {
  readonly enabled: boolean
  /** PEM files; unset means the system's authorities, and no client certificate. */
  readonly ca_file?: string | null
  readonly cert_file?: string | null
  readonly key?: Revealed | null
  /** Certificates are always checked: `false` is refused. */
  readonly rejectUnauthorized?: boolean
}

/** What happens inside that somebody may want to log or count. Holds no payload and no secret. */
export type KafkaEvent =
  | { readonly event: 'joined'; readonly group: string; readonly partitions: number }
  | { readonly event: 'rebalancing'; readonly group: string }
  | {
      readonly event: 'restored'
      readonly group: string
      readonly input: TopicPartition
      readonly records: number
      readonly keys: number
      readonly duration_ms: number
    }
  | { readonly event: 'retrying'; readonly group: string; readonly fault: Fault; readonly retry_in_ms: number }
  | { readonly event: 'restarting'; readonly group: string; readonly fault: Fault; readonly retry_in_ms: number }

export type KafkaOptions = {
  /** host:port. */
  readonly brokers: readonly string[]
  readonly client_id: string
  readonly sasl?: KafkaSasl
  readonly ssl?: KafkaSsl
  /** Put before transactional ids, for clusters whose ACLs want one. */
  readonly transactional_prefix?: string
  readonly connection_timeout_ms?: number
  readonly request_timeout_ms?: number
  /** A member silent for this long loses its partitions. */
  readonly session_timeout_ms?: number
  readonly heartbeat_ms?: number
  /** How long a rebalance waits for a member, and a member for what it has in flight. */
  readonly rebalance_timeout_ms?: number
  /** The broker aborts a transaction that is open for longer; readers behind it wait that long after a crash. */
  readonly transaction_timeout_ms?: number
  /** Copies of each topic that is created here; -1 leaves it to the broker. */
  readonly replication_factor?: number
  readonly compression?: 'none' | 'gzip' | 'zstd'
  /** How long appended records wait for others. One request a record collapses at 1,000 records/s. */
  readonly append_linger_ms?: number
  /** Bytes of one partition that wait to be polled before its fetches pause. */
  readonly queue_bytes_max?: number
  /** How long a group's client may fail before the subscription gives up. */
  readonly outage_ms_max?: number
  readonly clock: Clock
  readonly random: Random
  readonly on_event?: (event: KafkaEvent) => void
}

export type KafkaSettings = Required<Omit<KafkaOptions, 'sasl' | 'ssl' | 'brokers' | 'client_id'>>

const refuse = (field: string, message: string): never => {
  throw new Fault('config.invalid', `kafka.${field}: ${message}`, { field: `kafka.${field}` })
}

export const kafkaSettings = (options: KafkaOptions): KafkaSettings => {
  const session_timeout_ms = options.session_timeout_ms ?? 30_000
  const heartbeat_ms = options.heartbeat_ms ?? Math.min(1_000, Math.floor(session_timeout_ms / 4))
  if (heartbeat_ms >= session_timeout_ms) refuse('heartbeat_ms', 'must be less than session_timeout_ms.')
  return {
    transactional_prefix: options.transactional_prefix ?? '',
    connection_timeout_ms: options.connection_timeout_ms ?? 5_000,
    request_timeout_ms: options.request_timeout_ms ?? 30_000,
    session_timeout_ms,
    heartbeat_ms,
    rebalance_timeout_ms: options.rebalance_timeout_ms ?? 60_000,
    transaction_timeout_ms: options.transaction_timeout_ms ?? 15_000,
    replication_factor: options.replication_factor ?? -1,
    compression: options.compression ?? 'none',
    append_linger_ms: options.append_linger_ms ?? 5,
    queue_bytes_max: options.queue_bytes_max ?? 1 << 20,
    outage_ms_max: options.outage_ms_max ?? 60_000,
    clock: options.clock,
    random: options.random,
    on_event: options.on_event ?? (() => undefined),
  }
}

/**
 * kafkajs' own waits start at 300 ms, which every second transaction would pay: the broker answers CONCURRENT_TRANSACTIONS for a few
 * milliseconds after a commit. From 2 ms on, commits of one record on each other's heels take 11 ms instead of 16 from 5 ms on (medians
 * of runs side by side). Thirty attempts end after about 20 s.
 */
export const kafka_retry: RetryOptions = { initialRetryTime: 2, factor: 0.2, multiplier: 1.5, maxRetryTime: 1_000, retries: 30 }

const saslOf = (sasl: KafkaSasl): SASLOptions | undefined => {
  const { mechanism, username, password, token } = sasl
  if (mechanism === null) return undefined
  if (mechanism === 'oauthbearer') {
    if (token === undefined) return refuse('sasl.token', 'is needed with the mechanism oauthbearer.')
    return { mechanism, oauthBearerProvider: async () => ({ value: await token() }) }
  }
  if (typeof username !== 'string' || password === undefined || password === null)
    return refuse('sasl', `username and password are needed with the mechanism ${mechanism}.`)
  return { mechanism, username, password: password.reveal() } as SASLOptions
}

const pemOf = (field: string, path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Fault('config.invalid', `kafka.${field}: the file cannot be read.`, { field: `kafka.${field}` }, error)
  }
}

const sslOf = (ssl: KafkaSsl): KafkaConfig['ssl'] | undefined => {
  if (ssl.rejectUnauthorized === false)
    refuse('ssl', 'certificates are always checked. For an authority of your own set kafka.ssl.ca_file.')
  if (!ssl.enabled) return undefined
  const { ca_file, cert_file, key } = ssl
  if ((typeof cert_file === 'string') !== (key !== undefined && key !== null))
    refuse('ssl', 'cert_file and key belong together: set both or none.')
  return {
    // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED would switch it off otherwise.
    rejectUnauthorized: true,
    ...(typeof ca_file === 'string' ? { ca: [pemOf('ssl.ca_file', ca_file)] } : {}),
    ...(typeof cert_file === 'string' ? { cert: pemOf('ssl.cert_file', cert_file), key: key!.reveal() } : {}),
  }
}

export const kafkaConfig = (options: KafkaOptions, settings: KafkaSettings): KafkaConfig => {
  if (options.brokers.length === 0) refuse('brokers', 'at least one host:port is needed.')
  for (const broker of options.brokers)
    if (!/^[^\s:,/@]+:\d{1,5}$/.test(broker)) refuse('brokers', 'each is a host:port (an IPv6 address needs a name).')
  const sasl = options.sasl === undefined ? undefined : saslOf(options.sasl)
  const ssl = options.ssl === undefined ? undefined : sslOf(options.ssl)
  return {
    clientId: options.client_id,
    brokers: [...options.brokers],
    connectionTimeout: settings.connection_timeout_ms,
    authenticationTimeout: settings.connection_timeout_ms,
    requestTimeout: settings.request_timeout_ms,
    enforceRequestTimeout: true,
    retry: kafka_retry,
    // Its messages may hold addresses and broker texts; what matters comes as faults and events.
    logLevel: logLevel.NOTHING,
    ...(sasl === undefined ? {} : { sasl }),
    ...(ssl === undefined ? {} : { ssl }),
  }
}
