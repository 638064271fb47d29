/** Kafka's record batches (format 2), written and read: headers in order, offsets exact, aborted transactions left out. */
import { Fault } from '../../domain/fault.ts'
import type { Header, LogRecord, OutputRecord } from '../../domain/record.ts'
import { codecs, deflate, inflate, type WritableCodec } from './compression.ts'
import { crc32c } from './crc32c.ts'

/** Bytes before the records: offset, length, epoch, magic, CRC, attributes, last delta, times, producer, count. */
export const batch_header_bytes = 61
const length_at = 8
const magic_at = 16
const crc_at = 17
const attributes_at = 21
const transactional_flag = 0x10
const control_flag = 0x20
const log_append_time_flag = 0x08

/** The identity under which a batch is deduplicated. */
export type BatchProducer = {
  readonly producer_id: bigint
  readonly epoch: number
  /** Sequence number of the first record. */
  readonly sequence: number
  readonly transactional: boolean
}

type Encodable = Pick<OutputRecord, 'key' | 'value' | 'headers' | 'timestamp_ms'>

// Zigzag by arithmetic, since a difference of times needs more than 32 bits.
const zigzag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1)

const varintBytes = (value: number): number => {
  let left = zigzag(value)
  let bytes = 1
  while (left >= 128) {
    left = Math.floor(left / 128)
    bytes++
  }
  return bytes
}

const putVarint = (to: Buffer, at: number, value: number): number => {
  let left = zigzag(value)
  while (left >= 128) {
    to[at++] = (left % 128) | 0x80
    left = Math.floor(left / 128)
  }
  to[at++] = left
  return at
}

const sizedBytes = (bytes: Buffer | null): number => (bytes === null ? varintBytes(-1) : varintBytes(bytes.length) + bytes.length)

const putSized = (to: Buffer, at: number, bytes: Buffer | null): number => {
  if (bytes === null) return putVarint(to, at, -1)
  at = putVarint(to, at, bytes.length)
  bytes.copy(to, at)
  return at + bytes.length
}

const bodyBytes = (record: Encodable, offset_delta: number, time_delta: number): number => {
  const headers = record.headers ?? []
  let bytes = 1 + varintBytes(time_delta) + varintBytes(offset_delta) + sizedBytes(record.key) + sizedBytes(record.value)
  bytes += varintBytes(headers.length)
  for (const [name, value] of headers) {
    const name_bytes = Buffer.byteLength(name)
    bytes += varintBytes(name_bytes) + name_bytes + sizedBytes(value)
  }
  return bytes
}

/** Upper bound of what a record takes in a batch. */
export const recordBytesMax = (record: Encodable): number => bodyBytes(record, 0x7fffffff, 2 ** 45) + 5

/** One batch of at least one record, ready to be sent. */
export const encodeBatch = async (
  records: readonly Encodable[],
  producer: BatchProducer,
  codec: WritableCodec = 'none',
): Promise<Buffer> => {
  const base_ms = records[0]!.timestamp_ms
  let max_ms = base_ms
  const sizes = new Array<number>(records.length)
  let bytes = 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    if (record.timestamp_ms > max_ms) max_ms = record.timestamp_ms
    const size = bodyBytes(record, i, record.timestamp_ms - base_ms)
    sizes[i] = size
    bytes += varintBytes(size) + size
  }

  const plain = codec === 'none'
  const body = Buffer.allocUnsafe(plain ? batch_header_bytes + bytes : bytes)
  let at = plain ? batch_header_bytes : 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    at = putVarint(body, at, sizes[i]!)
    body[at++] = 0
    at = putVarint(body, at, record.timestamp_ms - base_ms)
    at = putVarint(body, at, i)
    at = putSized(body, at, record.key)
    at = putSized(body, at, record.value)
    const headers = record.headers ?? []
    at = putVarint(body, at, headers.length)
    for (const [name, value] of headers) {
      at = putVarint(body, at, Buffer.byteLength(name))
      at += body.write(name, at, 'utf8')
      at = putSized(body, at, value)
    }
  }

  const batch = plain ? body : Buffer.concat([Buffer.allocUnsafe(batch_header_bytes), await deflate(codec, body)])
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - length_at - 4, length_at)
  batch.writeInt32BE(-1, 12)
  batch[magic_at] = 2
  batch.writeInt16BE(codecs.indexOf(codec) | (producer.transactional ? transactional_flag : 0), attributes_at)
  batch.writeInt32BE(records.length - 1, 23)
  batch.writeBigInt64BE(BigInt(base_ms), 27)
  batch.writeBigInt64BE(BigInt(max_ms), 35)
  batch.writeBigInt64BE(producer.producer_id, 43)
  batch.writeInt16BE(producer.epoch, 51)
  batch.writeInt32BE(producer.sequence, 53)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch, attributes_at), crc_at)
  return batch
}

/** What a fetch of one partition brought. */
export type Page = {
  /** Data records of committed transactions, or of none, from the asked offset on. */
  readonly records: readonly LogRecord[]
  /** Where the next fetch starts: behind everything looked at, markers and aborted records included. */
  readonly next_offset: number
}

