/** Filters: always in scope, whatever comes in, and nothing but checked values reaches Qdrant. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import type { Condition, Filter } from '../../ports/vector-index.ts'
import { filterOf } from './filter.ts'
import { pointId } from './point.ts'

const scope = [
  { key: 'space', match: { value: 'items' } },
  { key: 'deleted', match: { value: false } },
]

/** Every key of a condition, at any depth. */
const keysIn = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.flatMap(keysIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => (name === 'key' ? [String(inner)] : keysIn(inner)))
}

describe('filterOf', () => {
  test('without a filter there is the scope', () => {
    expect(filterOf('items', undefined)).toEqual({ must: scope })
    expect(filterOf('items', {})).toEqual({ must: scope })
  })

  test('each kind of condition in the words of Qdrant', () => {
    const conditions: readonly (readonly [Condition, unknown])[] = [
      [
        { field: 'platform', equals: 'a' },
        { key: 'payload.platform', match: { value: 'a' } },
      ],
      [
        { field: 'stock', equals: true },
        { key: 'payload.stock', match: { value: true } },
      ],
      [
        { field: 'n', equals: 2.5 },
        { key: 'payload.n', range: { gte: 2.5, lte: 2.5 } },
      ],
      [{ field: 'n', equals: Number.NaN }, { has_id: [] }],
      [{ field: 'n', any_of: [] }, { has_id: [] }],
      [
        { field: 'n', any_of: ['a', 'b'] },
        { key: 'payload.n', match: { any: ['a', 'b'] } },
      ],
      [
        { field: 'n', any_of: [1, 2] },
        { key: 'payload.n', match: { any: [1, 2] } },
      ],
      [
        { field: 'n', any_of: ['a', 1, 1.5] },
        {
          should: [
            { key: 'payload.n', match: { any: ['a'] } },
            { key: 'payload.n', match: { any: [1] } },
            { key: 'payload.n', range: { gte: 1.5, lte: 1.5 } },
          ],
        },
      ],
      [
        { field: 'n', at_least: 1 },
        { key: 'payload.n', range: { gte: 1, lte: Number.MAX_VALUE } },
      ],
      [
        { field: 'n', at_most: 1 },
        { key: 'payload.n', range: { gte: -Number.MAX_VALUE, lte: 1 } },
      ],
      [{ field: 'n', at_least: Number.POSITIVE_INFINITY }, { has_id: [] }],
    ]
    for (const [condition, expected] of conditions)
      expect(filterOf('items', { must: [condition] })).toEqual({ must: [...scope, expected] })
    expect(filterOf('items', { must_not: [{ field: 'a', equals: 'x' }], exclude: ['i'] })).toEqual({
      must: scope,
      must_not: [{ key: 'payload.a', match: { value: 'x' } }, { has_id: [pointId('items', 'i')] }],
    })
  })

  test('over arbitrary input the scope stands first, or the filter is refused', () => {
    const anything = fc.anything({ maxDepth: 3 })
    const like = fc.oneof(
      anything,
      fc.record(
        {
          field: fc.oneof(fc.string(), fc.constantFrom('platform', 'deleted', 'space', 'a.b', 'a[]', '"x"', '')),
          equals: anything,
          any_of: fc.oneof(anything, fc.array(anything)),
          at_least: anything,
          at_most: anything,
          should: anything,
          must: anything,
        },
        { requiredKeys: [] },
      ),
    )
    const filter = fc.record(
      {
        must: fc.oneof(anything, fc.array(like, { maxLength: 3 })),
        must_not: fc.oneof(anything, fc.array(like, { maxLength: 3 })),
        should: anything,
        exclude: fc.oneof(anything, fc.array(fc.string(), { maxLength: 3 })),
      },
      { requiredKeys: [] },
    )
    let built = 0
    fc.assert(
      fc.property(filter, (input) => {
        let out: ReturnType<typeof filterOf>
        try {
          out = filterOf('items', input as Filter)
        } catch (error) {
          expect(error).toBeInstanceOf(Fault)
          return
        }
        built += 1
        expect(out.must.slice(0, 2)).toEqual(scope)
        expect(Object.keys(out).every((key) => key === 'must' || key === 'must_not')).toBe(true)
        for (const key of keysIn([out.must.slice(2), out.must_not ?? []]))
          expect(key).toMatch(/^payload\.[A-Za-z_][A-Za-z0-9_]*$/)
      }),
      { numRuns: 10_000 },
    )
    expect(built).toBeGreaterThan(500)
  })
})
