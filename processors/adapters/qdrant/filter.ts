/** Our filters in Qdrant's words: built from checked values only, always within one space and its live points. */
import type { Schemas } from '@qdrant/js-client-rest'
import { Fault } from '../../domain/fault.ts'
import type { Condition, Filter, Space } from '../../ports/vector-index.ts'
import { pointId } from './point.ts'

type QdrantCondition = Schemas['Condition']
type Must = { readonly must: QdrantCondition[]; readonly must_not?: QdrantCondition[] }

/** Field names come from code. One that could be read as a path, an index or a quoted key is refused. */
const field_name = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/

const refuse = (why: string): never => {
  throw new Fault('defect.unexpected', `A filter breaks its type: ${why}.`)
}

const keyOf = (field: unknown): string =>
  typeof field === 'string' && field_name.test(field) ? `payload.${field}` : refuse('a field name is not a plain name')

const nothing: QdrantCondition = { has_id: [] }

/** Numbers are compared as ranges, which hold for whole and broken numbers alike; `match` would find whole ones only. */
const inRange = (key: string, at_least: number, at_most: number): QdrantCondition => {
  if (Number.isNaN(at_least) || Number.isNaN(at_most) || at_least === Infinity || at_most === -Infinity) return nothing
  const clamp = (x: number): number => Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, x))
  return { key, range: { gte: clamp(at_least), lte: clamp(at_most) } }
}

const equalTo = (key: string, value: unknown): QdrantCondition => {
  if (typeof value === 'number') return Number.isFinite(value) ? inRange(key, value, value) : nothing
  if (typeof value === 'boolean') return { key, match: { value } }
  if (typeof value === 'string') return { key, match: { value: value.toWellFormed() } }
  return refuse('a value is no text, number or truth value')
}

const oneOf = (key: string, values: readonly unknown[]): QdrantCondition => {
  const texts = values.filter((value) => typeof value === 'string').map((text) => text.toWellFormed())
  const numbers = values.filter((value) => typeof value === 'number')
  if (texts.length + numbers.length < values.length) return refuse('any_of holds neither text nor number')
  const should: QdrantCondition[] = []
  if (texts.length > 0) should.push({ key, match: { any: texts } })
  const whole = numbers.filter(Number.isSafeInteger)
  if (whole.length > 0) should.push({ key, match: { any: whole } })
  for (const number of numbers) if (!Number.isSafeInteger(number)) should.push(equalTo(key, number))
  if (should.length === 0) return nothing
  return should.length === 1 ? should[0]! : { should }
}

const bound = (value: unknown, unbounded: number): number => {
  if (value === undefined) return unbounded
  return typeof value === 'number' ? value : refuse('a bound is no number')
}

/** One condition. Whatever is not exactly of its type is refused (defect.unexpected): it is a defect of the caller. */
export const conditionOf = (condition: Condition): QdrantCondition => {
  if (typeof condition !== 'object' || condition === null) return refuse('a condition is no object')
  const key = keyOf(condition.field)
  if ('equals' in condition) return equalTo(key, condition.equals)
  if ('any_of' in condition) return oneOf(key, Array.isArray(condition.any_of) ? condition.any_of : refuse('any_of is no list'))
  return inRange(key, bound(condition.at_least, -Infinity), bound(condition.at_most, Infinity))
}

const listOf = <T>(list: readonly T[] | undefined, name: string): readonly T[] => {
  if (list === undefined) return []
  return Array.isArray(list) ? list : refuse(`${name} is no list`)
}

/** What every query of a space starts from. */
export const liveIn = (space: Space): QdrantCondition[] => [
  { key: 'space', match: { value: space } },
  { key: 'deleted', match: { value: false } },
]

/** The whole filter of a search: the scope comes first, and nothing of `filter` can take its place. */
export const filterOf = (space: Space, filter: Filter | undefined): Must => {
  const must = [...liveIn(space), ...listOf(filter?.must, 'must').map(conditionOf)]
  const must_not = listOf(filter?.must_not, 'must_not').map(conditionOf)
  const exclude = listOf(filter?.exclude, 'exclude').map((id) =>
    typeof id === 'string' ? pointId(space, id) : refuse('an excluded id is no text'),
  )
  if (exclude.length > 0) must_not.push({ has_id: exclude })
  return must_not.length === 0 ? { must } : { must, must_not }
}
