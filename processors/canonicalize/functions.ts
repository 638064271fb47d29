/** The functions a map may call, `x | name(args)` or `name(x, args)`: one table for compiler, lint and docs/reference/maps.md. */
import { gtinOfIsbn10 } from '../domain/gtin.ts'
import { amountIn, currencyIn, numberStyleOf } from '../domain/money.ts'
import { clip, htmlToText, normaliseText } from '../domain/text.ts'
import { isZone, parseTime, type TimeUnit, timeOfNumber } from '../domain/time.ts'
import { isUnit } from '../domain/units.ts'
import { problemAt } from './expression.ts'
import {
  charge,
  type Env,
  type Eval,
  element_work,
  isEqual,
  isMissing,
  isTrue,
  listOf,
  numberOf,
  refuse,
  rememberLast,
  rewrote,
  single,
  text_work,
  textOf,
  type Value,
} from './values.ts'

/** On what a function made: no payload can hold a symbol, whatever it calls its fields. */
const made: unique symbol = Symbol('made by a function')

/** A measure with its unit, to be converted by the field that takes it. */
export type Measure = { readonly [made]: 'measure'; readonly measure: number; readonly unit: string }
/** An instant, so that no bare number is ever taken for a time. */
export type Instant = { readonly [made]: 'instant'; readonly epoch_ms: number }
/** An amount that is in minor units already. */
export type MinorUnits = { readonly [made]: 'minor'; readonly minor_units: number }

export const instant = (epoch_ms: number): Instant => ({ [made]: 'instant', epoch_ms })

const madeAs = (value: Value): string | undefined =>
  typeof value === 'object' && value !== null ? (value as Partial<Instant | Measure | MinorUnits>)[made] : undefined
export const isMeasure = (value: Value): value is Measure => madeAs(value) === 'measure'
export const isInstant = (value: Value): value is Instant => madeAs(value) === 'instant'
export const isMinorUnits = (value: Value): value is MinorUnits => madeAs(value) === 'minor'

export type Table = { readonly name: string; readonly entries: ReadonlyMap<string, Value>; readonly fallback: Value }

/** An argument: how to evaluate it, and its value when it is written out in the map. */
export type Argument = { readonly eval: Eval; readonly literal: Value; readonly at: number }

export type MakeContext = {
  /** Faults with a problem at the argument when the map has no such table. */
  readonly table: (argument: Argument) => Table
}

export type MapFunction = {
  /** As in the manual: `split(text, separator)`. */
  readonly signature: string
  readonly does: string
  /** Least and most arguments, the piped one included. */
  readonly takes: readonly [number, number]
  readonly make: (args: readonly Argument[], context: MakeContext) => Eval
}

const literalText = (argument: Argument | undefined, what: string): string => {
  if (typeof argument?.literal !== 'string') throw problemAt(argument?.at ?? 0, `${what} must be written out in quotes`)
  return argument.literal
}

/** A function of one text; of a list it works on each element. */
const ofText =
  (map: (text: string, env: Env) => Value): MapFunction['make'] =>
  ([x]) =>
  (env) => {
    const value = x!.eval(env)
    if (!Array.isArray(value)) {
      const text = textOf(value)
      if (text === undefined) return undefined
      charge(env, text.length * text_work)
      return map(text, env)
    }
    return listOf(value).flatMap((one) => {
      const text = textOf(one) ?? ''
      charge(env, text.length * text_work + element_work)
      return listOf(map(text, env))
    })
  }

const ofNumbers =
  (map: (...numbers: readonly number[]) => number): MapFunction['make'] =>
  (args) =>
  (env) => {
    const numbers: number[] = []
    for (const argument of args) {
      const number = numberOf(argument.eval(env))
      if (number === undefined) return undefined
      numbers.push(number)
    }
    const result = map(...numbers)
    if (!Number.isFinite(result)) throw refuse('number.range', 'a calculation gives no finite number')
    return result
  }

