/** Makes canonical items from a map's rules, and says when two of them are the same. */
import { digest128 } from '../domain/digest.ts'
import { itemId, namespace_entrepot, uuid5 } from '../domain/ids.ts'
import type { Availability, Condition, Item } from '../domain/item.ts'
import { detectLanguage } from '../domain/language.ts'
import { convertMinor, exponentOf } from '../domain/money.ts'
import { packIn } from '../domain/pack.ts'
import { clip } from '../domain/text.ts'
import {
  addAttribute,
  addAttributes,
  asCategory,
  asCount,
  asCurrency,
  asGtin,
  asId,
  asLanguage,
  asLines,
  asMarket,
  asMeasure,
  asMoney,
  asOneOf,
  asRatio,
  asText,
  asTexts,
  asTime,
  asUrl,
  asUrls,
  availabilities,
  conditions,
} from './fields.ts'
import { type Draft, type Rules, reader } from './rules.ts'
import type { CanonicalizeSettings, Shop } from './settings.ts'
import { type Env, type Eval, refuse, rewrote, single } from './values.ts'

/** An item before it is known to be new: without event id, and with `language` empty where it must be detected. */
export type ItemDraft = Draft<Item>

/** Rules of attributes beside the one named `attributes`: by attribute name, `*` for whole objects. */
export type AttributeRules = readonly { readonly name: string; readonly eval: Eval }[]

export type ItemReaders = {
  /** The variant id alone, for deletions; null when missing. */
  readonly id: (env: Env) => string | null
  /** The item's own time, or null when the map or the record has none. */
  readonly version: (env: Env) => number | null
  readonly build: (env: Env) => ItemDraft
}

const availability_set: ReadonlySet<Availability> = new Set(availabilities)
const condition_set: ReadonlySet<Condition> = new Set(conditions)
const no_strings: readonly string[] = []

