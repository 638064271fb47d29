/** From argv to typed values: what a command takes is data, and whatever it does not take is refused with the nearest name. */
import { nearest } from '../config/nearest.ts'

/** A switch is on or off; a text or integer takes one value, the last one given; texts may be repeated. */
export type Flag = {
  readonly type: 'switch' | 'text' | 'integer' | 'texts'
  readonly doc: string
  /** One letter. */
  readonly short?: string
  /** What the value is called in the help, e.g. `PATH`. */
  readonly value?: string
  /** The values it takes, where they are a closed list. */
  readonly allowed?: readonly string[]
  /** Inclusive, of integers. */
  readonly min?: number
}
/** By long name without the dashes, e.g. `dry-run`. */
export type Flags = Readonly<Record<string, Flag>>

/** `optional` may be left out; `rest` takes all that is left, at least one unless it is optional too. */
export type Argument = { readonly name: string; readonly doc: string; readonly optional?: boolean; readonly rest?: boolean }

type FlagValue<F extends Flag> = F['type'] extends 'switch'
  ? boolean
  : F['type'] extends 'texts'
    ? readonly string[]
    : F['type'] extends 'integer'
      ? number | undefined
      : string | undefined
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: FlagValue<F[K]> }
export type ArgumentValues<A extends readonly Argument[]> = {
  readonly [One in A[number] as One['name']]: One extends { readonly rest: true }
    ? readonly string[]
    : One extends { readonly optional: true }
      ? string | undefined
      : string
}

type Value = boolean | number | string | readonly string[] | undefined
export type Parsed = { readonly flags: Readonly<Record<string, Value>>; readonly words: readonly string[] }
/** What is wrong with the arguments, as a sentence for the user. */
export type Misuse = { readonly misuse: string }

const readValue = (name: string, flag: Flag, text: string): Value | Misuse => {
  if (flag.allowed !== undefined && !flag.allowed.includes(text)) {
    const meant = nearest(text, flag.allowed)
    return {
      misuse: `--${name} takes ${flag.allowed.join(', ')}, not ${text}${meant === undefined ? '' : `; did you mean ${meant}?`}.`,
    }
  }
  if (flag.type !== 'integer') return text
  const number = Number(text)
  if (!/^[+-]?\d+$/u.test(text) || !Number.isSafeInteger(number) || number < (flag.min ?? Number.MIN_SAFE_INTEGER))
    return { misuse: `--${name} takes a whole number${flag.min === undefined ? '' : ` of at least ${flag.min}`}, not ${text}.` }
  return number
}

const isMisuse = (value: unknown): value is Misuse => typeof value === 'object' && value !== null && 'misuse' in value

/**
 * Splits argv into flags and words. `--name value`, `--name=value`, `--no-name` for switches, `-n value`, `-nvalue`, joined short
 * switches, and `--` after which all are words. Flags may stand anywhere.
 */