const units_of_time: ReadonlySet<string> = new Set(['s', 'ms', 'us', 'ns'])

/** An instant of a value that is one already, or a text that names its zone. */
const instantIn = (value: Value): number | undefined => {
  const one = single(value)
  if (isMissing(one)) return undefined
  if (isInstant(one)) return one.epoch_ms
  if (typeof one === 'string') {
    const time = parseTime(one.trim(), null)
    if (time !== undefined) return time
  }
  throw refuse(
    'time.invalid',
    `a time with its zone is wanted; found ${typeof one === 'string' ? 'other text' : 'a bare number'}`,
  )
}

const readTime = (value: Value, how: string): Instant | undefined => {
  const one = single(value)
  if (isMissing(one)) return undefined
  if (isInstant(one)) return one
  if (units_of_time.has(how)) {
    const unit = how as TimeUnit
    if (typeof one === 'bigint') return instant(timeOfNumber(one, unit))
    const number = numberOf(one)
    return number === undefined ? undefined : instant(timeOfNumber(number, unit))
  }
  if (typeof one !== 'string')
    throw refuse('time.invalid', "a bare number is no local time; name its unit: time('s'), time('ms')")
  const time = parseTime(one.trim(), how)
  if (time === undefined) throw refuse('time.invalid', 'the text is no time that exists in its zone')
  return instant(time)
}

const cln = (text: string): string => text.replaceAll('#cln#', ':').replaceAll('#scln#', ';')

const taobaoProps = (text: string): readonly (readonly [pid: string, name: string, value: string])[] =>
  text.split(';').flatMap((entry) => {
    const [pid, , name, ...rest] = entry.split(':')
    return pid === undefined || name === undefined || rest.length === 0 ? [] : [[pid, cln(name), cln(rest.join(':'))] as const]
  })

const entriesOf = (value: Value): readonly (readonly [string, Value])[] => {
  const one = Array.isArray(value) ? undefined : value
  return typeof one === 'object' && one !== null ? Object.entries(one) : []
}

const emptyObject = (): Record<string, Value> => Object.create(null) as Record<string, Value>

const addPair = (into: Record<string, Value>, name: Value, value: Value): void => {
  const key = textOf(name)
  if (key === undefined || isMissing(value)) return
  const text = listOf(value)
    .map((one) => textOf(one) ?? '')
    .filter((one) => one !== '')
    .join(', ')
  if (text !== '') into[key] = into[key] === undefined ? text : `${String(into[key])}, ${text}`
}

const fieldOf = (element: Value, name: string): Value =>
  typeof element === 'object' && element !== null && !Array.isArray(element)
    ? (element as Record<string, Value>)[name]
    : undefined

