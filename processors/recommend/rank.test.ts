import { expect, test } from '@jest/globals'
import type { Profile } from '../domain/profile.ts'
import type { Payload, StoredPoint } from '../ports/vector-index.ts'
import { rank, shortlist } from './rank.ts'

const point = (id: string, vector: readonly number[], payload: Payload = {}): StoredPoint => ({
  id,
  version: 1,
  deleted: false,
  vector: Float32Array.from(vector),
  payload: { title: id.toUpperCase(), platform: 'p', merchant_id: 'm', ...payload },
})
const profile = (over: Partial<Profile>): Profile => ({
  user_key: 'u',
  preference: Float32Array.of(2, 0),
  session: Float32Array.of(0, 4),
  recent: [],
  bought: [],
  events: 1,
  as_of: 0,
  model_digest: 'd',
  last_occurred_at: 0,
  last_received_at: 0,
  ...over,
})
const settings = { count: 2, session_share: 0.25 }
const none = new Map<string, StoredPoint>()

test('the score is the sum of its terms, each a share of a cosine', () => {
  const { items } = rank(profile({}), [point('b', [0, 1]), point('a', [1, 0])], none, settings)
  expect(items.map(({ item_id, score, scores, rank }) => ({ item_id, score, scores, rank }))).toEqual([
    { item_id: 'a', score: 0.75, scores: { preference: 0.75, session: 0 }, rank: 1 },
    { item_id: 'b', score: 0.25, scores: { preference: 0, session: 0.25 }, rank: 2 },
  ])
})

test('without a session the preference carries the whole score', () => {
  expect(rank(profile({ session: null }), [point('a', [1, 0])], none, settings).items[0]!.scores).toEqual({ preference: 1 })
})

test('one product appears once, with the other shops as offers', () => {
  const candidates = [
    point('p:1', [1, 0], { gtin: '1', price_ref_minor: 500 }),
    point('q:1', [0.9, 0.1], { gtin: '1', platform: 'q', content_hash: 'h' }),
    point('r:1', [0.8, 0.1], { content_hash: 'h', platform: 'r' }),
    point('s:9', [0.1, 0.9]),
  ]
  const { items, filtered_out } = rank(profile({}), candidates, none, settings)
  expect(items.map((item) => [item.item_id, item.offers.map((offer) => `${offer.platform} ${offer.price_ref_minor}`)])).toEqual([
    ['p:1', ['p 500', 'q null', 'r null']],
    ['s:9', ['p null']],
  ])
  expect(filtered_out).toEqual({ same_product: 2 })
})

test('what was bought stays away, in every shop', () => {
  const known = new Map([['p:1', point('p:1', [1, 0], { gtin: '1' })]])
  const { items, filtered_out } = rank(
    profile({ bought: ['p:1'] }),
    [point('q:1', [1, 0], { gtin: '1' }), point('z', [0, 1])],
    known,
    settings,
  )
  expect([items.map((item) => item.item_id), filtered_out]).toEqual([['z'], { bought: 1 }])
})

test('the reason names the nearest liked interaction, never a disliked one', () => {
  const known = new Map([
    ['liked', point('liked', [0.6, 0.8])],
    ['bought', point('bought', [1, 0])],
    ['hated', point('hated', [0.99, 0.1])],
  ])
  const recent = [
    { event_id: 'e3', item_id: 'hated', type: 'DISMISS', occurred_at: 3, weight: -4 },
    { event_id: 'e2', item_id: 'liked', type: 'VIEW', occurred_at: 2, weight: 1 },
    { event_id: 'e1', item_id: 'bought', type: 'PURCHASE', occurred_at: 1, weight: 8 },
  ] as const
  const [item] = rank(profile({ recent }), [point('a', [1, 0])], known, settings).items
  expect(item!.reasons).toEqual([
    {
      code: 'SIMILAR_TO_BOUGHT',
      weight: expect.closeTo(0.625, 6),
      evidence: [{ event_id: 'e1', item_id: 'bought' }],
      text: expect.stringContaining('“BOUGHT”'),
    },
  ])
})

test('an item that was looked at itself says so instead of being similar to itself', () => {
  const known = new Map([['a', point('a', [1, 0])]])
  const recent = [{ event_id: 'e', item_id: 'a', type: 'VIEW', occurred_at: 1, weight: 1 }] as const
  const [item] = rank(profile({ recent }), [point('a', [1, 0])], known, settings).items
  expect(item!.reasons[0]).toMatchObject({ code: 'SIMILAR_TO_VIEWED', weight: 1, text: 'You looked at this.' })
})

test('equal scores rank by id, so that two runs give one list', () => {
  const ids = rank(profile({}), [point('b', [1, 0]), point('a', [1, 0])], none, settings).items.map((item) => item.item_id)
  expect(ids).toEqual(['a', 'b'])
})

test('the shortlist holds every item whose score can be among the best', () => {
  const hit = (id: string, similarity: number) => ({ id, similarity, payload: {} })
  const answers = [
    [hit('a', 0.9), hit('b', 0.8), hit('c', 0.5)],
    [hit('d', 0.7), hit('b', 0.6), hit('e', 0.1)],
  ]
  // Bounds: a .45+.05, b .40+.30, c .25+.05, d .25+.35, e .25+.05; equal bounds go by id.
  expect(shortlist(answers, [0.5, 0.5], 4)).toEqual(['b', 'd', 'a', 'c'])
  expect(shortlist([answers[0]!], [1], 2)).toEqual(['a', 'b'])
  expect(shortlist([[], []], [0.5, 0.5], 3)).toEqual([])
})
