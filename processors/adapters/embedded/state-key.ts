/**
 * State keys as bytes whose order is the order of the strings. SQLite compares bytes, and UTF-8 orders by code point; so each UTF-16
 * code unit is encoded by itself (CESU-8). Without surrogates that is UTF-8; lone surrogates survive.
 */

const surrogate = /[\ud800-\udfff]/

export const keyBytes = (key: string): Buffer => {
  if (!surrogate.test(key)) return Buffer.from(key, 'utf8')
  const bytes: number[] = []
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i)
    if (unit < 0x80) bytes.push(unit)
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f))
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
  }
  return Buffer.from(bytes)
}

/** The lead byte and the least second byte of an encoded surrogate. UTF-8 has no such pair. */
const surrogate_lead = 0xed
const surrogate_second = 0xa0

export const keyOf = (bytes: Buffer): string => {
  for (let at = bytes.indexOf(surrogate_lead); at >= 0; at = bytes.indexOf(surrogate_lead, at + 1))
    if (bytes[at + 1]! >= surrogate_second) return unitsOf(bytes)
  return bytes.toString('utf8')
}

const unitsOf = (bytes: Buffer): string => {
  const units: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 3
    const unit =
      length === 1
        ? lead
        : length === 2
          ? ((lead & 0x1f) << 6) | (bytes[at + 1]! & 0x3f)
          : ((lead & 0x0f) << 12) | ((bytes[at + 1]! & 0x3f) << 6) | (bytes[at + 2]! & 0x3f)
    units.push(String.fromCharCode(unit))
    at += length
  }
  return units.join('')
}

/** The least bytes that are greater than every key with this prefix; undefined where every key has it. */
export const afterPrefix = (prefix: Buffer): Buffer | undefined => {
  // 0xff never occurs in an encoded key, so the last byte can always be raised.
  if (prefix.length === 0) return undefined
  const after = Buffer.from(prefix)
  after[after.length - 1]!++
  return after
}
