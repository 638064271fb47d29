/**
 * The cursors that avsc's types read and write through, in place of its own Tap: one that throws at the first byte that is not there,
 * and one that grows and writes short strings without asking their length first. Their methods are the ones avsc calls.
 */
import { Fault } from '../../domain/fault.ts'
import type { DecodeLimits } from './limits.ts'

export const truncated = (): Fault => new Fault('decode.truncated', 'The value ends before its schema says it does.')

/** Node's own slicing of a buffer into text, without toString's choice of encoding; not in its typings. */
type TextBuffer = Buffer & { utf8Slice(start: number, end: number): string }

/** What avsc calls while it reads. One is reused for all values of a decoder. */
export class StrictTap {
  buf = Buffer.alloc(0) as Buffer as TextBuffer
  pos = 0
  end = 0
  /** Containers entered and not left. */
  depth = 0
  /** Entries of arrays and maps so far. */
  entries = 0
  /** Fields of records so far, as far as containers and unions announced them. */
  values = 0
  readonly limits: DecodeLimits

  constructor(limits: DecodeLimits) {
    this.limits = limits
  }

  over(buf: Buffer, pos: number): this {
    this.buf = buf as TextBuffer
    this.pos = pos
    this.end = buf.length
    this.depth = 0
    this.entries = 0
    this.values = 0
    return this
  }

  enter(): void {
    if (++this.depth > this.limits.depth_max)
      throw new Fault('limits.depth', `The value nests deeper than ${this.limits.depth_max} levels.`, { byte: this.pos })
  }

  /** Announces fields of records that are about to be read, before memory is spent on them. */
  spend(values: number): void {
    this.values += values
    if (this.values > this.limits.values_max)
      throw new Fault('limits.items', `The value has more than ${this.limits.values_max} fields in all.`, { byte: this.pos })
  }

  /** Lengths, counts, union and enum indexes. Nearly all are one byte long. */
  readLong(): number {
    const pos = this.pos
    if (pos < this.end) {
      const byte = this.buf[pos]!
      if (byte < 0x80) {
        this.pos = pos + 1
        return (byte >>> 1) ^ -(byte & 1)
      }
    }
    return Number(this.readLongExact())
  }

  /** Any 64-bit integer, exactly. */
  readLongExact(): number | bigint {
    const { buf, end } = this
    let pos = this.pos
    let low = 0
    let shift = 0
    let byte: number
    do {
      if (pos >= end) throw truncated()
      byte = buf[pos++]!
      low |= (byte & 0x7f) << shift
      shift += 7
    } while (byte >= 0x80 && shift < 28)
    // The low 28 bits, zigzag: their last one is the sign, the others the lowest 27 of the value.
    const sign = low & 1
    low >>>= 1
    if (byte < 0x80) {
      this.pos = pos
      return sign === 0 ? low : ~low
    }
    let high = 0
    let scale = 1
    for (let length = 5; ; length++) {
      if (pos >= end) throw truncated()
      byte = buf[pos++]!
      high += (byte & 0x7f) * scale
      if (byte < 0x80 && !(length === 10 && byte > 1)) break
      if (length === 10) throw new Fault('decode.invalid', 'An integer is longer than 64 bits.', { byte: this.pos })
      scale *= 128
    }
    this.pos = pos
    // 36 more bits fit a double; put together they may not.
    const value = high * 134217728 + low
    if (value + sign <= Number.MAX_SAFE_INTEGER) return sign === 0 ? value : -value - 1
    const exact = BigInt(high) * 134217728n + BigInt(low)
    return sign === 0 ? exact : -exact - 1n
  }

  readInt(): number {
    const value = this.readLong()
    if (value !== (value | 0)) throw new Fault('number.range', 'An int is outside 32 bits.', { byte: this.pos })
    return value
  }

  readBoolean(): boolean {
    if (this.pos >= this.end) throw truncated()
    return this.buf[this.pos++] !== 0
  }

  readFloat(): number {
    const value = this.buf.readFloatLE(this.take(4))
    if (!Number.isFinite(value)) throw new Fault('number.nonfinite', 'A float is NaN or infinite.', { byte: this.pos })
    return value === 0 ? 0 : value
  }

  readDouble(): number {
    const value = this.buf.readDoubleLE(this.take(8))
    if (!Number.isFinite(value)) throw new Fault('number.nonfinite', 'A double is NaN or infinite.', { byte: this.pos })
    return value === 0 ? 0 : value
  }

