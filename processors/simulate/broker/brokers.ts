/** The brokers: topics and their partitions, replication, leaders that fail, long polls, and what coordinates transactions and groups. */
import type { TopicPartition } from '../../domain/record.ts'
import type { Scheduler } from '../scheduler.ts'
import type { Weather } from '../weather.ts'
import { type GroupCoordinator, openGroups } from './groups.ts'
import { type Appended, type Entry, type NewRecord, type ProducerStamp, type Refusal, SimPartition } from './partition.ts'
import { openTransactionCoordinator, type TransactionCoordinator } from './transactions.ts'

export type SimTopic = {
  readonly name: string
  readonly compact: boolean
  readonly partitions: SimPartition[]
  readonly born: number
}

/** Committed records with their offset, as a fetch answers them. */
export type Fetched = {
  readonly entries: readonly Entry[]
  readonly aborted: readonly { readonly producer_id: number; readonly first: number }[]
  readonly high_watermark: number
  readonly last_stable: number
  readonly start: number
}

export type Brokers = {
  readonly topics: Map<string, SimTopic>
  /** Topics that were deleted, for checkers. */
  readonly deleted: SimTopic[]
  readonly transactions: TransactionCoordinator
  readonly groups: GroupCoordinator
  createTopic(name: string, partitions: number, compact: boolean): 'created' | 'exists'
  deleteTopic(name: string): void
  partition(at: TopicPartition): SimPartition | undefined
  /** Answers once all replicas have the records. */
  produce(
    at: TopicPartition,
    records: readonly NewRecord[],
    stamp: ProducerStamp | null,
    answer: (outcome: Appended | Refusal) => void,
  ): void
  /** Writes a marker, and answers once all replicas have it. */
  mark(at: TopicPartition, producer_id: number, epoch: number, marker: 'commit' | 'abort', done: () => void): void
  /** Up to the last stable offset; `uncommitted` up to the high watermark, with nothing said of what was aborted. */
  fetch(at: TopicPartition, from: number, records_max: number, uncommitted: boolean): Fetched | Refusal
  /** Calls back once, when a partition has something new to read or after so long. */
  whenNews(places: readonly TopicPartition[], wait_ms: number, back: () => void): void
  /** The partition's leader fails now; `tail` says whether followers had less than it. */
  failLeader(at: TopicPartition): number
}

const replicate_ms = 1.5
const election_ms = 40
export const broker_count = 3

