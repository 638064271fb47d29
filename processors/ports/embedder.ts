/** Text to vector. A read: it changes nothing, so it may be repeated. */
import type { Fault } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'

export type ModelCard = {
  readonly name: string
  /** SHA-256 of the weights, hex. */
  readonly digest: string
  readonly dims: number
  /** Texts are cut to this many tokens, special tokens included. */
  readonly tokens_max: number
}

export interface Embedder {
  readonly model: ModelCard
  /**
   * One vector per text, in order, float32 of unit length [dims]; or the fault of that text (`embed.empty`, `embed.degenerate`).
   * Throws `embedder.unavailable` (transient) when the engine cannot answer.
   * A text's vector does not depend on the texts beside it.
   */
  embed(texts: readonly string[]): Promise<readonly (Vector | Fault)[]>
  close(): Promise<void>
}
