/** One encoder: native tokeniser, ONNX Runtime session, batches by padded width. Blocks its thread: never load it on the main one. */
import { env, InferenceSession, Tensor } from 'onnxruntime-node'
import { Tokenizer } from 'tokenizers'
import { Fault } from '../../domain/fault.ts'
import { planBatches } from './batches.ts'
import type { EncoderCard, GraphInput } from './card.ts'
import { assertCheck } from './check.ts'
import { type FellBack, outcomes, type Provider, type ThreadSettings, type Work } from './messages.ts'
import { withOutput } from './onnx-file.ts'
import { type PinnedModel, readPinned } from './pinned.ts'
import { poolInto } from './pooling.ts'
import { executionProviders, feedingOf } from './providers.ts'
import { release } from './release.ts'
import { type PackedTexts, packTexts, unpackTexts } from './texts.ts'

/** Texts that are tokenised and cut into inference batches; what is run so far is in the arrays. */
export type Job = {
  /** [texts x dims]; zeros where there is no vector, or none yet. */
  readonly vectors: Float32Array<ArrayBuffer>
  readonly outcomes: Uint8Array<ArrayBuffer>
  /** Batches not run yet. */
  left(): number
  /** Runs the next batch; does nothing where none is left. */
  runBatch(): Promise<void>
  work(): Work
}

export type Engine = {
  readonly provider: Provider
  readonly fell_back: readonly FellBack[]
  /** Tokenises; the engine itself may run another job meanwhile. */
  begin(texts: PackedTexts): Promise<Job>
  close(): Promise<void>
}

/** First line of an engine's message, without the paths and signatures of its build machine. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .split('\n')[0]!
    .replace(/^\S+\.(?:cc|h):\d+ .* was false\. /u, '')
    .slice(0, 200)

/** How a session is set up; the bench measures the bare engine with the same. */
export const sessionOptions = (
  { weight_bits }: Pick<EncoderCard, 'weight_bits'>,
  provider: Provider,
  intra_op_threads: number,
  device = 0,
): InferenceSession.SessionOptions => ({
  executionProviders: executionProviders(provider, device),
  intraOpNumThreads: intra_op_threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  // A plan per shape would be kept for every shape ever seen.
  enableMemPattern: false,
  extra: {
    session: {
      intra_op: { allow_spinning: '0' },
      // Without VNNI the fast u8 x s8 product saturates at 16 bits, which 8-bit weights reach: cosine 0.996 to the exact product.
      // This takes the exact one there and changes nothing elsewhere, so that one model gives one vector on every processor.
      x64quantprecision: weight_bits !== null && weight_bits <= 7 ? '0' : '1',
    },
  },
})

const openSession = async (
  pinned: PinnedModel,
  settings: ThreadSettings,
): Promise<{ session: InferenceSession; provider: Provider; fell_back: readonly FellBack[] }> => {
  const { card } = pinned
  // The engine's own complaints go to stderr of the process; the reason reaches us as an error.
  env.logLevel = 'fatal'
  const model = withOutput(pinned.model, card.output)
  const fell_back: FellBack[] = []
  for (const provider of settings.providers) {
    try {
      const session = await InferenceSession.create(
        model,
        sessionOptions(card, provider, settings.intra_op_threads, settings.device),
      )
      release(model)
      release(pinned.model)
      return { session, provider, fell_back }
    } catch (error) {
      if (provider === 'cpu')
        throw new Fault(
          'model.shape',
          `ONNX Runtime refuses the weights of ${card.name}: ${reasonOf(error)}. Does \`output\` in model.json name a tensor of the graph?`,
          {},
          error,
        )
      fell_back.push({ provider, reason: reasonOf(error) })
    }
  }
  throw new Fault(
    'config.invalid',
    `No execution provider works here: ${fell_back.map(({ provider, reason }) => `${provider} (${reason})`).join('; ')}. Add \`cpu\` at the end.`,
    { field: 'model.providers' },
  )
}

