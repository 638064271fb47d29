/**
 * The part of kafkajs this adapter stands on: sockets, TLS, SASL, request framing and the codecs of the protocol's small messages.
 * Its consumer and producer are left out, because their faults would be ours: the consumer resets out-of-range offsets silently,
 * filters aborted records by a list it takes to be sorted (it is not), and has no hook before a rejoin; the producer resolves
 * although it lost a partition (docs/reference of reliability, tulios/kafkajs#1798). kafkajs is frozen and pinned at 2.2.4, so its
 * inner modules may be relied on; the contract suite on a real broker notices if that ever changes.
 */
import { createRequire } from 'node:module'
import type { TLSSocket } from 'node:tls'
import { Fault } from '../../domain/fault.ts'

const require = createRequire(import.meta.url)

/** A request as kafkajs describes it. */
export type ProtocolRequest = {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    readonly encode: () => Promise<unknown>
  }
  readonly response: {
    readonly decode: (payload: Buffer) => Promise<unknown>
    readonly parse: (decoded: unknown) => Promise<unknown>
  }
  readonly requestTimeout?: number
  readonly logResponseError?: boolean
}

type RawConnection = {
  socket?: TLSSocket | undefined
  readonly requestQueue: { rejectAll(error: Error): void; destroy(): void }
  disconnect(): Promise<unknown>
}

/** kafkajs' Broker: one node, two connections (the second for fetches), connected and authenticated on demand. */
export type RawBroker = {
  readonly connectionPool: {
    readonly host: string
    readonly port: number
    readonly pool: readonly RawConnection[]
    send(request: ProtocolRequest): Promise<unknown>
  }
  versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null
  readonly lookupRequest: (api_key: number, definition: unknown) => (given: object) => ProtocolRequest
  isConnected(): boolean
  connect(): Promise<void>
}

type RawPoolOptions = {
  readonly logger: unknown
  readonly socketFactory: unknown
  readonly brokers: readonly string[]
  readonly ssl: object | undefined
  readonly sasl: object | undefined
  readonly clientId: string
  readonly connectionTimeout: number
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
  readonly reauthenticationThreshold: number
}

/** An error as kafkajs throws it. `type` is Kafka's own name of a refusal. */
export type DriverError = Error & { readonly type?: string; readonly code?: number | string; readonly retriable?: boolean }

type QueueInside = { pending: unknown[]; throttledUntil: number; throttleCheckTimeoutId: unknown; checkPendingRequests(): void }

const version = (require('kafkajs/package.json') as { version: string }).version
if (version !== '2.2.4')
  throw new Fault('config.invalid', `kafkajs ${version} is installed, but this adapter is written for 2.2.4: run \`npm ci\`.`)

const Broker = require('kafkajs/src/broker') as new (options: object) => RawBroker
const poolBuilder = require('kafkajs/src/network/connectionPoolBuilder') as (options: RawPoolOptions) => {
  build(at: { host: string; port: number }): Promise<RawBroker['connectionPool']>
}
const socketFactory = require('kafkajs/src/network/socketFactory') as () => unknown
const { createLogger, LEVELS } = require('kafkajs/src/loggers') as {
  createLogger(options: object): unknown
  LEVELS: { NOTHING: number }
}
const { requests } = require('kafkajs/src/protocol/requests') as { requests: Readonly<Record<string, unknown>> }
const api_keys = require('kafkajs/src/protocol/requests/apiKeys') as Readonly<Record<string, number>>
const protocol_errors = require('kafkajs/src/protocol/error') as {
  errorCodes: { type: string; code: number; retriable: boolean; message: string }[]
  createErrorFromCode(code: number): DriverError
}
const RequestQueue = require('kafkajs/src/network/requestQueue') as { prototype: { scheduleCheckPendingRequests(): void } }
const BytesEncoder = require('kafkajs/src/protocol/encoder') as new (size: number) => { writeBufferInternal(bytes: Buffer): void }
export const { MemberMetadata, MemberAssignment } = require('kafkajs/src/consumer/assignerProtocol') as {
  MemberMetadata: {
    encode(given: { version: number; topics: readonly string[]; userData: Buffer }): Buffer
    decode(bytes: Buffer): { topics: string[]; userData: Buffer | null }
  }
  MemberAssignment: {
    encode(given: { version: number; assignment: Record<string, number[]> }): Buffer
    decode(bytes: Buffer): { assignment: Record<string, number[]> } | null
  }
}

