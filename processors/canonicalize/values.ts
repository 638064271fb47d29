/** Values while a map is applied: what counts as missing, how scalars become text and numbers, and what a rule changed. */
import { Fault, type FaultCode } from '../domain/fault.ts'
import type { UserIdType } from '../domain/interaction.ts'
import type { Rewrite } from '../domain/item.ts'
import type { Header } from '../domain/record.ts'
import { clip } from '../domain/text.ts'
import type { Rates, Shop } from './settings.ts'

/** A decoded source value, or what a function made of one. */
export type Value = unknown

/** What an expression is evaluated in: one source record, and the place of it that the rules stand at. */
export type Env = {
  /** The whole decoded record. */
  readonly record: Value
  /** The element that unqualified names belong to. */
  current: Value
  /** The elements of `each`, by slot. */
  readonly scopes: Value[]
  /** Values of `let`, by slot; `unset` until first read. */
  readonly lets: Value[]
  shop: Shop
  readonly run: MapRun
  readonly headers: readonly Header[]
  /** Length of the record's value as it came. */
  readonly bytes: number
  readonly log: LogPlace
  /** The line of a snapshot that changed, as a plain object. */
  change: Value
  /** How many outputs the record has so far. */
  ordinal: number
  /** Work done for the record so far, see `charge`. */
  work: number
  /** Whether the map read a version (source_updated_at) from the record. */
  has_version: boolean
  /** The canonical field that is being read, for messages. */
  field: string
  rewrites: Rewrite[]
}

/** What maps share while a processor runs: shops, keyed digests, rates. Pure functions of the settings. */
export type MapRun = {
  readonly shopOf: (platform: string, id: string | null, defaults: Readonly<Record<string, string>>) => Shop
  /** Keyed digest of fields that must not leave as they are. */
  readonly keyed: (...fields: readonly string[]) => string
  /** The pseudonym of a user within a realm. */
  readonly userKey: (realm: string, type: UserIdType, id: string) => string
  readonly rates: Rates | null
}

/** Where the record stands in the log; `time` is its append time in epoch ms. */
export type LogPlace = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly time: number
  readonly key: string
  /** Registry id of the writer's schema; null for plain JSON. */
  readonly schema_id: number | null
}

export type Eval = (env: Env) => Value

export const unset: unique symbol = Symbol('unset')

/** Null, undefined and the empty text say nothing. */
export const isMissing = (value: Value): boolean => value === undefined || value === null || value === ''

export const refuse = (code: FaultCode, message: string): Fault => new Fault(code, message)

export const typeName = (value: Value): string =>
  value === null || value === undefined
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : ArrayBuffer.isView(value)
        ? 'bytes'
        : typeof value === 'object'
          ? 'an object'
          : `a ${typeof value}`

/** Most work on one record; about 50 ns each, so that no record holds its partition up for seconds. */
const work_max = 20_000_000
/** What looking at one element of a list costs, and at one character of a text that is not taken apart. */
export const element_work = 10
export const text_work = 1 / 8

/**
 * Counts characters of text and elements of lists that rules go through, again for each output that does: the outputs of one record may
 * multiply what it holds, and a record of 400 KB could ask for 80 million comparisons.
 */
export const charge = (env: Env, work: number): void => {
  env.work += work
  if (env.work > work_max)
    throw refuse('limits.items', 'the record asks for too much work: many outputs, each from long lists or texts')
}

/** A pure function of a text, charged by the character, that remembers its last answer: each output reads its record's texts again. */
export const rememberLast = (compute: (text: string) => string): ((text: string, env: Env) => string) => {
  let last_text = ''
  let last = compute('')
  return (text, env) => {
    if (text !== last_text) {
      charge(env, text.length)
      last = compute(text)
      last_text = text
    }
    return last
  }
}

/** The value, or of a list the first one that is present. */
export const single = (value: Value): Value => {
  if (!Array.isArray(value)) return value
  for (const one of value) {
    const inner = single(one)
    if (!isMissing(inner)) return inner
  }
  return undefined
}

/** Text of a scalar; undefined when missing. Numbers are written as JSON writes them, integers beyond 2^53 only when exact. */
export const textOf = (value: Value): string | undefined => {
  const one = single(value)
  if (typeof one === 'string') return one === '' ? undefined : one
  if (one === undefined || one === null) return undefined
  if (typeof one === 'number') {
    if (!Number.isFinite(one)) throw refuse('number.nonfinite', 'a number is NaN or infinite')
    if (Number.isInteger(one) && !Number.isSafeInteger(one))
      throw refuse('number.unsafe', 'an integer beyond 2^53 was read as a number')
    return String(one)
  }
  if (typeof one === 'bigint') return one.toString()
  throw refuse('map.type', `text is wanted; found ${typeName(one)}`)
}

const plain_number = /^[+-]?\d{1,300}(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/u

/** A finite number; undefined when missing. Texts must be plain decimals. */
export const numberOf = (value: Value): number | undefined => {
  const one = single(value)
  if (typeof one === 'number') {
    if (!Number.isFinite(one)) throw refuse('number.nonfinite', 'a number is NaN or infinite')
    return one === 0 ? 0 : one
  }
  if (isMissing(one)) return undefined
  if (typeof one === 'bigint') {
    const number = Number(one)
    if (!Number.isSafeInteger(number)) throw refuse('number.unsafe', 'an integer is beyond 2^53')
    return number
  }
  if (typeof one === 'string') {
    const text = one.trim()
    if (text === '') return undefined
    if (!plain_number.test(text)) throw refuse('map.type', 'a number is wanted; found other text')
    const number = Number(text)
    if (!Number.isFinite(number)) throw refuse('number.range', 'a number is outside its range')
    return number === 0 ? 0 : number
  }
  throw refuse('map.type', `a number is wanted; found ${typeName(one)}`)
}

/** The present elements of a list, lists inside opened; a single value is a list of one. */
export const listOf = (value: Value): readonly Value[] => {
  if (!Array.isArray(value)) return isMissing(value) ? [] : [value]
  const out: Value[] = []
  for (const one of value) {
    if (Array.isArray(one)) out.push(...listOf(one))
    else if (!isMissing(one)) out.push(one)
  }
  return out
}

/** Missing, false and 0 are no. */
export const isTrue = (value: Value): boolean => {
  const one = single(value)
  return !(isMissing(one) || one === false || one === 0 || one === 0n)
}

/** Scalars compare as text when their types differ, so that 5 equals `5`; missing equals missing only. */
export const isEqual = (a: Value, b: Value): boolean => {
  const one = single(a)
  const two = single(b)
  if (one === two) return true
  if (isMissing(one) || isMissing(two)) return isMissing(one) && isMissing(two)
  if (typeof one === 'object' || typeof two === 'object') return false
  return String(one) === String(two)
}

/** Longest `from` and `to` of a rewrite, and most rewrites of a record: provenance must not outgrow what it explains. */
export const rewrite_characters_max = 120
export const rewrites_max = 40

/** Notes that a rule changed a value. Never called with anything that identifies a person. */
export const rewrote = (env: Env, field: string, from: string, to: string, rule: string): void => {
  if (env.rewrites.length < rewrites_max)
    env.rewrites.push({ field, from: clip(from, rewrite_characters_max), to: clip(to, rewrite_characters_max), rule })
}
