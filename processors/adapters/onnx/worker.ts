/** The encoder's thread: one engine, one inference batch at a time; texts come in and float32 vectors go out by transfer. */
import { parentPort, workerData } from 'node:worker_threads'
import { asFault } from '../../domain/fault.ts'
import { type Engine, type Job, openEngine } from './engine.ts'
import type { FromThread, ThreadSettings, ToThread } from './messages.ts'
import { feedingOf } from './providers.ts'

const port = parentPort
if (port === null) throw new Error('worker.ts is started by the embedder, as a thread.')
const say = (message: FromThread, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

type Chunk = { readonly id: number; readonly begin: () => Promise<Job>; begun: Promise<Job> | null }

const serve = (engine: Engine): void => {
  const { tokenizes_ahead } = feedingOf(engine.provider)
  // The first of either list is in hand, maybe half done.
  const urgent: Chunk[] = []
  const others: Chunk[] = []
  let working = false
  let closing = false

  /** Moves one chunk on by one inference batch; the event loop turns in between, so that a message is never a whole chunk late. */
  const advance = async (queue: Chunk[], chunk: Chunk): Promise<void> => {
    try {
      chunk.begun ??= chunk.begin()
      const job = await chunk.begun
      await job.runBatch()
      if (job.left() > 0) return
      const { vectors, outcomes } = job
      say({ is: 'done', id: chunk.id, vectors, outcomes, work: job.work() }, [vectors.buffer, outcomes.buffer])
    } catch (error) {
      say({ is: 'failed', id: chunk.id, message: asFault(error).message })
    }
    queue.splice(queue.indexOf(chunk), 1)
  }

  const work = async (): Promise<void> => {
    if (working) return
    working = true
    while (!closing) {
      const queue = urgent.length > 0 ? urgent : others
      const chunk = queue[0]
      if (chunk === undefined) break
      await advance(queue, chunk)
    }
    working = false
    // The session is released after the batch in hand, never under it.
    if (closing) await engine.close()
  }

  port.on('message', (message: ToThread) => {
    if (message.do === 'close') {
      closing = true
      port.close()
    } else {
      const { id, texts } = message
      const chunk: Chunk = { id, begin: () => engine.begin(texts), begun: null }
      if (tokenizes_ahead) {
        chunk.begun = chunk.begin()
        // Its failure is told when its turn comes.
        chunk.begun.catch(() => undefined)
      }
      ;(message.urgent ? urgent : others).push(chunk)
    }
    void work()
  })
  say({ is: 'ready', provider: engine.provider, fell_back: engine.fell_back })
}

try {
  serve(await openEngine(workerData as ThreadSettings))
} catch (error) {
  const { code, message, detail } = asFault(error)
  say({ is: 'refused', code, message, detail })
  port.close()
}