/** Compiles the rules of one `emit` block. */
export const itemReaders = (
  platform: string,
  map_version: string,
  rules: Rules,
  attributes: AttributeRules,
  own_categories: ReadonlyMap<string, string>,
): ItemReaders => {
  const id = reader(rules, 'source_variant_id', asId, null)
  const version = reader(rules, 'source_updated_at', asTime, null)
  const text = (field: string) => reader(rules, field, asText, null)
  const measure = (field: string, dimension: 'weight' | 'length' | 'volume') =>
    reader(rules, field, (value, env) => asMeasure(value, env, dimension), null)
  const source_product_id = reader(rules, 'source_product_id', asId, null)
  const item_group_id = reader(rules, 'item_group_id', asId, null)
  const sku = text('sku')
  const gtin = reader(rules, 'gtin', asGtin, { gtin: null, status: 'ABSENT', problem: null })
  const mpn = text('mpn')
  const brand = text('brand')
  const model = text('model')
  const title_rule = rules.get('title')
  const description = reader(rules, 'description', asLines, null)
  const bullets = reader(rules, 'bullets', asTexts, no_strings)
  const language = reader(rules, 'language', asLanguage, null)
  const category = reader(rules, 'source_category', (value, env) => asCategory(value, env, own_categories), null)
  const currency = reader(rules, 'currency', asCurrency, null)
  const price = moneyReader(rules, 'price_minor')
  const list_price = moneyReader(rules, 'list_price_minor')
  const market = reader(rules, 'market', asMarket, null)
  const availability = reader(rules, 'availability', (value) => asOneOf(value, availability_set), null)
  const quantity = reader(rules, 'quantity', asCount, null)
  const condition = reader(rules, 'condition', (value) => asOneOf(value, condition_set), null)
  const url = reader(rules, 'url', asUrl, null)
  const image_urls = reader(rules, 'image_urls', asUrls, no_strings)
  const color = text('color')
  const size = text('size')
  const material = text('material')
  const gender = text('gender')
  const age_group = text('age_group')
  const multipack = reader(rules, 'multipack', asCount, null)
  const weight_g = measure('weight_g', 'weight')
  const length_mm = measure('length_mm', 'length')
  const width_mm = measure('width_mm', 'length')
  const height_mm = measure('height_mm', 'length')
  const volume_ml = measure('volume_ml', 'volume')
  const rating_avg = reader(rules, 'rating_avg', asRatio, null)
  const rating_count = reader(rules, 'rating_count', asCount, null)
  const units_sold = reader(rules, 'units_sold', asCount, null)
  const whole_attributes = rules.get('attributes')

  const attributesOf = (env: Env): Record<string, string> => {
    const into = Object.create(null) as Record<string, string>
    env.field = 'attributes'
    for (const { name, eval: evaluate } of attributes) {
      const value = evaluate(env)
      if (name === '*') addAttributes(into, value, env)
      else addAttribute(into, name, value, env)
    }
    if (whole_attributes !== undefined) addAttributes(into, whole_attributes.eval(env), env)
    return into
  }

  const build = (env: Env): ItemDraft => {
    const { shop, log } = env
    const variant = id(env)
    if (variant === null) {
      env.field = 'source_variant_id'
      throw refuse('map.missing', 'the id is missing')
    }
    env.field = 'title'
    const raw_title = single(title_rule?.eval(env))
    const the_title = asText(raw_title, env)
    if (the_title === null) throw refuse('map.missing', 'the title is missing')
    const original = typeof raw_title === 'string' && raw_title !== the_title ? clip(raw_title.toWellFormed(), 1_000) : null
    const code = gtin(env)
    const currency_given = currency(env)
    const currency_used = currency_given ?? shop.currency
    const price_minor = price(env, currency_used)
    const list_price_minor = list_price(env, currency_used)
    const priced = price_minor !== null || list_price_minor !== null
    if (priced && currency_given === null) rewrote(env, 'currency', '', currency_used ?? '', 'shop.currency')
    const a_category = category(env)
    const updated_at = version(env)
    env.has_version = updated_at !== null
    const draft: ItemDraft = {
      event_id: '',
      item_id: itemIdOf(shop, variant),
      platform,
      merchant_id: shop.merchant_id,
      market: market(env) ?? shop.market ?? 'ZZ',
      source_product_id: source_product_id(env),
      source_variant_id: variant,
      sku: sku(env),
      item_group_id: item_group_id(env),
      gtin: code.gtin,
      gtin_status: code.status,
      mpn: mpn(env),
      brand: brand(env),
      model: model(env),
      title: the_title,
      title_original: original,
      description: description(env),
      bullets: bullets(env),
      language: language(env) ?? shop.language ?? '',
      language_detected: null,
      category_id: a_category?.id ?? null,
      category_path: a_category?.path ?? no_strings,
      source_category: a_category?.source ?? null,
      price_minor,
      currency: priced ? currency_used : null,
      list_price_minor,
      price_ref_minor: null,
      ref_currency: null,
      fx_rate: null,
      fx_as_of: null,
      availability: availability(env) ?? 'UNKNOWN',
      quantity: quantity(env),
      condition: condition(env) ?? 'UNKNOWN',
      url: url(env),
      image_urls: image_urls(env),
      color: color(env),
      size: size(env),
      material: material(env),
      gender: gender(env),
      age_group: age_group(env),
      multipack: packOf(env, multipack(env), the_title),
      weight_g: weight_g(env),
      length_mm: length_mm(env),
      width_mm: width_mm(env),
      height_mm: height_mm(env),
      volume_ml: volume_ml(env),
      attributes: attributesOf(env),
      rating_avg: rating_avg(env),
      rating_count: rating_count(env),
      units_sold: units_sold(env),
      op: 'UPSERT',
      source_updated_at: updated_at ?? log.time,
      ingested_at: log.time,
      provenance: {
        topic: log.topic,
        partition: log.partition,
        offset: log.offset,
        schema_id: log.schema_id,
        map_version,
        rewrites: env.rewrites,
      },
    }
    return draft
  }
  return { id, version, build }
}

/** A money field knows its currency only while it is read. */
export const moneyReader = (rules: Rules, field: string): ((env: Env, currency: string | null) => number | null) => {
  let in_currency: string | null = null
  const read = reader<number | null>(rules, field, (value, env) => asMoney(value, env, in_currency), null)
  return (env, currency) => {
    in_currency = currency
    return read(env)
  }
}

/** The title's pack size where the map gives none. */
const packOf = (env: Env, given: number | null, title: string): number => {
  if (given !== null) return Math.min(Math.max(1, given), 2_147_483_647)
  const pack = packIn(title)
  if (pack === undefined) return 1
  rewrote(env, 'multipack', pack.words, String(pack.units), 'pack')
  return pack.units
}

