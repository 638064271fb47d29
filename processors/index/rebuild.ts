/**
 * Fills a new index from the topics and puts it in the place of the live one, while the index stage goes on and every read is answered.
 *
 * (1) A collection is staged, and every partition is copied into it from its oldest record, in pages written as the stage writes its
 * batches: the last record of each key, with the page's last offset as version. (2) What came meanwhile is copied, until nothing is
 * left to copy. (3) The staged points are compared with the topics, contents and all; one that differs is put right, one that still
 * differs ends the rebuild, and the live index is as it was. (4) The new collection becomes the live one in one step. (5) Only now the
 * ends of the partitions are read, and what lies between the copy and them is written to the live index: what the stage wrote to the
 * old collection before the step lies below these ends, what it writes after them goes to the new one. (6) One more comparison.
 */
import { Fault } from '../domain/fault.ts'
import type { LogRecord } from '../domain/record.ts'
import type { VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import { dimsOf } from '../ports/vector-semantics.ts'
import { lastByKey } from './processor.ts'
import { type DriftReport, driftOf, idOf, type ReconcilePorts, type ReconcileProgress, reconcile } from './reconcile.ts'
import type { IndexedTopic } from './topics.ts'

export type RebuildPorts = Omit<ReconcilePorts, 'index' | 'admin'> & {
  readonly index: VectorIndex
  readonly admin: VectorIndexAdmin
}

export type RebuildProgress =
  | { readonly step: 'copy' | 'switch' | 'catch_up'; readonly advanced: number }
  | ({ readonly step: 'compare' } & { readonly of: ReconcileProgress; readonly advanced: number })

export type RebuildReport = {
  /** Records that were copied, again ones included. */
  readonly copied: number
  /** Of these, records that came while the copy was made. */
  readonly caught_up: number
  /** Records that cannot be read or belong to a model of other dimensions: the index stage cannot write them either. */
  readonly unreadable: number
  readonly collection: string
  /** The last comparison, of the live index after the switch. */
  readonly drift: DriftReport
  readonly duration_ms: number
}

const page_records = 500
/** Bytes of values that are held at once. */
const page_bytes = 4 << 20
/** Rounds of catching up before the switch; each is shorter than the one before unless the topics grow faster than they are read. */
const rounds_max = 8

/**
 * Refills the index. Nothing of the live one is touched before the switch, so that a fault or an abort before it leaves everything as it
 * was. Faults: those of log, registry and index; `index.unavailable` when the staged collection does not keep what it acknowledged.
 */
export const rebuild = async (
  ports: RebuildPorts,
  topics: readonly IndexedTopic[],
  options: { readonly signal?: AbortSignal; readonly on_progress?: (progress: RebuildProgress) => void } = {},
): Promise<RebuildReport> => {
  const { log, admin, clock } = ports
  const { signal, on_progress = () => undefined } = options
  const started_ms = clock.monotonic_ms()
  const known_dims = await admin.describe()
  /** The next offset to copy, by topic and partition. */
  const next = new Map<string, number[]>()
  let copied = 0
  let unreadable = 0

  const assertGoing = (): void => {
    if (signal?.aborted)
      throw new Fault('index.unavailable', 'The rebuild was stopped before the switch; the index is as it was. Run it again.')
  }

  /** Copies what lies between the last copy and the ends; returns how many records that was. */
  const copy = async (to: Pick<VectorIndex, 'write'>, step: 'copy' | 'catch_up'): Promise<number> => {
    const before = copied
    for (const { topic, schema, pointOf } of topics) {
      const serde = await ports.serdes.of<unknown>(topic, schema)
      const offsets = await log.offsets(topic)
      const positions = next.get(topic) ?? offsets.map(({ start }) => start)
      next.set(topic, positions)
      for (const { partition } of offsets) {
        let page: { readonly key: string; readonly record: LogRecord }[] = []
        let bytes = 0
        const writePage = async (): Promise<void> => {
          const values = await serde.deserialize(page.flatMap(({ record }) => (record.value === null ? [] : [record.value])))
          let next_value = 0
          // As the stage does: what it refuses is left out first, and the last of the rest stands.
          const readable = page.flatMap(({ key, record }) => {
            const value = record.value === null ? null : values[next_value++]
            const point = value instanceof Fault ? null : pointOf(key, value)
            if (point !== null && (point.vector === null || point.vector.length === dimsOf(point.space, known_dims)))
              return [{ key, point }]
            unreadable += 1
            return []
          })
          const points = lastByKey(readable).map(({ point }) => point)
          const last = page.at(-1)
          if (last !== undefined) await to.write(points, last.record.offset)
          copied += page.length
          on_progress({ step, advanced: page.length })
          page = []
          bytes = 0
        }
        for await (const record of log.scan({ topic, partition }, positions[partition]!)) {
          if (step === 'copy') assertGoing()
          const key = idOf(record)
          if (key !== null) page.push({ key, record })
          bytes += record.value?.length ?? 0
          if (page.length >= page_records || bytes >= page_bytes) await writePage()
          positions[partition] = record.offset + 1
        }
        await writePage()
      }
    }
    return copied - before
  }

  const staged = await admin.stage()
  let caught_up = 0
  try {
    await copy(staged, 'copy')
    const catchUp = async (): Promise<void> => {
      for (let round = 0; round < rounds_max; round++) {
        const more = await copy(staged, 'copy')
        caught_up += more
        if (more === 0) return
      }
    }
    await catchUp()
    const compared = await reconcile(
      {
        ...ports,
        // What was copied is what the staged collection has acknowledged, whatever the group has.
        log: {
          scan: (at, from) => log.scan(at, from),
          offsets: (topic) => log.offsets(topic),
          positions: async (_group, topic) =>
            (next.get(topic) ?? []).map((position, partition) => ({ topic, partition, position })),
        },
        index: staged,
        admin: staged,
      },
      topics,
      {
        dry_run: false,
        deep: true,
        ...(signal === undefined ? {} : { signal }),
        on_progress: (of) => on_progress({ step: 'compare', of, advanced: of.advanced }),
      },
    )
    assertGoing()
    if (compared.remaining > 0)
      throw new Fault(
        'index.unavailable',
        `The new collection still differs from the topics in ${compared.remaining} of ${driftOf(compared)} points after a repair: it is dropped, and the index is as it was. Look at the index server, then run the rebuild again.`,
      )
    await catchUp()
    assertGoing()
    on_progress({ step: 'switch', advanced: 0 })
    await staged.promote()
  } catch (error) {
    // What cannot be deleted now is deleted when the next rebuild begins; why this one ended is what matters.
    await Promise.allSettled([staged.discard()])
    throw error
  }
  caught_up += await copy(ports.index, 'catch_up')
  const drift = await reconcile(ports, topics, {
    dry_run: false,
    on_progress: (of) => on_progress({ step: 'compare', of, advanced: of.advanced }),
  })
  return {
    copied,
    caught_up,
    unreadable,
    collection: (await admin.describe()).collection,
    drift,
    duration_ms: clock.monotonic_ms() - started_ms,
  }
}
