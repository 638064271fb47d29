/** The writer's thread as the rest of the process sees it: promises that resolve when the disk has it. */
import { Worker } from 'node:worker_threads'
import { Fault } from '../../domain/fault.ts'
import type { Answers, Kind, Request, Requests } from './writer.ts'
import type { FromWriter, ToWriter } from './writer-thread.ts'
import type { WriterSettings } from './writer-turn.ts'

export type WriterClient = {
  /** Resolves once it is on disk. Blocks of bytes are copied to the thread: a quarter megabyte takes some 50 us. */
  ask<K extends Kind>(kind: K, body: Requests[K]): Promise<Answers[K]>
  /** Finishes what was asked for, and ends the thread. */
  close(): Promise<void>
}

type Pending = { readonly kind: Kind; resolve(answer: Answers[Kind]): void; reject(error: unknown): void }

const writes = new Set<Kind>(['append', 'commit'])

/** Starts the thread; should it die, a new one is started for the next request, and what was under way fails as unknown. */
export const openWriterClient = (settings: WriterSettings): WriterClient => {
  const pending = new Map<number, Pending>()
  let next_id = 0
  let worker: Worker | undefined
  let ended: Promise<void> = Promise.resolve()
  let closed = false

  const start = (): Worker => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const started = new Worker(new URL(`./writer-thread.${extension}`, import.meta.url), { workerData: settings })
    let cause: unknown
    started.on('message', (answered: FromWriter) => {
      for (const [id, answer] of answered) {
        const waiter = pending.get(id)
        pending.delete(id)
        if ('ok' in answer) waiter?.resolve(answer.ok)
        else waiter?.reject(new Fault(answer.fault.code, answer.fault.message, answer.fault.detail))
      }
      // An idle log does not keep the process alive.
      if (pending.size === 0) started.unref()
    })
    started.on('error', (error) => {
      cause = error
    })
    ended = new Promise((resolve) => {
      started.on('exit', () => {
        if (worker === started) worker = undefined
        for (const { kind, reject } of pending.values())
          reject(
            writes.has(kind)
              ? new Fault('commit.unknown', `The writer of ${settings.path} died while it wrote.`, { path: settings.path }, cause)
              : new Fault('log.unavailable', `The writer of ${settings.path} died.`, { path: settings.path }, cause),
          )
        pending.clear()
        resolve()
      })
    })
    return started
  }
  worker = start()
  worker.unref()

  return {
    ask: (kind, body) => {
      if (closed) return Promise.reject(new Fault('log.unavailable', 'The log is closed.', { path: settings.path }))
      worker ??= start()
      const target = worker
      const id = next_id++
      return new Promise((resolve, reject) => {
        pending.set(id, { kind, resolve: resolve as Pending['resolve'], reject })
        target.ref()
        const message: ToWriter = { id, request: { kind, body } as Request }
        target.postMessage(message)
      })
    },
    close: async () => {
      if (!closed) {
        closed = true
        worker?.ref()
        worker?.postMessage(null satisfies ToWriter)
      }
      await ended
    },
  }
}
