import { createRequire } from 'node:module'
import { describe, expect, test } from '@jest/globals'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import { systemClock } from '../system/clock.ts'
import {
  type FetchedMessage,
  type FetchedPartition,
  type FetchRequest,
  type FetchResponse,
  hideAborted,
  type InnerCluster,
  openInside,
  rememberCoordinator,
  watchFetches,
} from './inside.ts'

const require = createRequire(import.meta.url)

const message = (offset: number, producerId: string, more: Partial<FetchedMessage> = {}): FetchedMessage => ({
  offset: String(offset),
  timestamp: '0',
  key: null,
  value: Buffer.from(`${producerId}@${offset}`),
  headers: {},
  isControlRecord: false,
  batchContext: { producerId, inTransaction: true },
  ...more,
})
const marker = (offset: number, producerId: string, kind: 'abort' | 'commit') =>
  message(offset, producerId, { isControlRecord: true, key: Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1]) })
const visible = (messages: FetchedMessage[], aborted: readonly (readonly [string, number])[]): number[] => {
  const partition: FetchedPartition = {
    partition: 0,
    highWatermark: '100',
    lastStableOffset: '100',
    abortedTransactions: aborted.map(([producerId, first]) => ({ producerId, firstOffset: String(first) })),
    messages,
  }
  hideAborted(partition)
  // So that kafkajs' own filter finds nothing to do.
  expect(partition.abortedTransactions).toEqual([])
  return messages.filter((each) => !each.isControlRecord).map(({ offset }) => Number(offset))
}

test('aborted transactions are hidden though the broker lists them by their end', () => {
  const messages = [
    message(10, 'a'),
    message(11, 'b'),
    message(12, 'c'),
    marker(13, 'b', 'abort'),
    message(14, 'a'),
    marker(15, 'a', 'abort'),
    message(16, 'a'),
    marker(17, 'a', 'commit'),
    marker(18, 'c', 'commit'),
  ]
  expect(
    visible(messages, [
      ['b', 11],
      ['a', 10],
    ]),
  ).toEqual([12, 16])
})

test('transactions that began before the fetch are hidden from its first record on', () => {
  expect(
    visible(
      [message(20, 'b'), message(21, 'a'), message(22, 'c')],
      [
        ['a', 3],
        ['b', 5],
      ],
    ),
  ).toEqual([22])
})

test('records outside transactions, and keys that look like markers, are what they are', () => {
  const zeros = Buffer.from([0, 0, 0, 0])
  expect(
    visible(
      [
        message(0, 'a', { key: zeros }),
        message(1, 'a'),
        message(2, 'a', { batchContext: { producerId: 'a', inTransaction: false } }),
        marker(3, 'a', 'abort'),
        message(4, 'a', { key: zeros }),
      ],
      [['a', 0]],
    ),
  ).toEqual([2, 4])
})

test('codecs are ours, and refusals younger than kafkajs have names', () => {
  const { lookupCodec } = require('kafkajs/src/protocol/message/compression') as {
    lookupCodec(type: number): { decompress: unknown }
  }
  for (const type of [CompressionTypes.GZIP, CompressionTypes.ZSTD, CompressionTypes.LZ4, CompressionTypes.Snappy])
    expect(lookupCodec(type).decompress).toBeInstanceOf(Function)
  const { createErrorFromCode } = require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): { type: string } }
  expect(createErrorFromCode(90).type).toBe('PRODUCER_FENCED')
})

