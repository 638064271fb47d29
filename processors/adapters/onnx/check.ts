/** Does this machine compute what the card's maker computed? A kernel or a tokeniser that differs shows in the first numbers. */
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import { type CheckText, check_head_numbers, type EncoderCard } from './card.ts'

/** Largest difference of one number. A cosine of 0.996, which saturating int8 kernels give, is 0.0046 a number on average at 384 dims. */
export const check_tolerance = 0.004

/** The text and what a card keeps of its vector, to six decimals. */
export const checkTextOf = (text: string, vector: Vector): CheckText => ({
  text,
  head: Array.from(vector.subarray(0, check_head_numbers), (number) => Math.round(number * 1e6) / 1e6),
})

/**
 * The largest difference of a number between the card's heads and `vectors`, the vectors of those texts in order; a vector that is
 * missing or a fault differs by Infinity. 0 where the card has no check.
 */
export const checkDifference = (card: EncoderCard, vectors: readonly (Vector | Fault | undefined)[]): number => {
  let most = 0
  for (const [at, { head }] of card.check.entries()) {
    const vector = vectors[at]
    if (vector === undefined || vector instanceof Fault) return Number.POSITIVE_INFINITY
    for (const [i, number] of head.entries()) most = Math.max(most, Math.abs(number - (vector[i] ?? Number.NaN)))
    if (Number.isNaN(most)) return Number.POSITIVE_INFINITY
  }
  return most
}

/** Throws `model.check` when the vectors of the card's texts are not the ones it says. */
export const assertCheck = (card: EncoderCard, vectors: readonly (Vector | Fault | undefined)[]): void => {
  const difference = checkDifference(card, vectors)
  if (difference <= check_tolerance) return
  throw new Fault(
    'model.check',
    `${card.name} computes other vectors here than where it was made: numbers differ by up to ${difference.toFixed(4)}, ${check_tolerance} is allowed. Try another of model.providers, or \`npm ci\`; \`entrepot model verify\` says more.`,
    { difference: Number.isFinite(difference) ? difference : -1 },
  )
}
