/** `catalog.items.v1`: one offer = one platform's listing of one variant, in one vocabulary (schema.org, Google Merchant, GA4). */

/** What a rule of canonicalisation changed, so that every value can be traced to its source. */
export type Rewrite = { readonly field: string; readonly from: string; readonly to: string; readonly rule: string }

/** Where a canonical record came from. */
export type Provenance = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Registry id of the writer's schema; absent for plain JSON. */
  readonly schema_id: number | null
  readonly map_version: string
  readonly rewrites: readonly Rewrite[]
}

export type Availability = 'UNKNOWN' | 'IN_STOCK' | 'OUT_OF_STOCK' | 'PREORDER' | 'BACKORDER' | 'LIMITED' | 'DISCONTINUED'
export type Condition = 'UNKNOWN' | 'NEW' | 'REFURBISHED' | 'USED' | 'DAMAGED'
export type GtinStatus = 'UNKNOWN' | 'VALID' | 'BAD_CHECK' | 'RESTRICTED' | 'ABSENT'
export type Op = 'UPSERT' | 'DELETE'

/** Ids are strings always; money is integer minor units with an ISO 4217 code; times are epoch milliseconds UTC. */
export type Item = {
  readonly event_id: string
  /** `<platform>:<merchant>:<source variant id>`, see itemId. */
  readonly item_id: string
  readonly platform: string
  readonly merchant_id: string
  /** ISO 3166-1 alpha-2, or `ZZ` when the platform does not say. */
  readonly market: string
  readonly source_product_id: string | null
  readonly source_variant_id: string
  readonly sku: string | null
  readonly item_group_id: string | null
  /** 14 digits, zero-padded; present only with a correct check digit. */
  readonly gtin: string | null
  readonly gtin_status: GtinStatus
  readonly mpn: string | null
  readonly brand: string | null
  readonly model: string | null
  readonly title: string
  readonly title_original: string | null
  readonly description: string | null
  readonly bullets: readonly string[]
  /** BCP 47; declared by the platform, else detected; `und` when neither is sure. */
  readonly language: string
  readonly language_detected: string | null
  /** One tree for all platforms: Google's top-level words, from the root down. */
  readonly category_id: string | null
  readonly category_path: readonly string[]
  readonly source_category: string | null
  readonly price_minor: number | null
  readonly currency: string | null
  readonly list_price_minor: number | null
  /** The price in the reference currency, at `fx_rate` of `fx_as_of`. */
  readonly price_ref_minor: number | null
  readonly ref_currency: string | null
  readonly fx_rate: number | null
  readonly fx_as_of: number | null
  readonly availability: Availability
  readonly quantity: number | null
  readonly condition: Condition
  readonly url: string | null
  readonly image_urls: readonly string[]
  readonly color: string | null
  readonly size: string | null
  readonly material: string | null
  readonly gender: string | null
  readonly age_group: string | null
  /** Units sold as one: 6 for a six-pack, 1 for a single. */
  readonly multipack: number
  readonly weight_g: number | null
  readonly length_mm: number | null
  readonly width_mm: number | null
  readonly height_mm: number | null
  readonly volume_ml: number | null
  readonly attributes: Readonly<Record<string, string>>
  /** 0 to 1. */
  readonly rating_avg: number | null
  readonly rating_count: number | null
  readonly units_sold: number | null
  readonly op: Op
  readonly source_updated_at: number
  readonly ingested_at: number
  readonly provenance: Provenance
}
