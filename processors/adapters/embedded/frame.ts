/** Records and state changes as one block of bytes, so that a batch crosses to the writer's thread without being copied. */
import type { Header } from '../../domain/record.ts'
import type { StateChange } from '../../ports/state-store.ts'
import { keyBytes } from './state-key.ts'

/** A record on its way into the table of its partition. */
export type FrameRecord = {
  readonly table: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: readonly Header[]
  readonly timestamp_ms: number
}

/** The same as the writer sees it: headers stay encoded, as they are stored. */
export type StoredRecord = {
  readonly table: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Buffer | null
  readonly timestamp_ms: number
}

/** State keys are bytes already: see state-key.ts. */
export type StoredChange = { readonly key: Buffer; readonly value: Buffer | null }

/** Each header as length and bytes of its name, length and bytes of its value; lengths are 32 bits, little-endian. Null for none. */
export const encodeHeaders = (headers: readonly Header[] | undefined): Buffer | null => {
  if (headers === undefined || headers.length === 0) return null
  const names = headers.map(([name]) => Buffer.from(name, 'utf8'))
  const bytes = headers.reduce((sum, [, value], i) => sum + 8 + names[i]!.length + value.length, 0)
  const block = Buffer.allocUnsafe(bytes)
  let at = 0
  headers.forEach(([, value], i) => {
    for (const part of [names[i]!, value]) {
      at = block.writeUInt32LE(part.length, at)
      part.copy(block, at)
      at += part.length
    }
  })
  return block
}

export const decodeHeaders = (block: Buffer | null): readonly Header[] => {
  const headers: Header[] = []
  if (block === null) return headers
  let at = 0
  const part = (): Buffer => {
    const start = at + 4
    at = start + block.readUInt32LE(at)
    return block.subarray(start, at)
  }
  while (at < block.length) {
    const name = part().toString('utf8')
    headers.push([name, part()])
  }
  return headers
}

const record_head_bytes = 24
const change_head_bytes = 8
const none = -1

/** Packs records; the block's memory is its own, so that it may be handed over. */
export const packRecords = (records: readonly FrameRecord[]): Buffer<ArrayBuffer> => {
  const headers = records.map((record) => encodeHeaders(record.headers))
  let bytes = 0
  records.forEach(({ key, value }, i) => {
    bytes += record_head_bytes + (key?.length ?? 0) + (value?.length ?? 0) + (headers[i]?.length ?? 0)
  })
  const block = Buffer.from(new ArrayBuffer(bytes))
  let at = 0
  records.forEach(({ table, key, value, timestamp_ms }, i) => {
    const parts = [key, value, headers[i]!]
    at = block.writeUInt32LE(table, at)
    for (const part of parts) at = block.writeInt32LE(part === null ? none : part.length, at)
    at = block.writeDoubleLE(timestamp_ms, at)
    for (const part of parts)
      if (part !== null) {
        block.set(part, at)
        at += part.length
      }
  })
  return block
}

/** The packed records one by one, as views into the block. */
export const unpackRecords = function* (block: Buffer): Generator<StoredRecord> {
  for (let at = 0; at < block.length; ) {
    const table = block.readUInt32LE(at)
    const lengths = [block.readInt32LE(at + 4), block.readInt32LE(at + 8), block.readInt32LE(at + 12)] as const
    const timestamp_ms = block.readDoubleLE(at + 16)
    at += record_head_bytes
    const [key, value, headers] = lengths.map((length) => {
      if (length === none) return null
      at += length
      return block.subarray(at - length, at)
    }) as [Buffer | null, Buffer | null, Buffer | null]
    yield { table, key, value, headers, timestamp_ms }
  }
}

export const packChanges = (changes: readonly StateChange[]): Buffer<ArrayBuffer> => {
  const keys = changes.map(({ key }) => keyBytes(key))
  let bytes = 0
  changes.forEach(({ value }, i) => {
    bytes += change_head_bytes + keys[i]!.length + (value?.length ?? 0)
  })
  const block = Buffer.from(new ArrayBuffer(bytes))
  let at = 0
  changes.forEach(({ value }, i) => {
    const key = keys[i]!
    at = block.writeInt32LE(key.length, at)
    at = block.writeInt32LE(value === null ? none : value.length, at)
    block.set(key, at)
    at += key.length
    if (value === null) return
    block.set(value, at)
    at += value.length
  })
  return block
}

export const unpackChanges = function* (block: Buffer): Generator<StoredChange> {
  for (let at = 0; at < block.length; ) {
    const key_end = at + change_head_bytes + block.readInt32LE(at)
    const length = block.readInt32LE(at + 4)
    const key = block.subarray(at + change_head_bytes, key_end)
    at = length === none ? key_end : key_end + length
    yield { key, value: length === none ? null : block.subarray(key_end, at) }
  }
}
