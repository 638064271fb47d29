/** The laws of VectorIndex on the in-memory adapter, and its filters against a naive reading on arbitrary input. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { OpenedIndex } from '../../ports/vector-index.contract.ts'
import { vectorIndexContract } from '../../ports/vector-index.contract.ts'
import type { Condition, Filter, ImageSpace, Payload, PayloadValue } from '../../ports/vector-index.ts'
import type { MemoryVectorStore } from './vector-index.ts'
import { memoryVectorStore, openMemoryVectorIndex } from './vector-index.ts'

const open = async (dims: number, images?: ImageSpace, store: MemoryVectorStore = memoryVectorStore()): Promise<OpenedIndex> => {
  const { index, admin } = openMemoryVectorIndex({ dims, store, ...(images === undefined ? {} : { images }) })
  return {
    index,
    admin,
    close: () => admin.close(),
    async reopen(again, images_again) {
      await admin.close()
      return open(again, images_again, store)
    },
  }
}

vectorIndexContract('memory', open)

describe('filters on arbitrary payloads', () => {
  const field = fc.constantFrom('a', 'b', 'c', '__proto__', 'toString')
  const scalar = fc.oneof(
    fc.constantFrom('', '1', 'true', 'x'),
    fc.integer({ min: -2, max: 2 }),
    fc.double({ noNaN: true }),
    fc.boolean(),
  )
  const payload: fc.Arbitrary<Payload> = fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.oneof(scalar, fc.constant<PayloadValue>(null)),
  )
  const condition: fc.Arbitrary<Condition> = fc.oneof(
    fc.record({ field, equals: scalar }),
    fc.record({
      field,
      any_of: fc.array(
        scalar.filter((value) => typeof value !== 'boolean'),
        { maxLength: 4 },
      ),
    }),
    fc.record({ field, at_least: fc.integer({ min: -2, max: 2 }) }),
    fc.record({ field, at_least: fc.integer({ min: -2, max: 0 }), at_most: fc.integer({ min: 0, max: 2 }) }),
  )
  const filter: fc.Arbitrary<Filter> = fc.record(
    {
      must: fc.array(condition, { maxLength: 2 }),
      must_not: fc.array(condition, { maxLength: 2 }),
      exclude: fc.subarray(['p0', 'p1', 'p2', 'p3']),
    },
    { requiredKeys: [] },
  )

  /** One condition at a time, written out case by case. */
  const naively = (one: Condition, of: Payload): boolean => {
    const value = Object.hasOwn(of, one.field) ? of[one.field] : null
    if (value === null || value === undefined) return false
    if ('equals' in one) return Object.is(value, one.equals) || (value === 0 && one.equals === 0)
    if ('any_of' in one) return one.any_of.some((choice) => choice === value)
    if (typeof value !== 'number') return false
    if (one.at_least !== undefined && !(value >= one.at_least)) return false
    return one.at_most === undefined || value <= one.at_most
  }

  test('a search returns exactly the points that a naive reading lets through', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(payload, { maxLength: 8 }), filter, async (payloads, asked) => {
        const { index } = openMemoryVectorIndex({ dims: 2 })
        const points = payloads.map((of, i) => ({
          space: 'items' as const,
          id: `p${i}`,
          vector: Float32Array.of(1, i),
          payload: of,
        }))
        await index.write(points, 1)
        const [hits] = await index.search([{ space: 'items', vector: Float32Array.of(1, 0), limit: 100, filter: asked }])
        const expected = points
          .filter((point) => (asked.must ?? []).every((one) => naively(one, point.payload)))
          .filter((point) => !(asked.must_not ?? []).some((one) => naively(one, point.payload)))
          .filter((point) => !(asked.exclude ?? []).includes(point.id))
        expect(hits!.map((hit) => hit.id).sort()).toEqual(expected.map((point) => point.id).sort())
      }),
      { numRuns: 2_000 },
    )
  })
})
