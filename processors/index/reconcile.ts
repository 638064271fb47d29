/**
 * Compares the index with the topics that it is a view of, key by key, counts what differs and puts it right.
 *
 * Three passes a space. (1) The topic, for the newest offset of every key. Then the index group's position is read: what lies below it
 * was acknowledged by the index before now, and what lies above is still to come and is no drift. (2) The versions of every point.
 * (3) Only where something disagreed: the topic again, for the records in question; each point is read again before it counts.
 *
 * A correction writes the key's state as of the end of the partition that pass 1 has read, with the last offset below that end as its
 * version: what a batch of the index stage that ended there would have written. It stands in place of exactly the version that was
 * seen, so a write that came meanwhile stays; a record that came after the end has a greater version and wins; and a late or replayed
 * batch of older records has a smaller one and is refused, also after an orphan was made a tombstone.
 */
import { Fault } from '../domain/fault.ts'
import { type LogRecord, partitionOf } from '../domain/record.ts'
import { unit } from '../domain/vector.ts'
import type { Clock } from '../ports/clock.ts'
import type { EventLog, EventLogAdmin } from '../ports/event-log.ts'
import type { Serdes } from '../ports/schema-registry.ts'
import type { PointVersion, PointWrite, Space, StoredPoint, VectorIndexAdmin, VectorIndexRead } from '../ports/vector-index.ts'
import { dimsOf } from '../ports/vector-semantics.ts'
import { type NewestOffsets, openNewestOffsets } from './newest.ts'
import type { IndexedTopic } from './topics.ts'

/**
 * - `missing`: the newest record is live and was acknowledged, and no live point stands for it.
 * - `stale`: the point is older than the newest record.
 * - `orphan`: a live point of a key of which the topic holds nothing.
 * - `undeleted`: a live point of a key whose newest record is a tombstone.
 * - `ahead`: the point's version lies beyond the end of its partition, as after a topic was made anew: it would refuse every write.
 * - `differs`: the version is right, payload or vector are not (only looked for when deep).
 */
export const drift_kinds = ['missing', 'stale', 'orphan', 'undeleted', 'ahead', 'differs'] as const
export type DriftKind = (typeof drift_kinds)[number]

export type DriftReport = {
  /** False when it was stopped before the end; the counts then tell what was seen until then. */
  readonly complete: boolean
  /** Keys of the topic, tombstones included, by space. */
  readonly checked: Readonly<Record<Space, number>>
  /** Live points, as the index lists them. */
  readonly points: Readonly<Record<Space, number>>
  /** Counted before anything was put right. */
  readonly drift: Readonly<Record<Space, Readonly<Record<DriftKind, number>>>>
  /** Points put right: by this, or by the index stage in the meantime. */
  readonly repaired: number
  /** Points that still differ: all of them in a dry run. */
  readonly remaining: number
  /** Of these, points left as they were because removals_max was reached. */
  readonly withheld: number
  /** Keys whose newest record the index stage has not acknowledged yet, and that are therefore not judged. */
  readonly pending: number
  /** Keys whose newest record cannot be read or belongs to a model of other dimensions; the stage cannot write them either. */
  readonly unreadable: number
  /** At most 20. Ids are item ids and pseudonyms, as they stand in the topics. */
  readonly examples: readonly { readonly space: Space; readonly id: string; readonly kind: DriftKind }[]
  readonly duration_ms: number
}

export type ReconcilePorts = {
  readonly log: Pick<EventLog, 'scan'> & Pick<EventLogAdmin, 'offsets' | 'positions'>
  readonly serdes: Serdes
  readonly index: Pick<VectorIndexRead, 'points'>
  readonly admin: Pick<VectorIndexAdmin, 'versions' | 'correct' | 'describe'>
  readonly clock: Clock
}

