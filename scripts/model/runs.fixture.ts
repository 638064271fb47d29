/** Runs graphs in a thread: ONNX Runtime's tensors are of the thread's realm, and not of the one jest makes for a test. */
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

export type Answer = { readonly vectors: readonly Float32Array[]; readonly states: readonly Float32Array[] }
export type Runs = {
  /** Unit vectors and last states of texts of ids, padded to `width`. */
  run(ids: readonly (readonly number[])[], width: number): Promise<Answer>
  close(): Promise<void>
}

/** Opens a session of the graph. */
export const openRuns = async (graph: Uint8Array): Promise<Runs> => {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { graph }, execArgv: [] })
  const next = async <T>(): Promise<T> => (await once(worker, 'message'))[0] as T
  await next()
  return {
    run: (ids, width) => {
      const answer = next<Answer>()
      worker.postMessage({ ids, width })
      return answer
    },
    close: async () => void (await worker.terminate()),
  }
}

if (!isMainThread && parentPort !== null && workerData?.graph !== undefined) {
  const port = parentPort
  const { env, InferenceSession, Tensor } = await import('onnxruntime-node')
  env.logLevel = 'error'
  const session = await InferenceSession.create(workerData.graph as Uint8Array, {
    intraOpNumThreads: 1,
    extra: { session: { x64quantprecision: '1' } },
  })
  port.on('message', async ({ ids, width }: { ids: number[][]; width: number }) => {
    const tensor = (value: (row: number, at: number) => number) =>
      new Tensor(
        'int64',
        BigInt64Array.from({ length: ids.length * width }, (_, i) => BigInt(value(Math.floor(i / width), i % width))),
        [ids.length, width],
      )
    const out = await session.run({
      input_ids: tensor((row, at) => ids[row]![at] ?? 1),
      attention_mask: tensor((row, at) => (at < ids[row]!.length ? 1 : 0)),
    })
    const rowsOf = (name: string): Float32Array[] => {
      const data = out[name]!.data as Float32Array
      const length = data.length / ids.length
      return ids.map((_, row) => data.slice(row * length, (row + 1) * length))
    }
    port.postMessage({ vectors: rowsOf('sentence_embedding'), states: rowsOf('last_hidden_state') })
  })
  port.postMessage(null)
}
