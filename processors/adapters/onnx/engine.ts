/** One encoder: native tokeniser, ONNX Runtime session, batches by padded width. Blocks its thread: never load it on the main one. */
import { env, InferenceSession, Tensor } from 'onnxruntime-node'
import { Tokenizer } from 'tokenizers'
import { Fault } from '../../domain/fault.ts'
import { planBatches } from './batches.ts'
import type { GraphInput } from './card.ts'
import { outcomes, type Provider, type ThreadSettings, type Work } from './messages.ts'
import { withOutput } from './onnx-file.ts'
import { type PinnedModel, readPinned } from './pinned.ts'
import { poolInto } from './pooling.ts'

export type Engine = {
  readonly provider: Provider
  readonly fell_back: readonly { provider: Provider; reason: string }[]
  embed(texts: readonly string[]): Promise<{ vectors: Float32Array; outcomes: Uint8Array; work: Work }>
  close(): Promise<void>
}

/** First line of an engine's message, without the paths of its build machine. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 200)

/** How a session is set up; the bench measures the bare engine with the same. */
export const sessionOptions = (provider: Provider, intra_op_threads: number): InferenceSession.SessionOptions => ({
  // What a device cannot compute falls to the CPU node by node.
  executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
  intraOpNumThreads: intra_op_threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  // A plan per shape would be kept for every shape ever seen.
  enableMemPattern: false,
  extra: {
    session: {
      intra_op: { allow_spinning: '0' },
      // Without VNNI the fast u8 x s8 product saturates at 16 bits: cosine 0.996 to the exact product. This takes the exact one
      // there and changes nothing elsewhere, so that one model gives one vector on every processor.
      x64quantprecision: '1',
    },
  },
})

const openSession = async (
  pinned: PinnedModel,
  settings: ThreadSettings,
): Promise<{ session: InferenceSession; provider: Provider; fell_back: { provider: Provider; reason: string }[] }> => {
  const { card } = pinned
  // The engine's own complaints go to stderr of the process; the reason reaches us as an error.
  env.logLevel = 'fatal'
  const model = withOutput(pinned.model, card.output)
  const fell_back: { provider: Provider; reason: string }[] = []
  for (const provider of settings.providers) {
    try {
      const session = await InferenceSession.create(model, sessionOptions(provider, settings.intra_op_threads))
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

  const run = async (ids: readonly (readonly number[])[], width: number): Promise<Float32Array> => {
    const cells = ids.length * width
    const values: Record<GraphInput, BigInt64Array> = {
      input_ids: new BigInt64Array(cells),
      attention_mask: new BigInt64Array(cells),
      token_type_ids: new BigInt64Array(cells),
    }
    for (const [row, tokens] of ids.entries())
      for (let i = 0, at = row * width; i < tokens.length; i++, at++) {
        values.input_ids[at] = BigInt(tokens[i]!)
        values.attention_mask[at] = 1n
      }
    const feeds: Record<string, Tensor> = {}
    for (const input of card.inputs) feeds[input] = new Tensor('int64', values[input], [ids.length, width])
    const output = (await session.run(feeds, [card.output]))[card.output]
    const shape = pooling === 'graph' ? [ids.length, dims] : [ids.length, width, dims]
    if (output === undefined || output.type !== 'float32' || output.dims.join() !== shape.join())
      throw wrong(`\`${card.output}\` is ${output?.type} [${output?.dims.join(', ')}], declared is float32 [${shape.join(', ')}]`)
    const data = output.data as Float32Array
    return data
  }

  try {
    const unknown = card.inputs.filter((name) => !session.inputNames.includes(name))
    const unfed = session.inputNames.filter((name) => !(card.inputs as readonly string[]).includes(name))
    if (unknown.length > 0 || unfed.length > 0)
      throw wrong(`the weights take ${session.inputNames.join(', ')}, declared are ${card.inputs.join(', ')}`)
    // The longest text there may be, two of them: a position or a dimension that does not fit fails here and not at midnight.
    const longest = Array.from({ length: tokens_max }, (_, i) => i % vocab_size)
    await run([longest, longest.slice(0, 4)], tokens_max)
  } catch (error) {
    await session.release()
    throw error instanceof Fault ? error : wrong(`a text of ${tokens_max} tokens fails: ${reasonOf(error)}`)
  }

  const nothing = (await tokenizer.encode(prefix)).getLength()

  const embed: Engine['embed'] = async (texts) => {
    const began = performance.now()
    // Half of a surrogate pair has no UTF-8: it becomes U+FFFD, as everywhere else.
    const encodings = await tokenizer.encodeBatch(texts.map((text) => prefix + text.toWellFormed()))
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
    const tokenize_ms = performance.now() - began

    const vectors = new Float32Array(texts.length * dims)
    let cells = 0
    let engine_ms = 0
    const batches = planBatches(
      ids.map((list) => list.length),
      { length_bucket: settings.length_bucket, tokens_max, batch_tokens_max: settings.batch_tokens_max },
    )
    for (const { width, members } of batches) {
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
    }
    return { vectors, outcomes: fate, work: { batches: batches.length, tokens, cells, truncated, engine_ms, tokenize_ms } }
  }

  return { provider, fell_back, embed, close: () => session.release() }
}
