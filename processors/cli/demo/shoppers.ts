/** The demo market's shoppers: whom they are to which platform, what they like, and what they do next. */
import type { Random } from '../../ports/random.ts'
import { between, pick, shuffled } from './products.ts'
import type { Listing } from './shops.ts'
import { type Category, categories } from './words.ts'

export type Shopper = {
  readonly name: string
  /** The login that every platform of the market's realm knows, as digits. */
  readonly login: string
  /** The browser's id, where the shopper is not logged in. */
  readonly device: string
  readonly tastes: readonly Category[]
  /** Share of events that carry the login. */
  readonly logged_in: number
}

export type ActionType = 'list' | 'search' | 'view' | 'click' | 'cart' | 'uncart' | 'wish' | 'buy'

/** What one shopper did; `listings` are the items, first the one that matters. All are of one shop. */
export type Action = {
  readonly type: ActionType
  readonly shopper: Shopper
  readonly listings: readonly Listing[]
  readonly query: string | null
  readonly logged_in: boolean
  /** When it happened, epoch ms. */
  readonly at_ms: number
  /** Of the whole market, from 1: makes event and order ids. */
  readonly number: number
}

const names = [
  ...[
    'Mira',
    'Jonas',
    'Aylin',
    'Wei',
    'Sofia',
    'Mateo',
    'Hanna',
    'Kofi',
    'Lena',
    'Ravi',
    'Noor',
    'Emil',
    'Yuki',
    'Clara',
    'Diego',
  ],
  ...['Ines', 'Tomas', 'Freya', 'Omar', 'Greta', 'Luca', 'Amara', 'Nils', 'Zoe', 'Anton', 'Mei', 'Paul', 'Ida', 'Karim', 'Elsa'],
]

/** Shoppers with two or three tastes each; the first one is whom the demo follows. */
export const makeShoppers = (random: Random, count: number): readonly Shopper[] =>
  Array.from({ length: count }, (_, number) => {
    const round = Math.floor(number / names.length)
    return {
      name: `${names[number % names.length]}${round === 0 ? '' : ` ${round + 1}`}`,
      login: String(4_711_001 + number * 13),
      device: `${between(random, 100_000_000, 999_999_999)}.${between(random, 1_600_000_000, 1_699_999_999)}`,
      tastes: shuffled(random, categories).slice(0, pick(random, [2, 2, 3])),
      logged_in: number === 0 ? 1 : pick(random, [0, 0.7, 0.9, 1, 1]),
    }
  })

/** How often each action comes, of 100. */
const habits: readonly (readonly [ActionType, number])[] = [
  ['view', 44],
  ['click', 18],
  ['list', 12],
  ['search', 8],
  ['cart', 9],
  ['wish', 3],
  ['uncart', 1],
  ['buy', 5],
]

const nextType = (random: Random): ActionType => {
  let left = random.next() * 100
  for (const [type, share] of habits) {
    left -= share
    if (left < 0) return type
  }
  return 'view'
}

/** The shops whose shoppers can be watched: their sites send GA4 and Segment events, carts and orders. */
export const watched_shops = ['shopify', 'woocommerce'] as const

/** How often a shopper follows a taste instead of looking around. */
const faithful = 0.88

/** What a shopper does next among the watched listings. Tastes decide; nobody acts on what is not there any more. */
export const nextAction = (
  random: Random,
  shopper: Shopper,
  listings: readonly Listing[],
  at_ms: number,
  number: number,
  type: ActionType = nextType(random),
): Action => {
  const shop = pick(
    random,
    watched_shops.filter((platform) => listings.some((listing) => listing.platform === platform && !listing.deleted)),
  )
  const taste = random.next() < faithful ? pick(random, shopper.tastes) : null
  const here = listings.filter((listing) => listing.platform === shop && !listing.deleted)
  const liked = taste === null ? here : here.filter((listing) => listing.product.category === taste)
  const choice = liked.length > 0 ? liked : here
  const first = pick(random, choice)
  const several = type === 'list' || (type === 'buy' && random.next() < 0.3)
  const more = several
    ? shuffled(
        random,
        choice.filter((listing) => listing !== first),
      ).slice(0, type === 'list' ? 5 : 1)
    : []
  return {
    type,
    shopper,
    listings: [first, ...more],
    query: type === 'search' ? first.product.kind.name[shop === 'shopify' ? 'en' : 'de'].toLowerCase() : null,
    logged_in: random.next() < shopper.logged_in,
    at_ms,
    number,
  }
}
