/** The seeded market: what is published when, with everything that real platforms do wrong. The same seed tells the same story. */
import { seededRandom } from '../../adapters/system/random.ts'
import type { FaultCode } from '../../domain/fault.ts'
import type { Header } from '../../domain/record.ts'
import { actionEvent, type Published, shopifyCart } from './actions.ts'
import { type Break, breaks } from './broken.ts'
import { between, makeProducts, type Product, pick, shuffled } from './products.ts'
import { type Action, type ActionType, makeShoppers, nextAction, type Shopper, watched_shops } from './shoppers.ts'
import { itemPayload, type Listing, makeListings, shop_names, titleAt } from './shops.ts'
import { type Category, categories } from './words.ts'

/** What should become of an event: canonical records, a drop for a reason, or a dead letter. */
export type Fate =
  | { readonly end: 'canonical' }
  | { readonly end: 'dropped'; readonly reason: string }
  | { readonly end: 'dead'; readonly code: FaultCode }

export type MarketEvent = {
  readonly platform: string
  readonly kind: string
  readonly key: string | null
  /** Null is a tombstone. */
  readonly value: Readonly<Record<string, unknown>> | null
  readonly headers?: readonly Header[]
  /** Damage done to the bytes after the platform's serialiser wrote them. */
  readonly damage?: (bytes: Buffer) => Buffer
  readonly fate: Fate
  /** What happened, in a few words, where it is worth telling. */
  readonly news?: string
}

const canonical: Fate = { end: 'canonical' }

export type MarketOptions = {
  readonly seed: number
  readonly products: number
  readonly shoppers: number
  /** When the market opens, epoch ms: listings were last changed before it. */
  readonly now_ms: number
  /** Share of broken events, 0 to 1. */
  readonly broken?: number
}

export type Market = {
  readonly products: readonly Product[]
  /** Every listing, those that come late included. */
  readonly listings: readonly Listing[]
  readonly shoppers: readonly Shopper[]
  /** The first load of every shop, with drafts, parents and the other things that are no items. */
  catalogue(): readonly (MarketEvent & { readonly listing?: Listing })[]
  /** These listings were not published after all: the shops close them, and nobody meets them. */
  close(listings: readonly Listing[]): void
  /** The next thing that happens: usually one shopper's action, now and then a shop's change. */
  step(now_ms: number): readonly MarketEvent[]
  /** A click on a product that no shop ever lists; learning waits for it in vain. */
  orphan(now_ms: number): readonly MarketEvent[]
  /** Of the categories that are none of the followed shopper's, the one with most to look at. */
  unfamiliar(): Category
  /** The followed shopper does `type` on `count` items of a category, one event each. */
  follow(category: Category, type: ActionType, count: number, now_ms: number): readonly MarketEvent[]
}

const itemEvent = (listing: Listing, fate: Fate = canonical): MarketEvent => ({
  platform: listing.platform,
  kind: 'items',
  key: listing.id,
  value: itemPayload(listing),
  fate,
})

const published = (event: Published, fate: Fate = canonical, news?: string): MarketEvent => ({
  ...event,
  fate,
  ...(news === undefined ? {} : { news }),
})

const did: Readonly<Record<ActionType, string>> = {
  list: 'looks through',
  search: 'searches for',
  view: 'looks at',
  click: 'clicks on',
  cart: 'puts into the cart',
  uncart: 'takes out of the cart',
  wish: 'wishes for',
  buy: 'buys',
}

const tell = ({ type, shopper, listings, query }: Action): string => {
  const [listing] = listings
  const what = query ?? (type === 'list' ? listing!.product.category.name.en : titleAt(listing!))
  return `${shopper.name} ${did[type]} ${what} (${shop_names[listing!.platform]})`
}

const dropped = (reason: string): Fate => ({ end: 'dropped', reason })