test('a batch that cannot be unfolded is told by its partition, though it fails the fetch of all', async () => {
  const bomb = Object.assign(new Fault('limits.inflate', 'too long', { codec: 'gzip' }), { retriable: false })
  const asked: FetchRequest[] = []
  const broker = {
    fetch: async (request: FetchRequest): Promise<FetchResponse> => {
      asked.push(request)
      if (request.topics.some(({ partitions }) => partitions.some(({ partition }) => partition === 1))) throw bomb
      return { responses: [] }
    },
  }
  const cluster = { brokerPool: { createBroker: () => broker } } as unknown as InnerCluster
  watchFetches(cluster, { fetched: () => undefined, gone: () => undefined, failed: () => undefined })
  const watched = cluster.brokerPool.createBroker({})
  const place = (partition: number) => ({ partition, fetchOffset: String(partition * 10), maxBytes: 1 })
  const request = { isolationLevel: 1, maxWaitTime: 250, minBytes: 1, maxBytes: 9 }
  const refusal = watched.fetch({ ...request, topics: [{ topic: 't', partitions: [0, 1, 2].map(place) }] })
  await expect(refusal).rejects.toMatchObject({
    code: 'limits.inflate',
    retriable: false,
    detail: { topic: 't', partition: 1, offset: 10 },
    message: 't/1, at or soon after offset 10: too long',
  })
  expect(asked.map(({ topics }) => topics[0]!.partitions.map(({ partition }) => partition))).toEqual([[0, 1, 2], [0], [1]])
  expect(await watched.fetch({ ...request, topics: [{ topic: 't', partitions: [place(2)] }] })).toEqual({ responses: [] })
})

test('a client that was cut opens nothing any more', async () => {
  const inside = openInside(new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING }), { retries: 0 })
  const { made: producer, cluster } = inside.withCluster(['t'], () => inside.kafka.producer({ retry: { retries: 0 } }))
  expect([...cluster.targetTopics]).toEqual(['t'])
  inside.cut(cluster)
  await expect(producer.connect()).rejects.toMatchObject({ message: 'The connection was cut.' })
  inside.cutAll()
  expect(() => inside.kafka.producer()).toThrow(expect.objectContaining({ code: 'log.unavailable' }))
})

test('a coordinator is asked for once in a while, and when its connection is gone', async () => {
  const inside = openInside(new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING }), { retries: 0 })
  const cluster = inside.cluster()
  let asked = 0
  let connected = true
  cluster.findGroupCoordinator = async () => {
    asked++
    return { connectionPool: { pool: [] }, fetch: async () => ({ responses: [] }), isConnected: () => connected }
  }
  let now_ms = 0
  rememberCoordinator(cluster, { ...systemClock, monotonic_ms: () => now_ms })
  const find = () => cluster.findGroupCoordinator({ groupId: 'x', coordinatorType: 1 })
  await find()
  await find()
  expect(asked).toBe(1)
  await cluster.findGroupCoordinator({ groupId: 'y', coordinatorType: 1 })
  expect(asked).toBe(2)
  connected = false
  await find()
  expect(asked).toBe(3)
  connected = true
  now_ms = 6_000
  await find()
  expect(asked).toBe(4)
  inside.cutAll()
})

describe('headers of fetched records', () => {
  const require_inside = (path: string) => require(`kafkajs/src/protocol/${path}`) as never
  const encode = require_inside('recordBatch/record/v0') as (record: object) => { readonly buffer: Buffer }
  const decode = require_inside('recordBatch/record/v0/decoder') as (decoder: object, context: object) => FetchedMessage
  const Decoder = require_inside('decoder') as new (bytes: Buffer) => { readVarInt(): number }
  const fetched = (headers: object): FetchedMessage['headers'] => {
    const decoder = new Decoder(encode({ key: null, value: null, headers }).buffer)
    decoder.readVarInt()
    return decode(decoder, { firstOffset: '0', firstTimestamp: '0', magicByte: 2 }).headers
  }

  test('names that objects inherit are names like others', () => {
    const sent = Object.assign(Object.create(null) as object, {
      constructor: Buffer.from('a'),
      toString: Buffer.from('b'),
      ['__proto__']: Buffer.from('c'),
      twice: [Buffer.from('d'), Buffer.from('e')],
    })
    const headers = fetched(sent)
    expect(Object.entries(headers).map(([name, value]) => [name, String(value)])).toEqual([
      ['constructor', 'a'],
      ['toString', 'b'],
      ['__proto__', 'c'],
      ['twice', 'd,e'],
    ])
  })

  test('a record of headers alone is read in time linear in their number', () => {
    const sent = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`h${i}`, Buffer.from('x')]))
    expect(Object.keys(fetched(sent))).toHaveLength(100_000)
  })
})
