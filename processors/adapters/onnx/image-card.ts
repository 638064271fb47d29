/** An image encoder's folder: `image-model.json` says how pixels become its input, and pins its weights by SHA-256. */
import { createHash } from 'node:crypto'
import { readFile, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import { digestOf } from '../../domain/ids.ts'
import type { ImageModelCard } from '../../ports/image-embedder.ts'
import { isPlainName, type PinnedFile } from './card.ts'
import { hasExternalData } from './onnx-file.ts'

/** Raised with any change of preprocessing: vectors of two recipes do not compare. */
const recipe_version = 'image-1'

export const resamplings = ['bicubic', 'bilinear', 'lanczos'] as const

export type ImageCard = {
  readonly name: string
  readonly model: PinnedFile
  readonly dims: number
  /** Graph input, float32 [n, 3, height, width], and output, float32 [n, dims]. */
  readonly input: string
  readonly output: string
  readonly height: number
  readonly width: number
  /** `cover`: the shorter side is fitted and the middle is cut out, as CLIP does; `fill`: both sides are stretched. */
  readonly fit: 'cover' | 'fill'
  readonly resampling: (typeof resamplings)[number]
  /** Of red, green and blue in [0, 1]. */
  readonly mean: readonly number[]
  readonly deviation: readonly number[]
  readonly licence: string | null
}

export type PinnedImageModel = { readonly card: ImageCard; readonly digest: string; readonly model: Uint8Array }

const refuse = (place: string, field: string, takes: string): never => {
  throw new Fault('config.invalid', `${place}: \`${field}\` takes ${takes}.`, { field })
}

/** Reads a card; `place` names it in messages. Faults: config.invalid with the field and what it takes. */
export const parseImageCard = (text: string, place: string): ImageCard => {
  let card: Readonly<Record<string, unknown>>
  try {
    card = JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw new Fault('config.invalid', `${place} is not JSON: correct it or restore it.`, {}, error)
  }
  if (typeof card !== 'object' || card === null || Array.isArray(card)) return refuse(place, 'image-model.json', 'an object')
  const named = (field: string): string => {
    const value = card[field]
    return typeof value === 'string' && value.length > 0 && value.length <= 1_024 ? value : refuse(place, field, 'a text')
  }
  const integer = (field: string, max: number): number => {
    const value = card[field]
    return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max
      ? (value as number)
      : refuse(place, field, `an integer from 1 to ${max}`)
  }
  const three = (field: string, min: number): readonly number[] => {
    const value = card[field]
    return Array.isArray(value) && value.length === 3 && value.every((x) => typeof x === 'number' && x >= min && x <= 1)
      ? (value as readonly number[])
      : refuse(place, field, `three numbers from ${min} to 1`)
  }
  const { name, sha256 } = (card['model'] ?? {}) as { readonly name?: unknown; readonly sha256?: unknown }
  if (typeof name !== 'string' || !isPlainName(name))
    return refuse(place, 'model.name', 'the plain name of a file in the same folder')
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/u.test(sha256))
    return refuse(place, 'model.sha256', '64 lower-case hex digits')
  const { fit = 'cover', resampling = 'bicubic', licence = null } = card
  if (fit !== 'cover' && fit !== 'fill') return refuse(place, 'fit', 'cover or fill')
  if (!(resamplings as readonly unknown[]).includes(resampling)) return refuse(place, 'resampling', resamplings.join(', '))
  if (licence !== null && typeof licence !== 'string') return refuse(place, 'licence', 'an SPDX id, or nothing')
  return {
    name: named('name'),
    model: { name, sha256 },
    dims: integer('dims', 2_048),
    input: named('input'),
    output: named('output'),
    height: integer('height', 2_048),
    width: integer('width', 2_048),
    fit,
    resampling: resampling as ImageCard['resampling'],
    mean: three('mean', 0),
    deviation: three('deviation', 1e-6),
    licence,
  }
}

/** What the port says of a card. */
export const imageModelOf = (card: ImageCard): ImageModelCard => {
  const { name, model, dims, input, output, height, width, fit, resampling, mean, deviation } = card
  const parts = [dims, input, output, height, width, fit, resampling, ...mean, ...deviation].map(String)
  return { name, dims, digest: digestOf(recipe_version, model.sha256, ...parts) }
}

/** Faults: model.missing, config.invalid. */
export const readImageCard = async (folder: string): Promise<ImageCard> => {
  const path = join(folder, 'image-model.json')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new Fault(
      'model.missing',
      `The image model's card ${path} cannot be read: set image_model.folder to its folder.`,
      {},
      error,
    )
  }
  return parseImageCard(text, path)
}

/** The card and the verified weights. Faults: model.missing, model.sha256, config.invalid. */
export const readPinnedImageModel = async (folder: string): Promise<PinnedImageModel> => {
  const card = await readImageCard(folder)
  const path = join(folder, card.model.name)
  let model: Buffer
  let real: string
  let inside: string
  try {
    real = await realpath(path)
    inside = await realpath(folder)
    model = await readFile(real)
  } catch (error) {
    throw new Fault('model.missing', `The image model's weights ${path} cannot be read.`, {}, error)
  }
  const actual = createHash('sha256').update(model).digest('hex')
  if (!real.startsWith(inside.endsWith(sep) ? inside : inside + sep) || actual !== card.model.sha256)
    throw new Fault(
      'model.sha256',
      `${path} has SHA-256 ${actual}, pinned is ${card.model.sha256}, or leaves its folder. Get it again.`,
    )
  if (hasExternalData(model))
    throw new Fault('model.sha256', `${path} keeps tensors in other files, which nothing pins: save the model as one file.`)
  return { card, digest: imageModelOf(card).digest, model }
}
