/** The expressions of a map: paths, fallbacks, conditions and functions, parsed once into a tree. docs/reference/maps.md is its manual. */
import { Fault } from '../domain/fault.ts'

export type Step =
  | { readonly step: 'field'; readonly name: string; readonly at: number }
  | { readonly step: 'index'; readonly index: number }
  | { readonly step: 'all' }
  | { readonly step: 'where'; readonly test: Expression }

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>='

/** `at` is the offset in the expression's text. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null; readonly at: number }
  | { readonly kind: 'path'; readonly root: string; readonly steps: readonly Step[]; readonly at: number; readonly text: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[]; readonly at: number }
  | { readonly kind: 'first'; readonly of: readonly Expression[]; readonly at: number }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression; readonly at: number }
  | { readonly kind: 'not'; readonly of: Expression; readonly at: number }
  | {
      readonly kind: 'compare'
      readonly op: Comparison
      readonly left: Expression
      readonly right: Expression
      readonly at: number
    }
  | { readonly kind: 'in'; readonly of: Expression; readonly list: readonly Expression[]; readonly at: number }

type Token = { readonly type: 'name' | 'number' | 'string' | 'sign' | 'end'; readonly text: string; readonly at: number }

const name_pattern = /[\p{L}_$][\p{L}\p{N}_$]*/uy
const number_pattern = /-?\d+(?:\.\d+)?/uy
const string_pattern = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/uy
const sign_pattern = /\?\?|==|!=|<=|>=|[<>|()[\].,]/uy

const unescaped = (text: string): string => text.replace(/\\(.)/gu, (_, c: string) => (c === 'n' ? '\n' : c === 't' ? '\t' : c))

/** A fault at an offset of the expression; the caller turns it into a finding at a place of the file. */
export const problemAt = (at: number, message: string): Fault => new Fault('map.invalid', message, { at })

const tokensOf = (text: string): readonly Token[] => {
  const tokens: Token[] = []
  let at = 0
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0]
  }
  while (at < text.length) {
    if (/\s/u.test(text[at]!)) {
      at++
      continue
    }
    const after_value =
      ['name', 'number', 'string'].includes(tokens.at(-1)?.type ?? '') || [')', ']'].includes(tokens.at(-1)?.text ?? '')
    let found: string | undefined
    let type: Token['type'] = 'end'
    for (const [kind, pattern] of [
      ['name', name_pattern],
      ['number', number_pattern],
      ['string', string_pattern],
      ['sign', sign_pattern],
    ] as const) {
      if (kind === 'number' && after_value && text[at] === '-') continue
      found = match(pattern)
      if (found !== undefined) {
        type = kind
        break
      }
    }
    if (found === undefined) {
      const c = text[at]!
      throw problemAt(at, c === "'" || c === '"' ? 'a quote is never closed' : `\`${c}\` has no meaning here`)
    }
    tokens.push({ type, text: type === 'string' ? unescaped(found.slice(1, -1)) : found, at })
    at += found.length
  }
  tokens.push({ type: 'end', text: 'the end', at: text.length })
  return tokens
}

const keywords: ReadonlySet<string> = new Set(['and', 'or', 'not', 'in', 'true', 'false', 'null'])
const depth_max = 40

