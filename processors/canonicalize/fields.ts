/** What each canonical field takes: the type that turns an expression's value into it, declared once for compiler, lint and manual. */
import { type Category, categoryOf } from '../domain/category.ts'
import { Fault } from '../domain/fault.ts'
import { type GtinReading, readGtin } from '../domain/gtin.ts'
import { interaction_types } from '../domain/interaction.ts'
import { normaliseLanguage } from '../domain/language.ts'
import { exponentOf, minorOf } from '../domain/money.ts'
import { clip, normaliseLines, normaliseText } from '../domain/text.ts'
import { parseTime, time_min_ms } from '../domain/time.ts'
import { type Dimension, factorOf, measured, unit_of } from '../domain/units.ts'
import { normaliseUrl } from '../domain/url.ts'
import { isInstant, isMeasure, isMinorUnits } from './functions.ts'
import {
  charge,
  type Env,
  element_work,
  isMissing,
  listOf,
  numberOf,
  refuse,
  rememberLast,
  rewrote,
  single,
  text_work,
  textOf,
  typeName,
  type Value,
} from './values.ts'

export const availabilities = ['IN_STOCK', 'OUT_OF_STOCK', 'PREORDER', 'BACKORDER', 'LIMITED', 'DISCONTINUED'] as const
export const conditions = ['NEW', 'REFURBISHED', 'USED', 'DAMAGED'] as const

/** Field types as the manual names them. */
export const field_types = {
  id: 'a text or whole number, kept as it is; no control characters, at most 256 characters',
  text: 'text in one line',
  lines: 'text whose line breaks stay',
  texts: 'a list of texts',
  money: 'a plain decimal in the record’s currency; `minor()` for amounts in minor units',
  currency: 'an ISO 4217 code, any case',
  market: 'an ISO 3166-1 code of two letters',
  language: 'a BCP 47 tag; others are left out',
  category: 'a text or list from the root down',
  availability: availabilities.join(', '),
  condition: conditions.join(', '),
  type: interaction_types.join(', '),
  count: 'a whole number, not negative',
  quantity: 'a number above 0',
  ratio: 'a number from 0 to 1; see `scale()`',
  time: 'a text with its zone, or `time()`',
  url: 'an http(s) URL of at most 2 KiB; others are left out',
  urls: 'a list of such URLs',
  gtin: 'a barcode: check digit and prefix decide',
  weight: 'a measure, see `unit()`; a bare number is in grams',
  length: 'a measure; a bare number is in millimetres',
  volume: 'a measure; a bare number is in millilitres',
  attributes: 'an object of texts',
} as const
export type FieldType = keyof typeof field_types

export type FieldSpec = { readonly type: FieldType; readonly required?: boolean; readonly otherwise?: string }

/** The fields of an item that a map may give; all others are derived. */
export const item_fields = {
  source_variant_id: { type: 'id', required: true },
  source_product_id: { type: 'id' },
  item_group_id: { type: 'id' },
  sku: { type: 'text' },
  gtin: { type: 'gtin' },
  mpn: { type: 'text' },
  brand: { type: 'text' },
  model: { type: 'text' },
  title: { type: 'text', required: true },
  description: { type: 'lines' },
  bullets: { type: 'texts' },
  language: { type: 'language', otherwise: 'shop.language, else detected, else und' },
  source_category: { type: 'category' },
  price_minor: { type: 'money' },
  list_price_minor: { type: 'money' },
  currency: { type: 'currency', otherwise: 'shop.currency' },
  market: { type: 'market', otherwise: 'shop.market, else ZZ' },
  availability: { type: 'availability', otherwise: 'UNKNOWN' },
  quantity: { type: 'count' },
  condition: { type: 'condition', otherwise: 'UNKNOWN' },
  url: { type: 'url' },
  image_urls: { type: 'urls' },
  color: { type: 'text' },
  size: { type: 'text' },
  material: { type: 'text' },
  gender: { type: 'text' },
  age_group: { type: 'text' },
  multipack: { type: 'count', otherwise: 'the pack size that the title states, else 1' },
  weight_g: { type: 'weight' },
  length_mm: { type: 'length' },
  width_mm: { type: 'length' },
  height_mm: { type: 'length' },
  volume_ml: { type: 'volume' },
  attributes: { type: 'attributes' },
  rating_avg: { type: 'ratio' },
  rating_count: { type: 'count' },
  units_sold: { type: 'count' },
  source_updated_at: { type: 'time', otherwise: 'log.time' },
} as const satisfies Record<string, FieldSpec>
export type ItemField = keyof typeof item_fields

