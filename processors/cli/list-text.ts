/** Recommendation lists as people read them: one below the other, or two side by side. */
import type { RecommendedItem } from '../domain/recommendation.ts'
import { cutTo, printable, type Terminal, widthOf } from './terminal.ts'

/** €59.90 in the reference currency; `price unknown` without one. */
export const priceText = (minor: number | null, currency: string): string =>
  minor === null
    ? 'price unknown'
    : new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'narrowSymbol' }).format(minor / 100)

/** The score by term: `preference 0.31 + session 0.52`. */
export const scoresText = (item: RecommendedItem): string =>
  Object.entries(item.scores)
    .map(([term, score]) => `${term} ${score.toFixed(2)}`)
    .join(' + ')

/** The shops that have it, the cheapest first: `taobao €12.10, shopify €14.99`. */
export const offersText = (item: RecommendedItem, currency: string): string =>
  item.offers
    .toSorted((a, b) => (a.price_ref_minor ?? Number.POSITIVE_INFINITY) - (b.price_ref_minor ?? Number.POSITIVE_INFINITY))
    .map((offer) => `${offer.platform} ${priceText(offer.price_ref_minor, currency)}`)
    .join(', ')

const reasonText = (item: RecommendedItem): string => item.reasons[0]?.text ?? ''

const filled = (text: string, width: number): string => `${text}${' '.repeat(Math.max(0, width - widthOf(text)))}`

/** A list as text: per item a line with rank, title and score, below it offers with scores by term, and the reason. */
export const listLines = (terminal: Terminal, items: readonly RecommendedItem[], currency: string): readonly string[] =>
  items.flatMap((item) => {
    const room = terminal.columns - 11
    const title = cutTo(printable(item.title), room)
    const detail = (text: string): string => `    ${terminal.paint('dim', cutTo(printable(text), terminal.columns - 5))}`
    return [
      `${String(item.rank).padStart(2)}  ${terminal.paint('bold', title)}${' '.repeat(room - widthOf(title) + 1)}${item.score.toFixed(3)}`,
      detail(`${offersText(item, currency)}  ·  ${scoresText(item)}`),
      ...(reasonText(item) === '' ? [] : [detail(`${item.reasons[0]!.code}: ${reasonText(item)}`)]),
    ]
  })

type Side = { readonly title: string; readonly items: readonly RecommendedItem[] }

/** One side; every item takes the same number of lines, so that two sides stay level. */
const sideLines = (
  terminal: Terminal,
  { title, items }: Side,
  width: number,
  currency: string,
  isNew: (item: RecommendedItem) => boolean,
): readonly string[] => [
  terminal.paint('bold', filled(cutTo(title, width), width)),
  ...items.flatMap((item) => {
    const name = cutTo(printable(item.title), width - 11)
    const head = filled(`${isNew(item) ? '+' : ' '}${String(item.rank).padStart(2)} ${name}`, width - 6)
    const detail = (text: string) => terminal.paint('dim', filled(`    ${cutTo(printable(text), width - 4)}`, width))
    return [
      `${isNew(item) ? terminal.paint('green', head) : head} ${item.score.toFixed(3)}`,
      detail(offersText(item, currency)),
      detail(scoresText(item)),
      detail(reasonText(item)),
    ]
  }),
]

/** Two lists side by side, below each other where the terminal is too narrow; items that only the second has are marked. */
export const compareLines = (terminal: Terminal, before: Side, after: Side, currency: string): readonly string[] => {
  const old = new Set(before.items.map((item) => item.item_id))
  const isNew = (item: RecommendedItem): boolean => !old.has(item.item_id)
  if (terminal.columns < 76) {
    const width = terminal.columns - 1
    return [
      ...sideLines(terminal, before, width, currency, () => false),
      '',
      ...sideLines(terminal, after, width, currency, isNew),
    ]
  }
  const width = Math.min(70, Math.floor((terminal.columns - 4) / 2))
  const left = sideLines(terminal, before, width, currency, () => false)
  const right = sideLines(terminal, after, width, currency, isNew)
  return Array.from({ length: Math.max(left.length, right.length) }, (_, at) =>
    `${left[at] ?? ' '.repeat(width)} ${terminal.paint('dim', '│')} ${right[at] ?? ''}`.trimEnd(),
  )
}