/** Parses one expression. Throws `map.invalid` with the offset in detail `at`. */
export const parseExpression = (text: string): Expression => {
  const tokens = tokensOf(text)
  let next = 0
  let depth = 0
  const peek = (): Token => tokens[next]!
  const take = (): Token => tokens[next++]!
  const isSign = (sign: string): boolean => peek().type === 'sign' && peek().text === sign
  const isWord = (word: string): boolean => peek().type === 'name' && peek().text === word
  const skip = (sign: string): boolean => {
    if (!isSign(sign)) return false
    next++
    return true
  }
  const expect = (sign: string, where: string): void => {
    if (!skip(sign)) throw problemAt(peek().at, `\`${sign}\` is missing ${where}; found ${shown(peek())}`)
  }
  const shown = (token: Token): string => (token.type === 'end' ? 'the end' : `\`${token.text}\``)

  const expression = (): Expression => {
    if (++depth > depth_max) throw problemAt(peek().at, 'the expression nests too deeply')
    let value = either()
    while (skip('|')) {
      const name = take()
      if (name.type !== 'name' || keywords.has(name.text))
        throw problemAt(name.at, `the name of a function must follow \`|\`; found ${shown(name)}`)
      value = { kind: 'call', name: name.text, args: [value, ...(isSign('(') ? arguments_() : [])], at: name.at }
    }
    depth--
    return value
  }
  const arguments_ = (): readonly Expression[] => {
    expect('(', 'before the arguments')
    const args: Expression[] = []
    if (skip(')')) return args
    do args.push(expression())
    while (skip(','))
    expect(')', 'after the arguments')
    return args
  }
  const either = (): Expression => {
    let left = both()
    while (isWord('or')) {
      const { at } = take()
      left = { kind: 'or', left, right: both(), at }
    }
    return left
  }
  const both = (): Expression => {
    let left = negation()
    while (isWord('and')) {
      const { at } = take()
      left = { kind: 'and', left, right: negation(), at }
    }
    return left
  }
  const negation = (): Expression => {
    if (!isWord('not')) return comparison()
    const { at } = take()
    if (++depth > depth_max) throw problemAt(at, 'the expression nests too deeply')
    const of = negation()
    depth--
    return { kind: 'not', of, at }
  }
  const comparison = (): Expression => {
    const left = fallback()
    const { text: op, at, type } = peek()
    if (type === 'sign' && ['==', '!=', '<', '<=', '>', '>='].includes(op)) {
      next++
      return { kind: 'compare', op: op as Comparison, left, right: fallback(), at }
    }
    if (isWord('in')) {
      next++
      const list = arguments_()
      if (list.length === 0) throw problemAt(at, '`in` needs at least one value in parentheses')
      return { kind: 'in', of: left, list, at }
    }
    if (isWord('not') && tokens[next + 1]?.text === 'in' && tokens[next + 1]?.type === 'name') {
      next += 2
      return { kind: 'not', of: { kind: 'in', of: left, list: arguments_(), at }, at }
    }
    return left
  }
  const fallback = (): Expression => {
    const first = term()
    if (!isSign('??')) return first
    const of = [first]
    const { at } = peek()
    while (skip('??')) of.push(term())
    return { kind: 'first', of, at }
  }
  const term = (): Expression => {
    const token = take()
    const { at } = token
    if (token.type === 'string') return { kind: 'literal', value: token.text, at }
    if (token.type === 'number') return { kind: 'literal', value: Number(token.text), at }
    if (token.type === 'sign' && token.text === '(') {
      const inner = expression()
      expect(')', 'after the expression')
      return inner
    }
    if (token.type !== 'name') throw problemAt(at, `a field, a value or a function is missing; found ${shown(token)}`)
    if (token.text === 'true' || token.text === 'false') return { kind: 'literal', value: token.text === 'true', at }
    if (token.text === 'null') return { kind: 'literal', value: null, at }
    if (keywords.has(token.text)) throw problemAt(at, `\`${token.text}\` cannot stand here`)
    if (isSign('(')) return { kind: 'call', name: token.text, args: arguments_(), at }
    return path(token)
  }
  const path = (root: Token): Expression => {
    const steps: Step[] = []
    for (;;) {
      if (skip('.')) {
        const name = take()
        if (name.type !== 'name') throw problemAt(name.at, `a field name must follow \`.\`; found ${shown(name)}`)
        steps.push({ step: 'field', name: name.text, at: name.at })
      } else if (skip('[')) {
        const token = peek()
        if (skip(']')) {
          steps.push({ step: 'all' })
          continue
        }
        const closes = tokens[next + 1]?.type === 'sign' && tokens[next + 1]?.text === ']'
        if (token.type === 'string' && closes) {
          next++
          steps.push({ step: 'field', name: token.text, at: token.at })
        } else if (token.type === 'number' && closes) {
          next++
          if (!/^-?\d+$/u.test(token.text)) throw problemAt(token.at, 'an index must be a whole number')
          steps.push({ step: 'index', index: Number(token.text) })
        } else steps.push({ step: 'where', test: expression() })
        expect(']', 'after the index or condition')
      } else break
    }
    for (const step of steps)
      if (step.step === 'field' && ['__proto__', 'constructor', 'prototype'].includes(step.name))
        throw problemAt(step.at, `no field may be called \`${step.name}\``)
    if (['__proto__', 'constructor', 'prototype'].includes(root.text))
      throw problemAt(root.at, `no field may be called \`${root.text}\``)
    const end = peek().type === 'end' ? text.length : peek().at
    return { kind: 'path', root: root.text, steps, at: root.at, text: text.slice(root.at, end).trimEnd() }
  }

  const parsed = expression()
  if (peek().type !== 'end')
    throw problemAt(peek().at, `${shown(peek())} is one word too many; join conditions by \`and\` or \`or\`, steps by \`|\``)
  return parsed
}

/** Every path in an expression, conditions inside paths included. */
export const pathsOf = (expression: Expression): readonly Extract<Expression, { kind: 'path' }>[] => {
  switch (expression.kind) {
    case 'literal':
      return []
    case 'path':
      return [expression, ...expression.steps.flatMap((step) => (step.step === 'where' ? pathsOf(step.test) : []))]
    case 'call':
      return expression.args.flatMap(pathsOf)
    case 'first':
      return expression.of.flatMap(pathsOf)
    case 'and':
    case 'or':
    case 'compare':
      return [...pathsOf(expression.left), ...pathsOf(expression.right)]
    case 'not':
      return pathsOf(expression.of)
    case 'in':
      return [expression.of, ...expression.list].flatMap(pathsOf)
    default:
      return expression satisfies never
  }
}

/** Every function call in an expression, outermost last. */
export const callsOf = (expression: Expression): readonly Extract<Expression, { kind: 'call' }>[] => {
  switch (expression.kind) {
    case 'literal':
      return []
    case 'path':
      return expression.steps.flatMap((step) => (step.step === 'where' ? callsOf(step.test) : []))
    case 'call':
      return [...expression.args.flatMap(callsOf), expression]
    case 'first':
      return expression.of.flatMap(callsOf)
    case 'and':
    case 'or':
    case 'compare':
      return [...callsOf(expression.left), ...callsOf(expression.right)]
    case 'not':
      return callsOf(expression.of)
    case 'in':
      return [expression.of, ...expression.list].flatMap(callsOf)
    default:
      return expression satisfies never
  }
}
