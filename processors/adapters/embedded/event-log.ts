/** The log in one SQLite file: outputs, state and position of a batch in one transaction, on disk before the commit resolves. */
import { Fault } from '../../domain/fault.ts'
import type { LogRecord, TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import {
  type Claim,
  type LocalLog,
  type LogStorage,
  localLog,
  type Place,
  type PlacedRecord,
  recordBytes,
} from '../memory/local-log.ts'
import { type EmbeddedDatabase, sqliteGuard } from './database.ts'
import { packChanges, packRecords, recordOf } from './frame.ts'
import { boundedCache, type CachedReader, stateReader } from './state-store.ts'
import { openTail } from './tail.ts'
import { createLogSchema, readPartitions, type Written } from './writer.ts'
import { openWriterClient, type WriterClient } from './writer-client.ts'
import type { WriterSettings } from './writer-turn.ts'

export type EmbeddedLogOptions = {
  readonly clock: Clock
  /** Bytes of state values kept in memory, over all tasks. */
  readonly state_cache_bytes?: number
  /** Bytes of the newest records kept in memory, over all topics. */
  readonly tail_bytes?: number
  /** How often retention looks for something to delete. */
  readonly trim_ms?: number
  /** How long a member that is to give a partition up is waited for. */
  readonly rebalance_ms_max?: number
  /** Starts the one that writes; a thread of its own unless told. */
  readonly openWriter?: (settings: WriterSettings) => WriterClient
}

export type EmbeddedLog = LocalLog & {
  /**
   * One slice of retention, now; says whether more is left. Runs by itself every `trim_ms`. Eager also compacts where so little is
   * new that it hardly pays.
   */
  trim(eager?: boolean): Promise<boolean>
  /** Deletes the records below an offset, read or not. */
  deleteRecords(at: TopicPartition, before: number): Promise<void>
  deleteTopic(topic: string): Promise<void>
  /** Forgets a group's positions and state, so that retention no longer waits for it. Says whether there were any. */
  deleteGroup(group: string): Promise<boolean>
}

type Row = readonly [offset: number, body: Buffer]

/** What this process knows of a partition; only its own writer changes it. */
type Known = { readonly table: number; start: number; end: number }

const reader_cache_bytes = 4 << 20
const tail_bytes_default = 16 << 20
const state_cache_bytes_default = 64 << 20
const trim_ms_default = 30_000
/** Between two slices while there is more to delete. */
const trim_pause_ms = 50

/**
 * The log of a database. It does not close the database. With access `read` it can be scanned and asked for offsets and positions
 * while its owner runs; everything else is `log.locked`.
 */
export const openEmbeddedLog = (database: EmbeddedDatabase, options: EmbeddedLogOptions): EmbeddedLog => {
  const { path, handle, access } = database
  const { clock } = options
  const guard = <T>(work: () => T): T => sqliteGuard(path, work)
  if (access === 'own') guard(() => createLogSchema(handle, path))
  // Every commit of the writer empties the reading connection's page cache: more would lie idle.
  handle.pragma(`cache_size = ${-reader_cache_bytes / 1024}`)

  const topics = new Map<string, Known[]>()
  const by_table = new Map<number, Known>()
  const refresh = (): void => {
    topics.clear()
    by_table.clear()
    for (const { table, topic, start, end } of guard(() => readPartitions(handle))) {
      const known = { table, start, end }
      topics.set(topic, [...(topics.get(topic) ?? []), known])
      by_table.set(table, known)
    }
  }
  refresh()

  const client = access === 'own' ? (options.openWriter ?? openWriterClient)({ path, ...database.options }) : undefined
  const tail = openTail(options.tail_bytes ?? tail_bytes_default)
  const cache = boundedCache(options.state_cache_bytes ?? state_cache_bytes_default)
  const stopped = new AbortController()
  const members = new Map<string, readonly string[]>()
  const tasks = new WeakMap<Claim, { readonly id: number; readonly state: CachedReader }>()
  /** What retention ran into; told to the next who writes. */
  let broken: Fault | undefined

  const writer = () => {
    if (client === undefined)
      throw new Fault('log.locked', `${path} is open for reading only: another process may own it.`, { path })
    if (broken !== undefined) throw broken
    return client
  }

  const knownAt = (at: TopicPartition): Known => {
    const known = topics.get(at.topic)?.[at.partition]
    if (known === undefined) throw new Fault('topic.missing', `Topic ${at.topic} has no partition ${at.partition}.`, { ...at })
    return known
  }

  const pages = new Map<number, ReturnType<typeof preparePage>>()
  const preparePage = (table: number) =>
    handle
      .prepare<[number, number], Row>(`SELECT "offset", body FROM log_${table} WHERE "offset" >= ? ORDER BY "offset" LIMIT ?`)
      .raw()
  const pageOf = (table: number) => {
    const page = pages.get(table) ?? preparePage(table)
    pages.set(table, page)
    return page
  }

  /** Tables that records go to, and the records as the writer takes them. */
  const packed = (records: readonly PlacedRecord[]) => {
    const framed = records.map((record) => ({ ...record, table: knownAt(record).table }))
    return { tables: [...new Set(framed.map(({ table }) => table))], records: packRecords(framed), framed }
  }
  /** Takes the answer over into what is known, and gives each record its offset. */
  const placesOf = (
    framed: readonly { table: number; topic: string; partition: number }[],
    written: readonly Written[],
  ): readonly Place[] => {
    const next = new Map(written.map(({ table, first }) => [table, first]))
    const places = framed.map(({ table, topic, partition }) => {
      const offset = next.get(table)!
      next.set(table, offset + 1)
      return { topic, partition, offset }
    })
    for (const [table, end] of next) {
      const known = by_table.get(table)
      if (known !== undefined && known.end < end) known.end = end
    }
    return places
  }

  const position = guard(() =>
    handle
      .prepare<[string, string, number], number | null>(
        'SELECT position FROM tasks WHERE group_name = ? AND topic = ? AND partition = ?',
      )
      .pluck(),
  )

  const storage: LogStorage = {
    createTopics: async (specs) => {
      const { created, partitions } = await writer().ask('create', { topics: specs })
      for (const { table, topic, partition, start, end } of partitions) {
        if (by_table.has(table)) continue
        const known = { table, start, end }
        by_table.set(table, known)
        const list = topics.get(topic) ?? []
        topics.set(topic, list)
        list[partition] = known
      }
      return created
    },
    topics: () => {
      if (access === 'read') refresh()
      return [...topics.keys()]
    },
    partitions: (topic) => {
      if (access === 'read') refresh()
      return topics.get(topic)?.length
    },
    offsets: (at) => {
      const { start, end } = knownAt(at)
      return { start, end }
    },
    read: (at, from, records_max, bytes_max) => {
      const known = knownAt(at)
      if (access === 'own' && from >= known.end) return []
      const newest = tail.read(known.table, Math.max(from, known.start), records_max, bytes_max)
      if (newest !== undefined) return newest
      return guard(() => {
        const found: LogRecord[] = []
        let bytes = 0
        for (const [offset, body] of pageOf(known.table).iterate(from, records_max)) {
          const record = recordOf(offset, body)
          bytes += recordBytes(record)
          if (found.length > 0 && bytes > bytes_max) break
          found.push(record)
        }
        // The writer may be ahead of its answer.
        const end = found.length === 0 ? 0 : found.at(-1)!.offset + 1
        if (known.end < end) known.end = end
        return found
      })
    },
    append: async (records) => {
      if (records.length === 0) return []
      const { framed, ...body } = packed(records)
      const { written } = await writer().ask('append', body)
      tail.add(body.records, written)
      return placesOf(framed, written)
    },
    claim: async (group, input) => {
      const { task, epoch, position, source } = await writer().ask('claim', { group, ...input })
      // The scope holds the epoch: what an earlier owner has cached is not believed.
      const state = stateReader(path, handle, `state_${task}`, `${task}.${epoch} `, cache)
      const claim: Claim = {
        group,
        input,
        epoch,
        position: position ?? undefined,
        recreated: position !== null && source !== knownAt(input).table,
        state,
      }
      tasks.set(claim, { id: task, state })
      return claim
    },
    commit: async (claim, outputs, commit) => {
      const task = tasks.get(claim)!
      const { framed, ...body } = packed(outputs)
      const { written } = await writer().ask('commit', {
        ...body,
        task: task.id,
        epoch: claim.epoch,
        position: commit.position,
        state: packChanges(commit.state),
      })
      tail.add(body.records, written)
      placesOf(framed, written)
      task.state.committed(commit.state)
    },
    position: (group, at) => guard(() => position.get(group, at.topic, at.partition)) ?? undefined,
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    membersOf: (group, topics) => {
      if (topics.length === 0) members.delete(group)
      else members.set(group, topics)
    },
  }

  const trim = async (eager = false): Promise<boolean> => {
    const { more, trimmed, rewritten } = await writer().ask('trim', {
      groups: [...members.keys()],
      now_ms: Math.floor(clock.now_ms()),
      eager,
    })
    for (const { table, start } of trimmed) {
      const known = by_table.get(table)
      if (known !== undefined) known.start = start
    }
    for (const table of rewritten) tail.drop(table)
    return more
  }

  const keepTrimming = async (): Promise<void> => {
    for (let more = false; ; ) {
      await clock.sleep(more ? trim_pause_ms : (options.trim_ms ?? trim_ms_default), stopped.signal)
      if (stopped.signal.aborted) return
      try {
        more = await trim()
      } catch (error) {
        if (!(error instanceof Fault) || (error.kind !== 'transient' && error.kind !== 'corrupt')) {
          broken =
            error instanceof Fault ? error : new Fault('defect.unexpected', `Retention failed on ${path}.`, { path }, error)
          return
        }
        more = false
      }
    }
  }
  const trimming = access === 'own' ? keepTrimming() : Promise.resolve()

  const log = localLog(storage, { clock, rebalance_ms_max: options.rebalance_ms_max ?? 10_000 }, async () => {
    stopped.abort()
    await trimming
    await client?.close()
  })
  return {
    ...log,
    subscribe: (...request) => {
      if (access === 'read') return Promise.reject(new Fault('log.locked', `${path} is open for reading only.`, { path }))
      return log.subscribe(...request)
    },
    trim,
    deleteRecords: async (at, before) => {
      const known = knownAt(at)
      known.start = (await writer().ask('cut', { table: known.table, before })).start
    },
    deleteTopic: async (topic) => {
      await writer().ask('drop', { topic })
      for (const { table } of topics.get(topic) ?? []) {
        by_table.delete(table)
        tail.drop(table)
        pages.delete(table)
      }
      topics.delete(topic)
    },
    deleteGroup: async (group) => {
      if (members.has(group))
        throw new Fault('config.invalid', `Group ${group} has members: stop them before it is forgotten.`, { group })
      return (await writer().ask('forget', { group })).forgotten
    },
  }
}
