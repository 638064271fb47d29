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
  inexact: boolean
}

/**
 * Checks and cleans a parsed value in place: bounds, names, numbers; cuts every object from its prototype.
 * Integers from 2^53 on are reported, not refused: only their source text has them exactly.
 */
const clean = (value: unknown, walk: Walk): SourceValue => {
  const limits = walk.limits
  switch (typeof value) {
    case 'string':
      if (value.length > limits.string_chars_max)
        throw new Fault('limits.string', `A string has ${value.length} characters; ${limits.string_chars_max} are allowed.`)
      return walk.unicode_escapes && !value.isWellFormed() ? value.toWellFormed() : value
    case 'number':
      if (value === 0) return 0
      if (value >= 9007199254740992 || value <= -9007199254740992) {
        if (!Number.isFinite(value)) throw new Fault('number.range', 'A number is beyond the range of a double.')
        walk.inexact = true
      }
      return value
    case 'object': {
      if (value === null) return null
      if (Array.isArray(value)) {
        if (value.length > limits.items_max)
          throw new Fault('limits.items', `An array has ${value.length} items; ${limits.items_max} are allowed.`)
        for (let i = 0; i < value.length; i++) {
          const item = value[i]
          const cleaned = clean(item, walk)
          if (cleaned !== item || cleaned === 0) value[i] = cleaned
        }
        return value
      }
      const object = value as Record<string, unknown>
      Object.setPrototypeOf(object, null)
      let keys = 0
      for (const key in object) {
        keys++
        if (isUnsafeName(key)) throw new Fault('json.proto', `A key is ${key}.`)
        if (walk.unicode_escapes && !key.isWellFormed()) throw new Fault('decode.utf8', 'A key holds half of a surrogate pair.')
        if (walk.damaged && key.includes('\ufffd')) throw new Fault('decode.utf8', 'A key is not valid UTF-8.')
        if (key.length > limits.string_chars_max)
          throw new Fault('limits.string', `A key has ${key.length} characters; ${limits.string_chars_max} are allowed.`)
        const field = object[key]
        const cleaned = clean(field, walk)
        if (cleaned !== field || cleaned === 0) object[key] = cleaned
      }
      if (keys > limits.keys_max) throw new Fault('limits.items', `An object has ${keys} keys; ${limits.keys_max} are allowed.`)
      walk.keys += keys
      return object as SourceValue
    }
    default:
      return value as SourceValue
  }
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
export type DecodedJson = { readonly value: SourceValue; readonly rounded: SourceValue }

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
    inexact: false,
  }
  const rounded = clean(parse(text, false), walk)
  if (walk.keys !== seen.keys)
    throw new Fault('json.dup_key', `${seen.keys - walk.keys} keys are written more than once in their object.`)
  return walk.inexact ? { value: clean(parse(text, true), walk), rounded } : { value: rounded, rounded }
}
