/** Shoppers' actions as the platforms report them: GA4 and Segment events, Shopify carts and orders, WooCommerce orders. */
import type { Action, Shopper } from './shoppers.ts'
import { isoAt, type Listing, naive, titleAt } from './shops.ts'

/** A payload, and the platform and kind of topic that it belongs to. */
export type Published = {
  readonly platform: string
  readonly kind: string
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const euros = (minor: number): number => minor / 100
const decimal = (minor: number): string => (minor / 100).toFixed(2)

const ga4Names: Readonly<Record<Action['type'], string>> = {
  list: 'view_item_list',
  search: 'view_search_results',
  view: 'view_item',
  click: 'select_item',
  cart: 'add_to_cart',
  uncart: 'remove_from_cart',
  wish: 'add_to_wishlist',
  buy: 'purchase',
}

const ga4Item = (listing: Listing, index: number): Record<string, unknown> => ({
  item_id: listing.variants[0]!.id,
  item_name: titleAt(listing),
  item_brand: listing.product.brand,
  item_category: listing.product.category.name.en,
  index,
  price: euros(listing.price_minor),
  quantity: 1,
})

/** One hit of the measurement protocol, which may carry several events; here it carries one. */
const ga4 = ({ type, shopper, listings, query, logged_in, at_ms, number }: Action): Published => ({
  platform: 'ga4',
  kind: 'events',
  key: shopper.device,
  value: {
    client_id: shopper.device,
    ...(logged_in ? { user_id: shopper.login } : {}),
    timestamp_micros: at_ms * 1_000 + (number % 1_000),
    events: [
      {
        name: ga4Names[type],
        params: {
          session_id: String(Math.floor(at_ms / 1_800_000)),
          engagement_time_msec: 1_200 + (number % 9) * 700,
          ...(query === null
            ? {
                currency: 'EUR',
                value: euros(listings[0]!.price_minor),
                ...(type === 'list' ? { item_list_id: 'category', item_list_name: listings[0]!.product.category.name.en } : {}),
                items: listings.map(ga4Item),
              }
            : { search_term: query }),
        },
      },
    ],
  },
})

const segmentNames: Readonly<Record<Action['type'], string>> = {
  list: 'Product List Viewed',
  search: 'Products Searched',
  view: 'Product Viewed',
  click: 'Product Clicked',
  cart: 'Product Added',
  uncart: 'Product Removed',
  wish: 'Product Added to Wishlist',
  buy: 'Order Completed',
}

const segmentProduct = (listing: Listing, position: number): Record<string, unknown> => ({
  product_id: listing.id,
  sku: listing.variants[0]!.sku,
  name: titleAt(listing),
  brand: listing.product.brand,
  category: listing.product.category.name.de,
  price: euros(listing.price_minor),
  quantity: 1,
  position,
})

const segment = ({ type, shopper, listings, query, logged_in, at_ms, number }: Action): Published => ({
  platform: 'segment',
  kind: 'events',
  key: logged_in ? shopper.login : shopper.device,
  value: {
    type: 'track',
    event: segmentNames[type],
    messageId: `ajs-${number}-${shopper.device}`,
    userId: logged_in ? shopper.login : null,
    anonymousId: shopper.device,
    timestamp: new Date(at_ms).toISOString(),
    originalTimestamp: new Date(at_ms).toISOString(),
    sentAt: new Date(at_ms).toISOString(),
    receivedAt: new Date(at_ms).toISOString(),
    context: { locale: 'de-DE', userAgent: 'Mozilla/5.0', ip: '192.0.2.7', page: { url: 'https://hafenladen.example/' } },
    properties:
      type === 'search'
        ? { query }
        : type === 'list'
          ? { list_id: 'kategorie', category: listings[0]!.product.category.name.de, products: listings.map(segmentProduct) }
          : // Lower case, as in the spec's own sample.
            { ...segmentProduct(listings[0]!, 1), currency: 'eur' },
  },
})

const shopifyLine = (listing: Listing, number: number, at: number): Record<string, unknown> => ({
  id: 14_000_000_000 + number * 10 + at,
  product_id: BigInt(listing.id),
  variant_id: BigInt(listing.variants[0]!.id),
  sku: listing.variants[0]!.sku,
  title: titleAt(listing),
  variant_title: listing.variants[0]!.color?.en ?? null,
  vendor: listing.product.brand,
  quantity: 1,
  price: decimal(listing.price_minor),
  total_discount: '0.00',
})

const total = (listings: readonly Listing[]): number => listings.reduce((sum, listing) => sum + listing.price_minor, 0)

const shopifyOrder = ({ shopper, listings, at_ms, number }: Action): Published => ({
  platform: 'shopify',
  kind: 'orders',
  key: String(6_200_000_000 + number),
  value: {
    id: 6_200_000_000 + number,
    admin_graphql_api_id: `gid://shopify/Order/${6_200_000_000 + number}`,
    name: `#${1_000 + number}`,
    currency: 'EUR',
    presentment_currency: 'EUR',
    created_at: isoAt(at_ms, 1),
    processed_at: isoAt(at_ms, 1),
    updated_at: isoAt(at_ms, 1),
    cancelled_at: null,
    financial_status: 'paid',
    customer: { id: Number(shopper.login), email: `${shopper.name.toLowerCase().replaceAll(' ', '.')}@example.com` },
    email: `${shopper.name.toLowerCase().replaceAll(' ', '.')}@example.com`,
    phone: null,
    browser_ip: '192.0.2.7',
    landing_site: '/',
    referring_site: '',
    source_name: 'web',
    test: false,
    total_price: decimal(total(listings)),
    discount_codes: [],
    line_items: listings.map((listing, at) => ({
      ...shopifyLine(listing, number, at),
      price_set: {
        shop_money: { amount: decimal(listing.price_minor), currency_code: 'EUR' },
        presentment_money: { amount: decimal(listing.price_minor), currency_code: 'EUR' },
      },
    })),
  },
})

/** The cart as it stands after the action: a snapshot, not a change. Its token is all it says of the shopper. */
export const shopifyCart = (shopper: Shopper, cart: readonly Listing[], at_ms: number, number: number): Published => {
  const token = `c1-${shopper.device.replace('.', '')}`
  return {
    platform: 'shopify',
    kind: 'carts',
    key: token,
    value: {
      id: token,
      token,
      note: null,
      updated_at: isoAt(at_ms, 1),
      created_at: isoAt(at_ms - 60_000, 1),
      line_items: cart.map((listing, at) => ({
        ...shopifyLine(listing, number, at),
        discounted_price: decimal(listing.price_minor),
        line_price: decimal(listing.price_minor),
      })),
    },
  }
}

const wooOrder = ({ shopper, listings, at_ms, number }: Action): Published => ({
  platform: 'woocommerce',
  kind: 'orders',
  key: String(40_000 + number),
  value: {
    id: 40_000 + number,
    parent_id: 0,
    number: String(40_000 + number),
    status: 'processing',
    currency: 'EUR',
    date_created: naive(at_ms, 1).replace(' ', 'T'),
    date_created_gmt: naive(at_ms, 0).replace(' ', 'T'),
    date_modified: naive(at_ms, 1).replace(' ', 'T'),
    date_modified_gmt: naive(at_ms, 0).replace(' ', 'T'),
    date_paid: naive(at_ms, 1).replace(' ', 'T'),
    date_paid_gmt: naive(at_ms, 0).replace(' ', 'T'),
    total: decimal(total(listings)),
    customer_id: Number(shopper.login),
    customer_ip_address: '192.0.2.7',
    customer_user_agent: 'Mozilla/5.0',
    billing: { first_name: shopper.name, last_name: 'Beispiel', email: `${shopper.login}@example.com`, phone: '+49 30 5550000' },
    coupon_lines: [],
    line_items: listings.map((listing, at) => ({
      id: 90_000 + number * 10 + at,
      name: titleAt(listing),
      product_id: Number(listing.id),
      variation_id: 0,
      quantity: 1,
      subtotal: decimal(listing.price_minor),
      total: decimal(listing.price_minor),
      price: euros(listing.price_minor),
      sku: listing.variants[0]!.sku,
    })),
  },
})

/** The event that the action's shop sends: purchases come as orders, everything else as a browser event. */
export const actionEvent = (action: Action): Published => {
  const shopify = action.listings[0]!.platform === 'shopify'
  if (action.type === 'buy') return shopify ? shopifyOrder(action) : wooOrder(action)
  return shopify ? ga4(action) : segment(action)
}
