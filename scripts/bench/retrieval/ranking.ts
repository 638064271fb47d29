/** How well scores find what belongs together: hits among the first k, fusion of two scorings, and how far chance can move a figure. */
import type { Scores } from './lexical.ts'

/** Chance that none of `wanted` things is among the first `places` of `wanted + others` things in random order. */
const missed = (wanted: number, others: number, places: number): number => {
  let chance = 1
  for (let place = 0; place < places; place++) chance *= Math.max(0, others - place) / (wanted + others - place)
  return chance
}

/**
 * The chance that a true match is among the first k, equal scores in random order: 0, 1, or between when a tie crosses the k-th place.
 * `self` is a document that is the query itself, and not counted; null where queries and documents are apart.
 */
export const hitAt = (scores: Scores, matches: ReadonlySet<number>, k: number, self: number | null = null): number => {
  let best = Number.NEGATIVE_INFINITY
  for (const match of matches) if (match !== self && scores[match]! > best) best = scores[match]!
  let better = 0
  let tied = 0
  let wanted = 0
  for (let document = 0; document < scores.length; document++) {
    if (document === self) continue
    const score = scores[document]!
    if (matches.has(document)) {
      if (score === best) wanted++
    } else if (score > best) better++
    else if (score === best) tied++
  }
  if (better >= k || wanted === 0) return 0
  return better + tied < k ? 1 : 1 - missed(wanted, tied, k - better)
}

/** 1-based ranks, the mean rank for equal scores. */
export const ranksOf = (scores: Scores): Float64Array => {
  const order = new Uint32Array(scores.length).map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const ranks = new Float64Array(scores.length)
  for (let from = 0; from < order.length; ) {
    let to = from + 1
    while (to < order.length && scores[order[to]!] === scores[order[from]!]) to++
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + 1 + to) / 2
    from = to
  }
  return ranks
}

/** Reciprocal rank fusion with the usual constant 60 (Cormack et al., 2009). */
export const fusedByRank = (...scorings: readonly Scores[]): Scores => {
  const fused = new Float64Array(scorings[0]!.length)
  for (const ranks of scorings.map(ranksOf)) for (let i = 0; i < fused.length; i++) fused[i]! += 1 / (60 + ranks[i]!)
  return fused
}

/** Mean of the standard scores of each scoring, that is with the mean of its scores at 0 and their deviation at 1. */
export const fusedByScore = (...scorings: readonly Scores[]): Scores => {
  const fused = new Float64Array(scorings[0]!.length)
  for (const scores of scorings) {
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
    const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length)
    if (deviation > 0) for (let i = 0; i < fused.length; i++) fused[i]! += (scores[i]! - mean) / deviation / scorings.length
  }
  return fused
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)

/** Half of the 95 % interval of a share `p` of `n` independent trials (Wilson). */
export const halfInterval = (p: number, n: number): number => {
  const z = 1.96
  return (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))
}

/** 95 % interval of `mean(of) / mean(to)` over queries drawn again with replacement, `draws` times; the queries stay paired. */
export const ratioInterval = (
  of: readonly number[],
  to: readonly number[],
  next: () => number,
  draws = 1_000,
): { readonly low: number; readonly high: number } => {
  const ratios: number[] = []
  for (let draw = 0; draw < draws; draw++) {
    let a = 0
    let b = 0
    for (let i = 0; i < of.length; i++) {
      const at = Math.floor(next() * of.length)
      a += of[at]!
      b += to[at]!
    }
    ratios.push(b === 0 ? 1 : a / b)
  }
  ratios.sort((a, b) => a - b)
  return { low: ratios[Math.floor(draws * 0.025)]!, high: ratios[Math.ceil(draws * 0.975) - 1]! }
}
