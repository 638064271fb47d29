/** Times as platforms write them, to epoch milliseconds UTC. Pure arithmetic on the civil calendar; zones by ECMA-402. */

/** The earliest time any field may hold: 2000-01-01T00:00:00Z. An earlier one is a wrong unit or an unset clock. */
export const time_min_ms = 946_684_800_000
export const day_ms = 86_400_000

/** Days from 1970-01-01 to a civil date (Hinnant, days_from_civil). */
const daysOf = (year: number, month: number, day: number): number => {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const of_era = y - era * 400
  const of_year = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + of_era * 365 + Math.floor(of_era / 4) - Math.floor(of_era / 100) + of_year - 719_468
}

const month_days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const daysInMonth = (year: number, month: number): number =>
  month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : month_days[month - 1]!

const written = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?$/u
const fixed_offset = /^([+-])(\d\d)(?::?(\d\d))?$/u

/** Minutes east of UTC of `Z`, `UTC` or `+08:00`; undefined for any other text, such as a zone's name. */
export const offsetMinutesOf = (zone: string): number | undefined => {
  if (zone === 'Z' || zone === 'z' || zone === 'UTC') return 0
  const match = fixed_offset.exec(zone)
  if (match === null) return undefined
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0)
  return minutes > 18 * 60 ? undefined : match[1] === '-' ? -minutes : minutes
}

const formats = new Map<string, Intl.DateTimeFormat | null>()
const formatOf = (zone: string): Intl.DateTimeFormat | null => {
  let format = formats.get(zone)
  if (format === undefined) {
    try {
      format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        hourCycle: 'h23',
        year: 'numeric',
        month: '2-digit',
        day: '2-digit',
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
      })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      format = null
    }
    if (formats.size > 1000) formats.clear()
    formats.set(zone, format)
  }
  return format
}

/** Whether a text names a zone: `Z`, `+08:00` or an IANA name such as `Europe/Berlin`. */
export const isZone = (zone: string): boolean => offsetMinutesOf(zone) !== undefined || formatOf(zone) !== null

const offset_step_ms = 900_000
const offsets = new Map<string, number>()

/** Milliseconds east of UTC of an IANA zone at an instant. Offsets change only at quarter hours since 2000, so one answer serves each. */
const zoneOffsetMs = (format: Intl.DateTimeFormat, zone: string, at_ms: number): number => {
  const slot = Math.floor(at_ms / offset_step_ms)
  const key = `${zone} ${slot}`
  const known = offsets.get(key)
  if (known !== undefined) return known
  const instant = slot * offset_step_ms
  const part: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(instant)) part[type] = Number(value)
  const local =
    daysOf(part['year']!, part['month']!, part['day']!) * day_ms +
    part['hour']! * 3_600_000 +
    part['minute']! * 60_000 +
    part['second']! * 1000
  const offset = local - instant
  if (offsets.size > 20_000) offsets.clear()
  offsets.set(key, offset)
  return offset
}

/** The instant of a local time: the earlier one where a clock went back, undefined where it skipped the time. */
const instantOf = (local_ms: number, zone: string): number | undefined => {
  const minutes = offsetMinutesOf(zone)
  if (minutes !== undefined) return local_ms - minutes * 60_000
  const format = formatOf(zone)
  if (format === null) return undefined
  const early = zoneOffsetMs(format, zone, local_ms - day_ms)
  const late = zoneOffsetMs(format, zone, local_ms + day_ms)
  const candidates = [...new Set([local_ms - early, local_ms - late])]
    .filter((instant) => instant + zoneOffsetMs(format, zone, instant) === local_ms)
    .sort((a, b) => a - b)
  return candidates[0]
}

/**
 * A time written as `2026-02-03`, `2026-02-03 04:05:06`, `2026-02-03T04:05:06.789+08:00` (RFC 3339 with the space and the comma
 * that people write). A zone in the text wins over `zone`; with neither the time is unknown. Undefined when it is no time.
 */
export const parseTime = (text: string, zone: string | null): number | undefined => {
  const match = written.exec(text)
  if (match === null) return undefined
  const year = Number(match[1])
  const month = Number(match[2])
  const day = Number(match[3])
  const hour = Number(match[4] ?? 0)
  const minute = Number(match[5] ?? 0)
  let second = Number(match[6] ?? 0)
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month) || hour > 23 || minute > 59 || second > 60)
    return undefined
  // A leap second has no epoch time of its own.
  if (second === 60) second = 59
  const ms = Math.trunc(Number(`0.${match[7] ?? 0}`) * 1000)
  const local = daysOf(year, month, day) * day_ms + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms
  const where = match[8] ?? zone
  return where === null ? undefined : instantOf(local, where)
}

export type TimeUnit = 's' | 'ms' | 'us' | 'ns'
const per_ms: Readonly<Record<TimeUnit, bigint>> = { s: 0n, ms: 1n, us: 1_000n, ns: 1_000_000n }
const ms_of: Readonly<Record<TimeUnit, number>> = { s: 1000, ms: 1, us: 1e-3, ns: 1e-6 }

/** Epoch milliseconds of a number in a declared unit; exact for bigint. */
export const timeOfNumber = (value: number | bigint, unit: TimeUnit): number =>
  typeof value === 'bigint'
    ? unit === 's'
      ? Number(value) * 1000
      : Number(value / per_ms[unit])
    : unit === 'us'
      ? Math.floor(value / 1000)
      : unit === 'ns'
        ? Math.floor(value / 1e6)
        : Math.floor(value * ms_of[unit])
