/** Texts that no item has any more, in the order in which they lost their last one: a queue in the state, as one batch changes it. */
import type { StateChange } from '../ports/state-store.ts'

/** The state's keys: `f/<offset, 16 digits>` -> the text's `v/` key, and how many there are (decimal). */
export const forgotten_prefix = 'f/'
export const forgotten_count_key = 'forgotten'
const forgottenKey = (offset: number): string => `${forgotten_prefix}${String(offset).padStart(16, '0')}`

/** At most so many go for each record, also where the bound was lowered: so the queue's head, read once, holds all that a batch can take. */
export const evicted_per_record = 2

type Reads = {
  /** State as committed. */
  readonly cached: (key: string) => Buffer | undefined
  /** The committed queue's head. */
  readonly forgotten: (limit: number) => readonly (readonly [key: string, value: Buffer])[]
}

/** The queue as one batch of so many records changes it; nothing is read before it is needed. */
export const openForgotten = (reads: Reads, records: number) => {
  let count: number | undefined
  let head: readonly (readonly [key: string, value: Buffer])[] | undefined
  /** Null: taken out. */
  const changed = new Map<string, string | null>()
  /** Of this batch, in order; their offsets are greater than all before, so they come last. */
  const added: string[] = []
  /** What lies before these places is taken out. */
  let head_at = 0
  let added_at = 0
  const counted = (): number => {
    count ??= Number(reads.cached(forgotten_count_key)?.toString('utf8') ?? 0)
    return count
  }
  const takeOut = (key: string): void => {
    changed.set(key, null)
    count = counted() - 1
  }

  const oldest = (): readonly [key: string, text_key: string] | undefined => {
    head ??= reads.forgotten(records * (evicted_per_record + 1))
    while (head_at < head.length && changed.has(head[head_at]![0])) head_at += 1
    const committed = head[head_at]
    if (committed !== undefined) return [committed[0], committed[1].toString('utf8')]
    while (added_at < added.length && changed.get(added[added_at]!) === null) added_at += 1
    const key = added[added_at]
    return key === undefined ? undefined : [key, changed.get(key)!]
  }

  return {
    /** A text lost its last item by the record at this offset. */
    left(offset: number, text_key: string): void {
      added.push(forgottenKey(offset))
      changed.set(forgottenKey(offset), text_key)
      count = counted() + 1
    },
    /** An item has the text again that was left at this offset. */
    recalled(offset: number): void {
      takeOut(forgottenKey(offset))
    },
    /** Takes out those left longest ago until `max` are there, a few at once, and says which texts they were. */
    evict(max: number): readonly string[] {
      const evicted: string[] = []
      while (counted() > max && evicted.length < evicted_per_record) {
        const entry = oldest()
        if (entry === undefined) break
        takeOut(entry[0])
        evicted.push(entry[1])
      }
      return evicted
    },
    changes(): readonly StateChange[] {
      if (changed.size === 0) return []
      return [
        ...[...changed].map(([key, text_key]) => ({ key, value: text_key === null ? null : Buffer.from(text_key, 'utf8') })),
        { key: forgotten_count_key, value: Buffer.from(String(counted()), 'utf8') },
      ]
    },
  }
}
