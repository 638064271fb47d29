import { describe, expect, test } from '@jest/globals'
import { bm25, gramsOf, tfidf, wordsOf } from './lexical.ts'

const corpus = ['red steel kettle', 'blue steel kettle 1.7 l', 'wooden chess board', 'steel']
const order = (scores: Float64Array): readonly number[] => [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!)

test('words are folded, and found where no blanks are', () => {
  expect(wordsOf('Steel-Kettle, 1.7 L')).toEqual(['steel', 'kettle', '1', '7', 'l'])
  const words = wordsOf('电饭煲 家用')
  expect(words.join('')).toBe('电饭煲家用')
  expect(words.length).toBeGreaterThan(1)
})

test('runs of letters stay inside words', () => {
  expect(gramsOf('abc')).toEqual([' ab', 'abc', 'bc ', ' abc', 'abc ', ' abc '])
  expect(gramsOf('a')).toEqual([' a '])
  expect(gramsOf('ab cd').some((gram) => gram.includes('b c'))).toBe(false)
})

describe('scores', () => {
  test('BM25: the rare word decides, a shorter document comes first, nothing in common is 0', () => {
    expect(order(bm25(corpus)('blue kettle'))[0]).toBe(1)
    expect(order(bm25(corpus)('steel'))[0]).toBe(3)
    expect([...bm25(corpus)('violin')]).toEqual([0, 0, 0, 0])
  })

  test('BM25 of one word once in one of two documents of one length, by hand', () => {
    // idf = ln(1 + (2 - 1 + .5) / (1 + .5)) = ln 2; tf part = 1 * 2.2 / (1 + 1.2) = 1
    expect(bm25(['red cup', 'blue cup'])('red')[0]).toBeCloseTo(Math.LN2, 12)
  })

  test('TF-IDF: a text has cosine 1 to itself, less to others', () => {
    for (const terms of [wordsOf, gramsOf]) {
      const matcher = tfidf(corpus, corpus, terms)
      for (const [i, text] of corpus.entries()) {
        const scores = matcher(text)
        expect(scores[i]).toBeCloseTo(1, 12)
        expect(Math.max(...scores.filter((_, j) => j !== i))).toBeLessThan(1)
      }
    }
  })
})
