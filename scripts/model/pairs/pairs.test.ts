import { describe, expect, test } from '@jest/globals'
import { pair_languages, productPairs, productTitles } from './pairs.ts'

/** Latin words and numbers, letters and digits apart, so that `64G` and `64GB` count as one number in common. */
const latin = (text: string): ReadonlySet<string> => new Set(text.toLowerCase().match(/\p{Script=Latin}+|\d+(?:\.\d+)?/gu) ?? [])

describe('Chinese-English pairs', () => {
  const pairs = productPairs()
  test('are many, each complete, none twice', () => {
    expect(pairs.length).toBeGreaterThanOrEqual(300)
    for (const column of ['id', 'zh', 'en'] as const) {
      const values = pairs.map((pair) => pair[column])
      expect(values.filter((value) => value.trim() === '' || value !== value.trim())).toEqual([])
      expect(new Set(values.map((value) => value.toLowerCase())).size).toBe(pairs.length)
    }
    expect(pairs.filter(({ zh }) => !/\p{Script=Han}/u.test(zh))).toEqual([])
    expect(pairs.filter(({ en }) => /\p{Script=Han}/u.test(en))).toEqual([])
  })

  test('cannot be matched by Latin words and numbers in most cases', () => {
    const shared = pairs.filter(({ zh, en }) => [...latin(zh)].some((word) => latin(en).has(word)))
    expect(shared.length / pairs.length).toBeLessThanOrEqual(0.5)
    expect(shared.length).toBeGreaterThan(0)
  })

  test('come from all of commerce', () => {
    expect(new Set(pairs.map(({ category }) => category)).size).toBeGreaterThanOrEqual(20)
  })
})

test('each product of languages.tsv is titled in every language, and no two alike in one', () => {
  const products = productTitles()
  expect(products.length).toBeGreaterThanOrEqual(25)
  expect(pair_languages.length).toBeGreaterThanOrEqual(20)
  for (const language of pair_languages) {
    const titles = products.map((product) => product.titles[language] ?? '')
    expect(titles.filter((title) => title.trim() === '')).toEqual([])
    expect(new Set(titles).size).toBe(products.length)
  }
})
