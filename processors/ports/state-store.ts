/** A task's local state: a cache of what its commits wrote, readable without waiting. */

/** A null value deletes the key. */
export type StateChange = { readonly key: string; readonly value: Buffer | null }

export interface StateReader {
  /** The committed value, or undefined. The buffer is not to be changed. */
  get(key: string): Buffer | undefined
  /** Committed entries whose key starts with `prefix`, by key in code-unit order, at most `limit`. */
  entries(prefix: string, limit: number): readonly (readonly [key: string, value: Buffer])[]
}

export interface StateStore extends StateReader {
  /** Takes over changes that are committed already. The last change of a key wins. */
  apply(changes: readonly StateChange[]): void
  /** Forgets everything, before a restore. */
  clear(): void
  /** Number of keys. */
  size(): number
}