/** The fields of an interaction that a map may give, beside `user` and `session`; `item` is the variant id of the catalogue. */
export const interaction_fields = {
  event_id: { type: 'id', otherwise: 'topic, partition and offset' },
  type: { type: 'type', required: true },
  item: { type: 'id', otherwise: 'required, but for SEARCH' },
  quantity: { type: 'quantity', otherwise: '1' },
  price_minor: { type: 'money' },
  value_minor: { type: 'money', otherwise: 'price times quantity' },
  currency: { type: 'currency', otherwise: 'shop.currency' },
  rating: { type: 'ratio' },
  query: { type: 'text' },
  list_id: { type: 'text' },
  position: { type: 'count' },
  recommendation_id: { type: 'id' },
  order_id: { type: 'id' },
  coupon: { type: 'text' },
  device: { type: 'text' },
  market: { type: 'market', otherwise: 'shop.market' },
  occurred_at: { type: 'time', otherwise: 'log.time' },
} as const satisfies Record<string, FieldSpec>
export type InteractionField = keyof typeof interaction_fields

/** Fields of the canonical types that are made here; naming one in a map is refused with this hint. */
export const derived_fields: Readonly<Record<string, string>> = {
  event_id: 'items derive it from platform, id and version',
  item_id: 'set source_variant_id (items) or item (interactions)',
  platform: 'it is the folder’s name',
  merchant_id: 'set `shop`, or merchant_id in the shop’s settings',
  gtin_status: 'set gtin',
  title_original: 'set title',
  language_detected: 'set language',
  category_id: 'set source_category, and `categories` for the platform’s own words',
  category_path: 'set source_category',
  price_ref_minor: 'set price_minor',
  ref_currency: 'it is a setting',
  fx_rate: 'it is a setting',
  fx_as_of: 'it is a setting',
  op: 'write a `delete` condition',
  ingested_at: 'it is the record’s append time',
  received_at: 'it is the record’s append time',
  provenance: 'it is kept by itself',
  user_key: 'set `user`',
  user_id_type: 'set `user`',
  session_key: 'set `session`',
  item_id_type: 'set `user`',
  late_by_ms: 'set occurred_at',
  entity_id: 'a later stage sets it',
}

/** Longest texts; longer ones are cut and the cut is noted. */
const text_characters_max: Readonly<Record<string, number>> = { title: 1_000, query: 500 }
const text_characters_other = 256
export const lines_characters_max = 20_000
export const id_characters_max = 256
export const list_items_max = 50
export const attributes_max = 64

/** U+FFFD stands where a decoder met invalid UTF-8 or half a surrogate pair: two ids broken alike would become one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the purpose
const control = /[\u0000-\u001f\u007f-\u009f\ufffd]/u

/** An id exactly as it is written. */
export const asId = (value: Value): string | null => {
  const text = textOf(value)
  if (text === undefined) return null
  if (text.length > id_characters_max) throw refuse('limits.string', `an id has more than ${id_characters_max} characters`)
  if (control.test(text) || !text.isWellFormed()) throw refuse('decode.utf8', 'an id holds control characters or broken Unicode')
  return text
}

/** Texts of fields that may hold what a person typed are not quoted in provenance. */
const unquoted: ReadonlySet<string> = new Set(['query', 'coupon', 'device', 'list_id'])

const cut = (env: Env, text: string, max: number): string => {
  if (text.length <= max) return text
  rewrote(env, env.field, `${text.length} characters`, `${max} characters`, 'text.cut')
  return clip(text, max).trimEnd()
}

/** One line of normal text; null when nothing is left. */
export const asText = (value: Value, env: Env): string | null => {
  const raw = textOf(value)
  if (raw === undefined) return null
  charge(env, raw.length)
  const text = normaliseText(raw)
  if (text !== raw) rewrote(env, env.field, unquoted.has(env.field) ? '' : raw, unquoted.has(env.field) ? '' : text, 'text')
  return text === '' ? null : cut(env, text, text_characters_max[env.field] ?? text_characters_other)
}

const linesOf = rememberLast(normaliseLines)

export const asLines = (value: Value, env: Env): string | null => {
  const list = listOf(value)
  const raw = list.length > 1 ? list.map((one) => textOf(one) ?? '').join('\n') : textOf(value)
  if (raw === undefined) return null
  charge(env, raw.length * text_work)
  const text = linesOf(raw, env)
  if (text !== raw) rewrote(env, env.field, raw, text, 'text')
  return text === '' ? null : cut(env, text, lines_characters_max)
}

export const asTexts = (value: Value, env: Env): readonly string[] => {
  const out: string[] = []
  for (const one of listOf(value)) {
    const text = asText(one, env)
    if (text !== null && out.length < list_items_max) out.push(text)
  }
  return out
}

