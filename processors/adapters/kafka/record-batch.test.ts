import { createRequire } from 'node:module'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import type { LogRecord, OutputRecord } from '../../domain/record.ts'
import { crc32c } from './crc32c.ts'
import { decodeBatches, encodeBatch, recordBytesMax } from './record-batch.ts'

const require = createRequire(import.meta.url)
const KafkaDecoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object
const kafkaDecode = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (decoder: object) => Promise<{
  records: { offset: string; timestamp: string; key: Buffer | null; value: Buffer | null; headers: Record<string, Buffer> }[]
  producerId: string
  inTransaction: boolean
}>
const kafkaEncode = (
  require('kafkajs/src/protocol/recordBatch/v0') as { RecordBatch: (given: object) => Promise<{ buffer: Buffer }> }
).RecordBatch
const kafkaRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (given: object) => object

const producer = { producer_id: 77n, epoch: 3, sequence: 9, transactional: false }
const bytes = (text: string) => Buffer.from(text)
const record = (value: string, more: Partial<OutputRecord> = {}) => ({
  key: null,
  value: bytes(value),
  timestamp_ms: 1_700_000_000_000,
  ...more,
})

/** As the broker stores it: the base offset is written over, nothing else. */
const stored = (batch: Buffer, base_offset: number): Buffer => {
  const copy = Buffer.from(batch)
  copy.writeBigInt64BE(BigInt(base_offset), 0)
  return copy
}

const control = (producer_id: bigint, offset: number, kind: 'abort' | 'commit'): Promise<Buffer> =>
  encodeBatch([{ key: Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1]), value: Buffer.alloc(6), timestamp_ms: 1 }], {
    ...producer,
    producer_id,
    transactional: true,
  }).then((batch) => {
    const marker = stored(batch, offset)
    marker.writeInt16BE(marker.readInt16BE(21) | 0x20, 21)
    marker.writeUInt32BE(crc32c(marker, 21), 17)
    return marker
  })

const transactional = async (producer_id: bigint, offset: number, ...values: string[]): Promise<Buffer> =>
  stored(
    await encodeBatch(
      values.map((value) => record(value)),
      { ...producer, producer_id, transactional: true },
    ),
    offset,
  )

const values = (records: readonly LogRecord[]) => records.map((entry) => entry.value?.toString())