export const openBrokers = (scheduler: Scheduler, weather: Weather): Brokers => {
  const topics = new Map<string, SimTopic>()
  const deleted: SimTopic[] = []
  const waiting = new Map<SimPartition, Set<() => void>>()
  const electing = new Map<SimPartition, number>()
  /** Producers whose records are not on all replicas yet, by partition. */
  const unacknowledged = new Map<SimPartition, { readonly end: number; readonly answer: (ok: boolean) => void }[]>()
  let births = 0

  const partition = (at: TopicPartition) => topics.get(at.topic)?.partitions[at.partition]
  const news = (of: SimPartition) => {
    const sleepers = waiting.get(of)
    if (sleepers === undefined) return
    waiting.delete(of)
    for (const wake of sleepers) wake()
  }

  const replicate = (of: SimPartition, answer: (ok: boolean) => void) => {
    const end = of.end
    const list = unacknowledged.get(of) ?? []
    list.push({ end, answer })
    unacknowledged.set(of, list)
    const epoch = of.leader_epoch
    scheduler.after(replicate_ms * (0.5 + weather.uniform()), null, () => {
      if (of.leader_epoch !== epoch) return
      of.replicateTo(end)
      const left = unacknowledged.get(of) ?? []
      unacknowledged.set(
        of,
        left.filter((each) => each.end > of.high_watermark),
      )
      for (const each of left) if (each.end <= of.high_watermark) each.answer(true)
      news(of)
    })
  }

  const failLeader = (at: TopicPartition): number => {
    const of = partition(at)
    if (of === undefined) return 0
    // Followers may have caught up with everything, or with what was acknowledged only.
    if (weather.uniform() < 0.5) of.replicateTo(of.end)
    const lost = of.fail((of.leader % broker_count) + 1)
    electing.set(of, scheduler.now_ms() + election_ms * weather.uniform())
    const list = unacknowledged.get(of) ?? []
    unacknowledged.delete(of)
    for (const each of list) each.answer(each.end <= of.high_watermark)
    news(of)
    return lost
  }

  const refusalOf = (of: SimPartition | undefined): Refusal | undefined => {
    if (of === undefined) return { refused: 'UNKNOWN_TOPIC_OR_PARTITION' }
    if ((electing.get(of) ?? 0) > scheduler.now_ms()) return { refused: 'NOT_LEADER_FOR_PARTITION' }
    return undefined
  }

  const transactions = openTransactionCoordinator(scheduler, weather, (at, producer_id, epoch, marker, done) =>
    self.mark(at, producer_id, epoch, marker, done),
  )

  const self: Brokers = {
    topics,
    deleted,
    transactions,
    groups: openGroups(scheduler, weather, (topic) => topics.get(topic)?.partitions.length ?? 0),
    createTopic: (name, partitions, compact) => {
      if (topics.has(name)) return 'exists'
      topics.set(name, {
        name,
        compact,
        born: births++,
        partitions: Array.from({ length: partitions }, (_, i) => new SimPartition(1 + ((births + i) % broker_count))),
      })
      return 'created'
    },
    deleteTopic: (name) => {
      const topic = topics.get(name)
      if (topic === undefined) return
      topics.delete(name)
      deleted.push(topic)
      for (const each of topic.partitions) news(each)
    },
    partition,
    produce: (at, records, stamp, answer) => {
      const of = partition(at)
      const refused = refusalOf(of)
      if (of === undefined || refused !== undefined) return answer(refused!)
      if (weather.strikes('disk_full')) return answer({ refused: 'KAFKA_STORAGE_ERROR' })
      if (stamp?.transactional === true && !transactions.verifies(stamp.producer_id, stamp.epoch, at))
        return answer({ refused: 'INVALID_TXN_STATE' })
      const outcome = stamp === null ? { base_offset: of.put(records), duplicate: false } : of.append(records, stamp)
      if ('refused' in outcome) return answer(outcome)
      if (weather.strikes('leader_moved')) {
        // Answered by nobody: the producer asks the next leader, which may have the records already.
        failLeader(at)
        return answer({ refused: 'NOT_LEADER_FOR_PARTITION' })
      }
      replicate(of, (ok) => answer(ok ? outcome : { refused: 'NOT_LEADER_FOR_PARTITION' }))
    },
    mark: (at, producer_id, epoch, marker, done) => {
      const attempt = () => {
        const of = partition(at)
        if (of === undefined) return done()
        of.mark(producer_id, epoch, marker, Math.floor(scheduler.epoch_ms + scheduler.now_ms()))
        // The coordinator writes its markers until they are on all replicas.
        replicate(of, (ok) => (ok ? done() : attempt()))
      }
      attempt()
    },
    fetch: (at, from, records_max, uncommitted) => {
      const of = partition(at)
      const refused = refusalOf(of)
      if (of === undefined || refused !== undefined) return refused!
      if (from < of.start || from > of.high_watermark) return { refused: 'OFFSET_OUT_OF_RANGE' }
      const last_stable = uncommitted ? of.high_watermark : of.lastStable()
      const entries: Entry[] = []
      for (let i = of.indexOf(from); i < of.entries.length && entries.length < records_max; i++) {
        const entry = of.entries[i]!
        if (entry.offset >= last_stable) break
        if (!entry.compacted) entries.push(entry)
      }
      const end = entries.at(-1)?.offset ?? from
      // As brokers do: all that overlap the answer, in the order in which they ended.
      const aborted = uncommitted ? [] : of.aborted.filter(({ first, last }) => last >= from && first <= end)
      return { entries, aborted, high_watermark: of.high_watermark, last_stable, start: of.start }
    },
    whenNews: (places, wait_ms, back) => {
      let told = false
      const tell = () => {
        if (told) return
        told = true
        cancel()
        for (const of of sleeping) waiting.get(of)?.delete(tell)
        back()
      }
      const sleeping = places.flatMap((at) => partition(at) ?? [])
      const cancel = scheduler.after(wait_ms, null, tell)
      for (const of of sleeping) {
        const sleepers = waiting.get(of) ?? new Set()
        waiting.set(of, sleepers.add(tell))
      }
    },
    failLeader,
  }
  return self
}
