/** From the settings people write (days, minutes, texts) to what the verbs read (milliseconds, bytes). */

import type { Platform } from '../canonicalize/platform.ts'
import type { CanonicalizeSettings } from '../canonicalize/settings.ts'
import type { Settings } from '../config/spec.ts'
import type { BatchBounds } from '../flow/topology.ts'
import type { RuntimeLimits } from '../runtime/limits.ts'
import type { TopologySettings } from '../topology.ts'

const minute_ms = 60_000
const day_ms = 86_400_000

export const canonicalizeSettings = (
  settings: Settings,
  user_secret: Uint8Array,
  detect_language: CanonicalizeSettings['detect_language'],
): CanonicalizeSettings => {
  const { reference_currency, rates, rates_as_of, dedupe_horizon_days, dedupe_ids_max, late_after_days } = settings.canonicalize
  return {
    user_secret,
    user_key_version: settings.identity.key_version,
    rates: { reference: reference_currency, rates, as_of: rates_as_of === null ? null : Date.parse(`${rates_as_of}T00:00:00Z`) },
    dedupe_horizon_ms: dedupe_horizon_days * day_ms,
    dedupe_ids_max,
    late_after_ms: late_after_days === 0 ? null : late_after_days * day_ms,
    shops: settings.platforms.shops,
    detect_language,
  }
}

/** `embed` is told by the caller, which knows what counts hits; `lane` is the generation of vectors. */
export const topologySettings = (
  settings: Settings,
  platforms: readonly Platform[],
  canonicalize: CanonicalizeSettings,
  embed: TopologySettings['embed'],
  lane = '',
): TopologySettings => {
  const { learn, model, recommend, stages, topics, kafka } = settings
  const debounced: BatchBounds = { ...stages.recommend, linger_ms: Math.max(stages.recommend.linger_ms, recommend.debounce_ms) }
  return {
    name: kafka.group_prefix,
    prefix: topics.prefix,
    partitions: topics.partitions,
    lane,
    platforms,
    canonicalize,
    embed: { ...embed, forgotten_max: model.forgotten_max },
    learn: {
      half_life_ms: learn.half_life_days * day_ms,
      session_half_life_ms: learn.session_half_life_minutes * minute_ms,
      session_gap_ms: learn.session_gap_minutes * minute_ms,
      weights: learn.weights,
      join_wait_ms: learn.join_wait_minutes * minute_ms,
      join_waiting_max: learn.join_waiting_max,
    },
    recommend: {
      count: recommend.count,
      candidates: recommend.candidates,
      session_share: recommend.session_share,
      placement: recommend.placement,
      expires_ms: recommend.expires_minutes * minute_ms,
      evidence_max: recommend.evidence_max,
    },
    bounds: { ...stages, recommend: debounced },
  }
}

export const runtimeLimits = ({ limits }: Settings): RuntimeLimits => ({
  in_flight_records_max: limits.in_flight_records_max,
  in_flight_bytes_max: limits.in_flight_bytes_max,
  progress_timeout_ms: limits.progress_timeout_s * 1_000,
  drain_ms: limits.drain_s * 1_000,
  backoff_first_ms: limits.backoff_first_ms,
  backoff_max_ms: limits.backoff_max_ms,
  dead_letters_in_row_max: limits.dead_letters_in_row_max,
})
