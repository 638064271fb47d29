/** Small keyed state beside the seen ids: versions of items, members of groups, carts; each forgotten some time after its last change. */
import { digest128 } from '../domain/digest.ts'
import { Fault } from '../domain/fault.ts'
import type { StateChange, StateReader } from '../ports/state-store.ts'

/** What is kept of an item: enough to tell older, same and newer. */
export type ItemState = { readonly version: number; readonly deleted: boolean; readonly digest: Buffer }
/** What is kept of a group of variants. */
export type GroupState = { readonly version: number; readonly members: readonly string[] }
/** What is kept of a snapshot: each line and its quantity. */
export type CartState = { readonly version: number; readonly lines: readonly (readonly [line: string, quantity: number])[] }

/** Carts, and deleted items and groups, are forgotten after this many days without a change; living items never. */
export const forget_after_days = 30
/** Expired entries looked at in one batch beyond those it adds. */
const sweep_spare = 2

const header_bytes = 13
const digest_bytes = 8
const day_ms = 86_400_000

const base = (word: number): string => word.toString(36)
/** A short key whatever the id; each is read and then written, so the last one is kept. */
let last_kind = ''
let last_id = ''
let last_key = ''
const keyOf = (kind: 'o' | 'g' | 'c', id: string): string => {
  if (kind !== last_kind || id !== last_id) {
    const { a, b, c, d } = digest128(id)
    last_key = `${kind}/${base(a)}.${base(b)}.${base(c)}.${base(d)}`
    last_kind = kind
    last_id = id
  }
  return last_key
}
const dayKey = (day: number): string => day.toString(36).padStart(4, '0')

const write = (day: number, deleted: boolean, version: number, rest: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(header_bytes + rest.length)
  bytes.writeUInt32BE(day, 0)
  bytes[4] = deleted ? 1 : 0
  bytes.writeDoubleBE(version, 5)
  bytes.set(rest, header_bytes)
  return bytes
}

/** The shelf of one batch: reads see what the batch wrote so far. */
export type Shelf = {
  readonly item: (id: string) => ItemState | undefined
  readonly putItem: (id: string, state: ItemState) => void
  readonly group: (id: string) => GroupState | undefined
  readonly putGroup: (id: string, state: GroupState) => void
  readonly cart: (id: string) => CartState | undefined
  readonly putCart: (id: string, state: CartState) => void
  /** Sets the day by a record's append time; it never goes back. */
  readonly at: (time_ms: number) => void
  /** What the batch changes; `first_offset` names it. */
  readonly changes: (first_offset: number) => readonly StateChange[]
}

const parsed = <T>(bytes: Buffer): T => {
  try {
    return JSON.parse(bytes.toString('utf8', header_bytes)) as T
  } catch (error) {
    throw new Fault('state.corrupt', 'A kept group or cart cannot be read.', {}, error)
  }
}

export const shelfOf = (state: StateReader): Shelf => {
  const written = new Map<string, Buffer>()
  const expiring = new Set<string>()
  const stored_day = state.get('t')
  const day_before = stored_day === undefined ? 0 : stored_day.readUInt32BE(0)
  let today = day_before

  const get = (key: string, forgets: (bytes: Buffer) => boolean): Buffer | undefined => {
    const bytes = written.get(key) ?? state.get(key)
    if (bytes === undefined) return undefined
    if (bytes.length < header_bytes) throw new Fault('state.corrupt', 'A kept version cannot be read.')
    return forgets(bytes) && bytes.readUInt32BE(0) < today - forget_after_days ? undefined : bytes
  }
  const isDeleted = (bytes: Buffer): boolean => bytes[4] === 1
  const always = (): boolean => true
  const put = (key: string, deleted: boolean, version: number, rest: Uint8Array, forgets: boolean): void => {
    written.set(key, write(today, deleted, version, rest))
    if (forgets) expiring.add(key)
  }

  return {
    item: (id) => {
      const bytes = get(keyOf('o', id), isDeleted)
      return bytes === undefined
        ? undefined
        : {
            version: bytes.readDoubleBE(5),
            deleted: isDeleted(bytes),
            digest: bytes.subarray(header_bytes, header_bytes + digest_bytes),
          }
    },
    putItem: (id, { version, deleted, digest }) => put(keyOf('o', id), deleted, version, digest, deleted),
    group: (id) => {
      const bytes = get(keyOf('g', id), isDeleted)
      return bytes === undefined ? undefined : { version: bytes.readDoubleBE(5), members: parsed<string[]>(bytes) }
    },
    putGroup: (id, { version, members }) =>
      put(keyOf('g', id), members.length === 0, version, Buffer.from(JSON.stringify(members)), members.length === 0),
    cart: (id) => {
      const bytes = get(keyOf('c', id), always)
      return bytes === undefined ? undefined : { version: bytes.readDoubleBE(5), lines: parsed<[string, number][]>(bytes) }
    },
    putCart: (id, { version, lines }) => put(keyOf('c', id), false, version, Buffer.from(JSON.stringify(lines)), true),
    at: (time_ms) => {
      today = Math.max(today, Math.floor(time_ms / day_ms))
    },
    changes: (first_offset) => {
      const out: StateChange[] = [...written].map(([key, value]) => ({ key, value }))
      if (today !== day_before) {
        const bytes = Buffer.alloc(4)
        bytes.writeUInt32BE(today, 0)
        out.push({ key: 't', value: bytes })
      }
      if (expiring.size > 0)
        out.push({
          key: `x/${dayKey(today)}/${first_offset.toString(36).padStart(11, '0')}`,
          value: Buffer.from([...expiring].join('\n')),
        })
      const oldest = dayKey(Math.max(0, today - forget_after_days))
      for (const [key, keys] of state.entries('x/', sweep_spare)) {
        if (key.slice(2, 6) >= oldest) break
        for (const one of keys.toString('utf8').split('\n')) {
          const bytes = written.get(one) ?? state.get(one)
          // A later change stands in a later list.
          if (
            bytes !== undefined &&
            (one.startsWith('c/') || isDeleted(bytes)) &&
            bytes.readUInt32BE(0) < today - forget_after_days
          )
            out.push({ key: one, value: null })
        }
        out.push({ key, value: null })
      }
      return out
    },
  }
}
