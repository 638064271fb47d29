/** Dense vectors: float32, row-major, unit length where it says so. */
import { Fault } from './fault.ts'

export type Vector = Float32Array

/**
 * Inner product of two vectors of one length, accumulated in float64 in one fixed order, so that replay is byte-equal. Four sums side
 * by side: one alone waits for each addition before the next.
 */
export const dot = (a: Vector, b: Vector): number => {
  const whole = a.length - (a.length % 4)
  let first = 0
  let second = 0
  let third = 0
  let fourth = 0
  for (let i = 0; i < whole; i += 4) {
    first += a[i]! * b[i]!
    second += a[i + 1]! * b[i + 1]!
    third += a[i + 2]! * b[i + 2]!
    fourth += a[i + 3]! * b[i + 3]!
  }
  let sum = first + second + (third + fourth)
  for (let i = whole; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

export const norm = (v: Vector): number => Math.sqrt(dot(v, v))

/** `v` scaled to length 1; a zero vector stays zero. */
export const unit = (v: Vector): Vector => {
  const n = norm(v)
  return n === 0 ? Float32Array.from(v) : v.map((x) => x / n)
}

/** Throws `embed.degenerate` unless the vector is finite, non-zero and of length `dims`. */
export const assertUsable = (v: Vector, dims: number): void => {
  if (v.length !== dims)
    throw new Fault('embed.degenerate', `The vector has ${v.length} dimensions, the model ${dims}.`, { dims: v.length })
  const n = dot(v, v)
  if (!Number.isFinite(n) || n === 0) throw new Fault('embed.degenerate', 'The vector is zero or not finite.')
}

/** float32 little-endian bytes, a copy. */
export const toBytes = (v: Vector): Buffer => Buffer.from(new Uint8Array(v.buffer, v.byteOffset, v.byteLength))

/** Reads float32 little-endian bytes into a fresh, aligned vector. */
export const fromBytes = (bytes: Uint8Array): Vector => {
  if (bytes.byteLength % 4 !== 0) throw new Fault('embed.degenerate', `A vector of ${bytes.byteLength} bytes is not float32.`)
  const copy = new Uint8Array(bytes)
  return new Float32Array(copy.buffer)
}
