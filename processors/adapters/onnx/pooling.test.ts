/** Pooled vectors have length 1 and ignore what stands around their text. */
import { expect, test } from '@jest/globals'
import { poolInto } from './pooling.ts'

// Two texts of three tokens, two dims; the second text's last token is padding.
const data = Float32Array.from([3, 0, 0, 4, 3, 4, 1, 1, 1, 1, 99, -99])

test('the mean takes the real tokens only, the first token and the graph’s own vector are taken as they are', () => {
  const out = new Float32Array(8)
  expect(poolInto(out, 0, data, 0, { tokens: 3, dims: 2, pooling: 'mean' })).toBe(true)
  expect(poolInto(out, 2, data, 6, { tokens: 2, dims: 2, pooling: 'mean' })).toBe(true)
  expect(poolInto(out, 4, data, 0, { tokens: 3, dims: 2, pooling: 'cls' })).toBe(true)
  expect(poolInto(out, 6, data, 4, { tokens: 3, dims: 2, pooling: 'graph' })).toBe(true)
  const half = Math.fround(Math.SQRT1_2)
  expect([...out]).toEqual([Math.fround(6 / 10), Math.fround(8 / 10), half, half, 1, 0, Math.fround(3 / 5), Math.fround(4 / 5)])
})

test('a zero or not finite vector is reported and leaves zeros', () => {
  for (const bad of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
    const out = new Float32Array(2).fill(7)
    expect(poolInto(out, 0, Float32Array.from([bad, bad]), 0, { tokens: 1, dims: 2, pooling: 'mean' })).toBe(false)
    expect([...out]).toEqual([0, 0])
  }
})
