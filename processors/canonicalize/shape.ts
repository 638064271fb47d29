/** What fields a source schema has, so that lint finds a misspelt path before a record does. */
import type { SchemaFormat } from '../ports/schema-registry.ts'
import type { Expression, Step } from './expression.ts'

/** Fields by name, or null when anything may stand there. `closed`: no other field can occur. A list has the shape of its elements. */
export type Shape = { readonly fields: ReadonlyMap<string, Shape>; readonly closed: boolean } | null

/** A path that the schema does not have. */
export type UnknownPath = {
  readonly name: string
  readonly at: number
  readonly among: readonly string[]
  readonly closed: boolean
}

type Plain = { readonly [key: string]: unknown }
const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value)

const depth_max = 32

const ofAvro = (schema: unknown, named: Map<string, unknown>, depth: number): Shape => {
  if (depth > depth_max) return null
  if (typeof schema === 'string') return named.has(schema) ? ofAvro(named.get(schema), named, depth + 1) : null
  if (Array.isArray(schema)) {
    const records = schema.filter((one) => one !== 'null')
    return records.length === 1 ? ofAvro(records[0], named, depth + 1) : null
  }
  if (!isPlain(schema)) return null
  if (typeof schema['name'] === 'string') {
    named.set(schema['name'], schema)
    if (typeof schema['namespace'] === 'string') named.set(`${schema['namespace']}.${schema['name']}`, schema)
  }
  if (schema['type'] === 'array') return ofAvro(schema['items'], named, depth + 1)
  if (schema['type'] === 'record' && Array.isArray(schema['fields'])) {
    const fields = new Map<string, Shape>()
    for (const field of schema['fields'] as Plain[]) fields.set(String(field['name']), ofAvro(field['type'], named, depth + 1))
    return { fields, closed: true }
  }
  return isPlain(schema['type']) || Array.isArray(schema['type']) ? ofAvro(schema['type'], named, depth + 1) : null
}

const ofJsonSchema = (schema: unknown, root: Plain, depth: number): Shape => {
  if (!isPlain(schema) || depth > depth_max) return null
  const { $ref, properties, items, anyOf, oneOf } = schema
  if (typeof $ref === 'string') {
    let target: unknown = root
    for (const part of $ref.replace(/^#\/?/u, '').split('/')) target = isPlain(target) ? target[part] : undefined
    return ofJsonSchema(target, root, depth + 1)
  }
  if (isPlain(properties)) {
    const fields = new Map<string, Shape>()
    for (const [name, one] of Object.entries(properties)) fields.set(name, ofJsonSchema(one, root, depth + 1))
    return { fields, closed: schema['additionalProperties'] === false }
  }
  if (isPlain(items)) return ofJsonSchema(items, root, depth + 1)
  const choices = [anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list : []))
  const shapes = choices.map((one) => ofJsonSchema(one, root, depth + 1)).filter((shape) => shape !== null)
  return shapes.length === 1 ? shapes[0]! : null
}

/** Fields of the messages of a .proto file, by the file's own simple grammar; what it does not understand is open. */
const ofProtobuf = (text: string): Shape => {
  const plain = text.replace(/\/\*[\s\S]*?\*\//gu, ' ').replace(/\/\/[^\n]*/gu, ' ')
  const messages = new Map<string, { name: string; type: string }[]>()
  const order: string[] = []
  const message = /\bmessage\s+(\w+)\s*\{([^{}]*)\}/gu
  if (/\bmessage\s+\w+\s*\{[^}]*\{/u.test(plain)) return null
  for (const [, name, body] of plain.matchAll(message)) {
    order.push(name!)
    messages.set(
      name!,
      [...body!.matchAll(/(?:repeated\s+|optional\s+)?([\w.]+|map\s*<[^>]*>)\s+(\w+)\s*=\s*\d+/gu)].map(([, type, field]) => ({
        name: field!,
        type: type!,
      })),
    )
  }
  const shapeOf = (name: string, depth: number): Shape => {
    const fields = messages.get(name)
    if (fields === undefined || depth > depth_max) return null
    return { fields: new Map(fields.map((field) => [field.name, shapeOf(field.type, depth + 1)])), closed: true }
  }
  return order[0] === undefined ? null : shapeOf(order[0], 0)
}

/** The shape of records of a schema; null when it cannot be told. */
export const shapeOf = (format: SchemaFormat, text: string): Shape => {
  if (format === 'PROTOBUF') return ofProtobuf(text)
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch (error) {
    // Lint of the schema itself says what is wrong with it.
    if (error instanceof SyntaxError) return null
    throw error
  }
  return format === 'AVRO' ? ofAvro(schema, new Map(), 0) : isPlain(schema) ? ofJsonSchema(schema, schema, 0) : null
}

/** Where the names of an expression lead: shapes of the record, of the current element, and of `each` names; lets are not followed. */
export type ShapeScope = { readonly record: Shape; readonly current: Shape; readonly names: ReadonlyMap<string, Shape> }

const follow = (shape: Shape, steps: readonly Step[], from: number, scope: ShapeScope, found: UnknownPath[]): Shape => {
  let here = shape
  for (let i = from; i < steps.length; i++) {
    const step = steps[i]!
    if (step.step === 'where') unknownPaths(step.test, { ...scope, current: here }, found)
    if (step.step !== 'field' || here === null) continue
    const next = here.fields.get(step.name)
    if (next === undefined) {
      found.push({ name: step.name, at: step.at, among: [...here.fields.keys()], closed: here.closed })
      return null
    }
    here = next
  }
  return here
}

const keywords: ReadonlySet<string> = new Set(['shop', 'header', 'log', 'change'])

/** The shape a path leads to; unknown names are added to `found`. */
const pathShape = (path: Extract<Expression, { kind: 'path' }>, scope: ShapeScope, found: UnknownPath[]): Shape => {
  const { root, steps, at } = path
  if (keywords.has(root)) return null
  if (root === 'record') return follow(scope.record, steps, 0, scope, found)
  if (root === 'this') return follow(scope.current, steps, 0, scope, found)
  const named = scope.names.get(root)
  if (named !== undefined || scope.names.has(root)) return follow(named ?? null, steps, 0, scope, found)
  return follow(scope.current, [{ step: 'field', name: root, at }, ...steps], 0, scope, found)
}

/** Adds the names in an expression that no schema field answers to; returns the shape of its value where that is plain. */
export const unknownPaths = (expression: Expression, scope: ShapeScope, found: UnknownPath[]): Shape => {
  switch (expression.kind) {
    case 'literal':
      return null
    case 'path':
      return pathShape(expression, scope, found)
    case 'call':
      for (const argument of expression.args) unknownPaths(argument, scope, found)
      return null
    case 'first': {
      const shapes = expression.of.map((one) => unknownPaths(one, scope, found))
      return shapes.length === 1 ? shapes[0]! : null
    }
    case 'and':
    case 'or':
    case 'compare':
      unknownPaths(expression.left, scope, found)
      unknownPaths(expression.right, scope, found)
      return null
    case 'not':
      unknownPaths(expression.of, scope, found)
      return null
    case 'in':
      for (const one of [expression.of, ...expression.list]) unknownPaths(one, scope, found)
      return null
    default:
      return expression satisfies never
  }
}
