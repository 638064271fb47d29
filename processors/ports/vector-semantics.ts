/** What points, filters and hits mean: the one reading of ports/vector-index.ts that its adapters share. */
import { Fault } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'
import { assertUsable, dot } from '../domain/vector.ts'
import type { Condition, Filter, Payload, PayloadValue, PointWrite, Space } from './vector-index.ts'

/** Numbers a vector of the space has. Faults: `index.dimension` for images where no image model is configured. */
export const dimsOf = (
  space: Space,
  { dims, image_dims }: { readonly dims: number; readonly image_dims: number | null },
): number => {
  if (space !== 'images') return dims
  if (image_dims === null)
    throw new Fault('index.dimension', 'The index has no space of images: no image model is configured (image_model.folder).')
  return image_dims
}

/** Squared lengths this near to 1 count as unit: normalising again would only change last bits, and a replay must not. */
const unit_tolerance = 1e-6

/**
 * A copy of `vector` of unit length, float32 [dims]; bit for bit the same when it was unit already.
 * Faults: `index.dimension` for another length, `embed.degenerate` for a zero or non-finite vector.
 */
export const usableVector = (vector: Vector, dims: number): Vector => {
  if (vector.length !== dims)
    throw new Fault('index.dimension', `The index holds vectors of ${dims} dimensions; this one has ${vector.length}.`, {
      dims: vector.length,
      dims_expected: dims,
    })
  assertUsable(vector, dims)
  const squared = dot(vector, vector)
  const copy = new Float32Array(vector)
  if (Math.abs(squared - 1) <= unit_tolerance) return copy
  // A plain loop: Float32Array.from with a function takes a hundred times as long.
  const length = Math.sqrt(squared)
  for (let i = 0; i < dims; i++) copy[i] = copy[i]! / length
  return copy
}

/** Of points that share space and id the last one, as if they had been written one by one in order. */
export const lastOfEach = (points: readonly PointWrite[]): readonly PointWrite[] => {
  const last = new Map<string, PointWrite>()
  for (const point of points) last.set(`${point.space}:${point.id}`, point)
  return last.size === points.length ? points : [...last.values()]
}

/**
 * Whether a payload value satisfies a condition. Types are never converted: 1, '1' and true differ.
 * An absent or null value satisfies nothing; a range holds for numbers only, and without bounds for every number.
 */
export const conditionHolds = (condition: Condition, value: PayloadValue | undefined): boolean => {
  if (value === undefined || value === null) return false
  if ('equals' in condition) return value === condition.equals
  if ('any_of' in condition) return (condition.any_of as readonly PayloadValue[]).includes(value)
  if (typeof value !== 'number') return false
  return value >= (condition.at_least ?? Number.NEGATIVE_INFINITY) && value <= (condition.at_most ?? Number.POSITIVE_INFINITY)
}

/** Whether a point may come back: all of `must`, none of `must_not`, and not excluded by id. */
export const filterHolds = (filter: Filter, id: string, payload: Payload): boolean =>
  (filter.must ?? []).every((condition) => conditionHolds(condition, payload[condition.field])) &&
  !(filter.must_not ?? []).some((condition) => conditionHolds(condition, payload[condition.field])) &&
  !(filter.exclude ?? []).includes(id)

type Ranked = { readonly similarity: number; readonly id: string }

/** The order of hits: greater similarity first, ties by id in code-unit order. */
export const byRank = (a: Ranked, b: Ranked): number => b.similarity - a.similarity || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
