/** One full record of every canonical schema: no field left out, none at its default. For tests and benches. */
import type { ImageVector, Indexed, ItemVector } from '../processors/domain/catalog.ts'
import type { Interaction } from '../processors/domain/interaction.ts'
import type { Item, Provenance } from '../processors/domain/item.ts'
import type { Profile } from '../processors/domain/profile.ts'
import type { Recommendation } from '../processors/domain/recommendation.ts'
import type { Vector } from '../processors/domain/vector.ts'

const at = Date.UTC(2026, 10, 20, 9, 30)
const vector = (): Vector => Float32Array.from([0.6, -0.8, 0, 1e-20])

const provenance: Provenance = {
  topic: 'source.shopify.products',
  partition: 3,
  offset: 9_007_199_254_740_000,
  schema_id: 17,
  map_version: 'shopify.items.3',
  rewrites: [{ field: 'title', from: 'A &amp; B', to: 'A & B', rule: 'text.html' }],
}

const item: Item = {
  event_id: 'e-1',
  item_id: 'shopify:shop-1:788032119674292922',
  platform: 'shopify',
  merchant_id: 'shop-1',
  market: 'DE',
  source_product_id: '788032119674292900',
  source_variant_id: '788032119674292922',
  sku: 'SKU-1',
  item_group_id: 'shopify:shop-1:788032119674292900',
  gtin: '04012345678901',
  gtin_status: 'VALID',
  mpn: 'MP-1',
  brand: 'Größe & Söhne',
  model: 'M1',
  title: 'Kaffeemühle 電動 ☕',
  title_original: 'Kaffeem&uuml;hle 電動 ☕',
  description: 'Eine Mühle.\nZweite Zeile.',
  bullets: ['leise', 'schnell'],
  language: 'de',
  language_detected: 'de',
  category_id: '730',
  category_path: ['Home & Garden', 'Kitchen'],
  source_category: 'Küche',
  price_minor: 12_999,
  currency: 'EUR',
  list_price_minor: 14_999,
  price_ref_minor: 13_999,
  ref_currency: 'USD',
  fx_rate: 1.0769,
  fx_as_of: at - 86_400_000,
  availability: 'IN_STOCK',
  quantity: 12,
  condition: 'NEW',
  url: 'https://shop.example/p/1',
  image_urls: ['https://shop.example/p/1.jpg'],
  color: 'schwarz',
  size: 'M',
  material: 'Stahl',
  gender: 'unisex',
  age_group: 'adult',
  multipack: 6,
  weight_g: 1250.5,
  length_mm: 200,
  width_mm: 150.25,
  height_mm: 300,
  volume_ml: 750,
  attributes: { Leistung: '150 W', constructor: 'an attribute like any other', toString: 'this one too' } as Readonly<
    Record<string, string>
  >,
  rating_avg: 0.9,
  rating_count: 321,
  units_sold: 4_000_000_000,
  op: 'UPSERT',
  source_updated_at: at,
  ingested_at: at + 5,
  provenance,
}

const interaction: Interaction = {
  event_id: 'ev-1',
  type: 'ADD_TO_CART',
  user_key: 'k1.AbCdEfGhIjKlMnOpQrStUv',
  user_id_type: 'LOGIN',
  session_key: 'k1.ZyXwVuTsRqPoNmLkJiHgFe',
  item_id: 'segment:shop-1:G-32',
  quantity: 2,
  price_minor: 1_899,
  currency: 'USD',
  value_minor: 3_798,
  rating: 0.8,
  query: 'board game',
  list_id: 'home',
  position: 3,
  recommendation_id: '1b4e28ba-2fa1-5d2f-883f-0016d3cca427',
  order_id: 'o-1',
  coupon: 'MAYDEALS',
  device: 'mobile',
  market: 'US',
  occurred_at: at,
  received_at: at + 40,
  late_by_ms: 1_000,
  platform: 'segment',
  merchant_id: 'shop-1',
  provenance,
}

const item_vector: ItemVector = {
  item_id: 'shopify:shop-1:788032119674292922',
  vector: vector(),
  content_hash: 'a'.repeat(64),
  model_digest: 'b'.repeat(64),
  card: {
    title: 'Kaffeemühle',
    brand: 'Größe',
    platform: 'shopify',
    merchant_id: 'shop-1',
    market: 'DE',
    language: 'de',
    category_id: '730',
    price_minor: 12_999,
    currency: 'EUR',
    price_ref_minor: 13_999,
    availability: 'LIMITED',
    item_group_id: 'g-1',
    gtin: '04012345678901',
    url: 'https://shop.example/p/1',
  },
  source_updated_at: at,
  ingested_at: at + 5,
}

const image_vector: ImageVector = {
  item_id: item_vector.item_id,
  vector: vector(),
  content_hash: 'c'.repeat(64),
  model_digest: 'd'.repeat(64),
  image_url: 'https://shop.example/p/1.jpg',
  card: item_vector.card,
  source_updated_at: at,
  ingested_at: at + 5,
}

const indexed: Indexed = {
  item_id: 'shopify:shop-1:788032119674292922',
  op: 'DELETE',
  content_hash: 'a'.repeat(64),
  model_digest: 'b'.repeat(64),
  version: 42,
  ingested_at: at,
}

const profile: Profile = {
  user_key: 'k1.AbCdEfGhIjKlMnOpQrStUv',
  preference: vector(),
  session: vector(),
  recent: [{ event_id: 'ev-1', item_id: 'segment:shop-1:G-32', type: 'PURCHASE', occurred_at: at, weight: -0.25 }],
  bought: ['segment:shop-1:G-32'],
  events: 7,
  as_of: at,
  model_digest: 'b'.repeat(64),
  last_occurred_at: at,
  last_received_at: at + 40,
}

const recommendation: Recommendation = {
  recommendation_id: '1b4e28ba-2fa1-5d2f-883f-0016d3cca427',
  user_key: 'k1.AbCdEfGhIjKlMnOpQrStUv',
  placement: 'home',
  items: [
    {
      rank: 1,
      item_id: 'shopify:shop-1:1',
      title: 'Kaffeemühle',
      score: 0.75,
      scores: { preference: 0.5, session: 0.25 },
      reasons: [
        {
          code: 'SIMILAR_TO_VIEWED',
          weight: 0.66,
          evidence: [{ event_id: 'ev-1', item_id: 'segment:shop-1:G-32' }],
          text: 'Because you looked at Monopoly',
        },
      ],
      offers: [{ platform: 'shopify', item_id: 'shopify:shop-1:1', price_ref_minor: 13_999 }],
    },
  ],
  model_digest: 'b'.repeat(64),
  profile_version: 7,
  generated_at: at,
  expires_at: at + 3_600_000,
  latency_ms: 35,
  freshness_ms: 120,
  filtered_out: { bought: 3, shown: 1 },
}

/** By schema file name. */
export const canonical_samples = {
  item,
  interaction,
  vector: item_vector,
  'image-vector': image_vector,
  indexed,
  profile,
  recommendation,
} as const