/** A transaction that the broker names as aborted among the fetched offsets. */
export type AbortedTransaction = { readonly producer_id: bigint; readonly first_offset: number }

const corrupt = (at: string, offset: number, what: string, cause?: unknown): Fault =>
  new Fault('log.corrupt', `${at}: the batch at offset ${offset} ${what}. Look at the disks of the brokers.`, { offset }, cause)

/** Reads one record after another of an unfolded batch. */
const recordsOf = (body: Buffer, count: number, base_offset: number, base_ms: number, append_ms: number | null): LogRecord[] => {
  let at = 0
  const varint = (): number => {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = body[at++]
      if (byte === undefined) throw new RangeError('A number does not end.')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 128
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
  const sized = (): Buffer | null => {
    const length = varint()
    if (length < 0) return null
    if (at + length > body.length) throw new RangeError('A field is cut off.')
    at += length
    return body.subarray(at - length, at)
  }
  const records = new Array<LogRecord>(count)
  for (let i = 0; i < count; i++) {
    const end = varint() + at
    if (end > body.length) throw new RangeError('A record is cut off.')
    at += 1
    const timestamp_ms = append_ms ?? base_ms
    const time_delta = varint()
    const offset = base_offset + varint()
    const key = sized()
    const value = sized()
    const header_count = varint()
    let headers: Header[] = no_headers
    if (header_count > 0) {
      headers = []
      for (let h = 0; h < header_count; h++) {
        const name = sized()
        headers.push([name === null ? '' : name.toString('utf8'), sized() ?? no_bytes])
      }
    }
    records[i] = { offset, key, value, headers, timestamp_ms: append_ms === null ? timestamp_ms + time_delta : timestamp_ms }
    at = end
  }
  return records
}
const no_headers: Header[] = []
const no_bytes = Buffer.alloc(0)

/**
 * The records of a fetched set of batches. The last one may be cut off by the fetch's bound and is left for the next fetch.
 * A batch that unfolds beyond its bound comes as one record whose value is the raw batch and which carries the fault, so that its
 * bytes can be dead-lettered and the partition goes on.
 */
export const decodeBatches = async (
  place: string,
  set: Buffer,
  from_offset: number,
  aborted: readonly AbortedTransaction[],
): Promise<Page> => {
  const pages: LogRecord[][] = []
  // The broker lists them by their end; what matters here is where they begin.
  const beginning = aborted.toSorted((a, b) => a.first_offset - b.first_offset)
  const aborting = new Set<bigint>()
  let next_beginning = 0
  let next_offset = from_offset

  for (let at = 0; at + batch_header_bytes <= set.length; ) {
    const base_offset = Number(set.readBigInt64BE(at))
    const end = at + length_at + 4 + set.readInt32BE(at + length_at)
    if (end > set.length) break
    if (set[at + magic_at] !== 2)
      throw new Fault(
        'log.corrupt',
        `${place}: offset ${base_offset} is stored in a message format older than Kafka 0.11: copy the topic into a new one.`,
        { offset: base_offset },
      )
    const batch = set.subarray(at, end)
    at = end
    const last_offset = base_offset + batch.readInt32BE(23)
    if (last_offset < from_offset) continue
    if (crc32c(batch, attributes_at) !== batch.readUInt32BE(crc_at)) throw corrupt(place, base_offset, 'fails its checksum')
    next_offset = last_offset + 1
    const attributes = batch.readInt16BE(attributes_at)
    const producer_id = batch.readBigInt64BE(43)
    while (next_beginning < beginning.length && beginning[next_beginning]!.first_offset <= last_offset)
      aborting.add(beginning[next_beginning++]!.producer_id)
    const count = batch.readInt32BE(57)
    const base_ms = Number(batch.readBigInt64BE(27))
    try {
      if ((attributes & control_flag) !== 0) {
        // The key of a marker is its version and its kind: 0 aborts, 1 commits.
        const marker = count > 0 ? recordsOf(batch.subarray(batch_header_bytes), 1, base_offset, base_ms, null)[0] : undefined
        if (marker?.key?.readInt16BE(2) === 0) aborting.delete(producer_id)
        continue
      }
      if ((attributes & transactional_flag) !== 0 && aborting.has(producer_id)) continue
      const codec = codecs[attributes & 7]
      if (codec === undefined) throw new RangeError('The compression is unknown.')
      const append_ms = (attributes & log_append_time_flag) !== 0 ? Number(batch.readBigInt64BE(35)) : null
      const packed = batch.subarray(batch_header_bytes)
      const body = codec === 'none' ? packed : await inflate(codec, packed)
      pages.push(recordsOf(body, count, base_offset, base_ms, append_ms))
    } catch (error) {
      if (error instanceof Fault && error.kind === 'malformed') {
        pages.push([{ offset: last_offset, key: null, value: batch, headers: [], timestamp_ms: base_ms, refused: error }])
        continue
      }
      throw corrupt(place, base_offset, 'cannot be read', error)
    }
  }
  const records = pages.length === 1 ? pages[0]! : pages.flat()
  const first = records.findIndex((record) => record.offset >= from_offset)
  return { records: first === 0 ? records : first < 0 ? [] : records.slice(first), next_offset }
}
