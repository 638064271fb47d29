/** `recommendations.v1`: a ranked list for one user, with the score of each item by term and the reason. */

export const reason_codes = [
  'SIMILAR_TO_VIEWED',
  'SIMILAR_TO_BOUGHT',
  'BOUGHT_TOGETHER',
  'USERS_LIKE_YOU',
  'TRENDING',
  'NEW',
  'MATCHES_QUERY',
  'CHEAPER_ELSEWHERE',
  'RULE',
  'SPONSORED',
  'EXPLORE',
] as const
export type ReasonCode = (typeof reason_codes)[number]

export type Reason = {
  readonly code: ReasonCode
  /** Share of the item's score that this reason carries, 0 to 1. */
  readonly weight: number
  /** The interactions that carry it. */
  readonly evidence: readonly { readonly event_id: string; readonly item_id: string }[]
  readonly text: string
}

export type Offer = { readonly platform: string; readonly item_id: string; readonly price_ref_minor: number | null }

export type RecommendedItem = {
  /** 1 is first. */
  readonly rank: number
  readonly item_id: string
  readonly title: string
  readonly score: number
  /** Terms that add up to `score`: `preference`, `session`. */
  readonly scores: Readonly<Record<string, number>>
  readonly reasons: readonly Reason[]
  readonly offers: readonly Offer[]
}

export type Recommendation = {
  /** UUID v5 of (user, offset of the profile), so that a repeat is recognised. */
  readonly recommendation_id: string
  readonly user_key: string
  readonly placement: string
  readonly items: readonly RecommendedItem[]
  readonly model_digest: string
  /** Offset of the profile in users.profiles.v1. */
  readonly profile_version: number
  readonly generated_at: number
  readonly expires_at: number
  /** From the newest interaction's entry into the log to this list, ms. */
  readonly latency_ms: number
  /** Age of the newest interaction used, by event time, ms. */
  readonly freshness_ms: number
  /** How many candidates each rule took out. */
  readonly filtered_out: Readonly<Record<string, number>>
}
