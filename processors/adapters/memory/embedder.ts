/** A test double of the Embedder: hashed words and letter trigrams. It knows spelling and no meaning; nothing that ships uses it. */

import { Fault } from '../../domain/fault.ts'
import { digestOf } from '../../domain/ids.ts'
import type { Vector } from '../../domain/vector.ts'
import type { Embedder } from '../../ports/embedder.ts'

/** FNV-1a over UTF-16 code units, 32 bits. */
const hashOf = (text: string, seed: number): number => {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return (hash ^ (hash >>> 15)) >>> 0
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters separate words, as in every tokeniser
const between_words = /[\s\u0000-\u001f\u007f]+/u

/** The most words a text may have; the rest is cut, as a transformer cuts tokens. */
const words_max = 256

const vectorOf = (text: string, dims: number): Vector | Fault => {
  const words = text.toWellFormed().normalize('NFKC').toLowerCase().split(between_words).filter(Boolean).slice(0, words_max)
  if (words.length === 0) return new Fault('embed.empty', 'Nothing is left of the text once it is split into words.')
  const sums = new Float64Array(dims)
  const add = (feature: string, weight: number): void => {
    const sign = hashOf(feature, 1) & 1 ? 1 : -1
    sums[hashOf(feature, 0) % dims]! += sign * weight
  }
  for (const word of words) {
    add(word, 1)
    const edged = `<${word.slice(0, 64)}>`
    for (let i = 0; i + 3 <= edged.length; i++) add(edged.slice(i, i + 3), 0.5)
  }
  // Signs may cancel in a very short text; its first word always leaves something.
  if (sums.every((value) => value === 0)) add(words[0]!, 1)
  let squares = 0
  for (const value of sums) squares += value * value
  const length = Math.sqrt(squares)
  return Float32Array.from(sums, (value) => value / length)
}

/** Deterministic vectors of length 1 in which like spellings are near. `dims` from 8; 64 is enough for tests. */
export const memoryEmbedder = (dims = 64): Embedder => {
  let closed = false
  return {
    model: {
      name: `test double: hashed words, ${dims} dims`,
      digest: digestOf('memory embedder 1', String(dims)),
      dims,
      tokens_max: words_max,
    },
    embed: async (texts) => {
      if (closed) throw new Fault('embedder.unavailable', 'The embedder is closed.')
      return texts.map((text) => vectorOf(text, dims))
    },
    close: async () => {
      closed = true
    },
  }
}
