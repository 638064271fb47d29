/** Texts come out of their bytes as they went in, whatever they hold. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { bytesOf, packTexts, unpackTexts } from './texts.ts'

test('any well-formed texts survive, in order, and leave no byte over', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 40 }), (texts) => {
      const packed = packTexts(texts)
      expect(unpackTexts(packed)).toEqual(texts)
      expect(packed.ends.at(-1) ?? 0).toBe(packed.bytes.length)
      expect(packed.bytes.length).toBe(texts.reduce((sum, text) => sum + bytesOf(text), 0))
    }),
  )
})

test('NUL, emoji, a byte order mark and nothing at all are kept; half a surrogate pair becomes U+FFFD', () => {
  const texts = ['', 'a\u0000b', '\u0000', '👩‍👩‍👧‍👦', '\ufefffirst', '小米', '', '\ud83d', 'x\ude00y', '\ud83d\ud83d\ude00']
  expect(unpackTexts(packTexts(texts))).toEqual(texts.map((text) => text.toWellFormed()))
  expect(unpackTexts(packTexts(['a', '']), 'query: ')).toEqual(['query: a', 'query: '])
})

test('both arrays may be transferred: each owns its buffer', () => {
  const { bytes, ends } = packTexts(['one', 'two'])
  const there = structuredClone({ bytes, ends }, { transfer: [bytes.buffer, ends.buffer] })
  expect([bytes.length, ends.length]).toEqual([0, 0])
  expect([there.bytes.length, there.ends.length]).toEqual([6, 2])
})
