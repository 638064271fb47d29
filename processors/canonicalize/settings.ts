/** What maps cannot know: the settings of shops, of users' pseudonyms, of currencies and of what counts as repeated or late. */
import { Fault } from '../domain/fault.ts'
import { itemId } from '../domain/ids.ts'
import { exponentOf } from '../domain/money.ts'
import { isZone } from '../domain/time.ts'

/** Rates of one day: units of the reference currency for one unit of each currency. */
export type Rates = {
  /** ISO 4217. */
  readonly reference: string
  readonly rates: Readonly<Record<string, number>>
  /** The day they are of, epoch ms; null when nobody said. */
  readonly as_of: number | null
}

export type CanonicalizeSettings = {
  /** Key of the users' HMAC, at least 16 bytes. */
  readonly user_secret: Uint8Array
  /** First part of each pseudonym; changes with the key. */
  readonly user_key_version: string
  /** Null gives no reference prices. */
  readonly rates: Rates | null
  /** An event id is remembered for this long by record time. Default 7 days. */
  readonly dedupe_horizon_ms: number
  /** Most ids remembered per input partition; the oldest go first. */
  readonly dedupe_ids_max: number
  /** Interactions further behind the log than this are dropped as `late`; null or 0 keeps all, for replays of history. */
  readonly late_after_ms: number | null
  /**
   * Settings by shop: the key is `<platform>` for all of its shops, or `<platform>/<shop>` for one, where the shop is what the
   * map's `shop` rule reads. See shop_setting_names.
   */
  readonly shops: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Another detector for texts whose platform names no language; null takes domain/language.ts. Must be a pure function of the text. */
  readonly detect_language: ((text: string) => string | null) | null
}

/** Sane defaults of everything that needs no secret and no choice. */
export const default_settings = {
  rates: null,
  dedupe_horizon_ms: 7 * 86_400_000,
  dedupe_ids_max: 10_000_000,
  late_after_ms: 30 * 86_400_000,
  shops: {},
  detect_language: null,
} as const satisfies Partial<CanonicalizeSettings>

/** Settings a shop may have; a map may declare more names under `settings`. */
export const shop_setting_names = {
  merchant_id: 'whose items these are; default the shop that the map reads, else `main`',
  currency: 'ISO 4217, where the payload names none',
  market: 'ISO 3166-1 alpha-2, where the payload names none',
  time_zone: 'IANA name or offset, where times carry none',
  language: 'BCP 47, where the payload names none',
  marketplace_id: 'which of several marketplaces in one payload is meant (Amazon)',
  user_realm: 'platforms of one realm share their users; default the platform',
  catalog_platform: 'the platform whose item ids the events of this one name (GA4, Segment)',
  catalog_merchant_id: 'the merchant of those items; default merchant_id',
} as const

/** A shop as maps see it. Missing settings are null. */
export type Shop = {
  readonly platform: string
  /** What the map's `shop` rule read; null when it has none. */
  readonly id: string | null
  readonly merchant_id: string
  readonly market: string | null
  readonly currency: string | null
  readonly language: string | null
  readonly time_zone: string | null
  readonly user_realm: string
  /** `<platform>:<merchant>:`, escaped, to which a variant id is appended. */
  readonly item_prefix: string
  /** As item_prefix, of the catalogue that interactions name. */
  readonly catalog_prefix: string
  /** Every setting by name, for `shop.<name>`. */
  readonly values: Readonly<Record<string, string>>
}

/** Refuses shop settings that no record could be read with; `where` names them in the message. */
export const checkShopValues = (where: string, values: Readonly<Record<string, string>>): void => {
  const wrong = (name: string, wants: string) => {
    throw new Fault('config.invalid', `${where}.${name}: ${wants}.`)
  }
  const { currency, market, time_zone } = values
  if (currency !== undefined && exponentOf(currency) === undefined)
    wrong('currency', 'an ISO 4217 code in capitals is wanted, such as EUR')
  if (market !== undefined && !/^[A-Z]{2}$/u.test(market))
    wrong('market', 'an ISO 3166-1 code of two capitals is wanted, such as DE')
  if (time_zone !== undefined && !isZone(time_zone))
    wrong('time_zone', 'an IANA zone or an offset is wanted, such as Europe/Berlin or +08:00')
}

/** The shop of an id: its own settings over its platform's over the map's defaults. */
export const shopOf = (
  platform: string,
  id: string | null,
  defaults: Readonly<Record<string, string>>,
  shops: CanonicalizeSettings['shops'],
): Shop => {
  const values = { ...defaults, ...shops[platform], ...(id === null ? {} : shops[`${platform}/${id}`]) }
  const merchant_id = values['merchant_id'] ?? id ?? 'main'
  return {
    platform,
    id,
    merchant_id,
    market: values['market'] ?? null,
    currency: values['currency'] ?? null,
    language: values['language'] ?? null,
    time_zone: values['time_zone'] ?? null,
    user_realm: values['user_realm'] ?? platform,
    item_prefix: itemId(platform, merchant_id, ''),
    catalog_prefix: itemId(values['catalog_platform'] ?? platform, values['catalog_merchant_id'] ?? merchant_id, ''),
    values,
  }
}
