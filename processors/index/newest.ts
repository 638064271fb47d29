/** The newest offset of every key of one partition, small enough to be kept for millions of keys while an index is compared. */
import { digest128 } from '../domain/digest.ts'

/** `live`: the newest record is no tombstone. `open`: whether the index agrees is still to be shown. */
export type Newest = { readonly offset: number; readonly live: boolean; readonly open: boolean }

/**
 * A table of keys by 53 bits of their digest: 16 bytes a slot, at most three quarters of the slots taken, so 21 to 43 bytes a key (a
 * million keys: 22 to 43 MB). Two keys of one digest (one chance in 18,000 among a million) share an entry, the newer record's: drift
 * of the other may then go unseen. Whoever acts on an entry looks at the record that it came from, so no wrong point is ever written.
 */
export type NewestOffsets = {
  /** The key's newest record so far. */
  set(id: string, offset: number, live: boolean): void
  get(id: string): Newest | undefined
  /** Says of a key that is there whether it is still to be looked at. */
  setOpen(id: string, open: boolean): void
  /** How many are open among the records below an offset. */
  open(below: number): number
  /** How many keys have their newest record below an offset. */
  below(offset: number): number
  size(): number
}

const two_21 = 2 ** 21
const two_32 = 2 ** 32
const fullest = 0.75

/** 1 to 2^53: 0 is a free slot. */
const hashOf = (id: string): number => {
  const { a, b } = digest128(id)
  return (b % two_21) * two_32 + a + 1
}

/** An empty table; 64 slots at first, doubled when it fills up. */
export const openNewestOffsets = (): NewestOffsets => {
  let keys = new Float64Array(64)
  /** offset * 4 + live * 2 + open. */
  let values = new Float64Array(64)
  let count = 0

  const slotOf = (table: Float64Array, key: number): number => {
    let slot = key % table.length
    while (table[slot] !== 0 && table[slot] !== key) slot = slot + 1 === table.length ? 0 : slot + 1
    return slot
  }

  const grow = (): void => {
    const larger = new Float64Array(keys.length * 2)
    const moved = new Float64Array(keys.length * 2)
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === 0) continue
      const slot = slotOf(larger, keys[i]!)
      larger[slot] = keys[i]!
      moved[slot] = values[i]!
    }
    keys = larger
    values = moved
  }

  return {
    set(id, offset, live) {
      if (count + 1 > keys.length * fullest) grow()
      const key = hashOf(id)
      const slot = slotOf(keys, key)
      if (keys[slot] === 0) count += 1
      keys[slot] = key
      values[slot] = offset * 4 + (live ? 3 : 0)
    },
    get(id) {
      const slot = slotOf(keys, hashOf(id))
      if (keys[slot] === 0) return undefined
      const value = values[slot]!
      return { offset: Math.floor(value / 4), live: value % 4 >= 2, open: value % 2 === 1 }
    },
    setOpen(id, open) {
      const slot = slotOf(keys, hashOf(id))
      if (keys[slot] !== 0) values[slot] = values[slot]! - (values[slot]! % 2) + (open ? 1 : 0)
    },
    open(below) {
      let open = 0
      for (let i = 0; i < keys.length; i++) if (keys[i] !== 0 && values[i]! % 2 === 1 && values[i]! < below * 4) open += 1
      return open
    },
    below(offset) {
      let below = 0
      for (let i = 0; i < keys.length; i++) if (keys[i] !== 0 && values[i]! < offset * 4) below += 1
      return below
    },
    size: () => count,
  }
}
