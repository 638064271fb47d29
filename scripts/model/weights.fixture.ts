/** A small encoder of random weights, as the readers give it. */
import { seededRandom } from '../../processors/adapters/system/random.ts'
import type { Dense, EncoderWeights, Norm } from './weights.ts'

/** Hidden width 64, four heads, two layers, 40 pieces; the word table also in four bits. */
export const randomWeights = (): EncoderWeights => {
  const random = seededRandom(7)
  const hidden = 64
  const wide = 128
  const vocabulary = 40
  const values = (count: number, spread: number): Float32Array =>
    Float32Array.from({ length: count }, () => (random.next() + random.next() + random.next() - 1.5) * spread)
  const dense = (inputs: number, outputs: number): Dense => ({
    inputs,
    outputs,
    weight: values(inputs * outputs, 0.3),
    bias: values(outputs, 0.1),
  })
  const norm = (): Norm => ({ gain: values(hidden, 0.2).map((value) => 1 + value), bias: values(hidden, 0.1) })
  const integers = Uint8Array.from({ length: (vocabulary * hidden) / 2 }, () => Math.floor(random.next() * 256))
  const scales = new Uint16Array(new Float16Array((vocabulary * hidden) / 32).fill(0.125).buffer)
  const signed = (half: number): number => (half > 7 ? half - 16 : half)
  return {
    hidden,
    heads: 4,
    positions: 32,
    vocabulary,
    epsilon: 1e-12,
    words: Float32Array.from({ length: vocabulary * hidden }, (_, i) => {
      const pair = integers[i >> 1]!
      return signed(i % 2 === 0 ? pair & 15 : pair >> 4) * 0.125
    }),
    words_packed: { integers, scales },
    places: values(32 * hidden, 0.3),
    embedding_norm: norm(),
    layers: Array.from({ length: 2 }, () => ({
      query: dense(hidden, hidden),
      key: dense(hidden, hidden),
      value: dense(hidden, hidden),
      attention_out: dense(hidden, hidden),
      attention_norm: norm(),
      up: dense(hidden, wide),
      down: dense(wide, hidden),
      out_norm: norm(),
    })),
  }
}
