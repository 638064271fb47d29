/** A fast 128-bit digest of texts for tables of things seen; not for secrets, and not against an adversary who picks both texts. */

export type Digest = { readonly a: number; readonly b: number; readonly c: number; readonly d: number }

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

const final = (x: number): number => {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** MurmurHash3 x86_128 (Appleby) over the UTF-16 code units, little-endian. Four unsigned 32-bit words. */
export const digest128 = (text: string): Digest => {
  const c1 = 0x239b961b
  const c2 = 0xab0e9789
  const c3 = 0x38b34ae5
  const c4 = 0xa1e38b93
  let h1 = 0
  let h2 = 0
  let h3 = 0
  let h4 = 0
  const { length } = text
  const whole = length - (length % 8)
  let i = 0
  for (; i < whole; i += 8) {
    const k1 = text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16)
    const k2 = text.charCodeAt(i + 2) | (text.charCodeAt(i + 3) << 16)
    const k3 = text.charCodeAt(i + 4) | (text.charCodeAt(i + 5) << 16)
    const k4 = text.charCodeAt(i + 6) | (text.charCodeAt(i + 7) << 16)
    h1 ^= Math.imul(rotate(Math.imul(k1, c1), 15), c2)
    h1 = Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b
    h2 ^= Math.imul(rotate(Math.imul(k2, c2), 16), c3)
    h2 = Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747
    h3 ^= Math.imul(rotate(Math.imul(k3, c3), 17), c4)
    h3 = Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35
    h4 ^= Math.imul(rotate(Math.imul(k4, c4), 18), c1)
    h4 = Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17
  }
  // Codes beyond the end are NaN, which `|` reads as 0.
  const left = length - i
  if (left > 6) h4 ^= Math.imul(rotate(Math.imul(text.charCodeAt(i + 6), c4), 18), c1)
  if (left > 4) h3 ^= Math.imul(rotate(Math.imul(text.charCodeAt(i + 4) | (text.charCodeAt(i + 5) << 16), c3), 17), c4)
  if (left > 2) h2 ^= Math.imul(rotate(Math.imul(text.charCodeAt(i + 2) | (text.charCodeAt(i + 3) << 16), c2), 16), c3)
  if (left > 0) h1 ^= Math.imul(rotate(Math.imul(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16), c1), 15), c2)
  const bytes = length * 2
  h1 ^= bytes
  h2 ^= bytes
  h3 ^= bytes
  h4 ^= bytes
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  h1 = final(h1)
  h2 = final(h2)
  h3 = final(h3)
  h4 = final(h4)
  h1 = (h1 + h2 + h3 + h4) | 0
  return { a: h1 >>> 0, b: (h2 + h1) >>> 0, c: (h3 + h1) >>> 0, d: (h4 + h1) >>> 0 }
}
