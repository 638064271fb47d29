/** The writer's own thread: gathers what arrives while it writes, so that one fsync serves all that waited for it. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { configure, page_bytes, sqliteFault } from './database.ts'
import { type Answer, openWriter, type Request } from './writer.ts'

export type WriterSettings = { readonly path: string; readonly cache_bytes: number; readonly file_bytes_max: number }
/** Null asks the thread to close the file and end. */
export type ToWriter = { readonly id: number; readonly request: Request } | null
export type FromWriter = readonly (readonly [id: number, answer: Answer])[]

/** One transaction takes at most so much, so that the write-ahead log and the wait of its first request stay bounded. */
const group_requests_max = 256
const group_bytes_max = 16 << 20
/**
 * Pages in the write-ahead log at which they are copied into the file, once those who wait have their answer: 16 MiB. More would
 * write less in all (random keys: 5 instead of 9 KB each at four times as much), but stall commits for longer.
 */
const checkpoint_pages = (16 << 20) / page_bytes

const bytesOf = ({ kind, body }: Request): number =>
  kind === 'append' ? body.records.byteLength : kind === 'commit' ? body.records.byteLength + body.state.byteLength : 0

const run = (port: MessagePort, settings: WriterSettings): void => {
  const handle = new Database(settings.path, { timeout: 5000, fileMustExist: true })
  configure(handle, settings)
  // By hand, after the answers are out.
  handle.pragma('wal_autocheckpoint = 0')
  const wal_pages = handle.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(NOOP)').raw()
  const writer = openWriter(settings.path, handle)
  let waiting: { id: number; request: Request }[] = []
  let closing = false
  let scheduled = false

  const take = (message: ToWriter): void => {
    if (message === null) closing = true
    else waiting.push(message)
  }
  const checkpoint = (): void => {
    try {
      const [, pages, copied] = wal_pages.get()!
      if (pages - copied > checkpoint_pages) handle.pragma('wal_checkpoint(PASSIVE)')
    } catch (error) {
      // The log is whole without it. What hinders it, a full disk say, hinders the next commit too, and that one tells.
      if (sqliteFault(settings.path, error).code === 'defect.unexpected') throw error
    }
  }
  const work = (): void => {
    scheduled = false
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port))
      take(more.message as ToWriter)
    while (waiting.length > 0) {
      let count = 0
      let bytes = 0
      while (count < waiting.length && count < group_requests_max && (count === 0 || bytes < group_bytes_max))
        bytes += bytesOf(waiting[count++]!.request)
      const group = waiting.slice(0, count)
      waiting = waiting.slice(count)
      const answers = writer.apply(group.map(({ request }) => request))
      const answered: FromWriter = group.map(({ id }, i) => [id, answers[i]!] as const)
      port.postMessage(answered)
      checkpoint()
    }
    if (!closing) return
    handle.close()
    port.close()
  }
  port.on('message', (message: ToWriter) => {
    take(message)
    if (scheduled) return
    scheduled = true
    setImmediate(work)
  })
}

if (parentPort !== null) run(parentPort, workerData as WriterSettings)
