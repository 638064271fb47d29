/** The recipe: which words of an item are embedded, in which order, how long. A changed recipe is a new version, and new vectors. */
import { digestOf } from '../domain/ids.ts'
import type { Item } from '../domain/item.ts'

/** Part of every content hash. Raise it with any change below: equal texts of two recipes must not share a vector unnoticed. */
export const recipe_version = 'text-3'

/**
 * Longest parts, in estimated tokens: a Chinese text has a quarter of the letters of an English one that says as much, so a bound in letters
 * would let it be four times as long for the encoder. 75 tokens are 300 Latin letters or 75 Chinese characters.
 */
export const recipe_tokens_max = { title: 75, attribute: 15, bullets: 40, description: 60 } as const
/** How many free attributes are taken, by name. */
export const recipe_attributes_max = 6
/**
 * An item that says less than this many estimated tokens by its name and key attributes is filled up with what its shop writes about it.
 * With 6 many a short name of software was, and was found less often for it (docs/benchmarks/retrieval.md).
 */
export const recipe_tokens_enough = 3

export type RecipePart = keyof typeof recipe_tokens_max | 'attributes'

const space = /\s+/gu

/** One line of well-formed NFC text. */
const line = (text: string | null): string =>
  text === null ? '' : text.toWellFormed().normalize('NFC').replace(space, ' ').trim()

/**
 * What one character costs an encoder, in quarters of a token, by its script, as a multilingual vocabulary has it: Latin letters and spaces
 * come four to a token, digits and signs two, other alphabets and abjads three; Thai and its neighbours four, Japanese and Korean syllables
 * two; ideographs, symbols and emoji one each. Measured on e5: within a fifth for sentences of ten languages; titles full of part numbers
 * take a third more.
 */
const quartersOf = (code: number): number => {
  if (code < 0x00c0) return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x20 ? 1 : 2
  if (code < 0x0250) return 1
  if (code < 0x0e00 || (code >= 0x1e00 && code < 0x2000)) return 4 / 3
  if (code < 0x1100 || (code >= 0x1780 && code < 0x1800)) return 1
  // Hiragana, Katakana; Hangul.
  if ((code >= 0x3040 && code < 0x3100) || (code >= 0xac00 && code < 0xd7b0)) return 2.5
  return 4
}

/** How many tokens a multilingual encoder makes of a text, by an estimate that needs no vocabulary. */
export const estimatedTokens = (text: string): number => {
  let quarters = 0
  for (const character of text) quarters += quartersOf(character.codePointAt(0)!)
  return quarters / 4
}

/** The beginning of a text, at most so many estimated tokens, cut between words where a word ends in its second half. */
export const cutAtWord = (text: string, tokens_max: number): string => {
  // No character costs more than one token, so a text as short as this needs no counting.
  if (text.length <= tokens_max) return text
  let quarters = 0
  let end = 0
  let space_at = 0
  for (const character of text) {
    quarters += quartersOf(character.codePointAt(0)!)
    if (quarters > tokens_max * 4) {
      if (character === ' ') return text.slice(0, end)
      return text.slice(0, space_at >= end / 2 ? space_at : end).trimEnd()
    }
    if (character === ' ') space_at = end
    end += character.length
  }
  return text
}

export type Recipe = {
  readonly text: string
  /** Which parts were longer than their bound, or more than are taken. */
  readonly cut: readonly RecipePart[]
}

/**
 * The text that stands for an item, in the language of its listing: title, brand, model and part number, end of the category path, colour,
 * size, material, pack. What is in the title already is not said twice. Attributes, bullets and description are taken only where all this
 * is next to nothing: each shop writes its own; they draw two listings of one product apart with the light model, and neither help nor harm
 * the default one (docs/benchmarks/retrieval.md). Title and attributes come first and are bounded, so what an encoder cuts is the end of the description.
 * Prices, stock and ids are left out: they change without changing what the thing is. Empty when the item has no words.
 */
export const recipe = (item: Item): Recipe => {
  const cut = new Set<RecipePart>()
  const bounded = (text: string, part: keyof typeof recipe_tokens_max): string => {
    const kept = cutAtWord(text, recipe_tokens_max[part])
    if (kept.length < text.length) cut.add(part)
    return kept
  }
  const title = bounded(line(item.title), 'title')
  const said = title.toLowerCase()
  const parts: string[] = title === '' ? [] : [title]
  const add = (text: string): void => {
    if (text !== '' && !said.includes(text.toLowerCase()) && !parts.includes(text)) parts.push(text)
  }
  const short = (text: string | null): string => bounded(line(text), 'attribute')
  for (const word of [item.brand, item.model, item.mpn, item.category_path.at(-1) ?? null]) add(short(word))
  for (const word of [item.color, item.size, item.material]) add(short(word))
  if (item.multipack > 1 && parts.length > 0) add(`pack of ${item.multipack}`)
  if (estimatedTokens(parts.join('. ')) < recipe_tokens_enough) {
    const names = Object.keys(item.attributes).sort()
    if (names.length > recipe_attributes_max) cut.add('attributes')
    for (const name of names.slice(0, recipe_attributes_max)) {
      const value = short(item.attributes[name]!)
      if (value !== '') add(`${short(name)}: ${value}`)
    }
    add(bounded(item.bullets.map(line).filter(Boolean).join(', '), 'bullets'))
    add(bounded(line(item.description), 'description'))
  }
  return { text: parts.join('. '), cut: [...cut] }
}

/** The text of an item's recipe. */
export const textOf = (item: Item): string => recipe(item).text

/** What a vector is remembered by, beside the model: the recipe's version and the text. Hex. */
export const contentHash = (text: string): string => digestOf(recipe_version, text)
