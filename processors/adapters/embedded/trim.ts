/** Retention in bounded slices: expired days, superseded keys of `latest` topics; never what a group has yet to read. */
import type { Handle } from './database.ts'
import { keyIn } from './frame.ts'
import type { Partition } from './writer.ts'

export type Trimmer = {
  /** One slice over all partitions; says whether more is left to do. To be called inside a transaction. */
  trim(partitions: readonly Partition[], groups: readonly string[], now_ms: number): boolean
  /** Deletes the records below an offset, read or not, and moves the start. To be called inside a transaction. */
  cut(partition: Partition, before: number): void
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

/** Deletes and counts through one handle; nothing else may write to the file. */
export const openTrimmer = (handle: Handle): Trimmer => {
  const set_start = handle.prepare<[number, number]>('UPDATE partitions SET start_offset = ? WHERE id = ?')
  const set_compacted = handle.prepare<[number, number]>('UPDATE partitions SET compacted = ? WHERE id = ?')
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
  const drop_marks = handle.prepare<[number, number]>('DELETE FROM marks WHERE source = ? AND end_offset <= ?')
  // A position of another topic of that name, or none yet, holds everything back.
  const least_read = handle
    .prepare<[number, string, number, number], number | null>(
      `SELECT min(CASE WHEN t.source = ? THEN coalesce(t.position, 0) ELSE 0 END) FROM tasks t LEFT JOIN groups g ON g.name = t.group_name
       WHERE t.topic = ? AND t.partition = ? AND coalesce(g.seen_ms, 9e15) > ?`,
    )
    .pluck()

  const daysStatements = remembered((table) => ({
    delete_below: handle.prepare<[number]>(`DELETE FROM log_${table} WHERE "offset" < ?`),
  }))
  const latestStatements = remembered((table) => ({
    walk: handle
      .prepare<[number, number, number], [number, Buffer]>(
        `SELECT "offset", body FROM log_${table} WHERE "offset" >= ? AND "offset" < ? ORDER BY "offset" LIMIT ?`,
      )
      .raw(),
    remove: handle.prepare<[number]>(`DELETE FROM log_${table} WHERE "offset" = ?`),
    head: handle.prepare<[Buffer], number>(`SELECT "offset" FROM heads_${table} WHERE key = ?`).pluck(),
    set_head: handle.prepare<[Buffer, number]>(
      `INSERT INTO heads_${table} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET "offset" = excluded."offset"`,
    ),
    drop_head: handle.prepare<[Buffer]>(`DELETE FROM heads_${table} WHERE key = ?`),
    bury: handle.prepare<[number, Buffer]>(`INSERT INTO graves_${table} VALUES (?, ?)`),
    exhume: handle.prepare<[number]>(`DELETE FROM graves_${table} WHERE "offset" = ?`),
    graves: handle
      .prepare<[number, number], [number, Buffer]>(
        `SELECT "offset", key FROM graves_${table} WHERE "offset" < ? ORDER BY "offset" LIMIT ?`,
      )
      .raw(),
    cut_heads: handle.prepare<[number]>(`DELETE FROM heads_${table} WHERE "offset" < ?`),
    cut_graves: handle.prepare<[number]>(`DELETE FROM graves_${table} WHERE "offset" < ?`),
  }))

  const cut = (partition: Partition, before: number): void => {
    const start = Math.min(before, partition.end)
    if (start <= partition.start) return
    const { table } = partition
    daysStatements(table).delete_below.run(start)
    if (partition.keep === 'latest') {
      latestStatements(table).cut_heads.run(start)
      latestStatements(table).cut_graves.run(start)
    }
    drop_marks.run(table, start)
    set_start.run(start, table)
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

  /**
   * Walks on from where the last slice ended and deletes the record that each one supersedes: every record is visited once, whatever
   * the size of the topic. `heads` holds the last offset of each key so far, `graves` the deletions that are still shown.
   */
  const compact = (partition: Partition, read: number, now_ms: number, rows: number): number => {
    const { table } = partition
    const statements = latestStatements(table)
    const walked = partition.compacted < read ? statements.walk.all(partition.compacted, read, rows) : []
    for (const [offset, body] of walked) {
      const { key, deleted } = keyIn(body)
      // Without a key nothing supersedes it.
      if (key === null) continue
      const superseded = statements.head.get(key)
      if (superseded !== undefined) {
        statements.remove.run(superseded)
        statements.exhume.run(superseded)
      }
      statements.set_head.run(key, offset)
      if (deleted) statements.bury.run(offset, key)
    }
    const compacted = walked.length === rows ? walked.at(-1)![0] + 1 : Math.max(read, partition.compacted)
    if (compacted !== partition.compacted) {
      set_compacted.run(compacted, table)
      partition.compacted = compacted
    }
    const left = rows - walked.length
    const forgotten = mark_before.get(table, now_ms - tombstone_ms) ?? 0
    const graves = left > 0 && forgotten > 0 ? statements.graves.all(Math.min(forgotten, compacted), left) : []
    for (const [offset, key] of graves) {
      statements.remove.run(offset)
      statements.exhume.run(offset)
      statements.drop_head.run(key)
    }
    return walked.length + graves.length
  }

  const mark = ({ table, end }: Partition, now_ms: number): void => {
    const last = last_mark.get(table)
    if (last !== undefined && (last[1] === end || now_ms - last[0] < mark_ms)) return
    add_mark.run(table, now_ms, end)
  }

  let turn = 0
  return {
    cut,
    trim: (partitions, groups, now_ms) => {
      for (const group of groups) seen.run(group, now_ms)
      let rows = slice_rows
      // Each slice starts at another partition, so that a busy one does not keep the others waiting.
      const first = partitions.length === 0 ? 0 : turn++ % partitions.length
      for (const partition of [...partitions.slice(first), ...partitions.slice(0, first)]) {
        mark(partition, now_ms)
        const { table, topic, partition: number, keep } = partition
        const read = Math.min(partition.end, least_read.get(table, topic, number, now_ms - group_ms) ?? partition.end)
        rows -= keep === 'latest' ? compact(partition, read, now_ms, rows) : expire(partition, keep.days, read, now_ms, rows)
        if (rows <= 0) return true
      }
      return false
    },
  }
}

/** Statements of a table, prepared once. Table numbers are never used again. */
const remembered = <T>(prepare: (table: number) => T): ((table: number) => T) => {
  const known = new Map<number, T>()
  return (table) => {
    const there = known.get(table)
    if (there !== undefined) return there
    const made = prepare(table)
    known.set(table, made)
    return made
  }
}
