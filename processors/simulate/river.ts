/** The river that seeds run: the real topology, with times short enough for a storm of seconds. */
import type { Topology } from '../flow/topology.ts'
import { default_limits, type RuntimeLimits } from '../runtime/limits.ts'
import { topology } from '../topology.ts'
import type { Workshop } from './workshop.ts'

/** Wall time at virtual 0. */
export const epoch_ms = Date.UTC(2026, 10, 23, 12)
/** How long faults strike. */
export const storm_ms = 6_000
/** How long lag zero may take after that. */
export const recovery_max_ms = 60_000

export const limits: RuntimeLimits = {
  ...default_limits,
  progress_timeout_ms: 45_000,
  drain_ms: 2_000,
  backoff_first_ms: 40,
  backoff_max_ms: 800,
}

/** The topology with batches of so many records, gathered for so long. */
export const riverOf = (workshop: Workshop, partitions: number, records_max: number, linger_ms: number): Topology => {
  const bounds = { records_max, bytes_max: 1 << 20, linger_ms }
  return topology({
    name: 'storm',
    prefix: '',
    partitions,
    platforms: workshop.platforms,
    canonicalize: workshop.canonicalize,
    embed: {},
    learn: {
      half_life_ms: 3_600_000,
      session_half_life_ms: 600_000,
      session_gap_ms: 1_800_000,
      weights: { VIEW: 1, CLICK: 1.5, ADD_TO_CART: 4, WISHLIST: 3, PURCHASE: 8, DISMISS: -4 },
      join_wait_ms: 86_400_000,
      join_waiting_max: 10_000,
    },
    recommend: { count: 3, candidates: 6, session_share: 0.5, placement: 'home', expires_ms: 3_600_000, evidence_max: 3 },
    bounds: { canonicalize: bounds, embed: bounds, index: bounds, learn: bounds, recommend: bounds },
  })
}
