/** Where models are: those that ship, and those that were pulled into a folder of their own in the store. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { asFault, Fault } from '../../domain/fault.ts'
import { type EncoderCard, encoderDigest } from './card.ts'
import { readCard, shipped_model, shipped_models } from './pinned.ts'

/** The settings that choose a model; `folder` and `name` exclude each other, without both it is the first one that ships. */
export type ModelChoice = {
  readonly folder: string | null
  readonly name: string | null
  /** Folder of pulled models; it need not exist. */
  readonly store: string
  /** The encoder's digest where its folder is not trusted to pin itself. */
  readonly digest: string | null
}

export type ModelPlace = {
  readonly name: string
  readonly folder: string
  readonly where: 'ships' | 'pulled' | 'folder'
  /** What the encoder's digest must be; null: what its own card says. */
  readonly digest: string | null
}

const name_pattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/u
/** Whether a model may have this name: it is a folder of the store, and a value of model.name. */
export const isModelName = (name: string): boolean => name_pattern.test(name)

const isThere = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw new Fault('model.store', `${path} cannot be looked at: ${(error as Error).message}.`, {}, error)
  }
}

/** Names of the pulled models, sorted. A folder without model.json, or with a leading dot, is none. */
const pulledNames = async (store: string): Promise<readonly string[]> => {
  let names: readonly string[]
  try {
    names = await readdir(store)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Fault('model.store', `The model store ${store} cannot be read: ${(error as Error).message}.`, {}, error)
  }
  const found: string[] = []
  for (const name of names) if (isModelName(name) && (await isThere(join(store, name, 'model.json')))) found.push(name)
  return found.sort()
}

const shippedPlace = (name: string): ModelPlace | undefined => {
  const one = shipped_models.find((shipped) => shipped.name === name)
  return one === undefined ? undefined : { name, folder: one.folder, where: 'ships', digest: one.digest }
}

/** The model of that name, one that ships before one that was pulled. Fault: model.missing, with the names there are. */
export const modelNamed = async (name: string, store: string): Promise<ModelPlace> => {
  const shipped = shippedPlace(name)
  if (shipped !== undefined) return shipped
  if (isModelName(name) && (await isThere(join(store, name, 'model.json'))))
    return { name, folder: resolve(store, name), where: 'pulled', digest: null }
  const known = [...shipped_models.map((one) => one.name), ...(await pulledNames(store))]
  throw new Fault(
    'model.missing',
    `There is no model ${name} here; there is ${known.join(', ')}. \`entrepot model pull\` gets more, into ${store}.`,
  )
}

/** The model that the settings choose. Fault: model.missing for a name that is not there; a folder is not looked into. */
export const locateModel = async ({ folder, name, store, digest }: ModelChoice): Promise<ModelPlace> => {
  const place =
    folder !== null
      ? { name: basename(resolve(folder)), folder, where: 'folder' as const, digest: null }
      : await modelNamed(name ?? shipped_model.name, store)
  return digest === null ? place : { ...place, digest }
}

/** A model as `model ls` shows it. What cannot be read has a fault in place of its card. */
export type ModelEntry = ModelPlace & {
  readonly in_use: boolean
  readonly card: EncoderCard | Fault
  /** Of the card, see encoderDigest; empty where it cannot be read. */
  readonly encoder: string
  /** Of all regular files in the folder. */
  readonly bytes: number
}

const folderBytes = async (folder: string): Promise<number> => {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(folder, entry.name))).size
  return bytes
}

const entryOf = async (place: ModelPlace, in_use: boolean): Promise<ModelEntry> => {
  try {
    const card = await readCard(place.folder)
    return { ...place, in_use, card, encoder: encoderDigest(card), bytes: await folderBytes(place.folder) }
  } catch (error) {
    return { ...place, in_use, card: asFault(error), encoder: '', bytes: 0 }
  }
}

/** Every model there is: those that ship, those that were pulled, and the folder of the settings. Files are not hashed. */
export const listModels = async (choice: ModelChoice): Promise<readonly ModelEntry[]> => {
  const places: ModelPlace[] = shipped_models.map(({ name }) => shippedPlace(name)!)
  for (const name of await pulledNames(choice.store))
    if (shippedPlace(name) === undefined)
      places.push({ name, folder: resolve(choice.store, name), where: 'pulled', digest: null })
  const wanted = choice.name ?? shipped_model.name
  if (choice.folder !== null) places.push(await locateModel(choice))
  return Promise.all(
    places.map((place) => entryOf(place, choice.folder === null ? place.name === wanted : place.where === 'folder')),
  )
}
