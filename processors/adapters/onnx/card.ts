/** A model folder's card, `model.json`: which files make the encoder, their digests, and how its tensors are to be read. */
import { isAbsolute } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import { digestOf } from '../../domain/ids.ts'

/** A file of the folder, by plain name, pinned by SHA-256 (hex). */
export type PinnedFile = { readonly name: string; readonly sha256: string }

/**
 * How a vector leaves the graph: `graph` = the output is [batch, dims] already; `mean` = [batch, tokens, dims], averaged over the
 * real tokens; `cls` = [batch, tokens, dims], the first token. The last two are computed here, in float64 and in token order, and
 * are the ones that can be bitwise equal in every batch.
 */
export type Pooling = 'graph' | 'mean' | 'cls'

export const graph_inputs = ['input_ids', 'attention_mask', 'token_type_ids'] as const
export type GraphInput = (typeof graph_inputs)[number]

export type EncoderCard = {
  readonly name: string
  readonly files: { readonly model: PinnedFile; readonly tokenizer: PinnedFile; readonly config: PinnedFile }
  readonly dims: number
  /** Texts are cut to this many tokens, special tokens included. */
  readonly tokens_max: number
  /** Put before every text, e.g. `query: ` for e5. */
  readonly prefix: string
  readonly inputs: readonly GraphInput[]
  /** A graph output, or any inner tensor of the graph. */
  readonly output: string
  readonly pooling: Pooling
  /** The command that gets the files again, where there is one. */
  readonly restore: string | null
}

/** Beyond this a file cannot be one protobuf message, and should not be in memory as a whole. */
export const model_bytes_max = 2 ** 31 - 1

const invalid = (place: string, field: string, takes: string): Fault =>
  new Fault('config.invalid', `${place}: \`${field}\` takes ${takes}.`, { field })

const is = {
  text: (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length <= 1_024,
  integer: (value: unknown, min: number, max: number): value is number =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  table: (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value),
}

/** Reads a card. `place` names it in messages. Faults: config.invalid with the field and what it takes. */
export const parseCard = (text: string, place: string): EncoderCard => {
  let card: unknown
  try {
    card = JSON.parse(text)
  } catch (error) {
    throw new Fault('config.invalid', `${place} is not JSON: correct it or restore it.`, {}, error)
  }
  if (!is.table(card)) throw invalid(place, 'model.json', 'an object')
  const files = card['files']
  if (!is.table(files)) throw invalid(place, 'files', 'an object with model, tokenizer and config')
  const file = (role: 'model' | 'tokenizer' | 'config'): PinnedFile => {
    const value = files[role]
    const name = is.table(value) ? value['name'] : undefined
    const sha256 = is.table(value) ? value['sha256'] : undefined
    // A plain name: nothing in a card may point out of its folder.
    if (!is.text(name) || isAbsolute(name) || /[/\\\0]/u.test(name) || name.startsWith('.'))
      throw invalid(place, `files.${role}.name`, 'the plain name of a file in the same folder')
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/u.test(sha256))
      throw invalid(place, `files.${role}.sha256`, '64 lower-case hex digits')
    return { name, sha256 }
  }
  const { name, dims, tokens_max, prefix = '', inputs, output, pooling, restore = null } = card
  if (!is.text(name)) throw invalid(place, 'name', 'a name')
  if (!is.integer(dims, 1, 8_192)) throw invalid(place, 'dims', 'an integer from 1 to 8192')
  if (!is.integer(tokens_max, 8, 8_192)) throw invalid(place, 'tokens_max', 'an integer from 8 to 8192')
  if (typeof prefix !== 'string' || prefix.length > 256) throw invalid(place, 'prefix', 'a text of at most 256 characters')
  if (
    !Array.isArray(inputs) ||
    !inputs.every((input): input is GraphInput => (graph_inputs as readonly unknown[]).includes(input)) ||
    !inputs.includes('input_ids') ||
    !inputs.includes('attention_mask')
  )
    throw invalid(place, 'inputs', 'a list with input_ids and attention_mask, and perhaps token_type_ids')
  if (!is.text(output)) throw invalid(place, 'output', 'the name of a tensor in the graph')
  if (pooling !== 'graph' && pooling !== 'mean' && pooling !== 'cls') throw invalid(place, 'pooling', 'graph, mean or cls')
  if (restore !== null && !is.text(restore)) throw invalid(place, 'restore', 'a command, or nothing')
  return {
    name,
    files: { model: file('model'), tokenizer: file('tokenizer'), config: file('config') },
    dims,
    tokens_max,
    prefix,
    inputs: [...new Set(inputs)],
    output,
    pooling,
    restore,
  }
}

/** One digest over everything that a vector depends on: another one means that old vectors cannot be compared with new ones. */
export const encoderDigest = (card: EncoderCard): string =>
  digestOf(
    'entrepot encoder 1',
    card.files.model.sha256,
    card.files.tokenizer.sha256,
    card.prefix,
    card.output,
    card.pooling,
    String(card.tokens_max),
  )
