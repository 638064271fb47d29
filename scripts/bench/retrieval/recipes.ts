/** What could be embedded of a listing: candidates for the recipe of processors/embed/text.ts, measured beside it. */
import { item } from '../../../processors/embed/item.fixture.ts'
import { cutAtWord, estimatedTokens, textOf } from '../../../processors/embed/text.ts'
import type { Listing } from './sets.ts'

/** `id` is what --recipes takes. */
export type Recipe = { readonly id: string; readonly name: string; readonly textOf: (listing: Listing) => string }

const line = (text: string): string => text.replace(/\s+/gu, ' ').trim()

/** The parts in one text; what the first says already is left out. */
const joined = (title: string, ...parts: readonly string[]): string =>
  [line(title), ...parts.map(line).filter((part) => part !== '' && !title.toLowerCase().includes(part.toLowerCase()))]
    .filter((part) => part !== '')
    .join('. ')

const attributes = (listing: Listing): readonly string[] =>
  Object.entries(listing.attributes).map(([name, value]) => `${name}: ${value}`)

/** Bounded in estimated tokens: four Latin letters each, or one Chinese character. */
const described = (tokens_max: number): Recipe => ({
  id: `description-${tokens_max}`,
  name: `title, brand, description to ${tokens_max} tokens`,
  textOf: (listing) => joined(listing.title, listing.brand, cutAtWord(line(listing.description), tokens_max)),
})

export const title_alone: Recipe = { id: 'title', name: 'title', textOf: ({ title }) => line(title) }

export const recipes: readonly Recipe[] = [
  title_alone,
  { id: 'brand', name: 'title, brand', textOf: ({ title, brand }) => joined(title, brand) },
  {
    id: 'part-number',
    name: 'title, brand, part number',
    textOf: ({ title, brand, part_number }) => joined(title, brand, part_number),
  },
  {
    id: 'attributes',
    name: 'title, brand, part number, attributes',
    textOf: (listing) => joined(listing.title, listing.brand, listing.part_number, ...attributes(listing)),
  },
  {
    id: 'filled',
    name: 'title, brand; description to 60 tokens where these are under 3',
    textOf: (listing) => {
      const short = joined(listing.title, listing.brand)
      return estimatedTokens(short) < 3 ? joined(short, cutAtWord(line(listing.description), 60)) : short
    },
  },
  described(30),
  described(60),
  described(120),
  {
    id: 'shipped',
    name: 'as processors/embed/text.ts has it',
    textOf: ({ title, brand, part_number, description, attributes: given }) =>
      textOf(
        item({
          title,
          brand: brand || null,
          mpn: part_number || null,
          description: description || null,
          attributes: given,
        }),
      ),
  },
]
