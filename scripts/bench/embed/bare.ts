/** Bare ONNX Runtime in a thread of its own: session.run on ready tensors, nothing before and nothing behind it. The limit of the engine. */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { env, InferenceSession, Tensor } from 'onnxruntime-node'
import { sessionOptions } from '../../../processors/adapters/onnx/engine.ts'
import { withOutput } from '../../../processors/adapters/onnx/onnx-file.ts'
import { readPinned } from '../../../processors/adapters/onnx/pinned.ts'

/** Token ids of the texts of one call, all padded to `width`. */
export type BareBatch = { readonly width: number; readonly ids: readonly (readonly number[])[] }
type Asked =
  | { readonly do: 'load'; readonly batches: readonly BareBatch[] }
  | { readonly do: 'run'; readonly from: number; readonly to: number }

export type Bare = {
  /** Makes the tensors; what was there before is gone. */
  load(batches: readonly BareBatch[]): Promise<void>
  /** Milliseconds of each call, batches `from` to `to` (exclusive). */
  run(from?: number, to?: number): Promise<readonly number[]>
  close(): Promise<void>
}

/** Opens a session of the model folder in a thread. */
export const openBare = async (folder: string): Promise<Bare> => {
  const worker = new Worker(new URL(import.meta.url), { workerData: { folder }, execArgv: [] })
  const next = async <T>(): Promise<T> => (await once(worker, 'message'))[0] as T
  await next()
  const ask = <T>(message: Asked): Promise<T> => {
    const answer = next<T>()
    worker.postMessage(message)
    return answer
  }
  return {
    load: async (batches) => void (await ask({ do: 'load', batches })),
    run: (from = 0, to = Number.POSITIVE_INFINITY) => ask({ do: 'run', from, to }),
    close: async () => void (await worker.terminate()),
  }
}

if (!isMainThread && parentPort !== null && typeof workerData?.folder === 'string') {
  const port = parentPort
  env.logLevel = 'fatal'
  const { card, model } = await readPinned(workerData.folder)
  const session = await InferenceSession.create(withOutput(model, card.output), sessionOptions(card, 'cpu', 1))
  let feeds: Record<string, Tensor>[] = []
  port.on('message', async (message: Asked) => {
    if (message.do === 'load') {
      feeds = message.batches.map(({ width, ids }) => {
        const input_ids = new BigInt64Array(ids.length * width)
        const attention_mask = new BigInt64Array(ids.length * width)
        for (const [row, list] of ids.entries())
          for (const [i, id] of list.entries()) {
            input_ids[row * width + i] = BigInt(id)
            attention_mask[row * width + i] = 1n
          }
        const shape = [ids.length, width]
        return { input_ids: new Tensor('int64', input_ids, shape), attention_mask: new Tensor('int64', attention_mask, shape) }
      })
      port.postMessage(null)
      return
    }
    const took: number[] = []
    for (const feed of feeds.slice(message.from, message.to)) {
      const began = performance.now()
      await session.run(feed, [card.output])
      took.push(performance.now() - began)
    }
    port.postMessage(took)
  })
  port.postMessage(null)
}