export type ReconcileProgress = {
  readonly space: Space
  /** `log`: records of the first pass. `index`: points. `compare`: records of the third pass. */
  readonly step: 'log' | 'index' | 'compare'
  /** So many more, at most a thousand at once. */
  readonly advanced: number
}

export type ReconcileOptions = {
  /** Counts only. */
  readonly dry_run: boolean
  /** Compares payloads and vectors as well, of every live key: reads the whole index. */
  readonly deep?: boolean
  /**
   * At most so many points are removed; more are counted and left (a topic that was made anew would empty the index). No bound unless told.
   */
  readonly removals_max?: number
  readonly signal?: AbortSignal
  readonly on_progress?: (progress: ReconcileProgress) => void
  /** Told of each find before it is put right, so that it is counted even when the process ends in between. */
  readonly on_drift?: (space: Space, kind: DriftKind, points: number) => void
}

const page_points = 500
/** Vectors and texts of so many records are held at once. */
const page_records = 200
const examples_max = 20
const key_bytes_max = 1024
/** Components of two unit vectors differ by so much at most when they are one vector that was normalised by another. */
const component_tolerance = 1e-6

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The key as the index stage takes it; null for a record that it refuses. */
export const idOf = ({ key }: LogRecord): string | null => {
  if (key === null || key.length === 0 || key.length > key_bytes_max) return null
  try {
    return utf8.decode(key)
  } catch (_not_utf8) {
    return null
  }
}

const sameContent = (wanted: PointWrite, stored: StoredPoint): boolean => {
  if (wanted.vector === null || stored.vector === null) return wanted.vector === stored.vector
  const fields = Object.keys(wanted.payload)
  if (fields.length !== Object.keys(stored.payload).length) return false
  if (fields.some((field) => !Object.is(textOf(wanted.payload[field]), textOf(stored.payload[field.toWellFormed()]))))
    return false
  const vector = unit(wanted.vector)
  if (vector.length !== stored.vector.length) return false
  for (let i = 0; i < vector.length; i++) if (!(Math.abs(vector[i]! - stored.vector[i]!) <= component_tolerance)) return false
  return true
}
/** No index keeps half a surrogate pair or the sign of zero. */
const textOf = (value: unknown): unknown => (typeof value === 'string' ? value.toWellFormed() : value === 0 ? 0 : value)

/** What is known of one partition after pass 1. */
type Partition = { readonly newest: NewestOffsets; readonly start: number; end: number; position: number }

/** A key in question: the state its point should have as of `end` of its partition. */
type Question = { readonly id: string; readonly partition: number; readonly wanted: PointWrite; readonly offset: number | null }
type Find = Question & { readonly kind: DriftKind; readonly seen: number | null }

