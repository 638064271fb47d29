/** Twenty thousand changed records of each format, from one seed; scripts/hostile.ts does a million. */
import { expect, test } from '@jest/globals'
import { systemClock } from '../../adapters/system/clock.ts'
import { seededRandom } from '../../adapters/system/random.ts'
import { brokenPromise, fuzz, fuzzed_kinds } from './fuzz.ts'

test.each(fuzzed_kinds)(
  '%s: a value that keeps its promises, or a malformed fault',
  async (kind) => {
    const { wrong, ended, records } = await fuzz(kind, 20_000, systemClock, seededRandom(0x5eed))
    expect(wrong).toEqual([])
    expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(records)
    // The changes reach past the framing, and not all of them are harmless.
    expect(Object.keys(ended).length).toBeGreaterThan(3)
    expect(ended['decoded']).toBeGreaterThan(100)
  },
  120_000,
)

test('a broken promise would be seen', () => {
  const polluted = JSON.parse('{"__proto__":1}') as unknown
  for (const value of [Number.NaN, [Number.POSITIVE_INFINITY], { a: 1 }, polluted, '\ud800', -0])
    expect(brokenPromise(value)).toBeDefined()
})
