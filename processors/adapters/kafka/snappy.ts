/** Reads Snappy as Kafka's producers write it: raw, or in the frames of xerial's snappy-java. Format: google/snappy format_description.txt. */

const xerial_magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const xerial_header_bytes = 16

const corrupt = (what: string): never => {
  throw new Error(`Not Snappy: ${what}.`)
}

/** One raw block. Throws RangeError when it says it is longer than `limit`. */
const inflateBlock = (from: Buffer, limit: number): Buffer => {
  let at = 0
  let length = 0
  for (let shift = 0; ; shift += 7) {
    if (at >= from.length || shift > 28) corrupt('the length does not end')
    const byte = from[at++]!
    length += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) break
  }
  if (length > limit) throw new RangeError('The block is longer than the limit.')
  const to = Buffer.allocUnsafe(length)
  let filled = 0
  while (at < from.length) {
    const tag = from[at++]!
    const kind = tag & 3
    if (kind === 0) {
      let size = tag >>> 2
      if (size >= 60) {
        const extra = size - 59
        if (at + extra > from.length) corrupt('a literal is cut off')
        size = from.readUIntLE(at, extra)
        at += extra
      }
      size += 1
      if (at + size > from.length || filled + size > length) corrupt('a literal is cut off')
      from.copy(to, filled, at, at + size)
      at += size
      filled += size
      continue
    }
    const extra = kind === 1 ? 1 : kind === 2 ? 2 : 4
    if (at + extra > from.length) corrupt('a copy is cut off')
    const size = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    const back = kind === 1 ? ((tag & 0xe0) << 3) | from[at]! : kind === 2 ? from.readUInt16LE(at) : from.readUInt32LE(at)
    at += extra
    if (back === 0 || back > filled || filled + size > length) corrupt('a copy points outside')
    if (back >= size) to.copyWithin(filled, filled - back, filled - back + size)
    else for (let i = 0; i < size; i++) to[filled + i] = to[filled + i - back]!
    filled += size
  }
  if (filled !== length) corrupt('the block is shorter than it says')
  return to
}

/** Throws RangeError when the result would be longer than `limit`, Error when the bytes are not Snappy. */
export const inflateSnappy = (bytes: Buffer, limit: number): Buffer => {
  if (!bytes.subarray(0, xerial_magic.length).equals(xerial_magic)) return inflateBlock(bytes, limit)
  const blocks: Buffer[] = []
  let left = limit
  for (let at = xerial_header_bytes; at < bytes.length; ) {
    if (at + 4 > bytes.length) corrupt('a frame is cut off')
    const size = bytes.readInt32BE(at)
    at += 4
    if (size < 0 || at + size > bytes.length) corrupt('a frame is cut off')
    const block = inflateBlock(bytes.subarray(at, at + size), left)
    blocks.push(block)
    left -= block.length
    at += size
  }
  return Buffer.concat(blocks)
}