export const parseArguments = (argv: readonly string[], flags: Flags): Parsed | Misuse => {
  const values: Record<string, Value> = {}
  for (const [name, flag] of Object.entries(flags))
    values[name] = flag.type === 'switch' ? false : flag.type === 'texts' ? [] : undefined
  const by_short = new Map(
    Object.entries(flags).flatMap(([name, flag]) => (flag.short === undefined ? [] : [[flag.short, name] as const])),
  )
  const words: string[] = []
  const queue = [...argv]

  const take = (name: string, inline: string | undefined): Misuse | undefined => {
    const flag = flags[name]!
    if (flag.type === 'switch') {
      if (inline !== undefined) return { misuse: `--${name} takes no value.` }
      values[name] = true
      return undefined
    }
    const text = inline ?? queue.shift()
    if (text === undefined || (inline === undefined && text.startsWith('-') && text !== '-' && !/^-\d/u.test(text)))
      return { misuse: `--${name} takes a value: --${name} ${flag.value ?? 'VALUE'}.` }
    const value = readValue(name, flag, text)
    if (isMisuse(value)) return value
    values[name] = flag.type === 'texts' ? [...(values[name] as readonly string[]), value as string] : value
    return undefined
  }

  const takeLong = (word: string): Misuse | undefined => {
    const at = word.indexOf('=')
    const name = at < 0 ? word.slice(2) : word.slice(2, at)
    const inline = at < 0 ? undefined : word.slice(at + 1)
    if (Object.hasOwn(flags, name)) return take(name, inline)
    const positive = name.startsWith('no-') ? name.slice(3) : ''
    if (inline === undefined && Object.hasOwn(flags, positive) && flags[positive]!.type === 'switch') {
      values[positive] = false
      return undefined
    }
    const meant = nearest(name, Object.keys(flags))
    return { misuse: `There is no flag --${name}${meant === undefined ? '' : `; did you mean --${meant}?`}` }
  }

  const takeShort = (word: string): Misuse | undefined => {
    for (let i = 1; i < word.length; i++) {
      const name = by_short.get(word[i]!)
      if (name === undefined) return { misuse: `There is no flag -${word[i]}.` }
      if (flags[name]!.type !== 'switch')
        return take(name, i + 1 < word.length ? word.slice(i + 1).replace(/^=/u, '') : undefined)
      values[name] = true
    }
    return undefined
  }

  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === '--') {
      words.push(...queue)
      break
    }
    if (!word.startsWith('-') || word === '-' || /^-\d/u.test(word)) words.push(word)
    else {
      const misuse = word.startsWith('--') ? takeLong(word) : takeShort(word)
      if (misuse !== undefined) return misuse
    }
  }
  return { flags: values, words }
}

/** Gives each word to the argument it stands for. */
export const nameArguments = (
  words: readonly string[],
  specs: readonly Argument[],
): Readonly<Record<string, string | readonly string[] | undefined>> | Misuse => {
  const named: Record<string, string | readonly string[] | undefined> = {}
  let at = 0
  for (const spec of specs) {
    const missing = at >= words.length
    if (missing && spec.optional !== true) return { misuse: `${spec.name} is missing: ${spec.doc}` }
    named[spec.name] = spec.rest === true ? words.slice(at) : words[at]
    at = spec.rest === true ? words.length : at + 1
  }
  return at < words.length ? { misuse: `Nothing takes ${words.slice(at).join(' ')}.` } : named
}

/** The name of the command that argv asks for, and argv without it; global flags may stand before the name. */
export const findCommand = (
  argv: readonly string[],
  names: readonly string[],
  globals: Flags,
): { readonly name: string | undefined; readonly words: readonly string[]; readonly rest: readonly string[] } => {
  const by_word = new Map<string, Flag>(
    Object.entries(globals).flatMap(([name, flag]) => [
      [`--${name}`, flag] as const,
      ...(flag.short === undefined ? [] : [[`-${flag.short}`, flag] as const]),
    ]),
  )
  const words: { readonly word: string; readonly at: number }[] = []
  // A command is at most two words.
  for (let i = 0; i < argv.length && words.length < 2 && argv[i] !== '--'; i++) {
    const word = argv[i]!
    const global = by_word.get(word.split('=')[0]!)
    if (!word.startsWith('-')) words.push({ word, at: i })
    else if (global === undefined) {
      // A command's own flag; the word after it may be its value.
      if (words.length > 0) break
    } else if (global.type !== 'switch' && !word.includes('=')) i++
  }
  for (let count = words.length; count > 0; count--) {
    const chosen = words.slice(0, count)
    const name = chosen.map(({ word }) => word).join(' ')
    if (names.includes(name)) {
      const places = new Set(chosen.map(({ at }) => at))
      return { name, words: [], rest: argv.filter((_, i) => !places.has(i)) }
    }
  }
  return { name: undefined, words: words.map(({ word }) => word), rest: argv }
}