/** ISO 4217; null when missing. */
export const asCurrency = (value: Value, env: Env): string | null => {
  const raw = textOf(value)?.trim()
  if (raw === undefined || raw === '') return null
  const code = raw.toUpperCase()
  if (exponentOf(code) === undefined) throw refuse('semantics.currency', 'the currency is no ISO 4217 code')
  if (code !== raw) rewrote(env, env.field, raw, code, 'currency.case')
  return code
}

/** Minor units; null when missing. A price without a currency is refused. */
export const asMoney = (value: Value, env: Env, currency: string | null): number | null => {
  const one = single(value)
  if (isMissing(one)) return null
  if (isMinorUnits(one)) {
    const { minor_units } = one
    if (currency === null) throw refuse('semantics.currency', 'there is a price, but no currency')
    if (!Number.isSafeInteger(minor_units)) throw refuse('semantics.price', 'an amount in minor units must be a whole number')
    if (minor_units < 0) throw refuse('semantics.price', 'the price is negative')
    if (minor_units > 1e14) throw refuse('semantics.price', 'the price is absurdly high')
    return minor_units
  }
  const text = textOf(one)?.trim()
  if (text === undefined || text === '') return null
  if (currency === null) throw refuse('semantics.currency', 'there is a price, but no currency')
  const minor = minorOf(text, exponentOf(currency)!)
  if (typeof minor === 'string')
    throw refuse(
      'semantics.price',
      minor === 'negative'
        ? 'the price is negative'
        : minor === 'absurd'
          ? 'the price is absurdly high'
          : 'the price is no plain decimal',
    )
  if (minor.rounded) rewrote(env, env.field, text, String(minor.minor), 'money.rounded')
  return minor.minor
}

export const asMarket = (value: Value): string | null => {
  const code = textOf(value)?.trim().toUpperCase()
  if (code === undefined || code === '') return null
  if (!/^[A-Z]{2}$/u.test(code)) throw refuse('semantics.enum', 'the market is no ISO 3166-1 code of two letters')
  return code
}

export const asLanguage = (value: Value, env: Env): string | null => {
  const raw = textOf(value)
  if (raw === undefined) return null
  const tag = normaliseLanguage(raw)
  if (tag !== raw) rewrote(env, env.field, raw, tag ?? '', tag === undefined ? 'language.unknown' : 'language.tag')
  return tag === undefined || tag === 'und' ? null : tag
}

export type CategoryReading = { readonly source: string; readonly id: string | null; readonly path: readonly string[] }
const no_path: readonly string[] = []

/** Shops have few categories and many items: answers are kept, by the platform's own words. */
const answers = new WeakMap<ReadonlyMap<string, string>, Map<string, Category | undefined>>()
const knownCategory = (source: string, own: ReadonlyMap<string, string>): Category | undefined => {
  let known = answers.get(own)
  if (known === undefined) {
    known = new Map()
    answers.set(own, known)
  }
  if (known.has(source)) return known.get(source)
  const found = categoryOf(source, own)
  if (known.size >= 10_000) known.clear()
  known.set(source, found)
  return found
}

export const asCategory = (value: Value, env: Env, own: ReadonlyMap<string, string>): CategoryReading | null => {
  const parts = listOf(value)
    .map((one) => normaliseText(textOf(one) ?? ''))
    .filter((part) => part !== '')
  if (parts.length === 0) return null
  const source = clip(parts.join(' > '), 500)
  const found = knownCategory(source, own)
  if (found !== undefined) rewrote(env, 'category_id', source, found.id, 'category')
  return { source, id: found?.id ?? null, path: found?.path ?? no_path }
}

/** One of a closed list; null when missing. */
export const asOneOf = <const T extends string>(value: Value, allowed: ReadonlySet<T>): T | null => {
  const text = textOf(value)
  if (text === undefined) return null
  if (!allowed.has(text as T)) throw refuse('semantics.enum', `the value must be one of ${[...allowed].join(', ')}`)
  return text as T
}

export const asCount = (value: Value): number | null => {
  const number = numberOf(value)
  if (number === undefined) return null
  if (!Number.isSafeInteger(number) || number < 0) throw refuse('number.range', 'a whole number from 0 is wanted')
  return number
}

/** A count that fits 32 bits. */
export const asPosition = (value: Value): number | null => {
  const count = asCount(value)
  if (count !== null && count > 2_147_483_647) throw refuse('number.range', 'a position is absurdly high')
  return count
}

export const asQuantity = (value: Value): number | null => {
  const number = numberOf(value)
  if (number === undefined) return null
  if (number <= 0 || number > 1e9) throw refuse('number.range', 'a quantity above 0 is wanted')
  return number
}

