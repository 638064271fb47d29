/** Image to vector. A read: it changes nothing, so it may be repeated. */
import type { Fault } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'

export type ImageModelCard = {
  readonly name: string
  /** SHA-256 over everything a vector depends on (weights, size, crop, resampling, mean, deviation), hex. */
  readonly digest: string
  readonly dims: number
}

export interface ImageEmbedder {
  readonly model: ImageModelCard
  /**
   * One vector per image file (JPEG, PNG, WebP, GIF or AVIF bytes), in order, float32 of unit length [dims]; or the fault of that image
   * (`image.refused`: no such format or too many pixels; `image.broken`: cannot be decoded; `embed.degenerate`).
   * Throws `embedder.unavailable` (transient) when the engine cannot answer or is closed.
   */
  embed(images: readonly Uint8Array[]): Promise<readonly (Vector | Fault)[]>
  close(): Promise<void>
}
