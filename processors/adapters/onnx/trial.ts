/** Runs a model on a few texts, alone and in company, to see that it works here and what it costs. */
import { Fault } from '../../domain/fault.ts'
import { dot, type Vector } from '../../domain/vector.ts'
import type { Clock } from '../../ports/clock.ts'
import { openOnnxEmbedder } from './embedder.ts'
import type { Provider } from './messages.ts'

/** Short enough for one padded width, in several scripts; vectors of these are kept in a pulled model's card. */
export const trial_texts: readonly string[] = [
  'steel kettle, 1.7 l',
  'Wireless noise-cancelling headphones with 30 hours of battery, black',
  'Wanderschuhe Herren wasserdicht Gr. 43',
  'Cafetière italienne en inox pour 6 tasses',
  '小米14 Ultra 5G手机 黑色 16GB+512GB',
  'Деревянная садовая скамейка, 3 места',
  'حذاء رياضي للرجال أزرق',
  'ステンレス製 電気ケトル 0.8L',
  'USB-C cable 2 m 100 W',
  'Dell 0X3KM2 600GB 10K SAS 2.5" hard drive',
]

/** Texts as the world has them; each must give a vector, or be told to be empty. */
const odd_texts: readonly string[] = [
  '',
  ' \t\n',
  '\u0007\u0000\u200b',
  '\ud83d',
  '🫖👩‍👩‍👧',
  '0',
  '!!!???…',
  'a',
  'e\u0301'.repeat(50),
  'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(20),
  'x '.repeat(5_000),
]

/** A text's cosine to itself, alone and beside others, below which a cache or a replay would not be exact. */
export const self_cosine_min = 0.999999

export type TrialOptions = {
  readonly folder: string
  readonly digest?: string | null
  readonly providers?: readonly Provider[]
  readonly clock: Clock
  /** Of the card's check; empty when there is none. */
  readonly check_texts?: readonly string[]
}

export type Trial = {
  readonly dims: number
  readonly provider: string | null
  /** From nothing to ready: verified, loaded and tried at its longest text. */
  readonly load_ms: number
  /** One text alone; the median of those of trial_texts. */
  readonly alone_ms: number
  /** Of the process with the model open. */
  readonly rss_bytes: number
  /** Of trial_texts, in order. */
  readonly vectors: readonly (Vector | Fault)[]
  readonly check_vectors: readonly (Vector | Fault)[]
  /** The least cosine of a text alone to itself in a padded batch. */
  readonly self_cosine: number
  /** Texts that gave neither a finite unit vector nor `embed.empty`. */
  readonly unusable: number
}

const isUsable = (result: Vector | Fault): boolean => {
  if (result instanceof Fault) return result.code === 'embed.empty'
  const square = dot(result, result)
  return Number.isFinite(square) && Math.abs(square - 1) < 1e-4
}

/** Opens the model twice, once for texts alone and once for padded batches. Faults: those of openOnnxEmbedder. */
export const tryModel = async (options: TrialOptions): Promise<Trial> => {
  const { folder, digest = null, providers = ['cpu'], clock, check_texts = [] } = options
  const open = (length_bucket: number) =>
    openOnnxEmbedder({ model_folder: folder, digest, workers: 1, providers, length_bucket, batch_tokens_max: 1_024, clock })
  const began = clock.monotonic_ms()
  const single = await open(4)
  const load_ms = clock.monotonic_ms() - began
  const vectors: (Vector | Fault)[] = []
  const check_vectors: (Vector | Fault)[] = []
  const times: number[] = []
  let odd: readonly (Vector | Fault)[]
  let rss_bytes: number
  let provider: string | null
  try {
    for (const text of trial_texts) {
      const from = clock.monotonic_ms()
      vectors.push(...(await single.embed([text])))
      times.push(clock.monotonic_ms() - from)
    }
    for (const text of check_texts) check_vectors.push(...(await single.embed([text])))
    odd = await single.embed(odd_texts)
    provider = single.stats().provider
    rss_bytes = process.memoryUsage.rss()
  } finally {
    await single.close()
  }
  // Padded to one width, so that both the padding and the neighbours are others than before.
  const padded = await open(64)
  let self_cosine = 1
  try {
    for (const [at, together] of (await padded.embed(trial_texts)).entries()) {
      const alone = vectors[at]!
      if (alone instanceof Fault || together instanceof Fault) continue
      self_cosine = Math.min(self_cosine, dot(alone, together) / Math.sqrt(dot(alone, alone) * dot(together, together)))
    }
  } finally {
    await padded.close()
  }
  return {
    dims: single.model.dims,
    provider,
    load_ms,
    alone_ms: times.sort((a, b) => a - b)[times.length >> 1]!,
    rss_bytes,
    vectors,
    check_vectors,
    self_cosine,
    unusable: [...vectors, ...check_vectors, ...odd].filter((result) => !isUsable(result)).length,
  }
}
