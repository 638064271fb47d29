/**
 * One partition as Kafka's brokers hold it: batches with producer, epoch and sequence, markers, the high watermark behind which a
 * leader that fails takes records with it, and the last stable offset. Nothing is really deleted: checkers read all that ever was.
 */
import type { Header } from '../../domain/record.ts'

export type NewRecord = {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  readonly timestamp_ms: number
}

/** Who writes: `sequence` counts this producer's records of the partition within its epoch. */
export type ProducerStamp = {
  readonly producer_id: number
  readonly epoch: number
  readonly sequence: number
  readonly transactional: boolean
}

export type Entry = NewRecord & {
  readonly offset: number
  readonly producer_id: number
  readonly transactional: boolean
  /** A marker ends a producer's open transaction and holds no record. */
  readonly marker: 'commit' | 'abort' | null
  /** Set when its transaction has ended. */
  outcome: 'open' | 'committed' | 'aborted'
  /** Hidden by compaction. */
  compacted: boolean
}

/** A refusal by name, as Kafka's protocol knows them. */
export type Refusal = { readonly refused: string }
export type Appended = { readonly base_offset: number; readonly duplicate: boolean }

type ProducerState = {
  epoch: number
  /** The last batches, by which a repeated one is recognised: Kafka keeps five. */
  batches: { first: number; last: number; offset: number }[]
  open_since: number | null
}

const batches_kept = 5

export class SimPartition {
  readonly entries: Entry[] = []
  /** What was lost with a leader: acknowledged to nobody. */
  readonly truncated: Entry[] = []
  start = 0
  /** Everything below is on all replicas. */
  high_watermark = 0
  leader: number
  leader_epoch = 0
  aborted: { readonly producer_id: number; readonly first: number; readonly last: number }[] = []
  #producers = new Map<number, ProducerState>()

  constructor(leader: number) {
    this.leader = leader
  }

  get end(): number {
    return this.entries.length === 0 ? this.#base : this.entries.at(-1)!.offset + 1
  }

  /** Offset of the first record a recreated topic gets. */
  #base = 0

  /** Where readers of committed records must stop. */
  lastStable(): number {
    let least = this.high_watermark
    for (const { open_since } of this.#producers.values()) if (open_since !== null && open_since < least) least = open_since
    return least
  }

  #push(entry: Omit<Entry, 'offset' | 'compacted'>): number {
    const offset = this.end
    this.entries.push({ ...entry, offset, compacted: false })
    return offset
  }

  /** Appends without a producer's guarantees: a platform's own client. */
  put(records: readonly NewRecord[]): number {
    const base = this.end
    for (const record of records)
      this.#push({ ...record, producer_id: -1, transactional: false, marker: null, outcome: 'committed' })
    return base
  }

  append(records: readonly NewRecord[], stamp: ProducerStamp): Appended | Refusal {
    const { producer_id, epoch, sequence, transactional } = stamp
    let state = this.#producers.get(producer_id)
    if (state === undefined) {
      state = { epoch, batches: [], open_since: null }
      this.#producers.set(producer_id, state)
    }
    if (epoch < state.epoch) return { refused: 'INVALID_PRODUCER_EPOCH' }
    if (epoch > state.epoch) {
      state.epoch = epoch
      state.batches = []
    }
    const last = sequence + records.length - 1
    const known = state.batches.find((batch) => batch.first === sequence && batch.last === last)
    if (known !== undefined) return { base_offset: known.offset, duplicate: true }
    const expected = state.batches.length === 0 ? 0 : state.batches.at(-1)!.last + 1
    if (sequence !== expected) return { refused: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }
    const base_offset = this.end
    if (transactional) state.open_since ??= base_offset
    for (const record of records)
      this.#push({ ...record, producer_id, transactional, marker: null, outcome: transactional ? 'open' : 'committed' })
    state.batches.push({ first: sequence, last, offset: base_offset })
    if (state.batches.length > batches_kept) state.batches.shift()
    return { base_offset, duplicate: false }
  }

