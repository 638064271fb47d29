/** From what the graph returns to unit vectors: float64 sums in a fixed order, so that the batch around a text cannot move a bit. */
import type { Pooling } from './card.ts'

/** Room for the sums of one vector, kept from text to text. */
let sums = new Float64Array(0)

/**
 * Writes the unit vector of one text to `out[to .. to + dims)`.
 * `data` is the graph's output, float32 row-major; `from` is the index of the text's first value, `tokens` its real tokens.
 * Returns false, with zeros written, when the vector would be zero or not finite.
 */
export const poolInto = (
  out: Float32Array,
  to: number,
  data: Float32Array,
  from: number,
  { tokens, dims, pooling }: { tokens: number; dims: number; pooling: Pooling },
): boolean => {
  if (sums.length < dims) sums = new Float64Array(dims)
  else sums.fill(0, 0, dims)
  // The mean is the sum over a number that the norm takes out again.
  const rows = pooling === 'mean' ? tokens : 1
  for (let row = 0, at = from; row < rows; row++) for (let i = 0; i < dims; i++, at++) sums[i]! += data[at]!
  let squares = 0
  for (let i = 0; i < dims; i++) squares += sums[i]! * sums[i]!
  const length = Math.sqrt(squares)
  const usable = Number.isFinite(length) && length > 0
  for (let i = 0; i < dims; i++) out[to + i] = usable ? sums[i]! / length : 0
  return usable
}
