/** Reads a model folder and believes nothing in it that is not pinned: every file's SHA-256, no links out, no weights elsewhere. */
import { createHash } from 'node:crypto'
import { readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Fault } from '../../domain/fault.ts'
import { type EncoderCard, encoderDigest, model_bytes_max, type PinnedFile, parseCard } from './card.ts'
import { hasExternalData } from './onnx-file.ts'

/** An encoder that ships with Entrepot, and the digest it must have. */
export type ShippedModel = { readonly name: string; readonly folder: string; readonly digest: string }

const shipped = (name: string, digest: string): ShippedModel => ({
  name,
  folder: fileURLToPath(new URL(`./models/${name}/`, import.meta.url)),
  digest,
})

/** The one that is used where the settings name none. */
export const shipped_model = shipped(
  'multilingual-e5-small-pruned',
  '99d8b84daa1dddbfb3f942708c26f367546ce350de70de5ce5fd3d5d2740032d',
)

/** English alone, half the time a text. */
export const light_model = shipped('all-MiniLM-L6-v2', 'df560a7a99519d16ac0c8b3cc7671797ace9f6379c80e0d6b283587c7689a368')

/** Every encoder that ships, the default first. The folder has the name of its card. */
export const shipped_models: readonly ShippedModel[] = [shipped_model, light_model]

/** Verified bytes; what is loaded is exactly what was hashed. */
export type PinnedModel = {
  readonly card: EncoderCard
  readonly digest: string
  readonly model: Uint8Array
  readonly tokenizer: string
  /** `vocab_size` of config.json: token ids from here on would read beyond the table. */
  readonly vocab_size: number
}

const missing = (path: string, remedy: string, cause: unknown): Fault =>
  new Fault('model.missing', `The model file ${path} is not there or cannot be read. ${remedy}`, {}, cause)

/** The whole of a regular file that lies in `folder` and not behind a link that leaves it. */
const readInside = async (folder: string, name: string, remedy: string): Promise<Buffer> => {
  const path = join(folder, name)
  let inside: string
  let real: string
  try {
    inside = await realpath(folder)
    real = await realpath(path)
  } catch (error) {
    throw missing(path, remedy, error)
  }
  if (!real.startsWith(inside.endsWith(sep) ? inside : inside + sep))
    throw new Fault('model.sha256', `The model file ${path} is a link that leaves its folder. ${remedy}`, { file: name })
  try {
    const found = await stat(real)
    if (!found.isFile() || found.size > model_bytes_max)
      throw new Fault('model.sha256', `${path} is no regular file, or larger than a model may be. ${remedy}`, { file: name })
    return await readFile(real)
  } catch (error) {
    throw error instanceof Fault ? error : missing(path, remedy, error)
  }
}

/** What an operator does about a file that is absent or altered. */
const remedyOf = (card: EncoderCard, folder: string, file: PinnedFile): string =>
  card.restore !== null
    ? `Get it again: \`${card.restore}\`.`
    : `Put the file with SHA-256 ${file.sha256} there (check: \`sha256sum ${join(folder, file.name)}\`), or correct model.json if you trust the new one.`

const card_remedy =
  'A model folder holds model.json, ONNX weights, tokenizer.json and config.json; the one that ships: `git checkout HEAD -- processors/adapters/onnx/models`.'

/** The card of a model folder. Faults: model.missing, model.sha256, config.invalid. */
export const readCard = async (folder: string): Promise<EncoderCard> =>
  parseCard((await readInside(folder, 'model.json', card_remedy)).toString('utf8'), join(folder, 'model.json'))

/**
 * Reads and verifies a model folder. With `digest` the whole encoder must be that one (see encoderDigest).
 * Faults: model.missing (a file is absent), model.sha256 (a file is not the pinned one, leaves the folder, or keeps weights in other
 * files), model.shape (not ONNX, or config and card disagree), config.invalid (the card).
 */
export const readPinned = async (folder: string, digest?: string): Promise<PinnedModel> => {
  const card = await readCard(folder)
  const actual = encoderDigest(card)
  if (digest !== undefined && actual !== digest)
    throw new Fault(
      'model.sha256',
      `The encoder in ${folder} has digest ${actual}, pinned is ${digest}. ${card.restore === null ? 'Restore its folder, or pin the new digest if you trust it.' : `Get it again: \`${card.restore}\`.`}`,
    )
  const read = async (file: PinnedFile): Promise<Buffer> => {
    const remedy = remedyOf(card, folder, file)
    const bytes = await readInside(folder, file.name, remedy)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    if (sha256 !== file.sha256)
      throw new Fault(
        'model.sha256',
        `The model file ${join(folder, file.name)} has ${bytes.length} bytes and SHA-256 ${sha256}, pinned is ${file.sha256}. ${remedy}`,
        { file: file.name },
      )
    return bytes
  }
  const config = await read(card.files.config)
  const tokenizer = await read(card.files.tokenizer)
  const model = await read(card.files.model)
  if (hasExternalData(model))
    throw new Fault(
      'model.sha256',
      `The weights ${card.files.model.name} keep tensors in other files, which nothing pins: save them as one file (onnx.save_model with save_as_external_data=False).`,
      { file: card.files.model.name },
    )
  let vocab_size: unknown
  let hidden_size: unknown
  try {
    ;({ vocab_size, hidden_size } = JSON.parse(config.toString('utf8')) as Record<string, unknown>)
  } catch (error) {
    throw new Fault('model.shape', `${card.files.config.name} of ${card.name} is not a JSON object.`, {}, error)
  }
  if (!Number.isInteger(vocab_size) || (vocab_size as number) < 1)
    throw new Fault('model.shape', `${card.files.config.name} of ${card.name} names no vocab_size.`)
  if (card.pooling !== 'graph' && hidden_size !== undefined && hidden_size !== card.dims)
    throw new Fault('model.shape', `The card of ${card.name} says ${card.dims} dims, its config ${String(hidden_size)}.`, {
      dims: card.dims,
    })
  return { card, digest: actual, model, tokenizer: tokenizer.toString('utf8'), vocab_size: vocab_size as number }
}
