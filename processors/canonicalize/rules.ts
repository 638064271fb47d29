/** Rules as compiled: readers of canonical fields, each an expression and the type of its field. */
import { Fault } from '../domain/fault.ts'
import { type Env, type Eval, rewrote, type Value } from './values.ts'

/** A field's rule. `lenient` (written `field?:`) leaves out what cannot be read instead of refusing the record. */
export type Rule = {
  readonly eval: Eval
  readonly lenient: boolean
  /** As written in the map, for `explain-map`. */
  readonly text: string
}
export type Rules = ReadonlyMap<string, Rule>

/** Mutable while it is made; nobody else sees it. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] }

const quoted = (value: Value): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')

/**
 * The reader of a field. Without a rule it gives `otherwise`. What a lenient rule cannot read becomes `otherwise`, with a rewrite
 * that names the code; `quote` allows the value itself in that rewrite.
 */
export const reader = <T>(
  rules: Rules,
  field: string,
  finish: (value: Value, env: Env) => T,
  otherwise: T,
  quote = true,
): ((env: Env) => T) => {
  const rule = rules.get(field)
  if (rule === undefined) return () => otherwise
  const evaluate = rule.eval
  if (!rule.lenient)
    return (env) => {
      env.field = field
      return finish(evaluate(env), env)
    }
  return (env) => {
    env.field = field
    let value: Value
    try {
      value = evaluate(env)
      return finish(value, env)
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== 'malformed') throw error
      rewrote(env, field, quote ? quoted(value) : '', '', error.code)
      return otherwise
    }
  }
}
