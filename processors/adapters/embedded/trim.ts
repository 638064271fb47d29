/** Retention in bounded slices: expired days, superseded keys of `latest` topics; never what a group has yet to read. */
import type Database from 'better-sqlite3'
import type { Handle } from './database.ts'
import { keyIn } from './frame.ts'
import type { Partition } from './writer.ts'

/** `rewritten` names the tables that lost records from their middle. */
export type Slice = { readonly more: boolean; readonly rewritten: readonly number[] }

export type Trimmer = {
  /**
   * One slice over all partitions. Eager compacts also where it hardly pays.
   * To be called inside a transaction, as all of these.
   */
  trim(partitions: readonly Partition[], groups: readonly string[], now_ms: number, eager: boolean): Slice
  /** Deletes the records below an offset, read or not, and moves the start. */
  cut(partition: Partition, before: number): void
  /** Forgets passes under way, because what they deleted was rolled back. */
  restart(): void
}

/** Rows one slice may visit: some 10 ms, so that commits hardly wait. */
const slice_rows = 2000
const day_ms = 86_400_000
/** How often the end of a partition is noted with the time; what lies below a mark was appended before it. */
const mark_ms = 600_000
/** A deletion stays visible this long after it was read, for readers that start from an older copy (Kafka's delete.retention.ms). */
const tombstone_ms = day_ms
/** A group without members for this long is not waited for (Kafka's offsets.retention.minutes). */
const group_ms = 7 * day_ms
/** A pass begins when the new records are at least so many, and half as many as the kept ones (Kafka's min.cleanable.dirty.ratio). */
const dirty_records_min = 1000
const dirty_ratio_min = 0.5
/** Or when the last one is so long ago and anything is new, or a deletion may have had its day. */
const pass_ms = day_ms
/** Keys one pass looks for: about 25 MB. */
const pass_keys_max = 250_000

/**
 * A compaction under way: first it gathers the newest offset of each key among the new records, then it sweeps all records up to
 * `end` in order and deletes those superseded. Reads are sequential and only what goes is written; an index of keys kept in the
 * file would cost every record a random page (measured: 8.8 KB written a key).
 */
type Pass = {
  readonly newest: Map<string, number>
  end: number
  swept: number
  gathered: boolean
  kept: number
  deletions: number
}

