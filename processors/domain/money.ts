/** Money: decimals as platforms write them to integer minor units of an ISO 4217 currency, and to a reference currency. */

/** ISO 4217 active codes whose minor unit is a hundredth. */
const hundredths =
  'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC ' +
  'CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW ' +
  'KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP ' +
  'PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN ' +
  'UYU UZS VED VES WST XCD YER ZAR ZMW ZWG'
const others: Readonly<Record<string, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
  3: 'BHD IQD JOD KWD LYD OMR TND',
  4: 'CLF UYW',
}

const exponents: ReadonlyMap<string, number> = new Map([
  ...hundredths.split(' ').map((code) => [code, 2] as const),
  ...Object.entries(others).flatMap(([exponent, codes]) => codes.split(' ').map((code) => [code, Number(exponent)] as const)),
])

/** Digits after the decimal sign of a currency's minor unit (ISO 4217: JPY 0, EUR 2, KWD 3), or undefined for what is no active code. */
export const exponentOf = (currency: string): number | undefined => exponents.get(currency)

/** A price above this many major units is a mistake, whatever the currency. */
export const price_major_max = 1e12

/** Minor units, and whether digits beyond the currency's precision had to be rounded (half to even). */
export type Minor = { readonly minor: number; readonly rounded: boolean }

/** Why an amount is refused. */
export type MoneyProblem = 'not_decimal' | 'negative' | 'absurd'

const decimal = /^([+-]?)(\d+)(?:\.(\d+))?$/u

/** Most prices: up to 12 digits and as many decimals as the currency has, or fewer. -1 leaves the text to minorOf. */
const shortDecimal = (text: string, exponent: number): number => {
  const { length } = text
  if (length === 0 || length > 12) return -1
  let minor = 0
  let decimals = -1
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 48 && code <= 57) {
      minor = minor * 10 + code - 48
      if (decimals >= 0) decimals++
    } else if (code === 46 && decimals < 0 && i > 0) decimals = 0
    else return -1
  }
  if (decimals === 0 || decimals > exponent) return -1
  for (let missing = exponent - Math.max(0, decimals); missing > 0; missing--) minor *= 10
  return minor
}

/**
 * A plain decimal (`19.99`, `5`, never `1,234.50`) in minor units. Exact: the digits are moved, nothing is multiplied.
 * `exponent` is the currency's, 0 to 4. Digits beyond it are rounded half to even and reported.
 */
export const minorOf = (text: string, exponent: number): Minor | MoneyProblem => {
  const short = shortDecimal(text, exponent)
  if (short >= 0) return { minor: short, rounded: false }
  const match = decimal.exec(text)
  if (match === null) return 'not_decimal'
  const whole = match[2]!.replace(/^0+(?=\d)/u, '')
  const fraction = match[3] ?? ''
  if (whole.length > 13 || Number(whole) > price_major_max) return 'absurd'
  let minor = Number(whole + fraction.slice(0, exponent).padEnd(exponent, '0'))
  const rest = fraction.slice(exponent)
  const rounded = /[1-9]/u.test(rest)
  if (rounded) {
    const half = /^50*$/u.test(rest)
    if (half ? minor % 2 === 1 : rest[0]! >= '5') minor++
  }
  if (match[1] === '-' && (minor > 0 || rounded)) return 'negative'
  return Number.isSafeInteger(minor) ? { minor, rounded } : 'absurd'
}

/**
 * Minor units of one currency in those of another at `rate` (units of `to` for one unit of `from`), rounded half to even.
 * Null when the result is no safe integer.
 */
export const convertMinor = (minor: number, from_exponent: number, to_exponent: number, rate: number): number | null => {
  const exact = (minor * rate * 10 ** to_exponent) / 10 ** from_exponent
  const low = Math.floor(exact)
  const above = exact - low
  const result = above > 0.5 || (above === 0.5 && low % 2 === 1) ? low + 1 : low
  return Number.isSafeInteger(result) ? result : null
}

/** How a source writes numbers, declared by a sample such as `1,234.56` or `1.234,56`; never guessed from the data. */
export type NumberStyle = { readonly group: string; readonly sign: string }

/** The style a sample declares: `1,234.56`, `1.234,56`, `1 234,56`, `1'234.56` or `1234.56`; undefined for any other text. */
export const numberStyleOf = (sample: string): NumberStyle | undefined => {
  const match = /^1([,. '’])?234([.,])56$/u.exec(sample)
  return match === null || match[1] === match[2] ? undefined : { group: match[1] ?? '', sign: match[2]! }
}

const escaped = (sign: string): string => sign.replace('.', '\\.')

const numbers = new Map<string, RegExp>()
const numberIn = (style: NumberStyle): RegExp => {
  const key = style.group + style.sign
  let number = numbers.get(key)
  if (number === undefined) {
    const whole = style.group === '' ? '\\d+' : `(?:\\d{1,3}(?:${escaped(style.group)}\\d{3})*|\\d+)`
    number = new RegExp(`(?<![\\d.,])(${whole})(?:${escaped(style.sign)}(?:(\\d+)|-{1,2}))?(?!\\d|[.,]\\d)`, 'u')
    numbers.set(key, number)
  }
  return number
}

/**
 * The one amount in a text such as `CAD, $1,177.92 CAD` or `€ 9,-`, as a plain decimal; undefined when the text has no digit,
 * null when what it has is not exactly one number in the declared style, or a negative one.
 */
export const amountIn = (text: string, style: NumberStyle): string | null | undefined => {
  const plain = text.replace(/[\s\u00a0\u202f]+/gu, ' ')
  if (!/\d/u.test(plain)) return undefined
  const match = numberIn(style).exec(plain)
  if (match === null) return null
  const before = plain.slice(0, match.index)
  const after = plain.slice(match.index + match[0].length)
  if (/\d/u.test(before) || /\d/u.test(after) || /[-(]\s?[^\s\w]?\s?$/u.test(before)) return null
  const digits = style.group === '' ? match[1]! : match[1]!.replaceAll(style.group, '')
  return match[2] === undefined ? digits : `${digits}.${match[2]}`
}

/** Signs that stand for one currency only; `$`, `¥` and `kr` stand for several and are not read. */
const signs: Readonly<Record<string, string>> = {
  '€': 'EUR',
  '£': 'GBP',
  '₹': 'INR',
  '₽': 'RUB',
  '₺': 'TRY',
  '₪': 'ILS',
  '₴': 'UAH',
  '₫': 'VND',
  '₩': 'KRW',
  '฿': 'THB',
}

/** The currency a text names by ISO code (any case) or by an unambiguous sign; undefined when it names none, null when it names two. */
export const currencyIn = (text: string): string | null | undefined => {
  const found = new Set<string>()
  for (const word of text.match(/[A-Za-z]{3,}/gu) ?? []) if (exponents.has(word.toUpperCase())) found.add(word.toUpperCase())
  for (const sign of text) if (signs[sign] !== undefined) found.add(signs[sign])
  const [first] = found
  return found.size > 1 ? null : first
}