  /** Steps over `length` bytes and returns where they begin. */
  take(length: number): number {
    const pos = this.pos
    if (length < 0) throw new Fault('decode.invalid', 'A length is negative.', { byte: pos })
    if (length > this.end - pos) throw truncated()
    this.pos = pos + length
    return pos
  }

  readFixed(length: number): Buffer {
    const pos = this.take(length)
    return Buffer.from(this.buf.subarray(pos, pos + length))
  }

  readBytes(): Buffer {
    return this.readFixed(this.readLong())
  }

  readString(): string {
    const length = this.readLong()
    const pos = this.take(length)
    const text = this.buf.utf8Slice(pos, pos + length)
    if (length > this.limits.string_chars_max && text.length > this.limits.string_chars_max)
      throw new Fault('limits.string', `A string has ${text.length} characters; ${this.limits.string_chars_max} are allowed.`)
    return text
  }

  skipBoolean(): void {
    this.take(1)
  }
  skipInt(): void {
    this.readLongExact()
  }
  skipLong(): void {
    this.readLongExact()
  }
  skipFloat(): void {
    this.take(4)
  }
  skipDouble(): void {
    this.take(8)
  }
  skipFixed(length: number): void {
    this.take(length)
  }
  skipBytes(): void {
    this.take(this.readLong())
  }
  skipString(): void {
    this.take(this.readLong())
  }
}

/** Strings up to here are written in one pass, on the guess that they are ASCII; a length below 64 is one byte. */
const guessed_chars_max = 63

/** What avsc calls while it writes. Starts behind the wire header; grows as needed. */
export class WritingTap {
  buf: Buffer
  pos = 0

  constructor(bytes: number) {
    this.buf = Buffer.alloc(bytes)
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    if (this.pos + bytes <= this.buf.length) return
    const grown = Buffer.alloc(Math.max(this.buf.length * 2, this.pos + bytes))
    this.buf.copy(grown, 0, 0, this.pos)
    this.buf = grown
  }

  /** Integers of at most 53 bits. */
  writeLong(value: number): void {
    this.reserve(10)
    const { buf } = this
    let pos = this.pos
    if (value >= -1073741824 && value < 1073741824) {
      let rest = (value << 1) ^ (value >> 31)
      while (rest > 0x7f) {
        buf[pos++] = (rest & 0x7f) | 0x80
        rest >>>= 7
      }
      buf[pos++] = rest
    } else {
      // The sign is the last bit, so that 53 bits never have to be doubled.
      const sign = value < 0 ? 1 : 0
      const magnitude = sign === 0 ? value : -(value + 1)
      buf[pos++] = ((magnitude % 64) << 1) | sign | 0x80
      let rest = Math.floor(magnitude / 64)
      while (rest > 0x7f) {
        buf[pos++] = (rest % 128) | 0x80
        rest = Math.floor(rest / 128)
      }
      buf[pos++] = rest
    }
    this.pos = pos
  }

  writeInt(value: number): void {
    this.writeLong(value)
  }

  writeBoolean(value: boolean): void {
    this.reserve(1)
    this.buf[this.pos++] = value ? 1 : 0
  }

  writeFloat(value: number): void {
    this.reserve(4)
    this.pos = this.buf.writeFloatLE(value, this.pos)
  }

  writeDouble(value: number): void {
    this.reserve(8)
    this.pos = this.buf.writeDoubleLE(value, this.pos)
  }

  writeFixed(bytes: Uint8Array, length = bytes.length): void {
    this.reserve(length)
    this.buf.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.pos)
    this.pos += length
  }

  writeBytes(bytes: Uint8Array): void {
    this.writeLong(bytes.length)
    this.writeFixed(bytes)
  }

  /** UTF-8; half a surrogate pair becomes U+FFFD. */
  writeString(text: string): void {
    const { length } = text
    if (length <= guessed_chars_max) {
      this.reserve(length + 1)
      const { buf } = this
      let pos = this.pos
      buf[pos++] = length << 1
      let i = 0
      for (; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code >= 0x80) break
        buf[pos++] = code
      }
      if (i === length) {
        this.pos = pos
        return
      }
    }
    const bytes = Buffer.byteLength(text)
    this.writeLong(bytes)
    this.reserve(bytes)
    this.pos += this.buf.write(text, this.pos, bytes, 'utf8')
  }

  /** Bytes that avsc prepared as a string of code points below 256: a field's default. */
  writeBinary(text: string, length: number): void {
    this.reserve(length)
    this.pos += this.buf.write(text, this.pos, length, 'latin1')
  }
}