/** Deletes and counts through one handle; nothing else may write to the file. */
export const openTrimmer = (handle: Handle): Trimmer => {
  const set_start = handle.prepare<[number, number]>('UPDATE partitions SET start_offset = ? WHERE id = ?')
  const set_compacted = handle.prepare<[number, number, number, number, number]>(
    'UPDATE partitions SET compacted = ?, kept = ?, deletions = ?, passed_ms = ? WHERE id = ?',
  )
  const seen = handle.prepare<[string, number]>(
    'INSERT INTO groups (name, seen_ms) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seen_ms = max(seen_ms, excluded.seen_ms)',
  )
  const last_mark = handle
    .prepare<[number], [number, number]>('SELECT at_ms, end_offset FROM marks WHERE source = ? ORDER BY at_ms DESC LIMIT 1')
    .raw()
  const add_mark = handle.prepare<[number, number, number]>(
    'INSERT OR REPLACE INTO marks (source, at_ms, end_offset) VALUES (?, ?, ?)',
  )
  const mark_before = handle
    .prepare<[number, number], number>('SELECT max(end_offset) FROM marks WHERE source = ? AND at_ms <= ?')
    .pluck()
  const drop_marks = handle.prepare<[number, number]>('DELETE FROM marks WHERE source = ? AND end_offset < ?')
  // A position of another topic of that name, or none yet, holds everything back.
  const least_read = handle
    .prepare<[number, string, number, number], number | null>(
      `SELECT min(CASE WHEN t.source = ? THEN coalesce(t.position, 0) ELSE 0 END) FROM tasks t LEFT JOIN groups g ON g.name = t.group_name
       WHERE t.topic = ? AND t.partition = ? AND coalesce(g.seen_ms, 9e15) > ?`,
    )
    .pluck()

  type Statements = {
    readonly delete_below: Database.Statement<[number]>
    readonly remove: Database.Statement<[number]>
    readonly walk: Database.Statement<[number, number, number], readonly [offset: number, body: Buffer]>
  }
  const prepared = new Map<number, Statements>()
  /** Table numbers are never used again. */
  const statementsOf = (table: number): Statements => {
    const known = prepared.get(table)
    if (known !== undefined) return known
    const made: Statements = {
      delete_below: handle.prepare<[number]>(`DELETE FROM log_${table} WHERE "offset" < ?`),
      remove: handle.prepare<[number]>(`DELETE FROM log_${table} WHERE "offset" = ?`),
      walk: handle
        .prepare<[number, number, number], readonly [number, Buffer]>(
          `SELECT "offset", body FROM log_${table} WHERE "offset" >= ? AND "offset" < ? ORDER BY "offset" LIMIT ?`,
        )
        .raw(),
    }
    prepared.set(table, made)
    return made
  }
  const passes = new Map<number, Pass>()
  let rewritten = new Set<number>()

  const cut = (partition: Partition, before: number): void => {
    const start = Math.min(before, partition.end)
    if (start <= partition.start) return
    statementsOf(partition.table).delete_below.run(start)
    drop_marks.run(partition.table, start)
    set_start.run(start, partition.table)
    partition.start = start
  }

  /** Deletes what is older than the days to keep. Offsets of such a topic have no holes, so that a slice is a range. */
  const expire = (partition: Partition, days: number, read: number, now_ms: number, rows: number): number => {
    const expired = mark_before.get(partition.table, now_ms - days * day_ms) ?? 0
    const visited = Math.min(rows, Math.min(expired, read) - partition.start)
    if (visited <= 0) return 0
    cut(partition, partition.start + visited)
    return visited
  }

  const pays = (partition: Partition, read: number, now_ms: number, eager: boolean): boolean => {
    const dirty = read - partition.compacted
    if (dirty >= Math.max(dirty_records_min, partition.kept * dirty_ratio_min)) return true
    return (eager || now_ms - partition.passed_ms >= pass_ms) && (dirty > 0 || partition.deletions > 0)
  }

  /** Goes on with the pass of a partition, or begins one if it pays; returns how many rows were visited. */
  const compact = (partition: Partition, read: number, now_ms: number, rows: number, eager: boolean): number => {
    const { table } = partition
    const { walk, remove } = statementsOf(table)
    const under_way = passes.get(table)
    if (under_way === undefined && !pays(partition, read, now_ms, eager)) return 0
    const begin = partition.compacted
    const pass = under_way ?? {
      newest: new Map(),
      end: begin,
      swept: partition.start,
      gathered: begin >= read,
      kept: 0,
      deletions: 0,
    }
    passes.set(table, pass)

    if (!pass.gathered) {
      const found = walk.all(pass.end, read, rows)
      for (const [offset, body] of found) {
        const { key } = keyIn(body)
        if (key !== null) pass.newest.set(key.toString('latin1'), offset)
        pass.end = offset + 1
      }
      if (found.length < rows) pass.end = read
      pass.gathered = found.length < rows || pass.newest.size >= pass_keys_max
      return found.length
    }

    const found = walk.all(pass.swept, pass.end, rows)
    const forgotten = mark_before.get(table, now_ms - tombstone_ms) ?? 0
    for (const [offset, body] of found) {
      const { key, deleted } = keyIn(body)
      // Without a key nothing supersedes it.
      const newest = key === null ? offset : (pass.newest.get(key.toString('latin1')) ?? offset)
      const goes = newest > offset || (key !== null && deleted && offset < forgotten)
      if (goes) {
        remove.run(offset)
        rewritten.add(table)
      } else {
        pass.kept++
        if (deleted && key !== null) pass.deletions++
      }
      pass.swept = offset + 1
    }
    if (found.length < rows) {
      passes.delete(table)
      drop_marks.run(table, forgotten)
      set_compacted.run(pass.end, pass.kept, pass.deletions, now_ms, table)
      Object.assign(partition, { compacted: pass.end, kept: pass.kept, deletions: pass.deletions, passed_ms: now_ms })
    }
    return found.length
  }

  const mark = ({ table, end }: Partition, now_ms: number): void => {
    const last = last_mark.get(table)
    if (last !== undefined && (last[1] === end || now_ms - last[0] < mark_ms)) return
    add_mark.run(table, now_ms, end)
  }

  let turn = 0
  return {
    cut,
    restart: () => passes.clear(),
    trim: (partitions, groups, now_ms, eager) => {
      for (const group of groups) seen.run(group, now_ms)
      let rows = slice_rows
      rewritten = new Set()
      // Each slice starts at another partition, so that a busy one does not keep the others waiting.
      const first = partitions.length === 0 ? 0 : turn++ % partitions.length
      for (const partition of [...partitions.slice(first), ...partitions.slice(0, first)]) {
        mark(partition, now_ms)
        const { table, topic, partition: number, keep } = partition
        const read = Math.min(partition.end, least_read.get(table, topic, number, now_ms - group_ms) ?? partition.end)
        rows -=
          keep === 'latest' ? compact(partition, read, now_ms, rows, eager) : expire(partition, keep.days, read, now_ms, rows)
        if (rows <= 0) return { more: true, rewritten: [...rewritten] }
      }
      return { more: passes.size > 0, rewritten: [...rewritten] }
    },
  }
}
