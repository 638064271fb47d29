/** An embedder that misbehaves for some titles, as a broken model would: the runtime must find out before the index does. */
import type { Vector } from '../../domain/vector.ts'
import type { Embedder } from '../../ports/embedder.ts'

/** What the model answers to these titles. */
export const degenerate_titles: Readonly<Record<string, (dims: number) => Vector>> = {
  'a vector of zeros': (dims) => new Float32Array(dims),
  'a vector of NaN': (dims) => new Float32Array(dims).fill(Number.NaN),
  'a vector too short': () => new Float32Array([1]),
  'a vector of length 1e30': (dims) => new Float32Array(dims).fill(1e30),
}

export const moody = (inner: Embedder): Embedder => ({
  ...inner,
  embed: async (texts) => {
    const vectors = await inner.embed(texts)
    return vectors.map((vector, i) => {
      const title = Object.keys(degenerate_titles).find((one) => texts[i]!.includes(one))
      return title === undefined ? vector : degenerate_titles[title]!(inner.model.dims)
    })
  },
})
