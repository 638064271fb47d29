/** The newest records of each table in memory, as they went to the writer: whoever keeps up with the log reads no file. */
import type { LogRecord } from '../../domain/record.ts'
import { frameEnds, recordOf } from './frame.ts'

export type Tail = {
  /** Takes over a packed block that is committed; `written` says where its records went. */
  add(block: Buffer, written: readonly { readonly table: number; readonly first: number }[]): void
  /** Records from `from` on within the bounds, one at least; undefined where the tail does not reach back so far. */
  read(table: number, from: number, records_max: number, bytes_max: number): readonly LogRecord[] | undefined
  /** Forgets a table: its file no longer holds all that was written. */
  drop(table: number): void
  bytes(): number
}

/** The records of one table in one block; `spans` holds start and end of each body. */
type Segment = { readonly table: number; readonly first: number; readonly block: Buffer; readonly spans: number[]; bytes: number }
/** Segments of a table without holes between them, oldest first; those below `head` are forgotten. */
type Segments = { list: Segment[]; head: number }

/** What a segment costs beside its bodies, about. */
const segment_bytes = 250

/** Keeps at most so many bytes over all tables, the oldest forgotten first. */
export const openTail = (bytes_max: number): Tail => {
  const tables = new Map<number, Segments>()
  /** All segments in the order they came; those below `gone` are forgotten. */
  let queue: Segment[] = []
  let gone = 0
  let bytes = 0

  const drop = (table: number): void => {
    const segments = tables.get(table)
    if (segments === undefined) return
    for (const segment of segments.list.slice(segments.head)) bytes -= segment.bytes
    tables.delete(table)
    queue = queue.slice(gone).filter((segment) => segment.table !== table)
    gone = 0
  }
  const forgetOldest = (): void => {
    const segment = queue[gone++]!
    bytes -= segment.bytes
    // The oldest of all is the oldest of its table.
    const segments = tables.get(segment.table)!
    if (++segments.head > segments.list.length / 2) Object.assign(segments, { list: segments.list.slice(segments.head), head: 0 })
    if (segments.list.length === 0) tables.delete(segment.table)
    if (gone > queue.length / 2) {
      queue = queue.slice(gone)
      gone = 0
    }
  }
  const endOf = ({ first, spans }: Segment): number => first + spans.length / 2

  return {
    add: (block, written) => {
      const added = new Map<number, Segment>(
        written.map(({ table, first }) => [table, { table, first, block, spans: [], bytes: segment_bytes }]),
      )
      for (const { table, start, end } of frameEnds(block)) {
        const segment = added.get(table)!
        segment.spans.push(start, end)
        segment.bytes += end - start
      }
      for (const segment of added.values()) {
        const before = tables.get(segment.table)?.list.at(-1)
        if (before !== undefined && endOf(before) !== segment.first) drop(segment.table)
        const segments = tables.get(segment.table) ?? { list: [], head: 0 }
        tables.set(segment.table, segments)
        segments.list.push(segment)
        queue.push(segment)
        bytes += segment.bytes
      }
      while (bytes > bytes_max) forgetOldest()
    },
    read: (table, from, records_max, bytes_max) => {
      const { list, head } = tables.get(table) ?? { list: [], head: 0 }
      if (head === list.length || from < list[head]!.first) return undefined
      let low = head
      let high = list.length - 1
      while (low < high) {
        const middle = (low + high + 1) >>> 1
        if (list[middle]!.first <= from) low = middle
        else high = middle - 1
      }
      const found: LogRecord[] = []
      let found_bytes = 0
      let offset = from
      for (let at = low; at < list.length; at++) {
        const { first, block, spans } = list[at]!
        for (let i = 2 * (offset - first); i < spans.length; i += 2) {
          found_bytes += spans[i + 1]! - spans[i]!
          if (found.length >= records_max || (found.length > 0 && found_bytes > bytes_max)) return found
          found.push(recordOf(offset++, block.subarray(spans[i]!, spans[i + 1]!)))
        }
      }
      return found
    },
    drop,
    bytes: () => bytes,
  }
}
