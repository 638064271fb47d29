/** Text to vector. A read: it changes nothing, so it may be repeated. */
import type { Fault } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'

export type ModelCard = {
  readonly name: string
  /** SHA-256 over everything a vector depends on (weights, tokeniser, prefix, pooling, cut), hex. Vectors of two digests do not compare. */
  readonly digest: string
  readonly dims: number
  /** Texts are cut to this many tokens, special tokens included. */
  readonly tokens_max: number
}

export type EmbedOptions = {
  /** Somebody waits for the answer, as for a search: it goes before texts that were asked for earlier. */
  readonly urgent?: boolean
}

export interface Embedder {
  readonly model: ModelCard
  /**
   * One vector per text, in order, float32 of unit length [dims]; or the fault of that text (`embed.empty`, `embed.degenerate`).
   * Throws `embedder.unavailable` (transient) when the engine cannot answer or is closed.
   * Where the engine has more than it can hold, the call waits for room: who waits for its answer asks no faster than it computes.
   * A text's vector does not depend on the texts beside it: to the bit for the encoders that ship (the laws are in embedder.contract.ts).
   */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<readonly (Vector | Fault)[]>
  close(): Promise<void>
}
