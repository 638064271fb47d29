/** The demo market's broken events: each kind once, what it does to a good event, and the dead-letter code it must get. */
import type { FaultCode } from '../../domain/fault.ts'
import type { ShopPlatform } from './shops.ts'

type Payload = Readonly<Record<string, unknown>>

export type Break = {
  readonly platform: string
  /** Whose listings the event is about. */
  readonly site: ShopPlatform
  readonly kind: 'items' | 'orders' | 'events'
  readonly code: FaultCode
  readonly value?: (payload: Payload, number: number) => Payload
  readonly damage?: (bytes: Buffer) => Buffer
}

const item = (platform: ShopPlatform, code: FaultCode, how: Pick<Break, 'value' | 'damage'>): Break => ({
  platform,
  site: platform,
  kind: 'items',
  code,
  ...how,
})
const segment = (code: FaultCode, how: Pick<Break, 'value' | 'damage'>): Break => ({
  platform: 'segment',
  site: 'woocommerce',
  kind: 'events',
  code,
  ...how,
})

const withVariants = (payload: Payload, change: Payload): Payload => ({
  ...payload,
  variants: (payload['variants'] as readonly Payload[]).map((variant) => ({ ...variant, ...change })),
})

/** Every kind of break, in the order in which the market goes through them. */
export const breaks: readonly Break[] = [
  item('shopify', 'semantics.price', { value: (payload) => withVariants(payload, { price: '1.234,50' }) }),
  item('woocommerce', 'map.missing', { value: (payload) => ({ ...payload, name: '' }) }),
  segment('semantics.user', { value: (payload) => ({ ...payload, userId: null, anonymousId: '' }) }),
  item('shopify', 'decode.magic', { damage: (bytes) => bytes.subarray(5) }),
  segment('privacy.raw_id', {
    value: (payload) => ({
      ...payload,
      properties: { ...(payload['properties'] as Payload), product_id: 'mira@example.com' },
    }),
  }),
  item('woocommerce', 'time.invalid', { value: (payload) => ({ ...payload, date_modified_gmt: '2026-02-30T10:00:00' }) }),
  item('shopify', 'decode.truncated', { damage: (bytes) => bytes.subarray(0, 3) }),
  item('tiktok', 'semantics.currency', {
    value: (payload) => ({
      ...payload,
      skus: (payload['skus'] as readonly Payload[]).map((sku) => ({
        ...sku,
        price: { ...(sku['price'] as Payload), currency: 'POUND' },
      })),
    }),
  }),
  item('shopify', 'schema.unknown', {
    damage: (bytes) => {
      const copy = Buffer.from(bytes)
      copy.writeInt32BE(990_017, 1)
      return copy
    },
  }),
  item('shopify', 'decode.empty', { damage: () => Buffer.alloc(0) }),
]
