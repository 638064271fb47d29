/** A model folder's card, `model.json`: which files make the encoder, their digests, how its tensors are to be read, and what it may do. */
import { isAbsolute } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import { digestOf } from '../../domain/ids.ts'

/** A file of the folder, by plain name, pinned by SHA-256 (hex). */
export type PinnedFile = { readonly name: string; readonly sha256: string }

/**
 * How a vector leaves the graph: `graph` = the output is [batch, dims] already; `mean` = [batch, tokens, dims], averaged over the
 * real tokens; `cls` = [batch, tokens, dims], the first token. The last two are computed here, in float64 and in token order, so that
 * they are bitwise equal in every batch; so is `graph` where the graph sums each text's rows by a product of its own.
 */
export type Pooling = 'graph' | 'mean' | 'cls'

/** What the encoder must give for a text: the first numbers of its unit vector, prefix and cut included. */
export type CheckText = { readonly text: string; readonly head: readonly number[] }
/** Numbers in a `head`. */
export const check_head_numbers = 8

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
  /** Vectors that a sound machine computes (see check.ts); empty where the card has none. */
  readonly check: readonly CheckText[]
  /** SPDX id of the weights' licence, or its name; null where nobody said it. `license` is read too. */
  readonly licence: string | null
  /** BCP 47 tags of the languages it was made for, or `multilingual`; empty where nobody said it. */
  readonly languages: readonly string[]
  /**
   * Bits of the integer weights. With 7, two products of a uint8 and a weight fit into 16 bits, so that the fast product of processors
   * without VNNI is exact; with more, or null, such a processor is told to take its slower exact one.
   */
  readonly weight_bits: number | null
  /** Of the weights, e.g. `fp32`, `fp16`, `int8 per token`. */
  readonly precision: string | null
  /** Where the weights came from, e.g. a hub id with its commit. */
  readonly source: string | null
  /** What travels with the weights and nothing depends on: LICENSE, NOTICE, README.md. */
  readonly documents: readonly PinnedFile[]
}

/** Beyond this a file cannot be one protobuf message, and should not be in memory as a whole. */
export const model_bytes_max = 2 ** 31 - 1

/** Whether a name can only mean a file in the same folder, and no hidden one. */
export const isPlainName = (name: string): boolean =>
  name.length > 0 && name.length <= 255 && !isAbsolute(name) && !/[/\\\0]/u.test(name) && !name.startsWith('.')

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
  const pinned = (value: unknown, field: string): PinnedFile => {
    const name = is.table(value) ? value['name'] : undefined
    const sha256 = is.table(value) ? value['sha256'] : undefined
    // A plain name: nothing in a card may point out of its folder.
    if (!is.text(name) || !isPlainName(name)) throw invalid(place, `${field}.name`, 'the plain name of a file in the same folder')
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/u.test(sha256))
      throw invalid(place, `${field}.sha256`, '64 lower-case hex digits')
    return { name, sha256 }
  }
  const file = (role: 'model' | 'tokenizer' | 'config'): PinnedFile => pinned(files[role], `files.${role}`)
  const { name, dims, tokens_max, prefix = '', inputs, output, pooling, weight_bits = null, restore = null } = card
  const { check = [], licence = card['license'] ?? null, languages = [], precision = null, source = null, documents = [] } = card
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
  if (weight_bits !== null && !is.integer(weight_bits, 2, 8))
    throw invalid(place, 'weight_bits', 'an integer from 2 to 8, or nothing')
  if (restore !== null && !is.text(restore)) throw invalid(place, 'restore', 'a command, or nothing')
  if (
    !Array.isArray(check) ||
    check.length > 64 ||
    !check.every(
      (one): one is CheckText =>
        is.table(one) &&
        typeof one['text'] === 'string' &&
        one['text'].length <= 4_096 &&
        Array.isArray(one['head']) &&
        one['head'].length === Math.min(check_head_numbers, dims) &&
        one['head'].every((number) => typeof number === 'number' && Math.abs(number) <= 1),
    )
  )
    throw invalid(place, 'check', `a list of at most 64 texts, each with the first ${check_head_numbers} numbers of its vector`)
  if (licence !== null && !is.text(licence)) throw invalid(place, 'licence', 'an SPDX id or a name, or nothing')
  if (!Array.isArray(languages) || languages.length > 512 || !languages.every(is.text))
    throw invalid(place, 'languages', 'a list of language tags')
  if (precision !== null && !is.text(precision)) throw invalid(place, 'precision', 'a text such as fp32, or nothing')
  if (source !== null && !is.text(source)) throw invalid(place, 'source', 'a text, or nothing')
  if (!Array.isArray(documents) || documents.length > 16) throw invalid(place, 'documents', 'a list of at most 16 files')
  const roles = { model: file('model'), tokenizer: file('tokenizer'), config: file('config') }
  const papers = documents.map((value, at) => pinned(value, `documents.${at}`))
  // Some file systems know no case.
  const all_names = ['model.json', ...[...Object.values(roles), ...papers].map((one) => one.name.toLowerCase())]
  if (new Set(all_names).size < all_names.length)
    throw invalid(place, 'files', 'files of different names, none of them model.json')
  return {
    name,
    files: roles,
    dims,
    tokens_max,
    prefix,
    inputs: [...new Set(inputs)],
    output,
    pooling,
    weight_bits,
    restore,
    check: check.map(({ text, head }) => ({ text, head })),
    licence,
    languages,
    precision,
    source,
    documents: papers,
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
