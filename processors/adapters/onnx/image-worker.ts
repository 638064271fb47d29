/** The image encoder's thread: decodes, runs the graph in small batches, and sends unit vectors back by transfer. */
import { parentPort, workerData } from 'node:worker_threads'
import { env, InferenceSession, Tensor } from 'onnxruntime-node'
import { asFault, Fault, type FaultCode } from '../../domain/fault.ts'
import { readPinnedImageModel } from './image-card.ts'
import { pixelsOf } from './image-pixels.ts'

export type ImageRequest = { readonly id: number; readonly images: readonly Uint8Array[] }
export type ImageProblem = { readonly code: FaultCode; readonly message: string }
export type ImageReply =
  | { readonly is: 'ready' }
  | ({ readonly is: 'refused' } & ImageProblem)
  | {
      readonly is: 'done'
      readonly id: number
      readonly vectors: Float32Array
      readonly problems: readonly (ImageProblem | null)[]
    }
  | { readonly is: 'failed'; readonly id: number; readonly message: string }

/** Images of one run: more hold much memory and gain nothing on one thread. */
const batch_max = 8

const port = parentPort
if (port === null) throw new Error('image-worker.ts is started by the image embedder, as a thread.')
const say = (reply: ImageReply, transfer: ArrayBuffer[] = []): void => port.postMessage(reply, transfer)

try {
  const { card, model } = await readPinnedImageModel((workerData as { readonly folder: string }).folder)
  const { dims, height, width, input, output } = card
  env.logLevel = 'fatal'
  let session: InferenceSession
  try {
    session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      enableMemPattern: false,
    })
  } catch (error) {
    throw new Fault('model.shape', `ONNX Runtime refuses the weights of ${card.name}.`, {}, error)
  }
  if (!session.inputNames.includes(input) || !session.outputNames.includes(output))
    throw new Fault(
      'model.shape',
      `${card.name} has the inputs ${session.inputNames.join(', ')} and outputs ${session.outputNames.join(', ')}; its card names ${input} and ${output}.`,
    )

  /** The rows of a batch, float32 [n, dims] as the graph gave them. */
  const run = async (pixels: readonly Float32Array[]): Promise<Float32Array> => {
    const all = new Float32Array(pixels.length * 3 * height * width)
    pixels.forEach((one, i) => {
      all.set(one, i * one.length)
    })
    const { [output]: found } = await session.run({ [input]: new Tensor('float32', all, [pixels.length, 3, height, width]) }, [
      output,
    ])
    const data = found!.data
    if (!(data instanceof Float32Array) || data.length !== pixels.length * dims)
      throw new Fault(
        'model.shape',
        `${card.name} gave ${data.length} numbers for ${pixels.length} images of ${dims} dimensions.`,
      )
    return data
  }
  // Tried once, so that a card that does not fit its graph is refused at the start.
  await run([new Float32Array(3 * height * width)])

  const embed = async ({ id, images }: ImageRequest): Promise<void> => {
    const vectors = new Float32Array(images.length * dims)
    const problems: (ImageProblem | null)[] = images.map(() => null)
    let ready: { readonly at: number; readonly pixels: Float32Array }[] = []
    const flush = async (): Promise<void> => {
      if (ready.length === 0) return
      const rows = await run(ready.map(({ pixels }) => pixels))
      ready.forEach(({ at }, r) => {
        const row = rows.subarray(r * dims, (r + 1) * dims)
        const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0))
        if (length > 0 && Number.isFinite(length)) for (let d = 0; d < dims; d++) vectors[at * dims + d] = row[d]! / length
        else problems[at] = { code: 'embed.degenerate', message: 'The image encoder gave a vector that is zero or not finite.' }
      })
      ready = []
    }
    for (const [at, bytes] of images.entries()) {
      try {
        ready.push({ at, pixels: await pixelsOf(bytes, card) })
      } catch (error) {
        const { code, message } = asFault(error)
        problems[at] = { code, message }
      }
      if (ready.length >= batch_max) await flush()
    }
    await flush()
    say({ is: 'done', id, vectors, problems }, [vectors.buffer])
  }

  let last = Promise.resolve()
  port.on('message', (request: ImageRequest) => {
    last = last
      .then(() => embed(request))
      .catch((error: unknown) => say({ is: 'failed', id: request.id, message: asFault(error).message }))
  })
  say({ is: 'ready' })
} catch (error) {
  const { code, message } = asFault(error)
  say({ is: 'refused', code, message })
  port.close()
}
