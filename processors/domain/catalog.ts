/** What stands between a canonical item and a searchable one. */
import type { Availability } from './item.ts'
import type { Vector } from './vector.ts'

/** What the index keeps beside a vector: enough to filter, explain and show an item without another look-up. */
export type ItemCard = {
  readonly title: string
  readonly brand: string | null
  readonly platform: string
  readonly merchant_id: string
  readonly market: string
  readonly language: string
  readonly category_id: string | null
  readonly price_minor: number | null
  readonly currency: string | null
  readonly price_ref_minor: number | null
  readonly availability: Availability
  readonly item_group_id: string | null
  readonly gtin: string | null
  readonly url: string | null
}

/** `catalog.vectors.v1`: an item's text embedding, logged once and never computed again. Null value = the item is gone. */
export type ItemVector = {
  readonly item_id: string
  /** float32, unit length, [dims]. */
  readonly vector: Vector
  /** SHA-256 of the embedded text, hex. */
  readonly content_hash: string
  /** Digest of the encoder, see ModelCard. */
  readonly model_digest: string
  readonly card: ItemCard
  readonly source_updated_at: number
  readonly ingested_at: number
}

/** `catalog.image-vectors.v1.<model>`: the embedding of an item's first image. Null value = the item is gone, or its image. */
export type ImageVector = {
  readonly item_id: string
  /** float32, unit length, of the image model's own dimensions. */
  readonly vector: Vector
  /** SHA-256 of the image file, hex. */
  readonly content_hash: string
  /** Digest of the image encoder, see ImageModelCard. */
  readonly model_digest: string
  readonly image_url: string
  readonly card: ItemCard
  readonly source_updated_at: number
  readonly ingested_at: number
}

/** `catalog.indexed.v1`: the index acknowledged this item; whoever searches from here on finds it. */
export type Indexed = {
  readonly item_id: string
  readonly op: 'UPSERT' | 'DELETE'
  readonly content_hash: string | null
  readonly model_digest: string | null
  /** Offset in catalog.vectors.v1, the guard of the point. */
  readonly version: number
  readonly ingested_at: number
}
