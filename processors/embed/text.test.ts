/** The recipe is pure, bounded, and blind to what changes without changing the thing. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Item } from '../domain/item.ts'
import { item } from './item.fixture.ts'
import { contentHash, cutAtWord, estimatedTokens, recipe, recipe_attributes_max, recipe_tokens_max, textOf } from './text.ts'

describe('the text of an item', () => {
  test('says each thing once, in a fixed order', () => {
    const shoe = item({
      title: '  Nike  Pegasus 41\n running shoe ',
      brand: 'NIKE',
      model: 'Pegasus 41',
      mpn: 'FD2722-001',
      category_path: ['Apparel', 'Shoes', 'Running'],
      color: 'black',
      size: '42',
      material: null,
      multipack: 2,
      attributes: { sole: 'rubber', drop: '10 mm', colour: 'black' },
      bullets: ['Light', '', 'Breathable mesh'],
      description: 'A daily trainer.\n\nFor any   road.',
    })
    expect(textOf(shoe)).toBe('Nike Pegasus 41 running shoe. FD2722-001. black. 42. pack of 2')
  })

  test('is filled up with what the shop writes only where the rest is next to nothing', () => {
    const rest = {
      attributes: { sole: 'rubber', drop: '10 mm', empty: ' ' },
      bullets: ['Light', '', 'Breathable mesh'],
      description: 'A daily trainer.\n\nFor any   road.',
    }
    expect(textOf(item({ title: 'Trainer', ...rest }))).toBe(
      'Trainer. drop: 10 mm. sole: rubber. Light, Breathable mesh. A daily trainer. For any road.',
    )
    expect(textOf(item({ title: 'Trainer', description: 'trainer' }))).toBe('Trainer')
    expect(textOf(item({ title: 'Pegasus 41 running shoe', brand: 'Nike', ...rest }))).toBe('Pegasus 41 running shoe. Nike')
    expect(textOf(item({ title: '', description: 'Only this.' }))).toBe('Only this.')
  })

  test('is the same when price, stock, ids, times or the order of attributes change', () => {
    const before = item({ attributes: { a: '1', b: '2' } })
    const after: Item = {
      ...item({ attributes: { b: '2', a: '1' } }),
      price_minor: 1,
      availability: 'OUT_OF_STOCK',
      quantity: 0,
      event_id: 'other',
      item_id: 'x:y:z',
      sku: 'sku',
      gtin: '00012345600012',
      url: 'https://example.test/other',
      rating_count: 9,
      source_updated_at: 9,
      ingested_at: 9,
    }
    expect(textOf(after)).toBe(textOf(before))
    expect(contentHash(textOf(after))).toBe(contentHash(textOf(before)))
    expect(contentHash(`${textOf(after)}.`)).not.toBe(contentHash(textOf(before)))
  })

  test('is empty when the item has no words', () => {
    expect(textOf(item({ title: ' \n\t', multipack: 6 }))).toBe('')
  })

  test('stays within its bounds, well-formed and on one line, whatever the item holds', () => {
    // Any UTF-16, halves of pairs included.
    const text = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 400 })
    // With separators and "pack of"; what is filled up comes only where the head is short.
    const head = recipe_tokens_max.title + 7 * (recipe_tokens_max.attribute + 1) + 5
    const filled =
      recipe_attributes_max * (2 * recipe_tokens_max.attribute + 2) +
      recipe_tokens_max.bullets +
      recipe_tokens_max.description +
      2
    fc.assert(
      fc.property(
        fc.record({
          title: text,
          brand: fc.option(text),
          model: fc.option(text),
          mpn: fc.option(text),
          color: fc.option(text),
          description: fc.option(text),
          bullets: fc.array(text, { maxLength: 8 }),
          attributes: fc.dictionary(text, text, { maxKeys: 12 }),
        }),
        (fields) => {
          const out = textOf(item(fields))
          expect(estimatedTokens(out)).toBeLessThanOrEqual(Math.max(head, 12 + filled))
          expect(out.isWellFormed()).toBe(true)
          expect(out).not.toMatch(/[\n\r\t]| {2}/)
          expect(textOf(item(fields))).toBe(out)
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('what is cut', () => {
  test('is counted by part, and is never the title or an attribute for the sake of a description', () => {
    const long = 'word '.repeat(200)
    expect(recipe(item({ title: long })).cut).toEqual(['title'])
    expect(recipe(item({ title: 'Cup', brand: long, description: long })).cut).toEqual(['attribute'])
    const attributes = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`name ${i}`, `value ${i}`]))
    const filled = recipe(item({ title: 'Cup', attributes, bullets: [long], description: long }))
    expect(filled.cut).toEqual(['attributes', 'bullets', 'description'])
    expect(filled.text.startsWith('Cup. name 0: value 0. ')).toBe(true)
    expect(filled.text).toContain('name 5: value 5')
    expect(filled.text).not.toContain('name 6')
    expect(recipe(item()).cut).toEqual([])
  })

  test('is as much in every script: a Chinese description is not four times as long to the encoder', () => {
    const chinese = '这款电热水壶采用优质不锈钢制成，容量大，加热快，适合家庭和办公室使用。'.repeat(20)
    const english = 'This electric kettle is made of stainless steel, holds much and heats fast. '.repeat(20)
    const tokens = (description: string): number =>
      estimatedTokens(textOf(item({ title: 'A', description }))) - estimatedTokens('A. ')
    expect(tokens(chinese)).toBeLessThanOrEqual(recipe_tokens_max.description)
    expect(tokens(english)).toBeLessThanOrEqual(recipe_tokens_max.description)
    expect(tokens(chinese)).toBeGreaterThan(recipe_tokens_max.description - 2)
    expect(tokens(english)).toBeGreaterThan(recipe_tokens_max.description - 4)
    expect(textOf(item({ title: 'A', description: chinese }))).toHaveLength('A. '.length + recipe_tokens_max.description)
  })
})

test('the estimate is within a fifth of what multilingual-e5-small makes of a sentence', () => {
  const sentences: readonly (readonly [text: string, tokens: number])[] = [
    ['ステンレス製の電気ケトル、容量1.7リットル、家庭用にも事務所用にも最適です。', 25],
    ['가정과 사무실에서 사용하기 좋은 대용량 스테인리스 전기 주전자입니다.', 19],
    ['กาต้มน้ำไฟฟ้าสแตนเลสคุณภาพสูง ความจุมาก ร้อนเร็ว เหมาะสำหรับบ้านและสำนักงาน', 19],
    ['Электрический чайник из нержавеющей стали, большой объём, быстрый нагрев, для дома и офиса.', 26],
    ['غلاية كهربائية من الفولاذ المقاوم للصدأ بسعة كبيرة وتسخين سريع مناسبة للمنزل والمكتب', 27],
    ['स्टेनलेस स्टील की इलेक्ट्रिक केतली, बड़ी क्षमता, तेज़ हीटिंग, घर और ऑफिस के लिए उपयुक्त।', 28],
    ['Elektrischer Wasserkocher aus rostfreiem Edelstahl, großes Fassungsvermögen, schnell heiß, für Haushalt und Büro.', 26],
    ['Ηλεκτρικός βραστήρας από ανοξείδωτο ατσάλι, μεγάλη χωρητικότητα, για το σπίτι και το γραφείο.', 28],
    ['קומקום חשמלי מפלדת אל חלד, נפח גדול, חימום מהיר, מתאים לבית ולמשרד.', 24],
  ]
  for (const [text, tokens] of sentences) {
    const estimate = estimatedTokens(text)
    expect([text, estimate / tokens > 0.8 && estimate / tokens < 1.25]).toEqual([text, true])
  }
})

describe('cutting', () => {
  test('ends at a word, or inside a word that fills the second half, never inside a pair', () => {
    expect(cutAtWord('one two three', 3.25)).toBe('one two three')
    expect(cutAtWord('one two three', 2.25)).toBe('one two')
    expect(cutAtWord('one two three', 1.75)).toBe('one two')
    expect(cutAtWord('a bbbbbbbbbbbbbb', 2)).toBe('a bbbbbb')
    expect(cutAtWord('ab😀😀', 1.5)).toBe('ab😀')
    expect(cutAtWord('ab😀😀', 1.25)).toBe('ab')
    expect(cutAtWord('水壶 电热水壶', 4)).toBe('水壶')
    expect(cutAtWord('水壶 电热水壶', 5)).toBe('水壶 电热')
    expect(cutAtWord('', 0)).toBe('')
  })

  test('keeps within its bound, and keeps what is within it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), fc.integer({ min: 1, max: 40 }), (text, tokens_max) => {
        const kept = cutAtWord(text, tokens_max)
        expect(text.startsWith(kept)).toBe(true)
        expect(estimatedTokens(kept)).toBeLessThanOrEqual(tokens_max + 1e-9)
        if (estimatedTokens(text) <= tokens_max - 1e-9) expect(kept).toBe(text)
      }),
    )
  })
})
