/**
 * The log: topics of records, one commit for everything a batch causes, fenced per input partition.
 * The rules it must keep are the laws in event-log.contract.ts; their source is the simulated commit protocol (docs/adr).
 */
import type { LogRecord, OutputRecord, TopicPartition } from '../domain/record.ts'
import type { StateChange, StateReader } from './state-store.ts'

/** How long a topic keeps its records: the latest per key, or a number of days. */
export type Retention = 'latest' | { readonly days: number }
export type TopicSpec = { readonly name: string; readonly partitions: number; readonly keep: Retention }

export type PollBounds = {
  readonly records_max: number
  readonly bytes_max: number
  /** How long to gather after the first record is there. */
  readonly linger_ms: number
  /** How long to wait for the first record before returning none. */
  readonly wait_ms: number
}

export type Polled = {
  readonly records: readonly LogRecord[]
  /** First offset not yet written (read-committed end) as last seen; lag = end_offset - next offset. */
  readonly end_offset: number
}

/** Everything one batch causes; visible together or not at all. */
export type Commit = {
  readonly outputs: readonly OutputRecord[]
  readonly state: readonly StateChange[]
  /** The next offset to read. Stored inside the transaction; it alone is believed at restart. */
  readonly position: number
}

/** Ownership of one input partition by one group: earlier owners are fenced, position and state are restored. */
export interface LogTask {
  readonly input: TopicPartition
  /** The next offset to read, as committed; after a commit, the new one. */
  position(): number
  /** State as committed. */
  readonly state: StateReader
  /**
   * Records from the position on, in offset order, read-committed; offsets may be sparse (compaction, transaction markers).
   * Reading moves a cursor, not the position. Returns [] after `wait_ms` or when the signal aborts.
   * Throws `offset.gap` when records at the position were deleted before they were read, `task.fenced` when ownership is lost.
   */
  poll(bounds: PollBounds, signal: AbortSignal): Promise<Polled>
  /**
   * One transaction: outputs, state, position. On success the state reader shows the changes.
   * Throws `task.fenced` when a newer owner exists, `log.unavailable`/`log.full` when nothing was committed for sure,
   * `commit.unknown` when it may have been. After any throw but the transient ones the task must be released and acquired again.
   */
  commit(commit: Commit): Promise<void>
  /** Forgets what was polled but not committed: the next poll starts at the position again. */
  rewind(): void
  /** Gives the partition up without a commit. Idempotent. */
  release(): Promise<void>
}

/** Called by the log when the group's assignment changes. Neither may throw. */
export type AssignmentHandler = {
  /** The partition is this process's now; fenced, positioned and restored. Called again after every rebalance that brings it back. */
  assigned(task: LogTask): void
  /** The partition is being taken away: finish or drop what is in flight. Awaited for at most the rebalance time-out. */
  revoked(input: TopicPartition): Promise<void>
  /** The subscription cannot go on, for this reason. */
  failed(error: unknown): void
}

export interface Subscription {
  /** Asks for the partition again after its task was released because of an error. */
  reacquire(input: TopicPartition): Promise<void>
  /** Leaves the group. */
  close(): Promise<void>
}

export interface EventLog {
  /**
   * Joins `group` as a member reading `topics`. Partitions are shared among the group's members.
   * `accept_gaps` names the partitions on which the operator accepts a deleted range.
   */
  subscribe(
    group: string,
    topics: readonly string[],
    handler: AssignmentHandler,
    accept_gaps?: readonly TopicPartition[],
  ): Promise<Subscription>
  /**
   * Appends outside any task (platforms, tools, tests), idempotently and in order per partition; durable when it resolves.
   * Returns each record's place, in order. One topic-partition a request; the answered set is asserted.
   */
  append(records: readonly OutputRecord[]): Promise<readonly (TopicPartition & { readonly offset: number })[]>
  /** Read-committed records of one partition from `from` (clamped to the oldest) up to the end as it stands when the scan gets there. */
  scan(at: TopicPartition, from: number): AsyncIterable<LogRecord>
  close(): Promise<void>
}

export type PartitionOffsets = TopicPartition & {
  /** Oldest offset still there. */
  readonly start: number
  /** First offset not yet written, read-committed. */
  readonly end: number
}

export interface EventLogAdmin {
  /** Creates what is missing; faults with `topic.mismatch` where partitions differ. Returns the names created. */
  createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]>
  listTopics(): Promise<readonly string[]>
  offsets(topic: string): Promise<readonly PartitionOffsets[]>
  /** The committed next offset of a group on each partition of a topic; 0 where it never committed. */
  positions(group: string, topic: string): Promise<readonly (TopicPartition & { readonly position: number })[]>
  close(): Promise<void>
}
