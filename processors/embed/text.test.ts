/** The recipe is pure, bounded, and blind to what changes without changing the thing. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Item } from '../domain/item.ts'
import { item } from './item.fixture.ts'
import { contentHash, cutAtWord, recipe_attributes_max, recipe_chars_max, textOf } from './text.ts'

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
    const bound =
      recipe_chars_max.title +
      8 * (recipe_chars_max.attribute + 2) +
      recipe_attributes_max * (2 * recipe_chars_max.attribute + 4) +
      20 +
      recipe_chars_max.bullets +
      recipe_chars_max.description +
      4
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
          expect(out.length).toBeLessThanOrEqual(bound)
          expect(out.isWellFormed()).toBe(true)
          expect(out).not.toMatch(/[\n\r\t]| {2}/)
          expect(textOf(item(fields))).toBe(out)
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('cutting', () => {
  test('ends at a word, or inside a word that fills the second half, never inside a pair', () => {
    expect(cutAtWord('one two three', 13)).toBe('one two three')
    expect(cutAtWord('one two three', 9)).toBe('one two')
    expect(cutAtWord('one two three', 7)).toBe('one two')
    expect(cutAtWord('a bbbbbbbbbbbbbb', 8)).toBe('a bbbbbb')
    expect(cutAtWord('ab😀😀', 3)).toBe('ab')
    expect(cutAtWord('ab😀😀', 4)).toBe('ab😀')
  })
})