describe('crc32c', () => {
  // RFC 3720, B.4.
  test.each([
    [Buffer.alloc(32), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
    [Buffer.from('123456789'), 0xe3069283],
  ])('a known sum', (given, sum) => {
    expect(crc32c(given)).toBe(sum)
  })
})

describe('a batch', () => {
  const buffers = fc.option(fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)))
  const records = fc.array(
    fc.record({
      key: buffers,
      value: buffers,
      timestamp_ms: fc.integer({ min: 0, max: 4_000_000_000_000 }),
      headers: fc.array(fc.tuple(fc.string({ maxLength: 12 }), fc.uint8Array({ maxLength: 40 }).map(Buffer.from)), {
        maxLength: 4,
      }),
    }),
    { minLength: 1, maxLength: 20 },
  )

  test('comes back as it was written, whatever the codec', async () => {
    await fc.assert(
      fc.asyncProperty(
        records,
        fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
        fc.nat(1e9),
        async (given, codec, base) => {
          const page = await decodeBatches('t/0', stored(await encodeBatch(given, producer, codec), base), base, [])
          expect(page.next_offset).toBe(base + given.length)
          expect(page.records.map(({ offset }) => offset)).toEqual(given.map((_, i) => base + i))
          for (const [i, read] of page.records.entries()) {
            const sent = given[i]!
            expect(read.timestamp_ms).toBe(sent.timestamp_ms)
            expect(read.key?.toString('hex')).toBe(sent.key?.toString('hex'))
            expect(read.value?.toString('hex')).toBe(sent.value?.toString('hex'))
            expect(read.headers.map(([name, value]) => [name, value.toString('hex')])).toEqual(
              sent.headers.map(([name, value]) => [Buffer.from(name).toString(), value.toString('hex')]),
            )
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  test('is bounded by its records’ estimates', async () => {
    await fc.assert(
      fc.asyncProperty(records, async (given) => {
        const size = (await encodeBatch(given, producer)).length
        expect(size).toBeLessThanOrEqual(61 + given.reduce((sum, each) => sum + recordBytesMax(each), 0))
      }),
      { numRuns: 100 },
    )
  })

  test('is what kafkajs reads, and reads what kafkajs writes', async () => {
    const given = [
      record('a', { key: bytes('k'), headers: [['h', bytes('1')]], timestamp_ms: 1_700_000_000_500 }),
      record('b', { timestamp_ms: 1_600_000_000_000 }),
      { key: bytes('t'), value: null, timestamp_ms: 1_700_000_000_000 },
    ]
    const theirs = await kafkaDecode(new KafkaDecoder(await encodeBatch(given, { ...producer, transactional: true })))
    expect(theirs.producerId).toBe('77')
    expect(theirs.inTransaction).toBe(true)
    expect(theirs.records.map((read) => [read.key?.toString(), read.value?.toString(), Number(read.timestamp)])).toEqual(
      given.map((sent) => [sent.key?.toString(), sent.value?.toString(), sent.timestamp_ms]),
    )
    expect(theirs.records[0]!.headers).toEqual({ h: bytes('1') })

    const batch = await kafkaEncode({
      firstTimestamp: 1000,
      maxTimestamp: 2000,
      lastOffsetDelta: 1,
      records: [
        kafkaRecord({ offsetDelta: 0, timestampDelta: 0, key: 'x', value: 'one', headers: { a: '1' } }),
        kafkaRecord({ offsetDelta: 1, timestampDelta: 1000, key: null, value: 'two' }),
      ],
    })
    const page = await decodeBatches('t/0', stored(batch.buffer, 40), 40, [])
    expect(values(page.records)).toEqual(['one', 'two'])
    expect(page.records.map((read) => [read.offset, read.timestamp_ms])).toEqual([
      [40, 1000],
      [41, 2000],
    ])
  })

  test('holds two hundred thousand records', async () => {
    const given = Array.from({ length: 200_000 }, (_, i) => record(String(i)))
    const page = await decodeBatches('t/0', await encodeBatch(given, producer, 'gzip'), 0, [])
    expect(page.records).toHaveLength(200_000)
    expect(page.records.at(-1)!.value!.toString()).toBe('199999')
  })
})

describe('a fetched set', () => {
  test('starts at the asked offset and leaves a cut off tail for the next fetch', async () => {
    const first = stored(await encodeBatch([record('a'), record('b'), record('c')], producer), 10)
    const second = stored(await encodeBatch([record('d')], producer), 20)
    const whole = await decodeBatches('t/0', Buffer.concat([first, second]), 11, [])
    expect(values(whole.records)).toEqual(['b', 'c', 'd'])
    expect(whole.next_offset).toBe(21)
    const cut = await decodeBatches('t/0', Buffer.concat([first, second.subarray(0, -1)]), 11, [])
    expect(values(cut.records)).toEqual(['b', 'c'])
    expect(cut.next_offset).toBe(13)
    expect(await decodeBatches('t/0', Buffer.alloc(0), 11, [])).toEqual({ records: [], next_offset: 11 })
  })

  test('leaves aborted transactions out, in whatever order the broker lists them', async () => {
    // Two open at once; the one that began later ended first, so the broker lists it first.
    const set = Buffer.concat([
      await transactional(1n, 10, 'aborted 1'),
      await transactional(2n, 11, 'aborted 2'),
      await transactional(3n, 12, 'committed'),
      await control(2n, 13, 'abort'),
      stored(await encodeBatch([record('plain')], { ...producer, producer_id: 1n }), 14),
      await transactional(1n, 15, 'aborted 1 again'),
      await control(1n, 16, 'abort'),
      await transactional(1n, 17, 'next of 1'),
      await control(3n, 18, 'commit'),
      await control(1n, 19, 'commit'),
    ])
    const page = await decodeBatches('t/0', set, 10, [
      { producer_id: 2n, first_offset: 11 },
      { producer_id: 1n, first_offset: 10 },
    ])
    expect(values(page.records)).toEqual(['committed', 'plain', 'next of 1'])
    expect(page.next_offset).toBe(20)
  })

  test('several transactions of one producer are aborted one by one', async () => {
    const set = Buffer.concat([
      await transactional(1n, 0, 'no'),
      await control(1n, 1, 'abort'),
      await transactional(1n, 2, 'yes'),
      await control(1n, 3, 'commit'),
      await transactional(1n, 4, 'no'),
      await control(1n, 5, 'abort'),
    ])
    const aborted = [
      { producer_id: 1n, first_offset: 0 },
      { producer_id: 1n, first_offset: 4 },
    ]
    expect(values((await decodeBatches('t/0', set, 0, aborted)).records)).toEqual(['yes'])
  })

  test('a user record that looks like a marker ends nothing', async () => {
    const set = Buffer.concat([
      stored(
        await encodeBatch([record('no', { key: Buffer.from([0, 0, 0, 0]) }), record('neither')], {
          ...producer,
          producer_id: 1n,
          transactional: true,
        }),
        0,
      ),
      await control(1n, 2, 'abort'),
    ])
    expect((await decodeBatches('t/0', set, 0, [{ producer_id: 1n, first_offset: 0 }])).records).toEqual([])
  })

  test('a batch that unfolds beyond its bound is one refused record with its bytes, and the next one is read', async () => {
    const bomb = stored(await encodeBatch([record('x'.repeat(3_000_000)), record('y')], producer, 'zstd'), 5)
    const after = stored(await encodeBatch([record('after')], producer), 7)
    const page = await decodeBatches('t/0', Buffer.concat([bomb, after]), 5, [])
    expect(page.next_offset).toBe(8)
    expect(page.records.map(({ offset }) => offset)).toEqual([6, 7])
    expect(page.records[0]!.refused?.code).toBe('limits.inflate')
    expect(page.records[0]!.value!.equals(bomb)).toBe(true)
    expect(page.records[1]!.refused).toBeUndefined()
    expect(values(page.records.slice(1))).toEqual(['after'])
  })

  test('a changed byte is found by the checksum', async () => {
    const batch = stored(await encodeBatch([record('a')], producer), 5)
    batch[batch.length - 2]! ^= 1
    await expect(decodeBatches('t/0', batch, 5, [])).rejects.toMatchObject({ code: 'log.corrupt' })
  })

  test('bytes that are no batches never do worse than a fault', async () => {
    const batch = stored(await encodeBatch([record('hello', { headers: [['a', bytes('b')]] }), record('world')], producer), 0)
    await fc.assert(
      fc.asyncProperty(fc.nat(batch.length - 1), fc.nat(255), async (at, byte) => {
        const broken = Buffer.from(batch)
        broken[at] = byte
        // A right checksum, so that the reader behind it is reached.
        broken.writeUInt32BE(crc32c(broken, 21), 17)
        const outcome = await decodeBatches('t/0', broken, 0, []).catch((error: unknown) => error)
        if (!(outcome instanceof Fault)) expect(outcome).toMatchObject({ next_offset: expect.any(Number) })
      }),
      { numRuns: 400 },
    )
  })
})
