/** ImageEmbedder by onnxruntime-node: a CLIP-class vision tower in one worker thread, decoding included, started anew when it dies. */
import { Worker } from 'node:worker_threads'
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import type { ImageEmbedder } from '../../ports/image-embedder.ts'
import { imageModelOf, readImageCard } from './image-card.ts'
import type { ImageReply } from './image-worker.ts'

type Waiting = {
  readonly count: number
  readonly resolve: (found: readonly (Vector | Fault)[]) => void
  readonly reject: (why: Fault) => void
}
type Thread = { readonly worker: Worker; readonly waiting: Map<number, Waiting>; readonly ready: Promise<void> }

/**
 * Opens the image encoder of a folder (image-model.json and its weights), verified and tried once.
 * Faults: model.missing, model.sha256, model.shape, config.invalid.
 */
export const openImageEmbedder = async (options: { readonly folder: string }): Promise<ImageEmbedder> => {
  const { folder } = options
  const model = imageModelOf(await readImageCard(folder))
  const { dims } = model
  let next = 0
  let closed = false

  const start = (): Thread => {
    const worker = new Worker(new URL('./image-worker.ts', import.meta.url), { workerData: { folder } })
    const waiting = new Map<number, Waiting>()
    const fail = (why: Fault): void => {
      for (const { reject } of waiting.values()) reject(why)
      waiting.clear()
    }
    const ready = new Promise<void>((resolve, reject) => {
      const dead = (how: string): void => {
        const why = new Fault('embedder.unavailable', `The image encoder's thread ended (${how}); it is started again.`)
        reject(why)
        fail(why)
        if (thread === own) thread = undefined
      }
      worker.on('error', (error) => dead(error instanceof Error ? error.message.slice(0, 100) : 'error'))
      worker.on('exit', (code) => dead(`exit ${code}`))
      worker.on('message', (reply: ImageReply) => {
        if (reply.is === 'ready') return resolve()
        if (reply.is === 'refused') return reject(new Fault(reply.code, reply.message))
        const asked = waiting.get(reply.id)
        waiting.delete(reply.id)
        if (reply.is === 'failed')
          return asked?.reject(new Fault('embedder.unavailable', `The image encoder failed: ${reply.message}`))
        asked?.resolve(
          reply.problems.map((problem, i) =>
            problem === null ? reply.vectors.slice(i * dims, (i + 1) * dims) : new Fault(problem.code, problem.message),
          ),
        )
      })
    })
    // Told to whoever waits for it; a thread that nobody waits for may fail silently.
    ready.catch(() => undefined)
    const own: Thread = { worker, waiting, ready }
    return own
  }

  let thread: Thread | undefined = start()
  try {
    await thread.ready
  } catch (error) {
    await thread?.worker.terminate()
    throw error
  }

  return {
    model,
    async embed(images) {
      if (closed) throw new Fault('embedder.unavailable', 'The image encoder is closed.')
      if (images.length === 0) return []
      thread ??= start()
      const { worker, waiting, ready } = thread
      await ready
      const id = next++
      return new Promise((resolve, reject) => {
        waiting.set(id, { count: images.length, resolve, reject })
        // Copies, so that the caller's bytes stay his: a Buffer may be a part of a pool that others use.
        const copies = images.map((bytes) => Uint8Array.from(bytes))
        worker.postMessage(
          { id, images: copies },
          copies.map(({ buffer }) => buffer),
        )
      })
    },
    async close() {
      if (closed) return
      closed = true
      await thread?.worker.terminate()
    },
  }
}
