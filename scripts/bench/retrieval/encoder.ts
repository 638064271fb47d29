/** An encoder for measuring: a model folder, its vectors remembered in .cache by model and text, its tokeniser. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Tokenizer } from 'tokenizers'
import { encoderDigest } from '../../../processors/adapters/onnx/card.ts'
import { openOnnxEmbedder } from '../../../processors/adapters/onnx/embedder.ts'
import { readCard } from '../../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../../processors/adapters/system/clock.ts'
import { Fault } from '../../../processors/domain/fault.ts'
import type { Vector } from '../../../processors/domain/vector.ts'
import { cachedEmbedder } from '../../replay/embedding-cache.ts'

const cache = join(import.meta.dirname, '../../../.cache/bench/retrieval')

export type TokenCounts = {
  readonly tokens: number
  /** Tokens that stand for something the vocabulary has no piece for. */
  readonly unknown: number
}

export type MeasuredEncoder = {
  readonly name: string
  /** Of the card: weights, tokeniser, prefix and the rest of what a vector depends on. */
  readonly digest: string
  /** Unit vectors in order; zero for a text that the model makes nothing of. `what` is named in the progress line. */
  embed(texts: readonly string[], what: string): Promise<readonly Vector[]>
  /** Tokens of all texts together, prefix and special tokens included, uncut. */
  tokens(texts: readonly string[]): Promise<TokenCounts>
  close(): Promise<void>
}

/** What the files of ../shared/models do not say of themselves: they have no card. */
const uncarded = (folder: string): { readonly prefix: string; readonly tokens_max: number } =>
  /e5/iu.test(basename(folder)) ? { prefix: 'query: ', tokens_max: 512 } : { prefix: '', tokens_max: 256 }

/** The folder itself if it has a card; else a copy of it in .cache with one, for a BERT graph as ../shared/models/scripts makes it. */
const carded = (folder: string): string => {
  if (existsSync(join(folder, 'model.json'))) return folder
  const sha256 = (file: string): string =>
    createHash('sha256')
      .update(readFileSync(join(folder, file)))
      .digest('hex')
  const files = { model: 'model_int8_row.onnx', tokenizer: 'tokenizer.json', config: 'config.json' } as const
  const config = JSON.parse(readFileSync(join(folder, files.config), 'utf8')) as {
    num_hidden_layers: number
    hidden_size: number
  }
  const pinned = Object.fromEntries(Object.entries(files).map(([role, name]) => [role, { name, sha256: sha256(name) }]))
  const copy = join(cache, 'models', `${basename(folder)}-${pinned['model']!.sha256.slice(0, 12)}`)
  mkdirSync(copy, { recursive: true })
  for (const name of Object.values(files)) copyFileSync(join(folder, name), join(copy, name))
  const card = {
    name: basename(folder),
    files: pinned,
    dims: config.hidden_size,
    ...uncarded(folder),
    inputs: ['input_ids', 'attention_mask'],
    output: `/m/encoder/layer.${config.num_hidden_layers - 1}/output/LayerNorm/LayerNormalization_output_0`,
    pooling: 'mean',
  }
  writeFileSync(join(copy, 'model.json'), `${JSON.stringify(card, null, 2)}\n`)
  return copy
}

/** Opens the encoder in `folder` as `name`; it is loaded only when a text comes that .cache does not know. */
export const openMeasured = async (name: string, folder: string, workers: number): Promise<MeasuredEncoder> => {
  const place = carded(folder)
  const card = await readCard(place)
  const digest = encoderDigest(card)
  const model = { name: card.name, digest, dims: card.dims, tokens_max: card.tokens_max }
  const embedder = cachedEmbedder(model, join(cache, `${digest.slice(0, 16)}.vectors`), () =>
    openOnnxEmbedder({ model_folder: place, workers, clock: systemClock }),
  )
  const at_once = 256
  return {
    name,
    digest,
    embed: async (texts, what) => {
      const vectors: Vector[] = []
      const began = performance.now()
      const before = embedder.computed()
      for (let at = 0; at < texts.length; at += at_once) {
        for (const vector of await embedder.embed(texts.slice(at, at + at_once)))
          vectors.push((vector as Vector | Fault) instanceof Fault ? new Float32Array(card.dims) : (vector as Vector))
        const computed = embedder.computed() - before
        if (computed > 0)
          process.stderr.write(
            `\r${name}: ${what}, ${Math.min(at + at_once, texts.length)} of ${texts.length} texts, ${(computed / ((performance.now() - began) / 1e3)).toFixed(0)} new a second   `,
          )
      }
      if (embedder.computed() > before) process.stderr.write('\n')
      return vectors
    },
    tokens: async (texts) => {
      const tokenizer = Tokenizer.fromString(readFileSync(join(place, card.files.tokenizer.name), 'utf8'))
      tokenizer.disableTruncation()
      const unknown_id = ['<unk>', '[UNK]'].map((token) => tokenizer.tokenToId(token)).find((id) => id !== null)
      const counts = { tokens: 0, unknown: 0 }
      for (const encoding of await tokenizer.encodeBatch(texts.map((text) => card.prefix + text))) {
        const ids = encoding.getIds()
        counts.tokens += ids.length
        counts.unknown += ids.filter((id) => id === unknown_id).length
      }
      return counts
    },
    close: () => embedder.close(),
  }
}
