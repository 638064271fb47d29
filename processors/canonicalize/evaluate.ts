/** Compiles expressions to closures, once per map; nothing is interpreted per record and no code is generated from text. */
import type { Comparison, Expression, Step } from './expression.ts'
import { problemAt } from './expression.ts'
import { type Argument, functions, instant, type MakeContext } from './functions.ts'
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
  single,
  typeName,
  unset,
  type Value,
} from './values.ts'

/** A named value, computed when first read and kept in its slot. A let sees only those before it, so none can read itself. */
export type Let = { readonly slot: number; readonly eval: Eval }

/** The names an expression may use, beside the fields of the current element. */
export type Names = {
  /** Elements of `each`, by slot. */
  readonly scopes: ReadonlyMap<string, number>
  readonly lets: ReadonlyMap<string, Let>
  readonly shop: ReadonlySet<string>
  readonly has_change: boolean
}

export type EvaluateContext = MakeContext & {
  readonly names: Names
  /** ` Did you mean …?` or nothing. */
  readonly suggest: (word: string, among: Iterable<string>) => string
}

/** Roots that are not fields. */
export const reserved_roots = ['record', 'this', 'shop', 'header', 'log', 'change'] as const
const log_fields: ReadonlySet<string> = new Set(['topic', 'partition', 'offset', 'time', 'key'])
export const change_fields: ReadonlySet<string> = new Set(['type', 'quantity', 'line', 'id'])

const fieldOf = (value: Value, name: string): Value => {
  if (value === null || value === undefined) return undefined
  if (typeof value !== 'object' || ArrayBuffer.isView(value))
    throw refuse('map.type', `an object with \`${name}\` is wanted; found ${typeName(value)}`)
  if (Array.isArray(value)) throw refuse('map.type', `\`${name}\` is asked of a list; write [] or [0] before it`)
  return (value as Record<string, Value>)[name]
}

type Walk = (value: Value, env: Env) => Value

const compileSteps = (steps: readonly Step[], from: number, context: EvaluateContext): Walk | null => {
  const step = steps[from]
  if (step === undefined) return null
  if (step.step === 'field') {
    const { name } = step
    const next = steps[from + 1]
    if (next?.step === 'field') {
      const second = next.name
      const rest = compileSteps(steps, from + 2, context)
      return rest === null
        ? (value) => fieldOf(fieldOf(value, name), second)
        : (value, env) => rest(fieldOf(fieldOf(value, name), second), env)
    }
    const rest = compileSteps(steps, from + 1, context)
    return rest === null ? (value) => fieldOf(value, name) : (value, env) => rest(fieldOf(value, name), env)
  }
  const after = steps[from + 1]
  if ((step.step === 'all' || step.step === 'where') && after?.step === 'index') {
    // `list[condition][0]` is the first of those that fit, not the first of each.
    const list = compileSteps([step], 0, context)!
    const { index } = after
    const rest = compileSteps(steps, from + 2, context)
    return (value, env) => {
      const one = (list(value, env) as readonly Value[]).at(index)
      return rest === null ? one : rest(one, env)
    }
  }
  const rest = compileSteps(steps, from + 1, context)
  if (step.step === 'index') {
    const { index } = step
    return (value, env) => {
      const one = Array.isArray(value) ? value.at(index) : index === 0 || index === -1 ? value : undefined
      return rest === null ? one : rest(one, env)
    }
  }
  const each = (elements: readonly Value[], env: Env): Value => {
    if (rest === null) return elements
    const out: Value[] = []
    for (const element of elements) {
      const value = rest(element, env)
      if (Array.isArray(value)) out.push(...value)
      else if (!isMissing(value)) out.push(value)
    }
    return out
  }
  const elementsOf = (value: Value, env: Env): readonly Value[] => {
    const elements = listOf(value)
    charge(env, elements.length * element_work)
    return elements
  }
  if (step.step === 'all') return (value, env) => each(elementsOf(value, env), env)
  const test = compileExpression(step.test, context)
  return (value, env) => {
    const before = env.current
    const kept: Value[] = []
    for (const element of elementsOf(value, env)) {
      env.current = element
      if (isTrue(test(env))) kept.push(element)
    }
    env.current = before
    return each(kept, env)
  }
}

