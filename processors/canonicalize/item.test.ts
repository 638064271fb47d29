/** The digest that decides whether a listing changed must look at everything a listing says. */
import { expect, test } from '@jest/globals'
import { contentDigest, type ItemDraft } from './item.ts'

const item: ItemDraft = {
  event_id: '',
  item_id: 'a:b:c',
  platform: 'a',
  merchant_id: 'b',
  market: 'DE',
  source_product_id: null,
  source_variant_id: 'c',
  sku: null,
  item_group_id: null,
  gtin: null,
  gtin_status: 'ABSENT',
  mpn: null,
  brand: null,
  model: null,
  title: 'Mug',
  title_original: null,
  description: null,
  bullets: [],
  language: 'en',
  language_detected: null,
  category_id: null,
  category_path: [],
  source_category: null,
  price_minor: null,
  currency: null,
  list_price_minor: null,
  price_ref_minor: null,
  ref_currency: null,
  fx_rate: null,
  fx_as_of: null,
  availability: 'UNKNOWN',
  quantity: null,
  condition: 'UNKNOWN',
  url: null,
  image_urls: [],
  color: null,
  size: null,
  material: null,
  gender: null,
  age_group: null,
  multipack: 1,
  weight_g: null,
  length_mm: null,
  width_mm: null,
  height_mm: null,
  volume_ml: null,
  attributes: {},
  rating_avg: null,
  rating_count: null,
  units_sold: null,
  op: 'UPSERT',
  source_updated_at: 1,
  ingested_at: 1,
  provenance: { topic: 't', partition: 0, offset: 0, schema_id: null, map_version: '1', rewrites: [] },
}

/** Times, provenance, what is made from the rest, and the parts of item_id. */
const left_out = [
  'event_id',
  'source_updated_at',
  'ingested_at',
  'provenance',
  'price_ref_minor',
  'ref_currency',
  'fx_rate',
  'fx_as_of',
  'language_detected',
  'platform',
  'merchant_id',
  'source_variant_id',
]

test.each(Object.keys(item))('%s', (field) => {
  const was = item[field as keyof ItemDraft]
  const other =
    typeof was === 'number'
      ? was + 1
      : Array.isArray(was)
        ? ['x']
        : typeof was === 'string'
          ? `${was}x`
          : was === null
            ? 7
            : { x: 'y' }
  const changed = { ...item, [field]: other } as ItemDraft
  expect(contentDigest(changed).equals(contentDigest(item))).toBe(left_out.includes(field))
})