/** The canonical id of a variant of a shop. */
export const itemIdOf = (shop: Shop, variant: string): string =>
  variant.includes(':') || variant.includes('%') ? itemId(shop.platform, shop.merchant_id, variant) : shop.item_prefix + variant

/** An item that is gone: its ids, nothing else. */
export const deletedItem = (
  env: Env,
  variant: string,
  group: string | null,
  updated_at: number,
  map_version: string,
): ItemDraft => ({
  event_id: '',
  item_id: itemIdOf(env.shop, variant),
  platform: env.shop.platform,
  merchant_id: env.shop.merchant_id,
  market: env.shop.market ?? 'ZZ',
  source_product_id: group,
  source_variant_id: variant,
  sku: null,
  item_group_id: group,
  gtin: null,
  gtin_status: 'ABSENT',
  mpn: null,
  brand: null,
  model: null,
  title: '',
  title_original: null,
  description: null,
  bullets: no_strings,
  language: 'und',
  language_detected: null,
  category_id: null,
  category_path: no_strings,
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
  image_urls: no_strings,
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
  op: 'DELETE',
  source_updated_at: updated_at,
  ingested_at: env.log.time,
  provenance: {
    topic: env.log.topic,
    partition: env.log.partition,
    offset: env.log.offset,
    schema_id: env.log.schema_id,
    map_version,
    rewrites: [],
  },
})

/** What the item says, as eight bytes: times, provenance, reference prices and detected words left out. */
export const contentDigest = (draft: ItemDraft): Buffer => {
  // A list, not the object: property names would cost as much as the values.
  const content = [
    draft.item_id,
    draft.market,
    draft.source_product_id,
    draft.sku,
    draft.item_group_id,
    draft.gtin,
    draft.gtin_status,
    draft.mpn,
    draft.brand,
    draft.model,
    draft.title,
    draft.title_original,
    draft.description,
    draft.language,
    draft.category_id,
    draft.source_category,
    draft.price_minor,
    draft.currency,
    draft.list_price_minor,
    draft.availability,
    draft.quantity,
    draft.condition,
    draft.url,
    draft.color,
    draft.size,
    draft.material,
    draft.gender,
    draft.age_group,
    draft.multipack,
    draft.weight_g,
    draft.length_mm,
    draft.width_mm,
    draft.height_mm,
    draft.volume_ml,
    draft.rating_avg,
    draft.rating_count,
    draft.units_sold,
    draft.op,
    draft.bullets,
    draft.image_urls,
    draft.category_path,
    draft.attributes,
  ]
  const { a, b } = digest128(JSON.stringify(content))
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUInt32BE(a, 0)
  bytes.writeUInt32BE(b, 4)
  return bytes
}

/** Fills in what only an item that is new needs: event id, reference price, language. */
export const completeItem = (
  draft: ItemDraft,
  has_version: boolean,
  settings: Pick<CanonicalizeSettings, 'rates' | 'detect_language'>,
): Item => {
  const { topic, partition, offset } = draft.provenance
  const version = has_version ? String(draft.source_updated_at) : `${topic}/${partition}/${offset}`
  draft.event_id = uuid5(namespace_entrepot, `${draft.item_id}\n${version}`)
  const { rates } = settings
  if (rates !== null && draft.price_minor !== null && draft.currency !== null) {
    const rate =
      draft.currency === rates.reference ? 1 : Object.hasOwn(rates.rates, draft.currency) ? rates.rates[draft.currency]! : null
    const reference =
      rate === null ? null : convertMinor(draft.price_minor, exponentOf(draft.currency)!, exponentOf(rates.reference)!, rate)
    if (reference !== null) {
      draft.price_ref_minor = reference
      draft.ref_currency = rates.reference
      draft.fx_rate = rate
      draft.fx_as_of = draft.currency === rates.reference ? null : rates.as_of
    }
  }
  if (draft.language === '') {
    const text = draft.description === null ? draft.title : `${draft.title} ${clip(draft.description, 300)}`
    draft.language_detected = (settings.detect_language ?? detectLanguage)(text) ?? null
    draft.language = draft.language_detected ?? 'und'
  }
  return draft
}