const compilePath = (path: Extract<Expression, { kind: 'path' }>, context: EvaluateContext): Eval => {
  const { root, steps, at } = path
  const { names } = context
  const second = steps[0]?.step === 'field' ? steps[0] : undefined
  const oneOf = (allowed: ReadonlySet<string>, of: string): string => {
    if (second === undefined || steps.length !== 1)
      throw problemAt(at, `write \`${of}.<name>\`: ${[...allowed].sort().join(', ')}`)
    if (!allowed.has(second.name))
      throw problemAt(second.at, `\`${of}\` has no \`${second.name}\`.${context.suggest(second.name, allowed)}`)
    return second.name
  }
  switch (root) {
    case 'record': {
      const walk = compileSteps(steps, 0, context)
      return walk === null ? (env) => env.record : (env) => walk(env.record, env)
    }
    case 'this': {
      const walk = compileSteps(steps, 0, context)
      return walk === null ? (env) => env.current : (env) => walk(env.current, env)
    }
    case 'shop': {
      const name = oneOf(names.shop, 'shop')
      if (name === 'merchant_id') return (env) => env.shop.merchant_id
      return (env) => env.shop.values[name]
    }
    case 'header': {
      if (second === undefined || steps.length !== 1) throw problemAt(at, "write `header['name']`")
      const name = second.name.toLowerCase()
      return (env) => {
        for (const [key, value] of env.headers)
          if (key.length === name.length && key.toLowerCase() === name) return value.toString('utf8')
        return undefined
      }
    }
    case 'log': {
      const name = oneOf(log_fields, 'log')
      if (name === 'time') return (env) => instant(env.log.time)
      return (env) => env.log[name as 'topic' | 'partition' | 'offset' | 'key']
    }
    case 'change': {
      if (!names.has_change) break
      const name = oneOf(change_fields, 'change')
      return (env) => (env.change as Record<string, Value> | null)?.[name]
    }
    default:
  }
  const slot = names.scopes.get(root)
  const walk = compileSteps(steps, 0, context)
  if (slot !== undefined) return walk === null ? (env) => env.scopes[slot] : (env) => walk(env.scopes[slot], env)
  const named = names.lets.get(root)
  if (named !== undefined) {
    const read: Eval = (env) => {
      const value = env.lets[named.slot]
      if (value !== unset) return value
      const computed = named.eval(env)
      env.lets[named.slot] = computed
      return computed
    }
    return walk === null ? read : (env) => walk(read(env), env)
  }
  return walk === null ? (env) => fieldOf(env.current, root) : (env) => walk(fieldOf(env.current, root), env)
}

const comparisons: Readonly<Record<Exclude<Comparison, '==' | '!='>, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}

const compileCall = (call: Extract<Expression, { kind: 'call' }>, context: EvaluateContext): Eval => {
  const { name, args, at } = call
  const known = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (known === undefined)
    throw problemAt(at, `there is no function \`${name}\`.${context.suggest(name, Object.keys(functions))}`)
  const [least, most] = known.takes
  if (args.length < least || args.length > most) {
    const wants = least === most ? String(least) : `${least} to ${most}`
    throw problemAt(at, `\`${known.signature}\` takes ${wants} values, counting what is piped in; found ${args.length}`)
  }
  const made: Argument[] = args.map((argument) => ({
    eval: compileExpression(argument, context),
    literal: argument.kind === 'literal' ? argument.value : undefined,
    at: argument.at,
  }))
  return known.make(made, context)
}

/** The closure of an expression. Throws `map.invalid` with the offset in detail `at` for an unknown name or a wrong argument. */
export const compileExpression = (expression: Expression, context: EvaluateContext): Eval => {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'path':
      return compilePath(expression, context)
    case 'call':
      return compileCall(expression, context)
    case 'first': {
      const options = expression.of.map((one) => compileExpression(one, context))
      return (env) => {
        for (const option of options) {
          const value = option(env)
          if (!isMissing(single(value))) return value
        }
        return undefined
      }
    }
    case 'and': {
      const left = compileExpression(expression.left, context)
      const right = compileExpression(expression.right, context)
      return (env) => isTrue(left(env)) && isTrue(right(env))
    }
    case 'or': {
      const left = compileExpression(expression.left, context)
      const right = compileExpression(expression.right, context)
      return (env) => isTrue(left(env)) || isTrue(right(env))
    }
    case 'not': {
      const of = compileExpression(expression.of, context)
      return (env) => !isTrue(of(env))
    }
    case 'compare': {
      const left = compileExpression(expression.left, context)
      const right = compileExpression(expression.right, context)
      const { op } = expression
      if (op === '==') return (env) => isEqual(left(env), right(env))
      if (op === '!=') return (env) => !isEqual(left(env), right(env))
      const holds = comparisons[op]
      return (env) => {
        const a = numberOf(left(env))
        const b = numberOf(right(env))
        return a !== undefined && b !== undefined && holds(a, b)
      }
    }
    case 'in': {
      const of = compileExpression(expression.of, context)
      const list = expression.list.map((one) => compileExpression(one, context))
      return (env) => {
        const value = of(env)
        return list.some((one) => isEqual(value, one(env)))
      }
    }
    default:
      return expression satisfies never
  }
}
