/** The recipe: which words of an item are embedded, in which order, how long. A changed recipe is a new version, and new vectors. */
import { digestOf } from '../domain/ids.ts'
import type { Item } from '../domain/item.ts'

/** Part of every content hash. Raise it with any change below: equal texts of two recipes must not share a vector unnoticed. */
export const recipe_version = 'text-1'

/** Longest parts, in UTF-16 code units. */
export const recipe_chars_max = { title: 300, attribute: 60, bullets: 160, description: 240 } as const
/** How many free attributes are taken, by name. */
export const recipe_attributes_max = 6
/** An item that says less than this by its name and key attributes is filled up with what its shop writes about it. */
export const recipe_chars_enough = 24

const space = /\s+/gu

/** One line of well-formed NFC text. */
const line = (text: string | null): string =>
  text === null ? '' : text.toWellFormed().normalize('NFC').replace(space, ' ').trim()

/** At most `chars_max` long, cut between words where a word ends in the second half, never inside a surrogate pair. */
export const cutAtWord = (text: string, chars_max: number): string => {
  if (text.length <= chars_max) return text
  const space_at = text.lastIndexOf(' ', chars_max)
  if (space_at >= chars_max / 2) return text.slice(0, space_at)
  const code = text.charCodeAt(chars_max - 1)
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? chars_max - 1 : chars_max)
}

/**
 * The text that stands for an item: title, brand, model and part number, end of the category path, colour, size, material, pack. What
 * is in the title already is not said twice. Attributes, bullets and description are taken only where all this is next to nothing:
 * each shop writes its own, and with the light model they draw two listings of one product apart (docs/benchmarks/embed.md).
 * Prices, stock and ids are left out: they change without changing what the thing is. Empty when the item has no words.
 */
export const textOf = (item: Item): string => {
  const title = cutAtWord(line(item.title), recipe_chars_max.title)
  const said = title.toLowerCase()
  const parts: string[] = title === '' ? [] : [title]
  const add = (text: string): void => {
    if (text !== '' && !said.includes(text.toLowerCase()) && !parts.includes(text)) parts.push(text)
  }
  const short = (text: string | null): string => cutAtWord(line(text), recipe_chars_max.attribute)
  for (const word of [item.brand, item.model, item.mpn, item.category_path.at(-1) ?? null]) add(short(word))
  for (const word of [item.color, item.size, item.material]) add(short(word))
  if (item.multipack > 1 && parts.length > 0) add(`pack of ${item.multipack}`)
  if (parts.join('. ').length < recipe_chars_enough) {
    for (const name of Object.keys(item.attributes).sort().slice(0, recipe_attributes_max)) {
      const value = short(item.attributes[name]!)
      if (value !== '') add(`${short(name)}: ${value}`)
    }
    add(cutAtWord(item.bullets.map(line).filter(Boolean).join(', '), recipe_chars_max.bullets))
    add(cutAtWord(line(item.description), recipe_chars_max.description))
  }
  return parts.join('. ')
}

/** What a vector is remembered by, beside the model: the recipe's version and the text. Hex. */
export const contentHash = (text: string): string => digestOf(recipe_version, text)