/** Listings that are none: a draft, parents of variants, a bundle, something withdrawn. */
const noItems = (listings: readonly Listing[]): readonly MarketEvent[] => {
  const of = (platform: Listing['platform'], at: number) => listings.filter((listing) => listing.platform === platform)[at]!
  const changed = (listing: Listing, id: string, change: Record<string, unknown>, reason: string): MarketEvent => ({
    platform: listing.platform,
    kind: 'items',
    key: id,
    value: { ...itemPayload(listing), ...change },
    fate: dropped(reason),
  })
  const amazon = itemPayload(of('amazon', 0)) as { summaries: readonly Record<string, unknown>[] }
  return [
    changed(
      of('shopify', 0),
      '788032119674299998',
      { id: 788_032_119_674_299_998n, admin_graphql_api_id: 'gid://shopify/Product/788032119674299998', status: 'draft' },
      'unknown_item',
    ),
    changed(of('woocommerce', 0), '990001', { id: 990_001, type: 'grouped', grouped_products: [1, 2] }, 'parent_listing'),
    changed(of('woocommerce', 1), '990002', { id: 990_002, status: 'draft' }, 'unknown_item'),
    changed(
      of('amazon', 0),
      'B0PARENT01',
      { asin: 'B0PARENT01', summaries: amazon.summaries.map((one) => ({ ...one, itemClassification: 'VARIATION_PARENT' })) },
      'parent_listing',
    ),
    changed(
      of('amazon', 0),
      'B0BUNDLE01',
      { asin: 'B0BUNDLE01', summaries: amazon.summaries.map((one) => ({ ...one, itemClassification: 'PRODUCT_BUNDLE' })) },
      'bundle',
    ),
    changed(of('tiktok', 0), '172999999999999999', { id: '172999999999999999', status: 'DRAFT' }, 'draft'),
  ]
}

const hour_ms = 3_600_000
const day_ms = 24 * hour_ms

