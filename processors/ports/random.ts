/** Chance as an argument, so that simulation can own it. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** UUID version 4. */
  uuid(): string
}
