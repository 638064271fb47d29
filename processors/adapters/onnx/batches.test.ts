/** Batches hold every text once, one width each, within the budget; a text's width depends on the text alone. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { planBatches, widthOf } from './batches.ts'

test('every text of some tokens is in one batch of its own width, within the budget or alone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 256 }), { maxLength: 300 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 2_048 }),
      (lengths, length_bucket, batch_tokens_max) => {
        const batches = planBatches(lengths, { length_bucket, tokens_max: 256, batch_tokens_max })
        const seen = batches.flatMap(({ members }) => members).sort((a, b) => a - b)
        expect(seen).toEqual(lengths.flatMap((length, index) => (length === 0 ? [] : [index])))
        for (const { width, members } of batches) {
          for (const member of members) {
            expect(width).toBe(widthOf(lengths[member]!, length_bucket, 256))
            expect(width).toBeGreaterThanOrEqual(lengths[member]!)
          }
          expect(width * members.length <= batch_tokens_max || members.length === 1).toBe(true)
        }
      },
    ),
  )
})

test('what does not fit is split into equal parts, widest first', () => {
  const lengths = [...new Array<number>(33).fill(8), 16]
  const batches = planBatches(lengths, { length_bucket: 8, tokens_max: 256, batch_tokens_max: 256 })
  expect(batches.map(({ width, members }) => [width, members.length])).toEqual([
    [16, 1],
    [8, 17],
    [8, 16],
  ])
})
