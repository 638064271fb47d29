import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { seededRandom } from '../../../processors/adapters/system/random.ts'
import { fusedByRank, fusedByScore, halfInterval, hitAt, ranksOf, ratioInterval } from './ranking.ts'

const scores = (...values: readonly number[]): Float64Array => Float64Array.from(values)

describe('hits', () => {
  test('a match is among the first k or is not; the query itself does not count', () => {
    const row = scores(0.9, 0.5, 0.7)
    expect(hitAt(row, new Set([0]), 1)).toBe(1)
    expect(hitAt(row, new Set([2]), 1)).toBe(0)
    expect(hitAt(row, new Set([2]), 2)).toBe(1)
    expect(hitAt(row, new Set([2]), 1, 0)).toBe(1)
    expect(hitAt(row, new Set([0, 1]), 1, 0)).toBe(0)
  })

  test('ties count by chance', () => {
    expect(hitAt(scores(1, 1, 1, 1), new Set([2]), 1)).toBeCloseTo(1 / 4, 12)
    expect(hitAt(scores(1, 1, 1, 1), new Set([2]), 3)).toBeCloseTo(3 / 4, 12)
    expect(hitAt(scores(2, 1, 1), new Set([1]), 2)).toBeCloseTo(1 / 2, 12)
    expect(hitAt(scores(1, 1, 1, 1), new Set([1, 2]), 2)).toBeCloseTo(5 / 6, 12)
  })

  test('never falls as k grows, and is 1 when all are looked at', () => {
    const row = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(row, fc.nat(), (values, at) => {
        const matches = new Set([at % values.length])
        const hits = values.map((_, i) => hitAt(scores(...values), matches, i + 1))
        for (const [i, hit] of hits.entries()) expect(hit).toBeGreaterThanOrEqual((hits[i - 1] ?? 0) - 1e-12)
        expect(hits.at(-1)).toBeCloseTo(1, 12)
      }),
    )
  })
})

test('ranks start at 1 and are shared by equals', () => {
  expect([...ranksOf(scores(5, 9, 5, 1))]).toEqual([2.5, 1, 2.5, 4])
})

test('fusing keeps what both agree on, and a scoring that tells nothing changes nothing', () => {
  const first = scores(0.9, 0.5, 0.1)
  for (const fuse of [fusedByRank, fusedByScore]) {
    expect([...ranksOf(fuse(first, scores(30, 20, 1)))]).toEqual([1, 2, 3])
    expect([...ranksOf(fuse(first, scores(7, 7, 7)))]).toEqual([1, 2, 3])
  }
})

test('intervals: Wilson against its published example; paired draws hold the ratio', () => {
  // 81 of 263: 0.255 to 0.366 (Newcombe, 1998, table I, method 3).
  expect(halfInterval(81 / 263, 263)).toBeCloseTo((0.3662 - 0.2553) / 2, 3)
  const { low, high } = ratioInterval([1, 0, 1, 1], [1, 0, 1, 1], seededRandom(1).next, 200)
  expect([low, high]).toEqual([1, 1])
  const worse = ratioInterval([1, 0, 1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 0, 1], seededRandom(1).next, 500)
  expect(worse.low).toBeLessThan(5 / 7)
  expect(worse.high).toBeGreaterThan(5 / 7)
})
