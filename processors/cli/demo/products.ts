/** The demo market's products: a seeded few hundred, each one thing that several shops may list in their own words. */
import type { Random } from '../../ports/random.ts'
import { type Category, categories, colors, type Kind, type Language, type Phrase, series } from './words.ts'

/** One real product; shops know it only through their own listings. */
export type Product = {
  /** Position in the market, from 0. */
  readonly number: number
  readonly category: Category
  readonly kind: Kind
  readonly brand: string
  /** Null for books, which have a title instead. */
  readonly model: string | null
  readonly title: Phrase | null
  readonly color: Phrase | null
  readonly features: readonly Phrase[]
  /** Price before any shop's margin, euro cents. */
  readonly eur_minor: number
  readonly weight_g: number
  /** 13 digits with a correct check digit, in GS1's prefix for examples (952); null when the maker has none. */
  readonly gtin: string | null
}

export const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!

export const between = (random: Random, least: number, greatest: number): number =>
  least + Math.floor(random.next() * (greatest - least + 1))

/** A shuffled copy (Fisher-Yates). */
export const shuffled = <T>(random: Random, list: readonly T[]): T[] => {
  const copy = [...list]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1))
    const held = copy[i]!
    copy[i] = copy[j]!
    copy[j] = held
  }
  return copy
}

/** The mod-10 check digit of GS1 keys over the digits before it. */
export const checkDigit = (digits: string): number => {
  let sum = 0
  for (let i = 0; i < digits.length; i++) sum += Number(digits[digits.length - 1 - i]) * (i % 2 === 0 ? 3 : 1)
  return (10 - (sum % 10)) % 10
}

const gtinOf = (number: number): string => {
  const body = `952${String(4_710_000 + number * 37).padStart(9, '0')}`
  return `${body}${checkDigit(body)}`
}

/** Prices end in 9 cents or a round euro, as they do. */
const priced = (random: Random, [least, greatest]: readonly [number, number]): number =>
  Math.floor(least + (greatest - least) * random.next() ** 1.5) * 100 + pick(random, [0, 49, 90, 95, 99])

/** Category, kind and how many of that kind came before, dealt evenly over all kinds; a book kind ends with its titles. */
const deal = (count: number): { category: Category; kind: Kind; round: number }[] => {
  const dealt: { category: Category; kind: Kind; round: number }[] = []
  for (let round = 0; dealt.length < count; round++)
    for (const category of categories)
      for (const kind of category.kinds)
        if (dealt.length < count && (kind.titles === undefined || round < kind.titles.length))
          dealt.push({ category, kind, round })
  return dealt
}

/** `count` products, dealt evenly over all kinds of all categories; the same chance gives the same products. */
export const makeProducts = (random: Random, count: number): readonly Product[] =>
  deal(count).map(({ category, kind, round }, number) => {
    const book = kind.titles !== undefined
    const title = book ? kind.titles[round]! : null
    const brand = category.brands[(round + number) % category.brands.length]!
    const letters = brand.replaceAll(/[^A-Za-z]/g, '').toUpperCase()
    return {
      number,
      category,
      kind,
      brand,
      model: book ? null : `${pick(random, series)} ${letters.slice(0, 2)}${between(random, 10, 99)}${between(random, 0, 9)}`,
      title,
      color: book || random.next() < 0.25 ? null : pick(random, colors),
      features: shuffled(random, kind.features).slice(0, between(random, 2, 3)),
      eur_minor: priced(random, kind.eur),
      weight_g: Math.round(kind.weight_g * (0.85 + 0.3 * random.next())),
      gtin: random.next() < 0.75 ? gtinOf(number) : null,
    }
  })

/** What a shopper would call the product, in one language: brand and model, or the book's title, then its kind. */
export const nameOf = (product: Product, language: Language): string =>
  product.title === null
    ? `${product.brand} ${product.model} ${product.kind.name[language]}`
    : `${product.title[language]} – ${product.kind.name[language]}`