  /** Ends the producer's transaction here; an older epoch can write no more. */
  mark(producer_id: number, epoch: number, marker: 'commit' | 'abort', now_ms: number): void {
    const state = this.#producers.get(producer_id) ?? { epoch, batches: [], open_since: null }
    this.#producers.set(producer_id, state)
    if (epoch > state.epoch) {
      state.epoch = epoch
      state.batches = []
    }
    const first = state.open_since
    const offset = this.#push({
      key: null,
      value: null,
      headers: [],
      timestamp_ms: now_ms,
      producer_id,
      transactional: true,
      marker,
      outcome: 'committed',
    })
    state.open_since = null
    if (first === null) return
    for (let i = this.entries.length - 1; i >= 0 && this.entries[i]!.offset >= first; i--) {
      const entry = this.entries[i]!
      if (entry.producer_id === producer_id && entry.marker === null && entry.outcome === 'open')
        entry.outcome = marker === 'commit' ? 'committed' : 'aborted'
    }
    if (marker === 'abort') this.aborted.push({ producer_id, first, last: offset })
  }

  replicateTo(offset: number): void {
    this.high_watermark = Math.max(this.high_watermark, Math.min(offset, this.end))
  }

  /** The leader is gone with what no other replica had. Returns how many records went with it. */
  fail(next_leader: number): number {
    this.leader = next_leader
    this.leader_epoch++
    const kept = this.entries.filter((entry) => entry.offset < this.high_watermark)
    const lost = this.entries.slice(kept.length)
    if (lost.length === 0) return 0
    this.truncated.push(...lost)
    this.entries.splice(kept.length)
    if (kept.length === 0) this.#base = this.high_watermark
    this.aborted = this.aborted.filter(({ last }) => last < this.high_watermark)
    this.#recover()
    return lost.length
  }

  /** What the new leader knows of producers is what its log says. */
  #recover(): void {
    const before = this.#producers
    this.#producers = new Map()
    const counts = new Map<number, number>()
    for (const entry of this.entries) {
      if (entry.producer_id < 0) continue
      const old = before.get(entry.producer_id)
      if (old === undefined) continue
      let state = this.#producers.get(entry.producer_id)
      if (state === undefined) {
        state = { epoch: old.epoch, batches: [], open_since: null }
        this.#producers.set(entry.producer_id, state)
      }
      if (entry.marker !== null) {
        state.open_since = null
        continue
      }
      if (entry.transactional && entry.outcome === 'open') state.open_since ??= entry.offset
      counts.set(entry.producer_id, (counts.get(entry.producer_id) ?? 0) + 1)
    }
    for (const [id, state] of this.#producers)
      state.batches = before.get(id)!.batches.filter(({ offset }) => offset < this.high_watermark)
  }

  /** Deletes what lies below, read or not. */
  retain(from: number): void {
    this.start = Math.max(this.start, Math.min(from, this.high_watermark))
  }

  /** Hides superseded committed records below the last stable offset; aborted ones hide nothing. */
  compact(): number {
    const until = this.lastStable()
    const last = new Map<string, number>()
    for (const entry of this.entries)
      if (entry.offset < until && entry.outcome === 'committed' && entry.marker === null && entry.key !== null)
        last.set(entry.key.toString('latin1'), entry.offset)
    let hidden = 0
    for (const entry of this.entries) {
      if (entry.offset >= until || entry.compacted || entry.marker !== null || entry.key === null) continue
      if (entry.outcome === 'committed' && last.get(entry.key.toString('latin1'))! > entry.offset) {
        entry.compacted = true
        hidden++
      }
    }
    return hidden
  }

  /** First index whose offset is not smaller. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.entries[middle]!.offset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Committed records that were ever visible, in order: the truth that checkers go by. */
  committed(): readonly Entry[] {
    return this.entries.filter(
      (entry) => entry.marker === null && entry.outcome === 'committed' && entry.offset < this.high_watermark,
    )
  }
}
