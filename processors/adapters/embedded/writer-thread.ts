/** The writer's own thread: gathers what arrives while it writes, so that one fsync serves all that waited for it. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { this_machine } from './database.ts'
import { type Answered, openWriterTurns, type Waiting, type WriterSettings } from './writer-turn.ts'

/** Null asks the thread to close the file and end. */
export type ToWriter = Waiting | null
export type FromWriter = Answered

const run = (port: MessagePort, settings: WriterSettings): void => {
  const turns = openWriterTurns(this_machine.connect(settings.path, { readonly: false, existing: true }), settings)
  let waiting: Waiting[] = []
  let closing = false
  let scheduled = false

  const take = (message: ToWriter): void => {
    if (message === null) closing = true
    else waiting.push(message)
  }
  const work = (): void => {
    scheduled = false
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port))
      take(more.message as ToWriter)
    const now = waiting
    waiting = []
    turns.work(now, (answered: FromWriter) => port.postMessage(answered))
    if (!closing) return
    turns.close()
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
