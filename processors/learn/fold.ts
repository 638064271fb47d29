/** One interaction moves one profile. Pure, without a clock, in one order of operations: replay gives the same bytes. */
import { decay } from '../domain/decay.ts'
import type { Interaction, InteractionType } from '../domain/interaction.ts'
import { type Profile, type RecentInteraction, recent_max } from '../domain/profile.ts'
import type { Vector } from '../domain/vector.ts'

export type LearnSettings = {
  /** Half-life of the preference vector. */
  readonly half_life_ms: number
  /** Half-life of the session vector. */
  readonly session_half_life_ms: number
  /** A longer silence starts a new session. */
  readonly session_gap_ms: number
  /** Weight by interaction type; a type without weight teaches nothing. */
  readonly weights: Readonly<Partial<Record<InteractionType, number>>>
  /** How long an interaction waits for its item to be indexed before it is dead-lettered. */
  readonly join_wait_ms: number
  /** At most this many wait per partition; the oldest goes first. */
  readonly join_waiting_max: number
  /**
   * What comes of an interaction whose item is not indexed: it waits, unless it is drawn from history, where the item is gone for good
   * and not yet to come. `wait` unless told.
   */
  readonly unknown_item?: 'wait' | 'drop'
}

/** The weights of the reference vocabulary; ratings count by value, see weightOf. */
export const default_weights: LearnSettings['weights'] = {
  VIEW: 1,
  CLICK: 1.5,
  ADD_TO_CART: 4,
  REMOVE_FROM_CART: -2,
  WISHLIST: 3,
  CHECKOUT: 4,
  PURCHASE: 8,
  REFUND: -6,
  RATE: 8,
  REVIEW: 8,
  SHARE: 2,
  DISMISS: -4,
}

/** What the interaction says of its item: positive for liking. A rating r in [0, 1] counts (2r - 1) times its type's weight. */
export const weightOf = (interaction: Interaction, weights: LearnSettings['weights']): number => {
  const weight = weights[interaction.type] ?? 0
  if (interaction.type !== 'RATE' && interaction.type !== 'REVIEW') return weight
  return interaction.rating === null ? 0 : (2 * interaction.rating - 1) * weight
}

/** A user of whom nothing is known. */
export const stranger = (user_key: string, model_digest: string): Profile => ({
  user_key,
  preference: null,
  session: null,
  recent: [],
  bought: [],
  events: 0,
  as_of: 0,
  model_digest,
  last_occurred_at: 0,
  last_received_at: 0,
})

/** `keep * sum + pull * item`, componentwise in float64, rounded once to float32. `sum` null counts as zero. [d], [d] -> [d]. */
export const towards = (sum: Vector | null, keep: number, item: Vector, pull: number): Vector => {
  const next = new Float32Array(item.length)
  for (let i = 0; i < item.length; i++) next[i] = (sum === null ? 0 : keep * sum[i]!) + pull * item[i]!
  return next
}

const faded = (sum: Vector | null, keep: number): Vector | null => (sum === null || keep === 1 ? sum : sum.map((x) => keep * x))

const unique = (items: readonly string[]): readonly string[] => [...new Set(items)]

/**
 * The profile after one more interaction: `P(t) = sum over events of w_i * 2^(-(t - t_i)/half_life) * v_i` (Rocchio's positive and
 * negative terms with exponential forgetting). `as_of` never goes back: a late event enters with the weight it has left.
 */
export const fold = (before: Profile, interaction: Interaction, item: Vector, settings: LearnSettings): Profile => {
  const weight = weightOf(interaction, settings.weights)
  const first = before.events === 0
  const as_of = first ? interaction.occurred_at : Math.max(before.as_of, interaction.occurred_at)
  const passed_ms = first ? 0 : as_of - before.as_of
  const late_ms = as_of - interaction.occurred_at

  const preference = towards(
    before.preference,
    decay(passed_ms, settings.half_life_ms),
    item,
    weight * decay(late_ms, settings.half_life_ms),
  )
  const kept_session =
    passed_ms > settings.session_gap_ms ? null : faded(before.session, decay(passed_ms, settings.session_half_life_ms))
  const session =
    late_ms > settings.session_gap_ms
      ? kept_session
      : towards(kept_session, 1, item, weight * decay(late_ms, settings.session_half_life_ms))

  const entry: RecentInteraction = {
    event_id: interaction.event_id,
    item_id: interaction.item_id!,
    type: interaction.type,
    occurred_at: interaction.occurred_at,
    weight,
  }
  const at = before.recent.findIndex((other) => other.occurred_at <= entry.occurred_at)
  const recent = (at < 0 ? [...before.recent, entry] : before.recent.toSpliced(at, 0, entry)).slice(0, recent_max)
  const bought =
    interaction.type === 'PURCHASE'
      ? unique([entry.item_id, ...before.bought]).slice(0, recent_max)
      : interaction.type === 'REFUND'
        ? before.bought.filter((id) => id !== entry.item_id)
        : before.bought

  return {
    user_key: before.user_key,
    preference,
    session,
    recent,
    bought,
    events: before.events + 1,
    as_of,
    model_digest: before.model_digest,
    last_occurred_at: Math.max(before.last_occurred_at, interaction.occurred_at),
    last_received_at: Math.max(before.last_received_at, interaction.received_at),
  }
}
