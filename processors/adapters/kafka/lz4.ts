/** Reads LZ4 frames as Kafka's producers write them. Format: lz4/lz4 doc/lz4_Frame_format.md and lz4_Block_format.md. Checksums are left to Kafka's CRC. */

const frame_magic = 0x184d2204
const block_bytes_max = [0, 0, 0, 0, 1 << 16, 1 << 18, 1 << 20, 1 << 22] as const

const corrupt = (what: string): never => {
  throw new Error(`Not LZ4: ${what}.`)
}

/** Unfolds one block behind what `to` holds already (blocks may refer back to earlier ones); returns the new fill. */
const inflateBlock = (from: Buffer, to: Buffer, start: number, end_max: number): number => {
  let at = 0
  let filled = start
  const more = (length: number): number => {
    if (length !== 15) return length
    for (;;) {
      if (at >= from.length) return corrupt('a length does not end')
      const byte = from[at++]!
      length += byte
      if (byte !== 255) return length
    }
  }
  while (at < from.length) {
    const token = from[at++]!
    const literals = more(token >>> 4)
    if (at + literals > from.length) corrupt('literals are cut off')
    if (filled + literals > end_max) throw new RangeError('The frame is longer than the limit.')
    from.copy(to, filled, at, at + literals)
    at += literals
    filled += literals
    if (at === from.length) break
    if (at + 2 > from.length) corrupt('a match is cut off')
    const back = from.readUInt16LE(at)
    at += 2
    const size = more(token & 15) + 4
    if (back === 0 || back > filled) corrupt('a match points outside')
    if (filled + size > end_max) throw new RangeError('The frame is longer than the limit.')
    if (back >= size) to.copyWithin(filled, filled - back, filled - back + size)
    else for (let i = 0; i < size; i++) to[filled + i] = to[filled + i - back]!
    filled += size
  }
  return filled
}

/** Throws RangeError when the result would be longer than `limit`, Error when the bytes are not an LZ4 frame. */
export const inflateLz4 = (bytes: Buffer, limit: number): Buffer => {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== frame_magic) corrupt('the frame has no magic number')
  const flags = bytes[4]!
  if (flags >>> 6 !== 1) corrupt('the version is not 1')
  const block_max = block_bytes_max[(bytes[5]! >>> 4) & 7]!
  if (block_max === 0) corrupt('the block size is none')
  const has_block_checksum = (flags & 0x10) !== 0
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1

  let to = Buffer.allocUnsafe(Math.min(limit, Math.max(block_max, bytes.length * 4)))
  let filled = 0
  for (;;) {
    if (at + 4 > bytes.length) corrupt('the frame does not end')
    const word = bytes.readUInt32LE(at)
    at += 4
    if (word === 0) return to.subarray(0, filled)
    const stored = word >>> 31 === 1
    const size = word & 0x7fffffff
    if (at + size > bytes.length) corrupt('a block is cut off')
    const block = bytes.subarray(at, at + size)
    at += size + (has_block_checksum ? 4 : 0)
    if (filled + (stored ? size : 0) > limit) throw new RangeError('The frame is longer than the limit.')
    const room = Math.min(limit, filled + Math.max(block_max, stored ? size : 0))
    if (room > to.length) {
      const grown = Buffer.allocUnsafe(Math.min(limit, Math.max(room, to.length * 2)))
      to.copy(grown, 0, 0, filled)
      to = grown
    }
    if (stored) {
      block.copy(to, filled)
      filled += size
    } else filled = inflateBlock(block, to, filled, room)
  }
}
