/** Confluent wire format: magic byte 0, schema id as int32 big-endian, for Protobuf the path to the message, then the datum. */
import { Fault } from '../../domain/fault.ts'

export const header_bytes = 5

/** The schema id of a framed value, or the fault that says why it has none. The datum starts at byte 5. */
export const schemaIdOf = (value: Buffer): number | Fault => {
  if (value.length === 0) return new Fault('decode.empty', 'The value has no bytes.')
  if (value[0] !== 0) return new Fault('decode.magic', `The value starts with byte ${value[0]}, not with the magic byte 0.`)
  if (value.length < header_bytes)
    return new Fault('decode.truncated', `The value ends after ${value.length} bytes, inside its wire header of 5.`)
  return value.readInt32BE(1)
}

/** A datum behind its wire header. */
export const frame = (schema_id: number, datum: Uint8Array): Buffer => {
  const framed = Buffer.allocUnsafe(header_bytes + datum.length)
  framed[0] = 0
  framed.writeInt32BE(schema_id, 1)
  framed.set(datum, header_bytes)
  return framed
}

/** Nothing nests messages deeper than this. */
export const message_indexes_max = 16

/** The path to a Protobuf message by declaration order, and where the message starts. A lone 0 byte stands for [0]. */
export type MessagePath = { readonly indexes: readonly number[]; readonly offset: number }

const first_message: readonly number[] = [0]

/** Reads the message path that follows the header. Every varint is zigzag, as Kafka's own. */
export const messagePathOf = (value: Buffer): MessagePath | Fault => {
  if (value.length === header_bytes) return new Fault('decode.truncated', 'The value ends before its Protobuf message index.')
  if (value[header_bytes] === 0) return { indexes: first_message, offset: header_bytes + 1 }
  let offset = header_bytes
  const next = (): number | Fault => {
    let zigzag = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = value[offset++]
      if (byte === undefined) return new Fault('decode.truncated', 'The value ends inside its Protobuf message index.')
      zigzag += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2
    }
    return new Fault('decode.index', 'A number in the Protobuf message index is longer than 5 bytes.')
  }
  const count = next()
  if (typeof count !== 'number') return count
  if (count < 0 || count > message_indexes_max)
    return new Fault('decode.index', `The Protobuf message index has ${count} entries; 0 to ${message_indexes_max} are possible.`)
  const indexes: number[] = []
  for (let i = 0; i < count; i++) {
    const index = next()
    if (typeof index !== 'number') return index
    if (index < 0) return new Fault('decode.index', `The Protobuf message index holds ${index}.`)
    indexes.push(index)
  }
  return { indexes: count === 0 ? first_message : indexes, offset }
}

/** The bytes that stand for a message path. */
export const messagePathBytes = (indexes: readonly number[]): Buffer => {
  if (indexes.length === 1 && indexes[0] === 0) return Buffer.from([0])
  const bytes: number[] = []
  for (const value of [indexes.length, ...indexes]) {
    let zigzag = value * 2
    while (zigzag > 0x7f) {
      bytes.push((zigzag & 0x7f) | 0x80)
      zigzag = Math.floor(zigzag / 128)
    }
    bytes.push(zigzag)
  }
  return Buffer.from(bytes)
}
