/** What a seed leaves behind for its checkers, and what they answer with. */
import type { MemoryVectorStore } from '../../adapters/memory/vector-index.ts'
import type { TopicPartition } from '../../domain/record.ts'
import type { Brokers } from '../broker/brokers.ts'
import type { Observations } from '../process.ts'

/** `anomaly` in the words of Jepsen's Kafka workload where it has one: lost write, duplicate, aborted read, nonmonotonic poll, … */
export type Violation = { readonly checker: string; readonly anomaly: string; readonly detail: string }

export type Evidence = {
  readonly brokers: Brokers
  readonly observed: Observations
  readonly index: MemoryVectorStore
  /** Whether lag zero was reached; checkers of the end state have nothing to say otherwise. */
  readonly calm: boolean
  readonly freshness_ms: number | null
  /** Partitions of which records were deleted unread, with the operator's consent. */
  readonly gaps_accepted: readonly TopicPartition[]
  /** Names what happened, for coverage. */
  readonly sometimes: Set<string>
}

export type Checker = { readonly name: string; readonly check: (evidence: Evidence) => readonly Violation[] }
