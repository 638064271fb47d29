/** `users.profiles.v1`: what is known of one pseudonymous user, as vectors and recent interactions. */
import type { InteractionType } from './interaction.ts'
import type { Vector } from './vector.ts'

/** The most recent interactions kept in a profile. */
export const recent_max = 50

export type RecentInteraction = {
  readonly event_id: string
  readonly item_id: string
  readonly type: InteractionType
  readonly occurred_at: number
  /** What the interaction added to the preference vector before decay; negative for dislikes. */
  readonly weight: number
}

export type Profile = {
  readonly user_key: string
  /** Decayed sum of item vectors over days; [dims], not normalised; null until the first item with a vector. */
  readonly preference: Vector | null
  /** The same over the present session. */
  readonly session: Vector | null
  /** Newest first, at most recent_max. */
  readonly recent: readonly RecentInteraction[]
  /** Bought items, newest first, at most recent_max. */
  readonly bought: readonly string[]
  readonly events: number
  /** Event time the vectors are decayed to, epoch ms; never goes back. */
  readonly as_of: number
  readonly model_digest: string
  /** Newest event: when it occurred, and when it entered the log (for event-to-recommendation latency). */
  readonly last_occurred_at: number
  readonly last_received_at: number
}
