/** What a run of many seeds came to: faults by kind, crashes by point, things that happened sometimes, and what never did. */
import type { SeedResult } from '../../processors/simulate/seed.ts'
import { fault_names } from '../../processors/simulate/weather.ts'

/** Things that a long run has to have seen; a run that never saw one has not tested it. */
export const sometimes_expected = [
  'a leader took unacknowledged records with it',
  'a listing was gone at the end',
  'a topic was made anew',
  'an interaction waited for its item',
  'compaction hid records',
  'drift was found and repaired',
  'killed while frozen',
  'stopped at a gap',
  'stopped cleanly in a storm',
  'the index forgot acknowledged points',
  'the index went back to a snapshot',
] as const

/** Calls whose request and whose completion are crash points each. */
export const crash_points_expected = [
  'metadata',
  'join',
  'offset_fetch',
  'heartbeat',
  'init_producer_id',
  'offsets',
  'read',
  'fetch',
  'registry',
  'embed',
  'add_partitions',
  'produce_output',
  'produce_changelog',
  'end_commit',
  'offset_commit',
  'index_points',
  'index_search',
  'index_write',
].flatMap((call) => [`${call} asked`, `${call} done`])

type Rows = readonly (readonly [string, number])[]

export type Coverage = {
  add(result: SeedResult): void
  report(): {
    /** One hash over all traces, whatever the order in which they came. */
    readonly traces: string
    readonly faults: Rows
    readonly points: number
    readonly killed_at: Rows
    readonly sometimes: Rows
    readonly exits: Rows
    /** Quantiles, whole ms. */
    readonly recovery_ms: (q: number) => number
    readonly freshness_ms: (q: number) => number
    readonly drift: number
    readonly events: number
    /** What was expected and never happened. */
    readonly missing: readonly string[]
  }
}

export const coverage_of = (): Coverage => {
  const faults = new Map<string, number>()
  const reached = new Map<string, number>()
  const killed_at = new Map<string, number>()
  const sometimes = new Map<string, number>()
  const exits = new Map<string, number>()
  const recoveries: number[] = []
  const freshnesses: number[] = []
  let traces = 0
  let drift = 0
  let events = 0
  const addTo = (to: Map<string, number>, name: string, n: number) => void to.set(name, (to.get(name) ?? 0) + n)
  const rows = (of: Map<string, number>): Rows => [...of].sort(([a], [b]) => (a < b ? -1 : 1))
  const quantile = (list: readonly number[]) => {
    const sorted = [...list].sort((a, b) => a - b)
    return (q: number): number => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0)
  }
  return {
    add: (result) => {
      traces = (traces + Math.imul(Number.parseInt(result.trace_hash, 16), 2 * result.seed + 1)) >>> 0
      for (const [name, n] of result.faults) addTo(faults, name, n)
      for (const [name, n] of result.reached) addTo(reached, name, n)
      for (const [name, n] of result.killed_at) addTo(killed_at, name, n)
      for (const name of result.sometimes) addTo(sometimes, name, 1)
      for (const [name, n] of result.exits) addTo(exits, name, n)
      recoveries.push(result.recovery_ms)
      if (result.freshness_ms !== null) freshnesses.push(result.freshness_ms)
      drift += result.drift
      events += result.events
    },
    report: () => ({
      traces: traces.toString(16).padStart(8, '0'),
      faults: rows(faults),
      points: crash_points_expected.length,
      killed_at: rows(killed_at),
      sometimes: rows(sometimes),
      exits: rows(exits),
      recovery_ms: quantile(recoveries),
      freshness_ms: quantile(freshnesses),
      drift,
      events,
      missing: [
        ...fault_names.filter((name) => (faults.get(name) ?? 0) === 0),
        ...crash_points_expected.filter((point) => !killed_at.has(point)).map((point) => `crash at ${point}`),
        ...sometimes_expected.filter((name) => !sometimes.has(name)),
      ],
    }),
  }
}
