/** The encoder's thread: one engine, one request at a time; texts come in, float32 vectors go out by transfer. */
import { parentPort, workerData } from 'node:worker_threads'
import { asFault } from '../../domain/fault.ts'
import { openEngine } from './engine.ts'
import type { FromThread, ThreadSettings, ToThread } from './messages.ts'

const port = parentPort
if (port === null) throw new Error('worker.ts is started by the embedder, as a thread.')
const say = (message: FromThread, transfer: ArrayBufferLike[] = []): void => port.postMessage(message, transfer as ArrayBuffer[])

try {
  const engine = await openEngine(workerData as ThreadSettings)
  // The session is released after the request in hand, never under it.
  let before: Promise<void> = Promise.resolve()
  port.on('message', (message: ToThread) => {
    before = before.then(async () => {
      if (message.do === 'close') {
        port.close()
        return engine.close()
      }
      try {
        const result = await engine.embed(message.texts)
        say({ is: 'done', id: message.id, ...result }, [result.vectors.buffer, result.outcomes.buffer])
      } catch (error) {
        say({ is: 'failed', id: message.id, message: asFault(error).message })
      }
    })
  })
  say({ is: 'ready', provider: engine.provider, fell_back: engine.fell_back })
} catch (error) {
  const { code, message, detail } = asFault(error)
  say({ is: 'refused', code, message, detail })
  port.close()
}