// Refusals younger than kafkajs, by which it would only say "unknown".
for (const [code, type, retriable] of [
  [89, 'THROTTLING_QUOTA_EXCEEDED', true],
  [90, 'PRODUCER_FENCED', false],
  [97, 'INCONSISTENT_TOPIC_ID', true],
  [100, 'UNKNOWN_TOPIC_ID', true],
  [120, 'TRANSACTION_ABORTABLE', false],
] as const) {
  if (!protocol_errors.errorCodes.some((known) => known.code === code))
    protocol_errors.errorCodes.push({ type, code, retriable, message: type.toLowerCase().replaceAll('_', ' ') })
}

// As shipped it sets a timer after every answer, of negative length where nothing is throttled (tulios/kafkajs#1751).
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: QueueInside) {
  if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    Math.max(this.throttledUntil - Date.now(), 10),
  )
}

export type DriverOptions = {
  readonly client_id: string
  /** TLS options as node:tls takes them; undefined for plain text. */
  readonly ssl: object | undefined
  /** SASL options as kafkajs takes them. */
  readonly sasl: object | undefined
  readonly connection_timeout_ms: number
  readonly request_timeout_ms: number
}

/** A broker that is not connected yet. */
export const rawBroker = async (options: DriverOptions, at: { host: string; port: number }): Promise<RawBroker> => {
  const logger = createLogger({ level: LEVELS.NOTHING, logCreator: () => () => {} })
  const pool = await poolBuilder({
    logger,
    socketFactory: socketFactory(),
    brokers: [],
    ssl: options.ssl,
    // kafkajs writes its authenticator into this object.
    sasl: options.sasl === undefined ? undefined : { ...options.sasl },
    clientId: options.client_id,
    connectionTimeout: options.connection_timeout_ms,
    requestTimeout: options.request_timeout_ms,
    enforceRequestTimeout: true,
    reauthenticationThreshold: 10_000,
  }).build(at)
  return new Broker({
    connectionPool: pool,
    logger,
    allowAutoTopicCreation: false,
    authenticationTimeout: options.connection_timeout_ms,
  })
}

/** Cuts both connections at once: what waits for an answer is rejected, no socket or timer is left. */
export const cut = (broker: RawBroker): void => {
  for (const connection of broker.connectionPool.pool) {
    const closed: DriverError = Object.assign(new Error('The connection was closed.'), { name: 'KafkaJSConnectionClosedError' })
    connection.requestQueue.rejectAll(closed)
    connection.requestQueue.destroy()
    connection.socket?.destroy()
    // With nothing pending this only marks the connection; it cannot wait for anything.
    void connection.disconnect()
  }
}

/** One of kafkajs' own requests, at the newest version both sides know; the answer is decoded but its error codes are left in. */
export const requestOf = (broker: RawBroker, name: string, given: object): ProtocolRequest => {
  const made = broker.lookupRequest(api_keys[name]!, requests[name])(given)
  return { ...made, response: { decode: made.response.decode, parse: async (decoded) => decoded } }
}

/** A request whose bytes this adapter writes and reads itself. */
export const ownRequest = (
  api: { readonly key: number; readonly version: number; readonly name: string },
  body: Buffer,
  timeout_ms?: number,
): ProtocolRequest => ({
  request: {
    apiKey: api.key,
    apiVersion: api.version,
    apiName: api.name,
    encode: async () => {
      const encoder = new BytesEncoder(body.length + 1)
      encoder.writeBufferInternal(body)
      return encoder
    },
  },
  response: { decode: async (payload) => payload, parse: async (payload) => payload },
  ...(timeout_ms === undefined ? {} : { requestTimeout: timeout_ms }),
})

/** Throws Kafka's refusal when the code is not 0. */
export const assertAccepted = (code: number): void => {
  if (code !== 0) throw protocol_errors.createErrorFromCode(code)
}
