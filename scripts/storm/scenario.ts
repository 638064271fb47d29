/** What a scenario of the storm is, what it is given, and what it answers. */
import type { KafkaServer } from '../servers/kafka.ts'
import type { Chance } from './chance.ts'

/** One invariant with its figure, such as `lost`, `0 of 12,000`. */
export type Check = { readonly name: string; readonly figure: string; readonly holds: boolean }

/** What was done from outside, by name: `SIGKILL mid-write`: 3. */
export type Injected = Record<string, number | string>

export type Outcome = {
  /** The size of this run, in the words of the fault matrix. */
  readonly ran: string
  readonly injected: Readonly<Injected>
  readonly checks: readonly Check[]
  /** Facts without a verdict: what was used, seconds to recover, memory. */
  readonly notes: readonly string[]
}

/** Not run, and why; never counted as passed. */
export type Skipped = { readonly skipped: string }

/** `short` is for a gate, `default` for one's own machine in 20 minutes, `full` the size that the matrix writes. */
export type Size = 'short' | 'default' | 'full'

export type Storm = {
  readonly size: Size
  readonly chance: Chance
  /** Folder of this scenario; removed afterwards unless --keep. */
  readonly folder: string
  /** A line of progress. */
  readonly say: (line: string) => void
  /** Brokers that the scenarios share, started on first use. */
  readonly kafka: (brokers: 1 | 3) => Promise<KafkaServer>
  /** Base URL of the schema registry, started on first use. */
  readonly registry: () => Promise<string>
  /** Base URL of Qdrant; undefined where there is no binary on PATH. */
  readonly qdrant: () => Promise<string | undefined>
  /** Ends when the scenario's time is up: everything that waits gives up by throwing. */
  readonly patience: AbortSignal
}

export type Scenario = {
  readonly id: string
  readonly title: string
  /** The size that the fault matrix writes. */
  readonly written: string
  /** Part of --short. */
  readonly short: boolean
  readonly run: (storm: Storm) => Promise<Outcome | Skipped>
}

/** The value for this size of run. */
export const sized = <T>(storm: Storm, values: Readonly<Record<Size, T>>): T => values[storm.size]

export const zero = (name: string, count: number, of?: number): Check => ({
  name,
  figure: of === undefined ? String(count) : `${count} of ${of}`,
  holds: count === 0,
})
export const atLeast = (name: string, count: number, least: number): Check => ({
  name,
  figure: `${count} (at least ${least})`,
  holds: count >= least,
})
export const atMost = (name: string, value: number, most: number, unit = ''): Check => ({
  name,
  figure: `${Number.isInteger(value) ? value : value.toFixed(1)}${unit} (at most ${most}${unit})`,
  holds: value <= most,
})
export const says = (name: string, holds: boolean, figure = holds ? 'yes' : 'no'): Check => ({ name, figure, holds })