/** Loads, verifies and tries the encoder of a folder. Faults: those of readPinned, and config.invalid when no provider works. */
export const openEngine = async (settings: ThreadSettings): Promise<Engine> => {
  const pinned = await readPinned(settings.folder, settings.digest)
  const { card, vocab_size } = pinned
  const { dims, tokens_max, pooling, prefix } = card
  const wrong = (what: string): Fault =>
    new Fault('model.shape', `${card.name}: ${what}. Correct model.json, or take the model it describes.`)

  let tokenizer: Tokenizer
  try {
    tokenizer = Tokenizer.fromString(pinned.tokenizer)
    tokenizer.setTruncation(tokens_max)
    tokenizer.disablePadding()
  } catch (error) {
    throw new Fault('model.shape', `${card.files.tokenizer.name} of ${card.name} is no tokenizer: ${reasonOf(error)}.`, {}, error)
  }
  if (tokenizer.getVocabSize(true) > vocab_size)
    throw wrong(`the tokenizer knows ${tokenizer.getVocabSize(true)} pieces, the weights ${vocab_size}`)

  const { session, provider, fell_back } = await openSession(pinned, settings)
  const feeding = feedingOf(provider)
  const batch_tokens_max = settings.batch_tokens_max ?? feeding.batch_tokens_max
  const length_bucket = settings.length_bucket ?? feeding.length_bucket

  /** int64 inputs, written through their low halves and kept from batch to batch; ids are never negative, so the high halves stay 0. */
  const openInput = () => {
    let whole = new BigInt64Array(0)
    let low = new Uint32Array(0)
    return {
      /** The low halves at even indices, for at least `cells` numbers. */
      low: (cells: number): Uint32Array => {
        if (whole.length < cells) {
          whole = new BigInt64Array(Math.max(cells, Math.min(batch_tokens_max, 2 * cells)))
          low = new Uint32Array(whole.buffer)
        }
        return low
      },
      tensor: (rows: number, width: number): Tensor => new Tensor('int64', whole.subarray(0, rows * width), [rows, width]),
    }
  }
  const values: Record<GraphInput, ReturnType<typeof openInput>> = {
    input_ids: openInput(),
    attention_mask: openInput(),
    // Never written: one text is one segment, number 0.
    token_type_ids: openInput(),
  }

  const run = async (ids: readonly (readonly number[])[], width: number): Promise<Float32Array> => {
    const cells = ids.length * width
    const input_ids = values.input_ids.low(cells)
    const attention_mask = values.attention_mask.low(cells)
    values.token_type_ids.low(cells)
    let at = 0
    for (const tokens of ids) {
      for (let i = 0; i < width; i++, at += 2) {
        const real = i < tokens.length
        input_ids[at] = real ? tokens[i]! : 0
        attention_mask[at] = real ? 1 : 0
      }
    }
    const feeds: Record<string, Tensor> = {}
    for (const input of card.inputs) feeds[input] = values[input].tensor(ids.length, width)
    const output = (await session.run(feeds, [card.output]))[card.output]
    const shape = pooling === 'graph' ? [ids.length, dims] : [ids.length, width, dims]
    if (output === undefined || output.type !== 'float32' || output.dims.join() !== shape.join())
      throw wrong(`\`${card.output}\` is ${output?.type} [${output?.dims.join(', ')}], declared is float32 [${shape.join(', ')}]`)
    return output.data as Float32Array
  }

  let nothing = 0
  const begin: Engine['begin'] = async (packed) => {
    const began = performance.now()
    const texts = unpackTexts(packed, prefix)
    const encodings = await tokenizer.encodeBatch([...texts])
    const fate = new Uint8Array(texts.length)
    let truncated = 0
    let tokens = 0
    const ids = encodings.map((encoding, index) => {
      const length = encoding.getLength()
      if (length <= nothing) {
        fate[index] = outcomes.empty
        return []
      }
      if (encoding.getOverflowing().length > 0) truncated++
      tokens += length
      return encoding.getIds()
    })
    const batches = planBatches(
      ids.map((list) => list.length),
      { length_bucket, tokens_max, batch_tokens_max },
    )
    const tokenize_ms = performance.now() - began

    const vectors = new Float32Array(texts.length * dims)
    let cells = 0
    let engine_ms = 0
    let next = 0
    return {
      vectors,
      outcomes: fate,
      left: () => batches.length - next,
      runBatch: async () => {
        const batch = batches[next++]
        if (batch === undefined) return
        const { width, members } = batch
        const started = performance.now()
        const data = await run(
          members.map((member) => ids[member]!),
          width,
        )
        engine_ms += performance.now() - started
        cells += width * members.length
        const stride = pooling === 'graph' ? dims : width * dims
        for (const [row, member] of members.entries())
          if (!poolInto(vectors, member * dims, data, row * stride, { tokens: ids[member]!.length, dims, pooling }))
            fate[member] = outcomes.degenerate
      },
      work: () => ({ batches: next, tokens, cells, truncated, engine_ms, tokenize_ms }),
    }
  }

  try {
    const unknown = card.inputs.filter((name) => !session.inputNames.includes(name))
    const unfed = session.inputNames.filter((name) => !(card.inputs as readonly string[]).includes(name))
    if (unknown.length > 0 || unfed.length > 0)
      throw wrong(`the weights take ${session.inputNames.join(', ')}, declared are ${card.inputs.join(', ')}`)
    // The longest text there may be, two of them: a position or a dimension that does not fit fails here and not at midnight.
    const longest = Array.from({ length: tokens_max }, (_, i) => i % vocab_size)
    await run([longest, longest.slice(0, 4)], tokens_max)
    nothing = (await tokenizer.encode(prefix)).getLength()
    if (card.check.length > 0) {
      const job = await begin(packTexts(card.check.map(({ text }) => text)))
      while (job.left() > 0) await job.runBatch()
      assertCheck(
        card,
        card.check.map((_, row) =>
          job.outcomes[row] === outcomes.vector ? job.vectors.subarray(row * dims, (row + 1) * dims) : undefined,
        ),
      )
    }
  } catch (error) {
    await session.release()
    throw error instanceof Fault ? error : wrong(`a text of ${tokens_max} tokens fails: ${reasonOf(error)}`)
  }

  return { provider, fell_back, begin, close: () => session.release() }
}
