/** JSON as platforms publish it, read strictly: bounded, no duplicate or prototype keys, integers exact, objects that inherit nothing. */
import { isAscii, isUtf8 } from 'node:buffer'
import { Fault } from '../../domain/fault.ts'
import type { SourceValue } from '../../ports/schema-registry.ts'
import { type DecodeLimits, isUnsafeName } from './limits.ts'

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const letter_u = 0x75

/** What the bytes show before they are parsed. */
type Glance = {
  /** How many keys are written: colons outside strings. */
  readonly keys: number
  /** Whether a \\u escape stands in some string, the only way to half a surrogate pair. */
  readonly unicode_escapes: boolean
}

/**
 * Looks over the bytes once and refuses what nests too deep, before JSON.parse spends time or stack on it.
 * Byte-wise: UTF-8 never hides an ASCII byte inside a character.
 */
const glance = (bytes: Buffer, start: number, depth_max: number): Glance => {
  const end = bytes.length
  let unicode_escapes = false
  let keys = 0
  let depth = 0
  let i = start
  while (i < end) {
    const byte = bytes[i++]!
    if (byte === quote) {
      while (i < end) {
        const inner = bytes[i++]!
        if (inner === quote) break
        if (inner === backslash && bytes[i++] === letter_u) unicode_escapes = true
      }
    } else if (byte === colon) keys++
    else if ((byte & 0xdf) === 0x5b) {
      // [ is 0x5b and { is 0x7b, so one mask finds both; likewise their closing brackets.
      if (++depth > depth_max)
        throw new Fault('limits.depth', `The value nests deeper than ${depth_max} levels.`, { byte: i - 1 })
    } else if ((byte & 0xdf) === 0x5d) depth--
  }
  return { keys, unicode_escapes }
}

/** What one walk over a parsed value looks for, and found. */
type Walk = {
  readonly limits: DecodeLimits
  readonly unicode_escapes: boolean
  /** Whether bytes were replaced by U+FFFD: then no key may hold one. */
  readonly damaged: boolean
  keys: number
  /** Keys and items so far. */
  entries: number
  inexact: boolean
}

/** An object that inherits nothing. Instances share hidden classes, which Object.create(null) would give up. */
class Plain {
  [key: string]: SourceValue
}
delete (Plain.prototype as { constructor?: unknown }).constructor
Object.setPrototypeOf(Plain.prototype, null)
Object.freeze(Plain.prototype)

const cleanString = (text: string, walk: Walk): string => {
  if (text.length > walk.limits.string_chars_max)
    throw new Fault('limits.string', `A string has ${text.length} characters; ${walk.limits.string_chars_max} are allowed.`)
  return walk.unicode_escapes && !text.isWellFormed() ? text.toWellFormed() : text
}

/** Integers from 2^53 on are noted, not refused: only their source text has them exactly. */
const cleanNumber = (value: number, walk: Walk): number => {
  if (value >= 9007199254740992 || value <= -9007199254740992) {
    if (!Number.isFinite(value)) throw new Fault('number.range', 'A number is beyond the range of a double.')
    walk.inexact = true
  }
  return value === 0 ? 0 : value
}

const checkKey = (key: string, walk: Walk): void => {
  if (isUnsafeName(key)) throw new Fault('json.proto', `A key is ${key}.`)
  if (key.length > walk.limits.string_chars_max)
    throw new Fault('limits.string', `A key has ${key.length} characters; ${walk.limits.string_chars_max} are allowed.`)
  if (walk.unicode_escapes && !key.isWellFormed()) throw new Fault('decode.utf8', 'A key holds half of a surrogate pair.')
  if (walk.damaged && key.includes('\ufffd')) throw new Fault('decode.utf8', 'A key is not valid UTF-8.')
}

const countEntries = (count: number, walk: Walk): void => {
  walk.entries += count
  if (walk.entries > walk.limits.entries_max)
    throw new Fault('limits.items', `The value has more than ${walk.limits.entries_max} keys and items in all.`)
}