export const asRatio = (value: Value): number | null => {
  const number = numberOf(value)
  if (number === undefined) return null
  if (number < 0 || number > 1) throw refuse('number.range', 'a number from 0 to 1 is wanted')
  return number
}

const day_ms = 86_400_000

/** Epoch ms; null when missing. Between 2000 and a day after the record was appended. */
export const asTime = (value: Value, env: Env): number | null => {
  const one = single(value)
  if (isMissing(one)) return null
  let time: number | undefined
  if (isInstant(one)) time = one.epoch_ms
  else if (typeof one === 'string') {
    time = parseTime(one.trim(), null)
    if (time === undefined) throw refuse('time.invalid', 'the text is no time, or names no zone: see time()')
  } else throw refuse('time.invalid', `a bare number has no unit: write time('s') or time('ms'); found ${typeName(one)}`)
  if (!(time >= time_min_ms && time <= env.log.time + day_ms))
    throw refuse('time.invalid', 'the time lies before 2000 or more than a day after the record was appended: check its unit')
  return time
}

export const asUrl = (value: Value, env: Env): string | null => {
  const raw = textOf(value)
  if (raw === undefined) return null
  charge(env, raw.length)
  const url = normaliseUrl(raw)
  if (url !== raw) rewrote(env, env.field, raw, url ?? '', url === undefined ? 'url.refused' : 'url')
  return url ?? null
}

export const asUrls = (value: Value, env: Env): readonly string[] => {
  const out: string[] = []
  for (const one of listOf(value)) {
    const url = asUrl(one, env)
    if (url !== null && !out.includes(url) && out.length < list_items_max) out.push(url)
  }
  return out
}

export const asGtin = (value: Value, env: Env): GtinReading => {
  const raw = textOf(value) ?? null
  const reading = readGtin(raw)
  if (reading.problem !== null) rewrote(env, 'gtin', raw ?? '', reading.gtin ?? '', `gtin.${reading.problem}`)
  else if (reading.gtin !== null && raw !== null && !reading.gtin.endsWith(raw))
    rewrote(env, 'gtin', raw, reading.gtin, 'gtin.signs')
  return reading
}

export const asMeasure = (value: Value, env: Env, dimension: Dimension): number | null => {
  const one = single(value)
  if (isMissing(one)) return null
  if (!isMeasure(one)) {
    const number = numberOf(one)
    if (number === undefined) return null
    if (number < 0) throw refuse('number.range', 'a measure is negative')
    return number === 0 ? null : number
  }
  const factor = factorOf(one.unit, dimension)
  if (factor === undefined) throw refuse('map.type', `the unit is none of ${dimension} that is known here`)
  if (one.measure < 0) throw refuse('number.range', 'a measure is negative')
  // Shops that keep no weight write 0.
  if (one.measure === 0) return null
  const converted = measured(one.measure, factor)
  if (!Number.isFinite(converted)) throw refuse('number.range', 'a measure is outside its range')
  if (factor !== 1) rewrote(env, env.field, `${one.measure} ${clip(one.unit, 20)}`, `${converted} ${unit_of[dimension]}`, 'unit')
  return converted
}

/** Texts by name, names and values bounded; later names do not replace earlier ones. */
export const addAttributes = (into: Record<string, string>, value: Value, env: Env): void => {
  const object = Array.isArray(value) ? undefined : value
  if (isMissing(object)) return
  if (typeof object !== 'object' || ArrayBuffer.isView(object))
    throw refuse('map.type', `an object is wanted; found ${typeName(value)}`)
  for (const [name, one] of Object.entries(object as Record<string, Value>)) {
    charge(env, element_work)
    addAttribute(into, name, one, env)
  }
}

export const addAttribute = (into: Record<string, string>, name: string, value: Value, env: Env): void => {
  const key = clip(normaliseText(name), 64)
  if (key === '' || key === '__proto__' || Object.hasOwn(into, key) || Object.keys(into).length >= attributes_max) return
  const text = listOf(value)
    .map((one) => {
      if (typeof one === 'boolean') return String(one)
      const raw = textOf(one) ?? ''
      charge(env, raw.length + element_work)
      return normaliseText(raw)
    })
    .filter((one) => one !== '')
    .join(', ')
  if (text !== '') into[key] = clip(text, 256)
}

/** The fault with the field it happened at in front, for the dead letter's message. */
export const located = (error: unknown, field: string): unknown =>
  error instanceof Fault && error.detail['field'] === undefined && error.kind === 'malformed'
    ? new Fault(error.code, `${field}: ${error.message}.`, { ...error.detail, field })
    : error
