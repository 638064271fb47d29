/** Makes canonical interactions from a map's rules; users leave here as pseudonyms only. */
import { Fault } from '../domain/fault.ts'
import { itemId } from '../domain/ids.ts'
import { type Interaction, type InteractionType, interaction_types, type UserIdType } from '../domain/interaction.ts'
import { holdsRawId } from '../domain/privacy.ts'
import { asCurrency, asId, asMarket, asOneOf, asPosition, asQuantity, asRatio, asText, asTime } from './fields.ts'
import { moneyReader } from './item.ts'
import { type Draft, type Rules, reader } from './rules.ts'
import { type Env, type Eval, refuse, rewrote } from './values.ts'

export type InteractionDraft = Draft<Interaction>

/** A user id of the source: how it was given, and where to read it. The first one present wins. */
export type UserRule = readonly { readonly type: UserIdType; readonly eval: Eval }[]

/** A pseudonymous user. */
export type User = { readonly type: UserIdType; readonly key: string }

/** How far a clock may run ahead of the log before its times are set to the log's; the same behind counts as in time. */
export const clock_tolerance_ms = 300_000

const type_set: ReadonlySet<InteractionType> = new Set(interaction_types)

/** The user a rule names; throws `semantics.user` when it finds none. */
export const userOf = (rule: UserRule, env: Env): User => {
  env.field = 'user'
  for (const { type, eval: evaluate } of rule) {
    const id = asId(evaluate(env))
    if (id !== null) return { type, key: env.run.userKey(env.shop.user_realm, type, id) }
  }
  throw refuse('semantics.user', 'no user id is given')
}

/** A value that leaves as it is must not hold a person's address. The value is not named. */
const open = (field: string, value: string | null): string | null => {
  if (value !== null && holdsRawId(value))
    throw new Fault('privacy.raw_id', `${field}: an e-mail address or phone number stands here; its value is not shown.`, {
      field,
    })
  return value
}

/** Fields whose text leaves as it is, and is checked. */
export const open_fields = ['event_id', 'item', 'query', 'list_id', 'recommendation_id', 'order_id', 'coupon', 'device'] as const

/** Compiles the rules of one `emit` block; `user` and `session` are evaluated at the element. */
export const interactionBuilder = (
  platform: string,
  map_version: string,
  rules: Rules,
): ((env: Env, user: User, session_key: string | null) => InteractionDraft) => {
  const free = (field: string) => reader(rules, field, (value, env) => open(field, asText(value, env)), null, false)
  const id = (field: string) => reader(rules, field, (value) => open(field, asId(value)), null, false)
  const event_id = id('event_id')
  const item = id('item')
  const type = reader(rules, 'type', (value) => asOneOf(value, type_set), null)
  const quantity = reader(rules, 'quantity', asQuantity, null)
  const currency = reader(rules, 'currency', asCurrency, null)
  const price = moneyReader(rules, 'price_minor')
  const value = moneyReader(rules, 'value_minor')
  const has_value = rules.has('value_minor')
  const rating = reader(rules, 'rating', asRatio, null)
  const query = free('query')
  const list_id = free('list_id')
  const position = reader(rules, 'position', asPosition, null)
  const recommendation_id = id('recommendation_id')
  const order_id = id('order_id')
  const coupon = free('coupon')
  const device = free('device')
  const market = reader(rules, 'market', asMarket, null)
  const occurred_at = reader(rules, 'occurred_at', asTime, null)

  return (env, user, session_key) => {
    const { shop, log } = env
    const the_type = type(env)
    if (the_type === null) {
      env.field = 'type'
      throw refuse('map.missing', 'the type is missing')
    }
    const variant = item(env)
    if (variant === null && the_type !== 'SEARCH') {
      env.field = 'item'
      throw refuse('map.missing', 'the item is missing')
    }
    const producer_id = event_id(env)
    const how_many = quantity(env) ?? 1
    const currency_used = currency(env) ?? shop.currency
    const price_minor = price(env, currency_used)
    let value_minor = value(env, currency_used)
    if (!has_value && price_minor !== null) {
      const total = Math.round(price_minor * how_many)
      value_minor = Number.isSafeInteger(total) ? total : null
    }
    let happened = occurred_at(env) ?? log.time
    if (happened > log.time + clock_tolerance_ms) {
      rewrote(env, 'occurred_at', String(happened), String(log.time), 'time.clamped')
      happened = log.time
    }
    const behind = log.time - happened
    return {
      event_id:
        producer_id === null
          ? `${shop.item_prefix}${log.topic}/${log.partition}/${log.offset}/${env.ordinal}`
          : shop.item_prefix + producer_id,
      type: the_type,
      user_key: user.key,
      user_id_type: user.type,
      session_key,
      item_id: variant === null ? null : catalogId(env, variant),
      quantity: how_many,
      price_minor,
      currency: price_minor !== null || value_minor !== null ? currency_used : null,
      value_minor,
      rating: rating(env),
      query: query(env),
      list_id: list_id(env),
      position: position(env),
      recommendation_id: recommendation_id(env),
      order_id: order_id(env),
      coupon: coupon(env),
      device: device(env),
      market: market(env) ?? shop.market,
      occurred_at: happened,
      received_at: log.time,
      late_by_ms: behind > clock_tolerance_ms ? behind : 0,
      platform,
      merchant_id: shop.merchant_id,
      provenance: {
        topic: log.topic,
        partition: log.partition,
        offset: log.offset,
        schema_id: log.schema_id,
        map_version,
        rewrites: env.rewrites,
      },
    }
  }
}

