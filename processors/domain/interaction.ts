/** `behavior.interactions.v1`: one action of one user on one item, across platforms. */
import type { Provenance } from './item.ts'

export const interaction_types = [
  'VIEW',
  'VIEW_LIST',
  'CLICK',
  'SEARCH',
  'ADD_TO_CART',
  'REMOVE_FROM_CART',
  'WISHLIST',
  'CHECKOUT',
  'PURCHASE',
  'REFUND',
  'RATE',
  'REVIEW',
  'SHARE',
  'DISMISS',
] as const

/** GA4, Segment, Snowplow and Google Retail words map onto these; `UNKNOWN` is what a newer writer's symbol reads as. */
export type InteractionType = 'UNKNOWN' | (typeof interaction_types)[number]
export type UserIdType = 'UNKNOWN' | 'LOGIN' | 'DEVICE' | 'SESSION' | 'NONE'

export type Interaction = {
  readonly event_id: string
  readonly type: InteractionType
  /** Keyed pseudonym, see userKey. Raw ids, e-mails, phones and IPs never pass the edge. */
  readonly user_key: string
  readonly user_id_type: UserIdType
  /** Keyed pseudonym of the session, when the platform names one. */
  readonly session_key: string | null
  /** Null for SEARCH. */
  readonly item_id: string | null
  readonly quantity: number
  readonly price_minor: number | null
  readonly currency: string | null
  readonly value_minor: number | null
  /** 0 to 1. */
  readonly rating: number | null
  readonly query: string | null
  readonly list_id: string | null
  readonly position: number | null
  readonly recommendation_id: string | null
  readonly order_id: string | null
  readonly coupon: string | null
  readonly device: string | null
  readonly market: string | null
  readonly occurred_at: number
  readonly received_at: number
  /** How far behind the log's clock the event was when it came; 0 when in time. */
  readonly late_by_ms: number
  readonly platform: string
  readonly merchant_id: string
  readonly provenance: Provenance
}
