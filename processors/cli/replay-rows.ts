/** Publishes the rows of files to a platform's source topic, at a rate if one is wanted; bad rows are told and left out. */
import type { CompiledMap, PlatformSource } from '../canonicalize/platform.ts'
import { asFault, Fault } from '../domain/fault.ts'
import type { OutputRecord } from '../domain/record.ts'
import type { Publisher } from './publish.ts'
import { type RowValue, rowsOf } from './rows.ts'
import type { World } from './world.ts'

export type BadRow = { readonly file: string; readonly line: number; readonly fault: Fault }

export type ReplayRows = {
  readonly source: PlatformSource
  readonly files: readonly string[]
  /** Column or field that becomes the record's key; null leaves records without one. */
  readonly key: string | null
  /** Rows a second; null as fast as they go. */
  readonly rate: number | null
  readonly signal: AbortSignal
  /** Called after each append with how many rows and stored bytes it took. */
  readonly progress: (rows: number, bytes: number, file: string) => void
  readonly bad: (row: BadRow) => void
}

const batch_rows_max = 500
/** At a rate, so often a batch goes out. */
const beats_a_second = 20

/**
 * The field that a map's own id rule reads, when it reads one plain field: the key that keeps one item's, or one user's, records
 * in order. Null when the rule is more than a field.
 */
export const keyFieldOf = (map: CompiledMap): string | null => {
  const wanted = map.source.emits === 'items' ? ['source_product_id', 'source_variant_id'] : ['user']
  for (const field of wanted) {
    const rule = map.explained.find((one) => one.field === field || one.field.startsWith(`${field} `))
    const [path] = rule?.paths ?? []
    const plain = rule?.paths.length === 1 && path !== undefined && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(path)
    // A name that the map gave itself is no field of the record.
    if (plain && !map.explained.some((one) => one.field === `let ${path}`)) return path
  }
  return null
}

const keyOf = (row: RowValue, field: string | null): Buffer | null => {
  if (field === null) return null
  const value = row[field]
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
    throw new Fault('key.missing', `The row has no ${field} to be keyed by.`)
  return Buffer.from(String(value), 'utf8')
}

/** Returns how many rows were published. Throws what makes going on pointless: an unreadable file, a log or registry in need. */
export const replayRows = async (world: World, publisher: Publisher, options: ReplayRows): Promise<number> => {
  const { source, key, rate, signal } = options
  const log = await world.log()
  const size = rate === null ? batch_rows_max : Math.max(1, Math.min(batch_rows_max, Math.round(rate / beats_a_second)))
  const started_ms = world.clock.monotonic_ms()
  let published = 0
  let taken_bytes = 0
  let batch: OutputRecord[] = []

  const flush = async (file: string, read_bytes: number): Promise<void> => {
    if (rate !== null) {
      const due_ms = started_ms + ((published + batch.length) / rate) * 1_000
      await world.clock.sleep(Math.max(0, due_ms - world.clock.monotonic_ms()), signal)
      if (signal.aborted) return
    }
    if (batch.length > 0) await log.append(batch)
    published += batch.length
    options.progress(batch.length, read_bytes - taken_bytes, file)
    taken_bytes = read_bytes
    batch = []
  }

  for (const file of options.files) {
    taken_bytes = 0
    let read = 0
    for await (const { line, row, read_bytes } of rowsOf(file)) {
      if (signal.aborted) return published
      read = read_bytes
      try {
        if (row instanceof Fault) throw row
        batch.push({
          topic: source.topic,
          key: keyOf(row, key),
          value: await publisher.encode(source, row),
          timestamp_ms: world.clock.now_ms(),
        })
      } catch (error) {
        const fault = asFault(error)
        if (fault.kind !== 'malformed' || fault.code === 'schema.unknown' || fault.code === 'schema.type') throw fault
        options.bad({ file, line, fault })
      }
      if (batch.length >= size) await flush(file, read)
    }
    await flush(file, read)
  }
  return published
}
