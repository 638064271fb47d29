/** Wire formats written by hand, right or wrong: for tests and for the maker of malformed records. Nothing here checks anything. */

/** Base-128 with the lowest group first, as Protobuf's varint and the carrier of Avro's and Kafka's. Any 64-bit value. */
export const varint = (value: bigint | number): Buffer => {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const group = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? group : group | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

/** Avro's int, long, length, count and index. */
export const zigzag = (value: bigint | number): Buffer => {
  const wide = BigInt(value)
  return varint((wide << 1n) ^ (wide >> 63n))
}

export const avroString = (text: string | Uint8Array): Buffer => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return Buffer.concat([zigzag(bytes.length), bytes])
}

/** A Protobuf field: number and wire type, then its bytes. */
export const protoTag = (number: number, wire: number): Buffer => varint((number << 3) | wire)
export const protoVarint = (number: number, value: bigint | number): Buffer => Buffer.concat([protoTag(number, 0), varint(value)])
export const protoBytes = (number: number, bytes: string | Uint8Array): Buffer => {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  return Buffer.concat([protoTag(number, 2), varint(content.length), content])
}
export const protoDouble = (number: number, value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([protoTag(number, 1), bytes])
}
