/** Global Trade Item Numbers: check digit, padding to 14 digits, and the prefixes that identify nothing outside one shop. */
import type { GtinStatus } from './item.ts'

/** `gtin` is set for VALID and RESTRICTED only; `problem` says why a given code was not taken. */
export type GtinReading = {
  readonly gtin: string | null
  readonly status: GtinStatus
  readonly problem: null | 'not_a_gtin' | 'zeros' | 'check_digit' | 'restricted'
}

/** GS1 General Specifications 7.9: weights 3 and 1 from the right, the check digit completes the sum to a multiple of ten. */
export const checkDigitOf = (digits: string): number => {
  let sum = 0
  for (let i = digits.length - 1, weight = 3; i >= 0; i--, weight = 4 - weight) sum += (digits.charCodeAt(i) - 48) * weight
  return (10 - (sum % 10)) % 10
}

/**
 * Prefixes for use inside one company, for coupons and for refunds, of a number padded to 13 (Google Merchant Center, `gtin`):
 * 02, 04, 05, 2xx, 981 to 984, 99. GTIN-8 has its own range: 0 and 2.
 */
const restricted = (gtin14: string, length: number): boolean => {
  if (length === 8) return gtin14[6] === '0' || gtin14[6] === '2'
  return /^(?:0[245]|2|98[1-4]|99)/u.test(gtin14.slice(1))
}

const absent: GtinReading = { gtin: null, status: 'ABSENT', problem: null }

/**
 * Reads a barcode field. Hyphens and spaces are ignored. What has not 8, 12, 13 or 14 digits is some other code: ABSENT with
 * the problem named, as are zeros only. A wrong check digit gives no number; a restricted prefix keeps it, marked.
 */
export const readGtin = (raw: string | null): GtinReading => {
  if (raw === null) return absent
  const digits = raw.replace(/[\s-]+/gu, '')
  if (digits === '') return absent
  if (!/^\d+$/u.test(digits) || ![8, 12, 13, 14].includes(digits.length))
    return { gtin: null, status: 'ABSENT', problem: 'not_a_gtin' }
  if (/^0+$/u.test(digits)) return { gtin: null, status: 'ABSENT', problem: 'zeros' }
  if (checkDigitOf(digits.slice(0, -1)) !== digits.charCodeAt(digits.length - 1) - 48)
    return { gtin: null, status: 'BAD_CHECK', problem: 'check_digit' }
  const gtin = digits.padStart(14, '0')
  return restricted(gtin, digits.length)
    ? { gtin, status: 'RESTRICTED', problem: 'restricted' }
    : { gtin, status: 'VALID', problem: null }
}

/** The GTIN-13 of an ISBN-10 whose own check character is right; undefined otherwise. */
export const gtinOfIsbn10 = (raw: string): string | undefined => {
  const isbn = raw.replace(/[\s-]+/gu, '').toUpperCase()
  if (!/^\d{9}[\dX]$/u.test(isbn)) return undefined
  let sum = 0
  for (let i = 0; i < 10; i++) sum += (isbn[i] === 'X' ? 10 : isbn.charCodeAt(i) - 48) * (10 - i)
  if (sum % 11 !== 0) return undefined
  const body = `978${isbn.slice(0, 9)}`
  return `${body}${checkDigitOf(body)}`
}
