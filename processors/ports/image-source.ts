/** The bytes behind image URLs. A read of the world: what it gave stands in the topic, and a replayed batch may be given something else. */
import type { Fault } from '../domain/fault.ts'

export interface ImageSource {
  /**
   * One file per URL, in order; or the fault of that URL: `image.refused` (scheme, address, size, redirects), `image.missing` (the server
   * says that there is none), `image.unavailable` (no answer, after the tries that it has). Never throws for a URL, and answers in bounded time.
   */
  fetch(urls: readonly string[]): Promise<readonly (Uint8Array | Fault)[]>
}