/** Opens the market. Nothing happens before its methods are called, and only they draw on chance. */
export const openMarket = (options: MarketOptions): Market => {
  const random = seededRandom(options.seed)
  const products = makeProducts(random, options.products)
  const listings = makeListings(random, products, options.now_ms)
  const shoppers = makeShoppers(random, options.shoppers)
  const followed = shoppers[0]!
  const broken = options.broken ?? 0.02

  // Some listings of the watched shops come after their first clicks; those of the followed shopper's tastes do not.
  const held = shuffled(
    random,
    listings.filter(
      (listing) =>
        (watched_shops as readonly string[]).includes(listing.platform) &&
        !followed.tastes.includes(listing.product.category) &&
        listing.platform === 'shopify',
    ),
  ).slice(0, 4)
  const present = new Set(listings.filter((listing) => !held.includes(listing)))
  const watched = () => [...present].filter((listing) => (watched_shops as readonly string[]).includes(listing.platform))
  const carts = new Map<Shopper, Listing[]>()
  let number = 0
  let broke = 0

  const act = (shopper: Shopper, at_ms: number, type?: ActionType, among: readonly Listing[] = watched()): Action =>
    nextAction(random, shopper, among, at_ms, ++number, type)

  /** A broken copy of something that would have been fine; each kind of break in turn. */
  const breakOne = (now_ms: number): MarketEvent => {
    const one: Break = breaks[broke++ % breaks.length]!
    const shopper = pick(random, shoppers)
    const base =
      one.kind === 'items'
        ? itemEvent(
            pick(
              random,
              [...present].filter((listing) => listing.platform === one.platform && !listing.deleted),
            ),
          )
        : one.kind === 'orders'
          ? published(
              actionEvent(
                act(
                  shopper,
                  now_ms,
                  'buy',
                  watched().filter((listing) => listing.platform === one.platform),
                ),
              ),
            )
          : published(
              actionEvent({
                ...act(
                  shopper,
                  now_ms,
                  'view',
                  watched().filter((listing) => listing.platform === one.site),
                ),
                logged_in: true,
              }),
            )
    return {
      ...base,
      value: one.value === undefined ? base.value : one.value(base.value!, number),
      ...(one.damage === undefined ? {} : { damage: one.damage }),
      fate: { end: 'dead', code: one.code },
    }
  }

  /** A listing is taken down, as its platform says so. */
  const takeDown = (listing: Listing): MarketEvent => {
    listing.deleted = true
    const { platform, id } = listing
    const header = (name: string, value: string): Header => [name, Buffer.from(value, 'utf8')]
    const event = { platform, kind: 'items', key: id, fate: canonical }
    switch (platform) {
      case 'shopify':
        return { ...event, value: { id: BigInt(id) }, headers: [header('x-shopify-topic', 'products/delete')] }
      case 'woocommerce':
        return { ...event, value: { id: Number(id) }, headers: [header('x-wc-webhook-topic', 'product.deleted')] }
      case 'amazon':
        return {
          ...event,
          value: {
            NotificationVersion: '1.0',
            NotificationType: 'LISTINGS_ITEM_STATUS_CHANGE',
            PayloadVersion: '1.0',
            EventTime: new Date(listing.updated_at).toISOString(),
            Payload: { SellerId: 'A2LUMEN', MarketplaceId: 'ATVPDKIKX0DER', Asin: id, Sku: listing.variants[0]!.sku, Status: [] },
          },
        }
      case 'taobao':
        return { ...event, value: { ...itemPayload(listing), approve_status: 'instock' } }
      case 'tiktok':
        return { ...event, value: { ...itemPayload(listing), status: 'SELLER_DEACTIVATED' } }
      default:
        return platform satisfies never
    }
  }

  /** A shop changes a price or a stock, or takes a listing down. */
  const change = (now_ms: number): readonly MarketEvent[] => {
    const listing = pick(
      random,
      [...present].filter((one) => !one.deleted),
    )
    const chance = random.next()
    const earlier = { ...listing }
    listing.updated_at = now_ms
    const told = (what: string) => `${shop_names[listing.platform]} ${what} ${titleAt(listing)}`
    if (chance < 0.08) return [{ ...takeDown(listing), news: told('takes down') }]
    // Amazon's catalogue says nothing of stock.
    if (chance < 0.6 || listing.platform === 'amazon') {
      const price = Math.max(99, Math.round(listing.price_minor * (0.85 + 0.3 * random.next())))
      listing.price_minor = price === listing.price_minor ? price + 1 : price
    } else {
      const quantity = random.next() < 0.2 ? 0 : between(random, 1, 240)
      listing.quantity = quantity === listing.quantity ? quantity + 1 : quantity
    }
    const event = { ...itemEvent(listing), news: told('changes') }
    if (chance < 0.85 || listing.platform === 'amazon') return [event]
    // The newer webhook overtakes the older one.
    const older: Listing = { ...earlier, price_minor: earlier.price_minor + 100, updated_at: now_ms - 20_000 }
    return [event, itemEvent(older, dropped('stale'))]
  }

  const late = (now_ms: number): MarketEvent => {
    const gone = random.next() < 0.2
    const action = act(pick(random, shoppers), now_ms - (gone ? 45 * day_ms : between(random, 2, 60) * hour_ms), 'view')
    return published(actionEvent(action), gone ? dropped('late') : canonical)
  }

  const cartOf = (now_ms: number): MarketEvent => {
    const shopper = pick(random, shoppers)
    const { listings: chosen } = act(
      shopper,
      now_ms,
      'cart',
      watched().filter((listing) => listing.platform === 'shopify'),
    )
    const before = carts.get(shopper) ?? []
    const known = before.some((listing) => listing === chosen[0])
    const cart =
      known && before.length > 1 ? before.filter((listing) => listing !== chosen[0]) : known ? before : [...before, chosen[0]!]
    carts.set(shopper, cart)
    return published(shopifyCart(shopper, cart, now_ms, number), cart === before ? dropped('unchanged') : canonical)
  }

  return {
    products,
    listings,
    shoppers,
    catalogue: () => [
      ...noItems(listings),
      ...shuffled(
        random,
        [...present].map((listing) => ({ ...itemEvent(listing), listing })),
      ),
    ],
    close: (unpublished) => {
      for (const listing of unpublished) present.delete(listing)
    },
    step: (now_ms) => {
      const chance = random.next()
      if (chance < broken) return [breakOne(now_ms)]
      if (chance < broken + 0.06) return change(now_ms)
      if (chance < broken + 0.08) return [late(now_ms)]
      if (chance < broken + 0.11) return [cartOf(now_ms)]
      if (chance < broken + 0.12 && held.length > 0) {
        // Clicks come before their product: they wait, and count once it is there.
        const listing = held.pop()!
        const early = published(actionEvent(act(pick(random, shoppers), now_ms, 'view', [listing])))
        present.add(listing)
        listing.updated_at = now_ms
        return [early, itemEvent(listing)]
      }
      const action = act(pick(random, shoppers), now_ms)
      const event = published(actionEvent(action), canonical, tell(action))
      // Platforms deliver at least once.
      return random.next() < 0.03 ? [event, { ...event, fate: dropped('duplicate') }] : [event]
    },
    orphan: (now_ms) => {
      const listing = watched().find(({ platform }) => platform === 'woocommerce')!
      return [published(actionEvent(act(pick(random, shoppers), now_ms, 'view', [{ ...listing, id: '999999' }])))]
    },
    unfamiliar: () => {
      const goods = (category: Category) =>
        watched().filter((listing) => listing.product.category === category && !listing.deleted && listing.quantity > 0).length
      return categories
        .filter((category) => !followed.tastes.includes(category))
        .reduce((most, category) => (goods(category) > goods(most) ? category : most))
    },
    follow: (category, type, count, now_ms) => {
      const among = watched().filter((listing) => listing.product.category === category && !listing.deleted)
      return shuffled(random, among)
        .slice(0, count)
        .map((listing, at) => {
          const action = { ...act(followed, now_ms + at, type, [listing]), logged_in: true }
          return published(actionEvent(action), canonical, tell(action))
        })
    },
  }
}