/** The id in the catalogue that the shop's events name. */
const catalogId = (env: Env, variant: string): string => {
  if (!variant.includes(':') && !variant.includes('%')) return env.shop.catalog_prefix + variant
  const [platform, merchant] = env.shop.catalog_prefix.split(':')
  return `${platform}:${merchant}:${itemId('', '', variant).slice(2)}`
}

const mixText = (seed: number, text: string | null, from = 0): number => {
  let mixed = seed
  if (text !== null) for (let i = from; i < text.length; i++) mixed = Math.imul(mixed ^ text.charCodeAt(i), 0x01000193)
  // Ends the field, so that `ab` and `c` differ from `a` and `bc`.
  return Math.imul(mixed ^ 0x1_0000, 0x01000193)
}
const mixNumber = (seed: number, number: number | null): number =>
  number === null
    ? Math.imul(seed ^ 0x2_0000, 0x01000193)
    : Number.isInteger(number)
      ? Math.imul(Math.imul(seed ^ (number | 0), 0x01000193) ^ Math.floor(number / 4_294_967_296), 0x01000193)
      : mixText(seed, String(number))

/** What an event says, in four bytes (FNV-1a): enough to tell a repetition from another event under the same id. */
export const eventFingerprint = (event: InteractionDraft): number => {
  let mixed = 0x811c9dc5
  // A pseudonym is random throughout: its last 48 bits tell users apart.
  mixed = mixText(mixed, event.user_key, event.user_key.length - 8)
  mixed = mixText(mixed, event.type)
  mixed = mixText(mixed, event.item_id)
  mixed = mixText(mixed, event.order_id)
  mixed = mixText(mixed, event.query)
  mixed = mixText(mixed, event.currency)
  mixed = mixText(mixed, event.list_id)
  mixed = mixText(mixed, event.coupon)
  mixed = mixText(mixed, event.session_key, (event.session_key?.length ?? 8) - 8)
  mixed = mixNumber(mixed, event.quantity)
  mixed = mixNumber(mixed, event.price_minor)
  mixed = mixNumber(mixed, event.value_minor)
  mixed = mixNumber(mixed, event.rating)
  mixed = mixNumber(mixed, event.position)
  return mixed >>> 0
}
