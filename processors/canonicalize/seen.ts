/**
 * Event ids seen within the horizon. State holds them in blocks, one write a batch instead of one an event; a table in memory
 * answers. The table is a pure function of the state: it is rebuilt whenever the state's own summary is not the one it expects,
 * so a batch that was run but never committed leaves no trace.
 */
import { createHash } from 'node:crypto'
import type { Digest } from '../domain/digest.ts'
import { Fault } from '../domain/fault.ts'
import type { StateChange, StateReader } from '../ports/state-store.ts'

export type SeenBounds = { readonly horizon_ms: number; readonly ids_max: number }

/**
 * What a batch asks and tells. Times are record times in epoch ms; the horizon's clock is the newest time an id was added at, so
 * that answers depend on the records alone and never on how they were cut into batches.
 */
export type SeenIds = {
  /** The fingerprint kept beside an id, or undefined when the id is new or beyond the horizon. */
  readonly find: (id: Digest, time_ms: number) => number | undefined
  /** Remembers an id from now on. */
  readonly add: (id: Digest, fingerprint: number, time_ms: number) => void
  /** What the batch changes in the state; ends the batch. */
  readonly changes: () => readonly StateChange[]
}

/** Id of 16 bytes, fingerprint, second of arrival. */
const entry_bytes = 24
/** A block is filled up to this many ids before the next one begins, so that quiet topics do not leave one block an event. */
const block_fill = 64
/** Keeps a state record below 100 KB. */
const block_max = 4096
/** Blocks deleted in a batch beyond twice those it writes. */
const deletions_spare = 8

const summary_key = 's'
const blockKey = (sequence: number): string => `s/${sequence.toString(36).padStart(8, '0')}`

const shards = 64
const slot_words = 7

/** Open addressing over 28-byte slots: id (4 words), fingerprint, second, ordinal. Second 0 marks a free slot. */
class Shard {
  slots = new Uint32Array(16 * slot_words)
  capacity = 16
  used = 0

  /** The word index of the id's slot, or of the free slot where it belongs. */
  locate(a: number, b: number, c: number, d: number): number {
    const { slots, capacity } = this
    const mask = capacity - 1
    for (let i = b & mask; ; i = (i + 1) & mask) {
      const at = i * slot_words
      if (slots[at + 5] === 0) return at
      if (slots[at] === a && slots[at + 1] === b && slots[at + 2] === c && slots[at + 3] === d) return at
    }
  }

  put(a: number, b: number, c: number, d: number, fingerprint: number, second: number, ordinal: number, alive: Alive): void {
    if (this.used * 10 >= this.capacity * 7) this.rebuild(alive)
    const at = this.locate(a, b, c, d)
    const { slots } = this
    if (slots[at + 5] === 0) this.used++
    slots[at] = a
    slots[at + 1] = b
    slots[at + 2] = c
    slots[at + 3] = d
    slots[at + 4] = fingerprint
    slots[at + 5] = second
    slots[at + 6] = ordinal
  }

  clear(): void {
    if (this.used > 0) this.slots.fill(0)
    this.used = 0
  }

  /** Drops what is beyond the horizon and makes room for twice what is left. */
  rebuild(alive: Alive): void {
    const old = this.slots
    let living = 0
    for (let at = 0; at < old.length; at += slot_words) if (old[at + 5] !== 0 && alive(old[at + 5]!, old[at + 6]!)) living++
    let capacity = 16
    while (capacity < living * 3) capacity *= 2
    this.slots = new Uint32Array(capacity * slot_words)
    this.capacity = capacity
    this.used = 0
    for (let at = 0; at < old.length; at += slot_words) {
      if (old[at + 5] === 0 || !alive(old[at + 5]!, old[at + 6]!)) continue
      const to = this.locate(old[at]!, old[at + 1]!, old[at + 2]!, old[at + 3]!)
      this.slots.set(old.subarray(at, at + slot_words), to)
      this.used++
    }
  }
}

type Alive = (second: number, ordinal: number) => boolean
const everything: Alive = () => true
type Block = { readonly sequence: number; readonly newest_s: number; readonly ids: number }
type Summary = { first: number; next: number; ordinal: number; newest_s: number; chain: Buffer }

