import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { digest128 } from './digest.ts'

const hex = (text: string): string => {
  const { a, b, c, d } = digest128(text)
  return [a, b, c, d].map((word) => word.toString(16).padStart(8, '0')).join('')
}

test('the empty text is zero, as MurmurHash3 has it', () => expect(hex('')).toBe('0'.repeat(32)))

test('texts that differ in one place, in order or in length differ', () => {
  const seen = new Set<string>()
  const texts: string[] = []
  for (let i = 0; i < 50_000; i++) texts.push(`shopify:lumen-oak:${6_200_000_000 + i}:${i % 7}`)
  for (const text of ['', 'a', 'aa', '\0', '\0\0', 'ab', 'ba', 'a:b', 'ab:', ...texts]) seen.add(hex(text))
  expect(seen.size).toBe(texts.length + 9)
})

test('every word takes part: halves of the digest alone hardly collide', () => {
  for (const from of [0, 8, 16, 24]) {
    const words = new Set(Array.from({ length: 20_000 }, (_, i) => hex(`event ${i}`).slice(from, from + 8)))
    expect(words.size).toBeGreaterThan(19_980)
  }
})

test('depends on the text alone', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => expect(hex(text)).toBe(hex(`${text.slice(0, 1)}${text.slice(1)}`))),
  )
})
