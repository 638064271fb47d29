import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decay } from './decay.ts'

test.each([
  [0, 1],
  [-5, 1],
  [1_000, 0.5],
  [2_000, 0.25],
  [10_000, 2 ** -10],
])('an age of %d ms at a half-life of 1 s leaves %d', (age_ms, left) => expect(decay(age_ms, 1_000)).toBe(left))

test('follows 2^(-age/half-life) to ten digits, never above 1, never negative', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      fc.double({ min: 1, max: 1e10, noNaN: true }),
      (age_ms, half_life_ms) => {
        const left = decay(age_ms, half_life_ms)
        const exact = 2 ** (-age_ms / half_life_ms)
        expect(left).toBeLessThanOrEqual(1)
        expect(left).toBeGreaterThanOrEqual(0)
        expect(Math.abs(left - exact)).toBeLessThanOrEqual(exact * 1e-8 + 1e-300)
      },
    ),
  )
})