/** Checks a parsed value against bounds and names and rebuilds its objects; arrays stay. */
const clean = (value: unknown, walk: Walk): SourceValue => {
  if (typeof value === 'string') return cleanString(value, walk)
  if (typeof value === 'number') return cleanNumber(value, walk)
  if (typeof value !== 'object' || value === null) return value as SourceValue
  if (Array.isArray(value)) {
    if (value.length > walk.limits.items_max)
      throw new Fault('limits.items', `An array has ${value.length} items; ${walk.limits.items_max} are allowed.`)
    countEntries(value.length, walk)
    for (let i = 0; i < value.length; i++) value[i] = clean(value[i], walk)
    return value
  }
  const object = value as Record<string, unknown>
  const plain = new Plain()
  const special = walk.unicode_escapes || walk.damaged
  let keys = 0
  for (const key in object) {
    keys++
    // No shorter key is unsafe or too long.
    if (key.length >= 9 || special) checkKey(key, walk)
    const field = object[key]
    if (typeof field === 'string') plain[key] = cleanString(field, walk)
    else if (typeof field === 'number') plain[key] = cleanNumber(field, walk)
    else plain[key] = typeof field === 'object' && field !== null ? clean(field, walk) : (field as SourceValue)
  }
  if (keys > walk.limits.keys_max)
    throw new Fault('limits.items', `An object has ${keys} keys; ${walk.limits.keys_max} are allowed.`)
  walk.keys += keys
  countEntries(keys, walk)
  return plain
}

const integer = /^-?\d+$/

/** Integers that a double cannot hold become bigint, from their source text. */
const exactly = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' && !Number.isSafeInteger(value) && context?.source !== undefined && integer.test(context.source)
    ? BigInt(context.source)
    : value

type ParseExactly = (text: string, reviver: typeof exactly) => unknown

const parse = (text: string, exact: boolean): unknown => {
  try {
    return exact ? (JSON.parse as ParseExactly)(text, exactly) : JSON.parse(text)
  } catch (error) {
    // V8 quotes the payload in its message; only the place is ours to tell.
    const place = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    throw new Fault(
      'json.syntax',
      place === undefined ? 'The value is not JSON.' : `The value is not JSON at character ${place}.`,
    )
  }
}

/** A decoded JSON value. `rounded` is the same value with every integer as a number, for validators that know no bigint. */
export type DecodedJson = {
  readonly value: SourceValue
  readonly rounded: SourceValue
  /** Keys and items of all objects and arrays. */
  readonly entries: number
}

/**
 * Decodes the JSON text in `bytes` from `start` on. Integers are numbers up to 2^53 and bigint beyond; -0 is 0;
 * invalid UTF-8 and lone surrogates in strings become U+FFFD, in keys they are refused.
 * Throws json.syntax, json.dup_key, json.proto, decode.empty, decode.utf8, number.range and limits.*.
 */
export const decodeJson = (bytes: Buffer, start: number, limits: DecodeLimits): DecodedJson => {
  if (bytes.length > limits.record_bytes_max)
    throw new Fault('limits.bytes', `The record has ${bytes.length} bytes; ${limits.record_bytes_max} are allowed.`)
  if (bytes.length === start) throw new Fault('decode.empty', 'The value has no bytes.')
  if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf)
    throw new Fault('json.syntax', 'The value starts with a byte order mark.')
  const seen = glance(bytes, start, limits.depth_max)
  const ascii = isAscii(bytes)
  const text = ascii ? bytes.toString('latin1', start) : bytes.toString('utf8', start)
  const walk: Walk = {
    limits,
    unicode_escapes: seen.unicode_escapes,
    damaged: !ascii && !isUtf8(bytes.subarray(start)),
    keys: 0,
    entries: 0,
    inexact: false,
  }
  const rounded = clean(parse(text, false), walk)
  if (walk.keys !== seen.keys)
    throw new Fault('json.dup_key', `${seen.keys - walk.keys} keys are written more than once in their object.`)
  const { entries } = walk
  return walk.inexact
    ? { value: clean(parse(text, true), { ...walk, entries: 0 }), rounded, entries }
    : { value: rounded, rounded, entries }
}
