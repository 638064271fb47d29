/** Freshness: once all is calm, a click leads to a new list within two virtual seconds, of which most are the wait for company. */
import type { Checker } from './evidence.ts'

export const freshness_bound_ms = 2_000

export const freshness: Checker = {
  name: 'freshness',
  check: ({ calm, freshness_ms }) =>
    !calm || (freshness_ms !== null && freshness_ms <= freshness_bound_ms)
      ? []
      : [
          {
            checker: 'freshness',
            anomaly: 'stale',
            detail:
              freshness_ms === null ? 'no list within 10 s of a click' : `${Math.round(freshness_ms)} ms from click to list`,
          },
        ],
}
