/** Looks at a model from all sides: its files, its papers, and whether it computes here what it should, alone and in company. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer } from 'tokenizers'
import { asFault, Fault, fault_codes } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import { type EncoderCard, encoderDigest } from './card.ts'
import { check_tolerance, checkDifference } from './check.ts'
import { sha256OfFile } from './download.ts'
import { isDocument } from './layout.ts'
import type { Provider } from './messages.ts'
import { weightsOf } from './onnx-file.ts'
import { type PinnedModel, readCard, readPinned } from './pinned.ts'
import type { ModelPlace } from './store.ts'
import { self_cosine_min, trial_texts, tryModel } from './trial.ts'

export type ModelFinding = {
  readonly check:
    | 'card'
    | 'files'
    | 'digest'
    | 'documents'
    | 'licence'
    | 'vocabulary'
    | 'trial'
    | 'vectors'
    | 'batches'
    | 'finite'
  readonly verdict: 'ok' | 'warn' | 'fail'
  readonly says: string
  /** What to do; absent when all is well. */
  readonly remedy?: string
}

type Check = ModelFinding['check']
const ok = (check: Check, says: string): ModelFinding => ({ check, verdict: 'ok', says })
const warn = (check: Check, says: string, remedy: string): ModelFinding => ({ check, verdict: 'warn', says, remedy })
const fail = (check: Check, says: string, remedy: string): ModelFinding => ({ check, verdict: 'fail', says, remedy })
const failed = (check: Check, error: unknown): ModelFinding => {
  const fault = asFault(error)
  const { remedy } = fault_codes[fault.code]
  return fail(check, fault.message, /^The message /u.test(remedy) ? 'See the message.' : remedy)
}

const documents = async (folder: string, card: EncoderCard): Promise<ModelFinding> => {
  const wrong: string[] = []
  for (const { name, sha256 } of card.documents)
    try {
      if ((await sha256OfFile(join(folder, name))) !== sha256) wrong.push(`${name} is altered`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      wrong.push(`${name} is missing`)
    }
  if (wrong.length > 0)
    return fail('documents', wrong.join(', '), card.restore === null ? 'Restore them.' : `\`${card.restore}\``)
  return ok('documents', card.documents.length === 0 ? 'none are pinned' : card.documents.map(({ name }) => name).join(', '))
}

const licence = async (folder: string, card: EncoderCard, names: readonly string[]): Promise<ModelFinding> => {
  if (card.licence === null)
    return warn(
      'licence',
      'model.json names no licence',
      'Find out whether the weights may be used, and write `licence` into model.json.',
    )
  for (const name of names) {
    const found = await stat(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    if (found?.isFile() === true) return ok('licence', `${card.licence}; ${name}`)
  }
  return warn('licence', `${card.licence}, but no text of it`, 'Put LICENSE, or the model’s README.md, beside the weights.')
}

const vocabulary = (pinned: PinnedModel): ModelFinding => {
  const pieces = Tokenizer.fromString(pinned.tokenizer).getVocabSize(true)
  const { vocabulary: rows } = weightsOf(pinned.model)
  const said = `${pieces} pieces in the tokenizer, ${rows ?? 'unknown'} rows in the graph, ${pinned.vocab_size} in config.json`
  if (pieces > pinned.vocab_size || (rows !== null && (pieces > rows || rows < pinned.vocab_size)))
    return fail('vocabulary', said, 'Tokenizer, graph and config.json must be of one model: pull it again.')
  return ok('vocabulary', said)
}

export type VerifyModelOptions = { readonly providers?: readonly Provider[]; readonly clock: Clock }

/** Every check in turn; what cannot be looked at because something before it failed is left out. Changes nothing. */
export async function* verifyModel(
  { folder, digest }: ModelPlace,
  { providers = ['cpu'], clock }: VerifyModelOptions,
): AsyncGenerator<ModelFinding> {
  let card: EncoderCard
  try {
    card = await readCard(folder)
  } catch (error) {
    yield failed('card', error)
    return
  }
  yield ok('card', `${card.name}: ${card.dims} dimensions, ${card.tokens_max} tokens, ${card.pooling} pooling`)

  let pinned: PinnedModel | null = null
  try {
    pinned = await readPinned(folder)
    yield ok('files', 'weights, tokenizer and config are the pinned ones')
  } catch (error) {
    yield failed('files', error)
  }
  const actual = encoderDigest(card)
  yield digest === null
    ? ok('digest', `${actual.slice(0, 12)}, by its own card`)
    : digest === actual
      ? ok('digest', `${actual.slice(0, 12)}, the pinned one`)
      : fail(
          'digest',
          `${actual}, pinned is ${digest}`,
          card.restore === null ? 'Restore the folder, or set model.digest if you trust the new one.' : `\`${card.restore}\``,
        )
  try {
    yield await documents(folder, card)
    const usual = ['LICENSE', 'LICENSE.txt', 'LICENSE.md', 'LICENCE', 'NOTICE', 'README.md']
    yield await licence(folder, card, [...card.documents.map(({ name }) => name).filter(isDocument), ...usual])
  } catch (error) {
    yield failed('documents', error)
  }
  if (pinned === null) return
  try {
    yield vocabulary(pinned)
  } catch (error) {
    yield fail('vocabulary', `the tokenizer cannot be read: ${(error as Error).message}`, 'Pull the model again.')
    return
  }
  // Let go of the weights before they are loaded again.
  pinned = null

  try {
    const trial = await tryModel({ folder, digest, providers, clock, check_texts: card.check.map(({ text }) => text) })
    yield ok(
      'trial',
      `loaded in ${(trial.load_ms / 1_000).toFixed(1)} s on ${trial.provider ?? 'no provider'}, a text in ${trial.alone_ms.toFixed(1)} ms, ${Math.round(trial.rss_bytes / 2 ** 20)} MiB resident`,
    )
    const difference = checkDifference(card, trial.check_vectors)
    yield card.check.length === 0
      ? warn('vectors', 'the card has none to compare with', 'Pull the model again, or take vectors of a machine you trust.')
      : difference <= check_tolerance
        ? ok('vectors', `${card.check.length} texts differ by at most ${difference.toFixed(4)}`)
        : fail(
            'vectors',
            `numbers differ by up to ${difference.toFixed(4)} from those of its maker, ${check_tolerance} is allowed`,
            'Try another of model.providers, or `npm ci`; a tokenizer or kernel here is not the one it was made with.',
          )
    yield trial.self_cosine >= self_cosine_min
      ? ok('batches', `cosine of a text alone to itself in a padded batch: ${trial.self_cosine.toFixed(7)} at least`)
      : warn(
          'batches',
          `a text’s vector depends on its batch: cosine to itself falls to ${trial.self_cosine.toFixed(4)}, so cache and replay would not be exact`,
          'Take fp32 or fp16 weights, or int8 with a scale per token; dynamic int8 with a scale per tensor does this.',
        )
    yield trial.unusable === 0
      ? ok('finite', `unit vectors for ${trial_texts.length} texts, and for odd ones where anything is left of them`)
      : fail(
          'finite',
          `${trial.unusable} texts give a vector that is zero or not finite`,
          'Take other weights: fp16 overflows in some models.',
        )
  } catch (error) {
    if (error instanceof Fault && error.kind === 'defect') throw error
    yield failed('trial', error)
  }
}
