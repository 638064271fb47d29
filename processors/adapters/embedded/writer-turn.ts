/** One turn of the writer: what waits becomes transactions, each answered as soon as it is on disk; then the log is copied if it is long. */
import { configure, type Handle, page_bytes, sqliteFault } from './database.ts'
import { type Answer, openWriter, type Request } from './writer.ts'

export type Waiting = { readonly id: number; readonly request: Request }
export type Answered = readonly (readonly [id: number, answer: Answer])[]

/** One transaction takes at most so much, so that the write-ahead log and the wait of its first request stay bounded. */
const group_requests_max = 256
const group_bytes_max = 16 << 20
/**
 * Pages in the write-ahead log at which they are copied into the file, once those who wait have their answer: 16 MiB. More would
 * write less in all (random keys: 5 instead of 9 KB each at four times as much), but stall commits for longer.
 */
const checkpoint_bytes_default = 16 << 20

const bytesOf = ({ kind, body }: Request): number =>
  kind === 'append' ? body.records.byteLength : kind === 'commit' ? body.records.byteLength + body.state.byteLength : 0

export type WriterSettings = {
  readonly path: string
  readonly cache_bytes: number
  readonly file_bytes_max: number
  /** Bytes in the write-ahead log at which they are copied into the file; 16 MiB unless told. */
  readonly checkpoint_bytes?: number
}

/** The writer of one file, over a connection of its own. The schema must be there. */
export type WriterTurns = {
  /** Does everything that waits, in order; `answered` is told of one transaction after the other. */
  work(waiting: readonly Waiting[], answered: (answers: Answered) => void): void
  close(): void
}

export const openWriterTurns = (handle: Handle, settings: WriterSettings): WriterTurns => {
  configure(handle, settings)
  // By hand, after the answers are out.
  handle.pragma('wal_autocheckpoint = 0')
  const checkpoint_pages = (settings.checkpoint_bytes ?? checkpoint_bytes_default) / page_bytes
  const wal_pages = handle.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(NOOP)').raw()
  const writer = openWriter(settings.path, handle)

  const checkpoint = (): void => {
    try {
      const [, pages, copied] = wal_pages.get()!
      if (pages - copied > checkpoint_pages) handle.pragma('wal_checkpoint(PASSIVE)')
    } catch (error) {
      // The log is whole without it. What hinders it, a full disk say, hinders the next commit too, and that one tells.
      if (sqliteFault(settings.path, error).code === 'defect.unexpected') throw error
    }
  }

  return {
    work: (waiting, answered) => {
      for (let next = 0; next < waiting.length; ) {
        let count = 0
        let bytes = 0
        while (next + count < waiting.length && count < group_requests_max && (count === 0 || bytes < group_bytes_max))
          bytes += bytesOf(waiting[next + count++]!.request)
        const group = waiting.slice(next, next + count)
        next += count
        const answers = writer.apply(group.map(({ request }) => request))
        answered(group.map(({ id }, i) => [id, answers[i]!] as const))
        checkpoint()
      }
    },
    close: () => handle.close(),
  }
}