const summary_bytes = 28
const parseSummary = (bytes: Buffer): Summary => {
  if (bytes.length !== summary_bytes) throw new Fault('state.corrupt', 'The summary of seen event ids cannot be read.')
  return {
    first: bytes.readUInt32BE(0),
    next: bytes.readUInt32BE(4),
    ordinal: bytes.readDoubleBE(8),
    newest_s: bytes.readUInt32BE(16),
    chain: bytes.subarray(20, 28),
  }
}
const writeSummary = (summary: Summary): Buffer => {
  const bytes = Buffer.alloc(summary_bytes)
  bytes.writeUInt32BE(summary.first, 0)
  bytes.writeUInt32BE(summary.next, 4)
  bytes.writeDoubleBE(summary.ordinal, 8)
  bytes.writeUInt32BE(summary.newest_s, 16)
  summary.chain.copy(bytes, 20)
  return bytes
}

/** Ordinals wrap at 2^32; ages below 2^31 compare right. */
const wrap = (ordinal: number): number => ordinal % 4_294_967_296

/** The index of one input partition; `batch()` begins a batch over its state. */
export const seenIndex = (state: StateReader, bounds: SeenBounds): { readonly batch: () => SeenIds } => {
  const horizon_s = Math.ceil(bounds.horizon_ms / 1000)
  let table: Shard[] = []
  /** The state's summary that the table stands for; undefined before the first batch. */
  let known: Buffer | null | undefined
  /** Blocks in the state, from `head` on. */
  let blocks: Block[] = []
  let head = 0
  let kept = 0
  let last_block: Buffer = Buffer.alloc(0)
  let committed: Summary = { first: 0, next: 0, ordinal: 0, newest_s: 0, chain: Buffer.alloc(8) }
  /** Ids of the batch in the making. */
  const fresh = new Shard()
  /** The last batch's entries, to be taken over once its summary is found in the state. */
  let pending: { readonly summary: Buffer; readonly take: () => void } | null = null

  const aliveAt =
    (newest_s: number, ordinal: number): Alive =>
    (second, of) =>
      second >= newest_s - horizon_s && wrap(ordinal - of + 4_294_967_296) <= bounds.ids_max

  const put = (bytes: Buffer, at: number, ordinal: number, alive: Alive): void => {
    const a = bytes.readUInt32BE(at)
    table[a % shards]!.put(
      a,
      bytes.readUInt32BE(at + 4),
      bytes.readUInt32BE(at + 8),
      bytes.readUInt32BE(at + 12),
      bytes.readUInt32BE(at + 16),
      bytes.readUInt32BE(at + 20),
      wrap(ordinal),
      alive,
    )
  }

  const rebuild = (summary: Buffer | undefined): void => {
    table = Array.from({ length: shards }, () => new Shard())
    blocks = []
    head = 0
    kept = 0
    last_block = Buffer.alloc(0)
    committed =
      summary === undefined ? { first: 0, next: 0, ordinal: 0, newest_s: 0, chain: Buffer.alloc(8) } : parseSummary(summary)
    const alive = aliveAt(committed.newest_s, committed.ordinal)
    const stored: Buffer[] = []
    let ids = 0
    for (let sequence = committed.first; sequence < committed.next; sequence++) {
      const block = state.get(blockKey(sequence))
      if (block === undefined || block.length % entry_bytes !== 0)
        throw new Fault('state.corrupt', 'A block of seen event ids is missing or cut.', { block: sequence })
      stored.push(block)
      ids += block.length / entry_bytes
    }
    let ordinal = committed.ordinal - ids
    for (const [i, block] of stored.entries()) {
      let newest_s = 0
      for (let at = 0; at < block.length; at += entry_bytes) {
        put(block, at, ordinal++, alive)
        newest_s = Math.max(newest_s, block.readUInt32BE(at + 20))
      }
      blocks.push({ sequence: committed.first + i, newest_s, ids: block.length / entry_bytes })
      last_block = block
    }
    kept = ids
    known = summary ?? null
    pending = null
  }

  const settle = (): void => {
    const summary = state.get(summary_key)
    const same = (a: Buffer | null | undefined) => (summary === undefined ? a === null : a?.equals(summary) === true)
    if (same(known)) {
      pending = null
      return
    }
    if (pending !== null && summary !== undefined && pending.summary.equals(summary)) {
      pending.take()
      known = pending.summary
      pending = null
      return
    }
    rebuild(summary)
  }

  const batch = (): SeenIds => {
    settle()
    fresh.clear()
    const entries: { readonly id: Digest; readonly fingerprint: number; readonly second: number }[] = []
    let { newest_s, ordinal } = committed
    const answer = ({ slots }: Shard, at: number, alive: Alive): number | undefined =>
      slots[at + 5] === 0 || !alive(slots[at + 5]!, slots[at + 6]!) ? undefined : slots[at + 4]
    const find = ({ a, b, c, d }: Digest, time_ms: number): number | undefined => {
      const alive = aliveAt(Math.max(newest_s, Math.floor(time_ms / 1000)), ordinal)
      const now = fresh.locate(a, b, c, d)
      if (fresh.slots[now + 5] !== 0) return answer(fresh, now, alive)
      const shard = table[a % shards]!
      return answer(shard, shard.locate(a, b, c, d), alive)
    }
    const add = (id: Digest, fingerprint: number, time_ms: number): void => {
      newest_s = Math.max(newest_s, Math.floor(time_ms / 1000))
      fresh.put(id.a, id.b, id.c, id.d, fingerprint, newest_s, wrap(ordinal), everything)
      entries.push({ id, fingerprint, second: newest_s })
      ordinal++
    }
    const changes = (): readonly StateChange[] => {
      if (entries.length === 0) {
        pending = null
        return []
      }
      const out: StateChange[] = []
      const added = Buffer.allocUnsafe(entries.length * entry_bytes)
      let to = 0
      for (const { id, fingerprint, second } of entries) {
        for (const word of [id.a, id.b, id.c, id.d, fingerprint, second]) to = added.writeUInt32BE(word, to)
      }
      const fresh_blocks: Block[] = []
      const last = blocks.at(-1)
      let open = last_block
      let grown: Block | undefined
      let next = committed.next
      let from = 0
      if (last !== undefined && last.ids < block_fill) {
        from = Math.min(entries.length, block_max - last.ids)
        open = Buffer.concat([last_block, added.subarray(0, from * entry_bytes)])
        grown = { sequence: last.sequence, newest_s, ids: last.ids + from }
        out.push({ key: blockKey(last.sequence), value: open })
      }
      while (from < entries.length) {
        const to = Math.min(entries.length, from + block_max)
        open = added.subarray(from * entry_bytes, to * entry_bytes)
        out.push({ key: blockKey(next), value: open })
        fresh_blocks.push({ sequence: next++, newest_s, ids: to - from })
        from = to
      }
      // Whole blocks go once all of their ids are beyond the horizon, a bounded number a batch; the last one stays.
      const last_old = blocks.length - (fresh_blocks.length > 0 ? 0 : 1)
      const head_before = head
      let first = head
      let left = kept + entries.length
      for (let spare = deletions_spare + 2 * out.length; first < last_old && spare > 0; spare--, first++) {
        const oldest = blocks[first]!
        if (grown !== undefined && first === blocks.length - 1) break
        if (oldest.newest_s >= newest_s - horizon_s && left - oldest.ids < bounds.ids_max) break
        out.push({ key: blockKey(oldest.sequence), value: null })
        left -= oldest.ids
      }
      const summary: Summary = {
        first: committed.first + (first - head_before),
        next,
        ordinal,
        newest_s,
        chain: createHash('sha1').update(committed.chain).update(added).digest().subarray(0, 8),
      }
      const written = writeSummary(summary)
      out.push({ key: summary_key, value: written })
      const first_ordinal = committed.ordinal
      pending = {
        summary: written,
        take: () => {
          const alive = aliveAt(newest_s, ordinal)
          for (let i = 0; i < entries.length; i++) put(added, i * entry_bytes, first_ordinal + i, alive)
          if (grown !== undefined) blocks[blocks.length - 1] = grown
          blocks.push(...fresh_blocks)
          head = first
          if (head > 1_000 && head * 2 > blocks.length) {
            blocks = blocks.slice(head)
            head = 0
          }
          kept = left
          last_block = open
          committed = summary
        },
      }
      return out
    }
    return { find, add, changes }
  }
  return { batch }
}