export const functions: Readonly<Record<string, MapFunction>> = {
  // Text
  text: {
    signature: 'text(x)',
    does: 'entities resolved, NFC, invisible characters gone, white space single. Text fields do this by themselves.',
    takes: [1, 1],
    make: ofText((text) => normaliseText(text)),
  },
  html: {
    signature: 'html(x)',
    does: 'what a reader sees of an HTML fragment: tags, scripts and comments gone, blocks as lines.',
    takes: [1, 1],
    make: (args, context) => {
      const shown = rememberLast(htmlToText)
      return ofText((text, env) => {
        const seen = shown(text, env)
        if (seen !== text) rewrote(env, env.field, text, seen, 'html')
        return seen
      })(args, context)
    },
  },
  lower: { signature: 'lower(x)', does: 'in lower case.', takes: [1, 1], make: ofText((text) => text.toLowerCase()) },
  upper: { signature: 'upper(x)', does: 'in upper case.', takes: [1, 1], make: ofText((text) => text.toUpperCase()) },
  before: {
    signature: "before(x, 'sign')",
    does: 'what stands before the first `sign`; all of it when there is none.',
    takes: [2, 2],
    make: (args, context) => {
      const sign = literalText(args[1], 'the sign')
      return ofText((text) => (text.includes(sign) ? text.slice(0, text.indexOf(sign)) : text))(args, context)
    },
  },
  after: {
    signature: "after(x, 'sign')",
    does: 'what stands after the last `sign`; all of it when there is none.',
    takes: [2, 2],
    make: (args, context) => {
      const sign = literalText(args[1], 'the sign')
      return ofText((text) => text.slice(text.lastIndexOf(sign) + (text.includes(sign) ? sign.length : 1)))(args, context)
    },
  },
  split: {
    signature: "split(x, 'sign')",
    does: 'the parts between signs, trimmed, empty ones left out.',
    takes: [2, 2],
    make: (args, context) => {
      const sign = literalText(args[1], 'the sign')
      if (sign === '') throw problemAt(args[1]!.at, 'the sign to split at must not be empty')
      return ofText((text) =>
        text
          .split(sign)
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      )(args, context)
    },
  },
  join: {
    signature: "join(list, 'sign')",
    does: 'the present elements with the sign between.',
    takes: [2, 2],
    make: (args) => {
      const sign = literalText(args[1], 'the sign')
      const list = args[0]!.eval
      return (env) => {
        const parts = listOf(list(env)).map((one) => textOf(one) ?? '')
        return parts.length === 0 ? undefined : parts.join(sign)
      }
    },
  },
  words: {
    signature: 'words(a, b, …)',
    does: 'the present ones with a blank between.',
    takes: [1, 20],
    make: (args) => (env) => {
      const parts = args.map((argument) => textOf(argument.eval(env))).filter((part) => part !== undefined)
      return parts.length === 0 ? undefined : parts.join(' ')
    },
  },
  format: {
    signature: "format('{}:{}', a, b, …)",
    does: 'the template with each `{}` filled in order; missing when any part is missing.',
    takes: [2, 20],
    make: (args) => {
      const pieces = literalText(args[0], 'the template').split('{}')
      if (pieces.length !== args.length)
        throw problemAt(args[0]!.at, `the template has ${pieces.length - 1} \`{}\` for ${args.length - 1} values`)
      const parts = args.slice(1).map((argument) => argument.eval)
      return (env) => {
        let text = pieces[0]!
        for (let i = 0; i < parts.length; i++) {
          const part = textOf(parts[i]!(env))
          if (part === undefined) return undefined
          text += part + pieces[i + 1]!
        }
        return text
      }
    },
  },
  except: {
    signature: 'except(x, a, b, …)',
    does: 'missing when it equals one of them: `customer_id | except(0)`.',
    takes: [2, 20],
    make:
      ([x, ...others]) =>
      (env) => {
        const value = single(x!.eval(env))
        for (const other of others) if (isEqual(value, other.eval(env))) return undefined
        return value
      },
  },
  starts: {
    signature: "starts(x, 'prefix')",
    does: 'whether the text begins so.',
    takes: [2, 2],
    make: (args) => {
      const prefix = literalText(args[1], 'the prefix')
      const x = args[0]!.eval
      return (env) => textOf(x(env))?.startsWith(prefix) ?? false
    },
  },
  contains: {
    signature: 'contains(x, part)',
    does: 'whether a list holds the value, or a text the part.',
    takes: [2, 2],
    make:
      ([x, part]) =>
      (env) => {
        const value = x!.eval(env)
        const wanted = part!.eval(env)
        if (Array.isArray(value)) return value.some((one) => isEqual(one, wanted))
        return textOf(value)?.includes(textOf(wanted) ?? '\u0000') ?? false
      },
  },

  // Choice
  if: {
    signature: 'if(condition, a, b)',
    does: '`a` when the condition holds, else `b` (missing when left out).',
    takes: [2, 3],
    make:
      ([test, yes, no]) =>
      (env) =>
        isTrue(test!.eval(env)) ? yes!.eval(env) : no?.eval(env),
  },
  present: {
    signature: 'present(x)',
    does: 'whether there is a value: not null, not empty.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) =>
        !isMissing(single(x!.eval(env))),
  },
  missing: {
    signature: 'missing(x)',
    does: 'the contrary of `present`.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) =>
        isMissing(single(x!.eval(env))),
  },
  table: {
    signature: "table(x, 'name')",
    does: 'the value beside it in the map’s table; `*` is for all others. Without `*` an unknown value is `semantics.enum`.',
    takes: [2, 2],
    make: ([x, name], context) => {
      const table = context.table(name!)
      return (env) => {
        const key = textOf(x!.eval(env))
        if (key === undefined) return undefined
        const value = table.entries.get(key)
        if (value !== undefined) return value
        if (table.fallback === undefined) throw refuse('semantics.enum', `the value is not in the table \`${table.name}\``)
        return table.fallback
      }
    },
  },
  known: {
    signature: "known(x, 'name')",
    does: 'whether the table names the value.',
    takes: [2, 2],
    make: ([x, name], context) => {
      const table = context.table(name!)
      return (env) => table.entries.has(textOf(x!.eval(env)) ?? '')
    },
  },

  // Lists and objects
  list: {
    signature: 'list(a, b, …)',
    does: 'one list of what is present, lists inside opened.',
    takes: [1, 20],
    make: (args) => (env) => args.flatMap((argument) => listOf(argument.eval(env))),
  },
  first: {
    signature: 'first(list)',
    does: 'the first present element. Fields of one value do this by themselves.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) =>
        listOf(x!.eval(env))[0],
  },
  last: {
    signature: 'last(list)',
    does: 'the last present element.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) =>
        listOf(x!.eval(env)).at(-1),
  },
  count: {
    signature: 'count(list)',
    does: 'how many present elements.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) =>
        listOf(x!.eval(env)).length,
  },
  sum: {
    signature: 'sum(list)',
    does: 'their sum; missing when there is none.',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) => {
        const list = listOf(x!.eval(env))
        return list.length === 0 ? undefined : list.reduce<number>((sum, one) => sum + (numberOf(one) ?? 0), 0)
      },
  },
  pairs: {
    signature: "pairs(list, 'name', 'value')",
    does: 'an object of a list of objects: the name field gives the key, the value field the value. Several values are joined by a comma.',
    takes: [3, 3],
    make: (args) => {
      const name = literalText(args[1], 'the field of the name')
      const value = literalText(args[2], 'the field of the value')
      const list = args[0]!.eval
      return (env) => {
        const object = emptyObject()
        for (const element of listOf(list(env))) addPair(object, fieldOf(element, name), fieldOf(element, value))
        return object
      }
    },
  },
  zip: {
    signature: 'zip(names, values)',
    does: 'an object of two lists, by position.',
    takes: [2, 2],
    make:
      ([names, values]) =>
      (env) => {
        const object = emptyObject()
        const keys = names!.eval(env)
        const those = values!.eval(env)
        if (Array.isArray(keys) && Array.isArray(those)) for (let i = 0; i < keys.length; i++) addPair(object, keys[i], those[i])
        return object
      },
  },
  row: {
    signature: 'row(a, b, …)',
    does: 'a list that keeps the place of what is missing, for `zip`.',
    takes: [1, 20],
    make: (args) => (env) => args.map((argument) => single(argument.eval(env)) ?? null),
  },
  pick: {
    signature: "pick(object, 'name', …)",
    does: 'the value of the first of these keys, whatever its case.',
    takes: [2, 20],
    make: (args) => {
      const wanted = args.slice(1).map((argument) => literalText(argument, 'the key').toLowerCase())
      const object = args[0]!.eval
      return (env) => {
        const entries = entriesOf(object(env))
        for (const key of wanted) {
          const found = entries.find(([name, value]) => !isMissing(value) && name.trim().toLowerCase() === key)
          if (found !== undefined) return found[1]
        }
        return undefined
      }
    },
  },
  in_language: {
    signature: "in_language(list, 'tag', language)",
    does: 'of objects in several languages the one whose tag field fits: the same tag, else the same language, else the first.',
    takes: [3, 3],
    make: (args) => {
      const tag = literalText(args[1], 'the field of the language tag')
      const list = args[0]!.eval
      const language = args[2]!.eval
      return (env) => {
        const elements = listOf(list(env))
        const wanted = (textOf(language(env)) ?? '').replaceAll('_', '-').toLowerCase()
        const tags = elements.map((element) =>
          String(fieldOf(element, tag) ?? '')
            .replaceAll('_', '-')
            .toLowerCase(),
        )
        const exact = tags.indexOf(wanted)
        const same = exact >= 0 ? exact : tags.findIndex((one) => one.split('-')[0] === wanted.split('-')[0])
        return elements[Math.max(0, same)]
      }
    },
  },
  taobao_props: {
    signature: 'taobao_props(x)',
    does: 'an object of `pid:vid:name:value;…`, with `#cln#` and `#scln#` resolved.',
    takes: [1, 1],
    make: ofText((text) => {
      const object = emptyObject()
      for (const [, name, value] of taobaoProps(text)) addPair(object, name, value)
      return object
    }),
  },
  taobao_prop: {
    signature: "taobao_prop(x, 'pid')",
    does: 'the value of one property id in `pid:vid:name:value;…`.',
    takes: [2, 2],
    make: (args, context) => {
      const pid = literalText(args[1], 'the property id')
      return ofText((text) => taobaoProps(text).find(([id]) => id === pid)?.[2])(args, context)
    },
  },

  // Numbers and money
  number: {
    signature: 'number(x)',
    does: 'a plain decimal as number.',
    takes: [1, 1],
    make: ofNumbers((x) => x),
  },
  add: { signature: 'add(a, b, …)', does: 'the sum.', takes: [2, 20], make: ofNumbers((...all) => all.reduce((a, b) => a + b)) },
  subtract: { signature: 'subtract(a, b)', does: 'the difference.', takes: [2, 2], make: ofNumbers((a, b) => a! - b!) },
  multiply: { signature: 'multiply(a, b)', does: 'the product.', takes: [2, 2], make: ofNumbers((a, b) => a! * b!) },
  divide: { signature: 'divide(a, b)', does: 'the quotient.', takes: [2, 2], make: ofNumbers((a, b) => a! / b!) },
  scale: {
    signature: 'scale(x, low, high)',
    does: 'the number on a scale of 0 to 1: `rating | scale(0, 5)`.',
    takes: [3, 3],
    make: ofNumbers((x, low, high) => (x! - low!) / (high! - low!)),
  },
  minor: {
    signature: 'minor(x)',
    does: 'an amount that is in minor units already (cents).',
    takes: [1, 1],
    make:
      ([x]) =>
      (env) => {
        const number = numberOf(x!.eval(env))
        return number === undefined ? undefined : ({ [made]: 'minor', minor_units: number } satisfies MinorUnits)
      },
  },
  amount: {
    signature: "amount(x, '1,234.56')",
    does: 'the one amount in a text such as `USD, $1,295.95`, in the number style of the sample; missing without a digit. The style is declared, never guessed: other text is `semantics.price`.',
    takes: [2, 2],
    make: (args, context) => {
      const style = numberStyleOf(literalText(args[1], 'the sample of the number style'))
      if (style === undefined)
        throw problemAt(args[1]!.at, "the sample must be 1,234.56, 1.234,56, 1 234,56, 1'234.56 or 1234.56")
      return ofText((text) => {
        const amount = amountIn(text, style)
        if (amount === null) throw refuse('semantics.price', 'the text holds no single amount in the declared style')
        return amount
      })(args, context)
    },
  },
  currency_in: {
    signature: 'currency_in(x)',
    does: 'the one currency a text names by ISO code or by a sign that only one currency has (€, not $); else missing.',
    takes: [1, 1],
    make: ofText((text) => currencyIn(text) ?? undefined),
  },

  // Measures, times, codes
  unit: {
    signature: "unit(x, 'kg')",
    does: 'a measure in a unit; fields such as weight_g, length_mm and volume_ml convert it. An unknown unit is `map.type`.',
    takes: [2, 2],
    make: ([x, unit]) => {
      if (typeof unit!.literal === 'string' && !isUnit(unit!.literal))
        throw problemAt(unit!.at, `\`${unit!.literal}\` is no unit that is known here`)
      return (env) => {
        const measure = numberOf(x!.eval(env))
        const name = textOf(unit!.eval(env))
        return measure === undefined || name === undefined
          ? undefined
          : ({ [made]: 'measure', measure, unit: name } satisfies Measure)
      }
    },
  },
  time: {
    signature: "time(x, 's')",
    does: 'a time from a number in `s`, `ms`, `us` or `ns`, or from a text in a zone: an offset, an IANA name or `shop.time_zone`. Text that names its own zone needs no function.',
    takes: [2, 2],
    make: ([x, how]) => {
      const literal = how!.literal
      if (typeof literal === 'string' && !units_of_time.has(literal) && !isZone(literal))
        throw problemAt(how!.at, `\`${literal}\` is neither a unit (s, ms, us, ns) nor a zone`)
      return (env) => {
        const value = x!.eval(env)
        if (isMissing(single(value))) return undefined
        const unit = textOf(how!.eval(env))
        if (unit === undefined) throw refuse('time.invalid', 'the time has no zone; set time_zone for the shop')
        return readTime(value, unit)
      }
    },
  },
  clock_fix: {
    signature: 'clock_fix(original, sent, received)',
    does: 'received − (sent − original): the event’s time on our clock, however wrong the client’s is (Segment).',
    takes: [3, 3],
    make:
      ([original, sent, received]) =>
      (env) => {
        const at = instantIn(original!.eval(env))
        const left = instantIn(sent!.eval(env))
        const came = instantIn(received!.eval(env))
        if (at === undefined || left === undefined || came === undefined) return undefined
        const fixed = came - (left - at)
        if (Math.abs(fixed - at) >= 1_000) rewrote(env, env.field, String(at), String(fixed), 'clock_skew')
        return instant(fixed)
      },
  },
  gid: {
    signature: 'gid(x)',
    does: 'the id at the end of `gid://shopify/Product/788032119674292922`.',
    takes: [1, 1],
    make: ofText((text) => text.slice(text.lastIndexOf('/') + 1).split('?')[0]),
  },
  isbn: {
    signature: 'isbn(x)',
    does: 'an ISBN-10 as GTIN-13; anything else as it stands.',
    takes: [1, 1],
    make: ofText((text, env) => {
      const gtin = gtinOfIsbn10(text)
      if (gtin !== undefined) rewrote(env, env.field, text, gtin, 'isbn10')
      return gtin ?? text
    }),
  },
  hash: {
    signature: 'hash(a, b, …)',
    does: 'a keyed digest of them, for an event id where the platform gives none; may hold user ids. Missing when all are.',
    takes: [1, 20],
    make: (args) => (env) => {
      const parts = args.map((argument) => {
        const value = single(argument.eval(env))
        return isInstant(value) ? String(value.epoch_ms) : (textOf(value) ?? '')
      })
      return parts.every((part) => part === '') ? undefined : env.run.keyed(...parts)
    },
  },
  short: {
    signature: 'short(x, 100)',
    does: 'at most so many characters.',
    takes: [2, 2],
    make: (args, context) => {
      const max = args[1]!.literal
      if (typeof max !== 'number' || max < 1) throw problemAt(args[1]!.at, 'the length must be written out as a number')
      return ofText((text) => clip(text, max))(args, context)
    },
  },
}