/** Compares every space in turn. Faults: those of log, registry and index, as they come; what was put right until then stays. */
export const reconcile = async (
  ports: ReconcilePorts,
  topics: readonly IndexedTopic[],
  options: ReconcileOptions,
): Promise<DriftReport> => {
  const { log, index, admin, clock } = ports
  const { dry_run, deep = false, removals_max = Number.POSITIVE_INFINITY, signal } = options
  const started_ms = clock.monotonic_ms()
  const none = () => Object.fromEntries(drift_kinds.map((kind) => [kind, 0])) as Record<DriftKind, number>
  const drift: Record<Space, Record<DriftKind, number>> = { items: none(), users: none(), images: none() }
  const checked: Record<Space, number> = { items: 0, users: 0, images: 0 }
  const points: Record<Space, number> = { items: 0, users: 0, images: 0 }
  const examples: { space: Space; id: string; kind: DriftKind }[] = []
  let repaired = 0
  let remaining = 0
  let withheld = 0
  let pending = 0
  let unreadable = 0
  let removed = 0
  const known_dims = await admin.describe()
  const stopped = () => signal?.aborted === true

  const compare = async ({ space, topic, schema, group, pointOf }: IndexedTopic): Promise<void> => {
    const serde = await ports.serdes.of<unknown>(topic, schema)
    const progress = (step: ReconcileProgress['step'], advanced: number) => {
      if (advanced > 0) options.on_progress?.({ space, step, advanced })
    }
    const partitions: Partition[] = (await log.offsets(topic)).map(({ start, end }) => ({
      newest: openNewestOffsets(),
      start,
      end,
      position: 0,
    }))

    /** Records of all partitions; ends early when stopped. */
    const records = async function* (step: 'log' | 'compare') {
      for (const [partition, { start }] of partitions.entries()) {
        let count = 0
        for await (const record of log.scan({ topic, partition }, start)) {
          if (stopped()) return
          if (++count % 1_000 === 0) progress(step, 1_000)
          const id = idOf(record)
          if (id !== null) yield { id, partition, record }
        }
        progress(step, count % 1_000)
      }
    }

    for await (const { id, partition, record } of records('log')) {
      const known = partitions[partition]!
      known.newest.set(id, record.offset, record.value !== null)
      known.end = Math.max(known.end, record.offset + 1)
    }
    if (stopped()) return
    for (const { partition, position } of await log.positions(group, topic)) partitions[partition]!.position = position
    for (const { newest, position } of partitions) {
      checked[space] += newest.size()
      pending += newest.size() - newest.below(position)
    }

    /** Where a key lives; a record that was put elsewhere by hand is found too, and must not look like an orphan. */
    const partitionOfKey = (id: string): number => {
      const usual = partitionOf(Buffer.from(id, 'utf8'), partitions.length)
      if (partitions[usual]!.newest.get(id) !== undefined) return usual
      const other = partitions.findIndex(({ newest }) => newest.get(id) !== undefined)
      return other < 0 ? usual : other
    }

    let ends = partitions.map(({ end }) => end)
    /** Whether the version lies beyond the end, which is asked for again first: the stage goes on writing. */
    const refreshEnds = async (seen: readonly { readonly partition: number; readonly version: number }[]): Promise<void> => {
      if (seen.some(({ partition, version }) => version >= ends[partition]!))
        ends = (await log.offsets(topic)).map(({ partition, end }) => Math.max(end, ends[partition] ?? 0))
    }

    /** What is wrong with a point that should be as `wanted`, if anything. A point of a later record is not judged. */
    const judge = (question: Question, stored: StoredPoint | undefined, contents: boolean): DriftKind | null => {
      const { wanted, partition, offset } = question
      if (stored === undefined) return wanted.vector === null ? null : 'missing'
      if (stored.version >= ends[partition]!) return 'ahead'
      if (stored.version >= partitions[partition]!.end) return null
      if (wanted.vector === null) return stored.deleted ? null : offset === null ? 'orphan' : 'undeleted'
      if (stored.deleted) return 'missing'
      if (stored.version < offset!) return 'stale'
      return contents && !sameContent(wanted, stored) ? 'differs' : null
    }

    const lookAt = async (
      questions: readonly Question[],
      contents: boolean,
    ): Promise<readonly (Question & { readonly kind: DriftKind | null; readonly seen: number | null })[]> => {
      const found = await index.points(
        space,
        questions.map(({ id }) => id),
      )
      await refreshEnds(questions.map(({ id, partition }) => ({ partition, version: found.get(id)?.version ?? -1 })))
      return questions.map((question) => {
        const stored = found.get(question.id)
        return { ...question, kind: judge(question, stored, contents), seen: stored?.version ?? null }
      })
    }

    const settle = async (questions: readonly Question[]): Promise<void> => {
      if (questions.length === 0) return
      const finds = (await lookAt(questions, deep)).filter((look): look is Find => look.kind !== null)
      for (const kind of drift_kinds) {
        const of_kind = finds.filter((find) => find.kind === kind)
        if (of_kind.length === 0) continue
        drift[space][kind] += of_kind.length
        for (const { id } of of_kind) if (examples.length < examples_max) examples.push({ space, id, kind })
        options.on_drift?.(space, kind, of_kind.length)
      }
      const allowed: Find[] = []
      for (const find of finds) {
        if (!dry_run && find.wanted.vector === null && removed >= removals_max) withheld += 1
        else allowed.push(find)
        if (find.wanted.vector === null) removed += 1
      }
      remaining += finds.length - allowed.length
      if (dry_run) {
        remaining += allowed.length
        return
      }
      if (allowed.length === 0) return
      await admin.correct(
        allowed.map(({ wanted, partition, seen }) => ({ ...wanted, version: partitions[partition]!.end - 1, seen })),
      )
      const wrong = (await lookAt(allowed, true)).filter(({ kind }) => kind !== null).length
      remaining += wrong
      repaired += allowed.length - wrong
    }

    const orphans: Question[] = []
    const comparePage = async (page: readonly PointVersion[]): Promise<void> => {
      const placed = page.map((point) => ({ ...point, partition: partitionOfKey(point.id) }))
      await refreshEnds(placed)
      for (const { id, version, deleted, partition } of placed) {
        if (!deleted) points[space] += 1
        const { newest, end } = partitions[partition]!
        const known = newest.get(id)
        const ahead = version >= ends[partition]!
        if (known === undefined) {
          if (ahead || (!deleted && version < end))
            orphans.push({ id, partition, offset: null, wanted: { space, id, vector: null, payload: {} } })
        } else if (ahead) newest.setOpen(id, true)
        else if (version >= end) newest.setOpen(id, false)
        else newest.setOpen(id, known.live ? deleted || version < known.offset : !deleted)
      }
      progress('index', page.length)
      while (orphans.length >= page_points) await settle(orphans.splice(0, page_points))
    }
    let page: PointVersion[] = []
    for await (const point of admin.versions(space)) {
      if (stopped()) return
      page.push(point)
      if (page.length < page_points) continue
      await comparePage(page)
      page = []
    }
    await comparePage(page)
    await settle(orphans)

    const questionable = partitions.reduce((sum, { newest, position }) => sum + newest.open(position), 0)
    if ((questionable === 0 && !deep) || stopped()) return
    let looks: { readonly id: string; readonly partition: number; readonly record: LogRecord }[] = []
    const settleLooks = async (): Promise<void> => {
      const values = await serde.deserialize(looks.flatMap(({ record }) => (record.value === null ? [] : [record.value])))
      let next_value = 0
      const questions: Question[] = []
      for (const { id, partition, record } of looks) {
        const value = record.value === null ? null : values[next_value++]
        const wanted = value instanceof Fault ? null : pointOf(id, value)
        if (wanted === null || (wanted.vector !== null && wanted.vector.length !== dimsOf(space, known_dims))) unreadable += 1
        else questions.push({ id, partition, wanted, offset: record.offset })
      }
      looks = []
      await settle(questions)
    }
    for await (const { id, partition, record } of records('compare')) {
      const { newest, position } = partitions[partition]!
      if (record.offset >= position) continue
      const known = newest.get(id)
      if (known?.offset !== record.offset || !(known.open || (deep && known.live))) continue
      looks.push({ id, partition, record })
      if (looks.length >= page_records) await settleLooks()
    }
    await settleLooks()
  }

  for (const topic of topics) if (!stopped()) await compare(topic)
  return {
    complete: !stopped(),
    checked,
    points,
    drift,
    repaired,
    remaining,
    withheld,
    pending,
    unreadable,
    examples,
    duration_ms: clock.monotonic_ms() - started_ms,
  }
}

/** Every find of a report, all spaces and kinds together. */
export const driftOf = ({ drift }: Pick<DriftReport, 'drift'>): number =>
  Object.values(drift).reduce((sum, kinds) => sum + Object.values(kinds).reduce((all, n) => all + n, 0), 0)
