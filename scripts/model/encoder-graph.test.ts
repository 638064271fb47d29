/** The graphs of one encoder agree, do not depend on the batch, and are the same bytes each time. */
import { expect, test } from '@jest/globals'
import { encoderGraph, type Precision, quantised } from './encoder-graph.ts'
import { openRuns } from './runs.fixture.ts'
import { randomWeights } from './weights.fixture.ts'
import { withPieces } from './weights.ts'

const weights = randomWeights()
const precisions: readonly Precision[] = [
  { of: 'float32' },
  { of: 'float16' },
  { of: 'int8', weight_bits: 8 },
  { of: 'int8', weight_bits: 7 },
]
const texts = [
  [0, 5, 9, 12, 2],
  [0, 7, 2],
  [0, 30, 31, 32, 33, 34, 2],
]

const cosine = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0)

test.each(precisions)(
  '%j: unit vectors that are near those of float32, the same to the bit alone and in company',
  async (precision) => {
    const graph = encoderGraph(weights, precision)
    expect(Buffer.from(graph).equals(Buffer.from(encoderGraph(weights, precision)))).toBe(true)
    const session = await openRuns(graph)
    const exact = await openRuns(encoderGraph(weights, { of: 'float32' }))
    const together = await session.run(texts, 8)
    const truth = await exact.run(texts, 8)
    for (const [i, text] of texts.entries()) {
      const vector = together.vectors[i]!
      expect(Math.abs(cosine(vector, vector) - 1)).toBeLessThan(1e-5)
      expect(cosine(vector, truth.vectors[i]!)).toBeGreaterThan(precision.of === 'int8' ? 0.995 : 0.99999)
      const alone = await session.run([text], 8)
      expect(Array.from(alone.vectors[0]!)).toEqual(Array.from(vector))
    }
    await session.close()
    await exact.close()
  },
)

test('the vector is the mean of the real tokens’ states, at unit length', async () => {
  const session = await openRuns(encoderGraph(weights, { of: 'float32' }))
  const { vectors, states } = await session.run(texts, 8)
  for (const [row, ids] of texts.entries()) {
    const sum = new Float64Array(weights.hidden)
    for (let token = 0; token < ids.length; token++)
      for (let k = 0; k < weights.hidden; k++) sum[k]! += states[row]![token * weights.hidden + k]!
    const length = Math.hypot(...sum)
    for (const [k, value] of vectors[row]!.entries()) expect(value).toBeCloseTo(sum[k]! / length, 5)
  }
  await session.close()
})

test('padding changes nothing that counts', async () => {
  const session = await openRuns(encoderGraph(weights, { of: 'int8', weight_bits: 7 }))
  const narrow = await session.run(texts, 8)
  const broad = await session.run(texts, 20)
  for (const [row, vector] of narrow.vectors.entries()) expect(cosine(vector, broad.vectors[row]!)).toBeGreaterThan(0.999999)
  await session.close()
})

test('an encoder with fewer pieces gives what the whole one gives for the same pieces', async () => {
  const kept = [0, 1, 2, 5, 9, 12]
  const whole = await openRuns(encoderGraph(weights, { of: 'int8', weight_bits: 7 }))
  const pruned = await openRuns(encoderGraph(withPieces(weights, kept), { of: 'int8', weight_bits: 7 }))
  const text = [0, 5, 9, 12, 2]
  const before = await whole.run([text], 8)
  const after = await pruned.run([text.map((id) => kept.indexOf(id))], 8)
  expect(Array.from(after.vectors[0]!)).toEqual(Array.from(before.vectors[0]!))
  await whole.close()
  await pruned.close()
})

test('integers stay within their bits, and are at most half a step off', () => {
  const dense = weights.layers[0]!.up
  const { integers, scales } = quantised(dense, 63)
  for (let n = 0; n < dense.outputs; n++)
    for (let k = 0; k < dense.inputs; k++) {
      const integer = integers[k * dense.outputs + n]!
      expect(Math.abs(integer)).toBeLessThanOrEqual(63)
      expect(Math.abs(integer * scales[n]! - dense.weight[n * dense.inputs + k]!)).toBeLessThanOrEqual(scales[n]! * 0.501)
    }
})
