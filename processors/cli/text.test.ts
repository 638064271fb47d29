import { expect, test } from '@jest/globals'
import type { RecommendedItem } from '../domain/recommendation.ts'
import { hexDump } from './hex.ts'
import { compareLines, listLines, offersText, priceText } from './list-text.ts'
import { openTerminal, widthOf } from './terminal.ts'

const item = (rank: number, title: string): RecommendedItem => ({
  rank,
  item_id: `shop:main:${title}`,
  title,
  score: 0.5,
  scores: { preference: 0.3, session: 0.2 },
  reasons: [{ code: 'SIMILAR_TO_VIEWED', weight: 1, evidence: [], text: 'Similar to “x”, which you looked at.' }],
  offers: [
    { platform: 'taobao', item_id: 'b', price_ref_minor: 1_999 },
    { platform: 'shopify', item_id: 'a', price_ref_minor: 1_500 },
    { platform: 'tiktok', item_id: 'c', price_ref_minor: null },
  ],
})
const terminal = (columns: number) => openTerminal({ write: () => undefined, columns }, {})
const wide = '木制轨道火车 62件 榉木 三岁以上 乐图玩具套装礼物木制轨道火车'

test('a hex dump shows offset, bytes and text, and nothing that could move a cursor', () => {
  expect(hexDump(Buffer.from('\0\0\0\0\x07ab\x1b[2Jcdefghi', 'latin1'))).toBe(
    [
      '00000000  00 00 00 00 07 61 62 1b  5b 32 4a 63 64 65 66 67  |.....ab.[2Jcdefg|',
      '00000010  68 69                                             |hi|',
    ].join('\n'),
  )
})

test('offers are named cheapest first, an unknown price last', () => {
  expect(offersText(item(1, 'x'), 'EUR')).toBe('shopify €15.00, taobao €19.99, tiktok price unknown')
  expect(priceText(-5, 'GBP')).toBe('-£0.05')
})

test.each([80, 100, 120, 60])('no line of a list or of two side by side is wider than %d columns', (columns) => {
  const items = [
    item(1, wide),
    item(2, 'A title that is long enough to be cut somewhere on the way to the edge of it'),
    item(3, '🔥 a\u202eb'),
  ]
  const lines = [
    ...listLines(terminal(columns), items, 'EUR'),
    ...compareLines(terminal(columns), { title: 'before', items }, { title: 'after', items: [item(1, 'new'), ...items] }, 'EUR'),
  ]
  expect(lines.filter((line) => widthOf(line) > columns)).toEqual([])
  expect(lines.join('')).not.toContain('\u202e')
})

test('what only the second list has is marked', () => {
  const lines = compareLines(
    terminal(100),
    { title: 'before', items: [item(1, 'old')] },
    { title: 'after', items: [item(1, 'new'), item(2, 'old')] },
    'EUR',
  )
  expect(lines.filter((line) => line.includes('│ + 1 new'))).toHaveLength(1)
  expect(lines.filter((line) => line.includes('+ 2 old'))).toHaveLength(0)
})
