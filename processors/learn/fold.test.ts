import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Interaction } from '../domain/interaction.ts'
import { default_weights, fold, type LearnSettings, stranger, weightOf } from './fold.ts'
import { decodeProfile, encodeProfile } from './state.ts'

const settings: LearnSettings = {
  half_life_ms: 1_000,
  session_half_life_ms: 100,
  session_gap_ms: 500,
  weights: default_weights,
  join_wait_ms: 1,
  join_waiting_max: 1,
}
const east = Float32Array.of(1, 0)
const north = Float32Array.of(0, 1)

const interaction = (
  occurred_at: number,
  type: Interaction['type'] = 'VIEW',
  item_id = 'a',
  rating: number | null = null,
): Interaction =>
  ({
    event_id: `e${occurred_at}${item_id}`,
    user_key: 'u',
    type,
    item_id,
    occurred_at,
    received_at: occurred_at + 1,
    rating,
  }) as Interaction

test('the first event sets both vectors to weight times item', () => {
  const profile = fold(stranger('u', 'm'), interaction(10, 'CLICK'), east, settings)
  expect([profile.preference, profile.session]).toEqual([Float32Array.of(1.5, 0), Float32Array.of(1.5, 0)])
  expect([profile.events, profile.as_of, profile.last_occurred_at, profile.last_received_at]).toEqual([1, 10, 10, 11])
})

test('one half-life later the old taste counts half, and a gap ends the session', () => {
  const first = fold(stranger('u', 'm'), interaction(0), east, settings)
  const second = fold(first, interaction(1_000, 'VIEW', 'b'), north, settings)
  expect(second.preference).toEqual(Float32Array.of(0.5, 1))
  expect(second.session).toEqual(Float32Array.of(0, 1))
})

test('a late event enters with the weight it has left and does not turn time back', () => {
  const now = fold(stranger('u', 'm'), interaction(2_000), east, settings)
  const late = fold(now, interaction(1_000, 'VIEW', 'b'), north, settings)
  expect(late.preference).toEqual(Float32Array.of(1, 0.5))
  expect([late.as_of, late.session]).toEqual([2_000, Float32Array.of(1, 0)])
  expect(late.recent.map((entry) => entry.item_id)).toEqual(['a', 'b'])
})

test('the order of arrival does not matter beyond rounding', () => {
  const event = fc.record({ at: fc.integer({ min: 0, max: 5_000 }), item: fc.constantFrom(east, north) })
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 8 }), (events) => {
      const run = (list: typeof events) =>
        list.reduce((profile, { at, item }) => fold(profile, interaction(at), item, settings), stranger('u', 'm')).preference!
      const forth = run(events)
      const back = run(events.toReversed())
      forth.forEach((x, i) => {
        expect(back[i]).toBeCloseTo(x, 4)
      })
    }),
  )
})

test.each<[Interaction['type'], number | null, number]>([
  ['PURCHASE', null, 8],
  ['RATE', 1, 8],
  ['RATE', 0, -8],
  ['REVIEW', 0.5, 0],
  ['REVIEW', null, 0],
  ['DISMISS', null, -4],
  ['SEARCH', null, 0],
])('%s with rating %p weighs %d', (type, rating, weight) =>
  expect(weightOf(interaction(0, type, 'a', rating), default_weights)).toBe(weight),
)

test('purchases are remembered once, refunds forgotten, recent items bounded', () => {
  let profile = stranger('u', 'm')
  for (let i = 0; i < 60; i++) profile = fold(profile, interaction(i, 'PURCHASE', `i${i}`), east, settings)
  profile = fold(profile, interaction(61, 'PURCHASE', 'i59'), east, settings)
  expect([profile.recent.length, profile.bought.length, profile.bought[0], profile.bought[1]]).toEqual([50, 50, 'i59', 'i58'])
  profile = fold(profile, interaction(62, 'REFUND', 'i59'), east, settings)
  expect(profile.bought[0]).toBe('i58')
})

test('state bytes read back to the same profile and write the same bytes', () => {
  const profile = fold(fold(stranger('u', 'm'), interaction(0), east, settings), interaction(3, 'PURCHASE', 'b'), north, settings)
  const bytes = encodeProfile(profile)
  expect(decodeProfile(bytes)).toEqual(profile)
  expect(encodeProfile(decodeProfile(bytes)).equals(bytes)).toBe(true)
  expect(() => decodeProfile(bytes.subarray(0, bytes.length - 1))).toThrow(expect.objectContaining({ code: 'state.corrupt' }))
})
