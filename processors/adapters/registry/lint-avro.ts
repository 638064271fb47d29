/** Lint of Avro schemas: bounds, names, references, and shapes whose data costs nothing to write but much to read. */
import { Fault } from '../../domain/fault.ts'
import { type AvroSchema, assertAvroCompiles, isPrimitive } from './avro.ts'
import { decodeJson } from './json.ts'
import { isUnsafeName, type SchemaLimits } from './limits.ts'
import { type Findings, findings, type LintFinding, type LintRule, short } from './lint-finding.ts'

const name_part = /^[A-Za-z_][A-Za-z0-9_]*$/
const fixed_bytes_max = 64 * 1024
const decimal_digits_max = 1_000

/** The place of a strict JSON fault in the lint's words. */
const ruleOf = (fault: Fault): LintRule => {
  if (fault.code === 'limits.depth') return 'depth'
  if (fault.code === 'json.proto') return 'names'
  return fault.code.startsWith('limits.') ? 'nodes' : 'syntax'
}

/** Parses a schema's JSON text strictly; a finding says why not. Shared with the JSON Schema lint. */
export const parseSchemaJson = (text: string, path: string, limits: SchemaLimits, found: Findings): unknown => {
  try {
    const bytes = Buffer.from(text)
    return decodeJson(bytes, 0, {
      record_bytes_max: limits.bytes_max,
      // A type nested once is up to four JSON levels deeper: fields, field, type, items.
      depth_max: limits.depth_max * 4 + 8,
      keys_max: limits.nodes_max,
      items_max: limits.nodes_max,
      entries_max: limits.bytes_max,
      values_max: limits.bytes_max,
      string_chars_max: limits.bytes_max,
    }).rounded
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    found.stop(path, ruleOf(error), error.message)
    return undefined
  }
}

type Node = Record<string, unknown>
type Named = { readonly node: Node; readonly namespace: string; readonly path: string }

const qualified = (name: string, namespace: string): string =>
  name.includes('.') ? name.replace(/^\./, '') : namespace === '' ? name : `${namespace}.${name}`
const namespaceOf = (full: string): string => (full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : '')

/** Findings of one Avro schema and those it builds on. */
export const lintAvro = (text: string, referenced: readonly string[], limits: SchemaLimits): readonly LintFinding[] => {
  const found = findings()
  const named = new Map<string, Named>()
  const byNode = new Map<Node, Named>()
  /** What arrays and maps hold, to be weighed once all names are known. */
  const contents: { readonly type: AvroSchema; readonly namespace: string; readonly path: string }[] = []
  let nodes = 0
  let fields = 0

  const checkName = (name: unknown, path: string, dotted: boolean): name is string => {
    if (typeof name !== 'string') {
      found.add(path, 'names', 'A name is missing.')
      return false
    }
    const parts = dotted ? name.replace(/^\./, '').split('.') : [name]
    if (name.length > limits.name_chars_max || !parts.every((part) => name_part.test(part)))
      found.add(path, 'names', `${short(name)} is not a name: letters, digits and _ only, at most ${limits.name_chars_max}.`)
    else if (parts.some(isUnsafeName)) found.add(path, 'names', `${name} is not allowed as a name.`)
    else return true
    return false
  }

  const visit = (type: unknown, path: string, depth: number, namespace: string): undefined => {
    if (found.stopped) return
    if (++nodes > limits.nodes_max) return found.stop(path, 'nodes', `The schema has more than ${limits.nodes_max} types.`)
    if (depth > limits.depth_max) return found.stop(path, 'depth', `The schema nests deeper than ${limits.depth_max} types.`)
    if (typeof type === 'string') {
      if (!isPrimitive(type) && !named.has(qualified(type, namespace)) && !named.has(type))
        found.add(path, 'references', `${short(type)} is not defined before it is used.`)
      return
    }
    if (Array.isArray(type)) {
      if (type.length === 0) found.add(path, 'syntax', 'A union has no branches.')
      if (type.length > limits.branches_max)
        return found.stop(path, 'nodes', `A union has ${type.length} branches; ${limits.branches_max} are allowed.`)
      type.forEach((branch, i) => {
        if (Array.isArray(branch)) found.add(`${path}[${i}]`, 'syntax', 'A union stands directly in a union.')
        else visit(branch, `${path}[${i}]`, depth + 1, namespace)
      })
      return
    }
    if (typeof type !== 'object' || type === null)
      return found.add(path, 'syntax', 'A type is neither name, union nor definition.')
    define(type as Node, path, depth, namespace)
  }

  const define = (node: Node, path: string, depth: number, namespace: string): undefined => {
    const kind = node['type']
    switch (kind) {
      case 'record':
      case 'error': {
        const inside = register(node, path, namespace)
        if (!Array.isArray(node['fields'])) return found.add(path, 'syntax', 'A record has no list of fields.')
        fields += node['fields'].length
        if (fields > limits.fields_max) return found.stop(path, 'fields', `The schema has more than ${limits.fields_max} fields.`)
        for (const field of node['fields'] as (Node | null)[]) {
          const name = field?.['name']
          const at = `${path}.${typeof name === 'string' ? name : '?'}`
          if (!checkName(name, at, false)) continue
          if (Array.isArray(field!['aliases'])) for (const alias of field!['aliases']) checkName(alias, at, false)
          visit(field!['type'], at, depth + 1, inside)
        }
        return
      }
      case 'enum': {
        register(node, path, namespace)
        const symbols = node['symbols']
        if (!Array.isArray(symbols) || symbols.length === 0) return found.add(path, 'enum', 'An enum has no symbols.')
        if (symbols.length > limits.symbols_max)
          return found.add(path, 'enum', `An enum has ${symbols.length} symbols; ${limits.symbols_max} are allowed.`)
        for (const symbol of symbols) checkName(symbol, path, false)
        return
      }
      case 'fixed': {
        register(node, path, namespace)
        const size = node['size']
        if (!Number.isInteger(size) || (size as number) < 0 || (size as number) > fixed_bytes_max)
          found.add(path, 'size', `A fixed has to be 0 to ${fixed_bytes_max} bytes long.`)
        return checkDecimal(node, path)
      }
      case 'array':
      case 'map': {
        const member = kind === 'array' ? 'items' : 'values'
        const content = node[member] as AvroSchema
        if (content === undefined) return found.add(path, 'syntax', `An ${kind} has no ${member}.`)
        contents.push({ type: content, namespace, path: `${path}.${member}` })
        return visit(content, `${path}.${member}`, depth + 1, namespace)
      }
      default:
        checkDecimal(node, path)
        return visit(kind, path, depth + 1, namespace)
    }
  }

  const checkDecimal = (node: Node, path: string): undefined => {
    if (node['logicalType'] !== 'decimal') return
    const precision = node['precision']
    const scale = node['scale'] ?? 0
    if (!Number.isInteger(precision) || (precision as number) < 1 || (precision as number) > decimal_digits_max)
      found.add(path, 'size', `A decimal's precision has to be 1 to ${decimal_digits_max}.`)
    else if (!Number.isInteger(scale) || (scale as number) < 0 || (scale as number) > (precision as number))
      found.add(path, 'size', "A decimal's scale has to be 0 to its precision.")
  }

  /** Returns the namespace inside the definition. */
  const register = (node: Node, path: string, namespace: string): string => {
    const { name, namespace: own } = node
    if (!checkName(name, path, true)) return namespace
    if (own !== undefined && own !== '' && !checkName(own, path, true)) return namespace
    if (Array.isArray(node['aliases'])) for (const alias of node['aliases']) checkName(alias, path, true)
    const full = qualified(name, name.includes('.') ? '' : typeof own === 'string' ? own : namespace)
    if (isPrimitive(full)) found.add(path, 'names', `${full} is a primitive type.`)
    else if (named.has(full)) found.add(path, 'names', `${full} is defined twice.`)
    else {
      const entry = { node, namespace: namespaceOf(full), path }
      named.set(full, entry)
      byNode.set(node, entry)
    }
    return namespaceOf(full)
  }

  const lookUp = (type: AvroSchema, namespace: string): Named | undefined => {
    if (typeof type === 'string') return named.get(qualified(type, namespace)) ?? named.get(type)
    if (Array.isArray(type)) return undefined
    const node = type as Node
    if (typeof node['type'] === 'object') return lookUp(node['type'] as AvroSchema, namespace)
    return byNode.get(node) ?? (typeof node['type'] === 'string' ? lookUp(node['type'], namespace) : undefined)
  }

  const weights = new Map<Node, number>()
  const open = new Set<Node>()
  /** How many values a datum of the type holds that no byte pays for: records nested directly, their nulls and empty fixeds. */
  const weigh = (type: AvroSchema, namespace: string): { readonly bytes: boolean; readonly weight: number } => {
    const entry = lookUp(type, namespace)
    if (entry === undefined) return { bytes: type !== 'null' && !(isObject(type) && type['type'] === 'null'), weight: 1 }
    const { node } = entry
    if (node['type'] === 'fixed') return { bytes: node['size'] !== 0, weight: 1 }
    if (!Array.isArray(node['fields'])) return { bytes: true, weight: 1 }
    const known = weights.get(node)
    if (known !== undefined) return { bytes: known < 0, weight: Math.abs(known) }
    if (open.has(node)) {
      found.add(entry.path, 'recursion', 'A record holds itself without a union, array or map between.')
      return { bytes: true, weight: 1 }
    }
    open.add(node)
    let weight = 1
    let bytes = false
    for (const field of node['fields'] as Node[]) {
      const part = weigh(field['type'] as AvroSchema, entry.namespace)
      weight = Math.min(weight + part.weight, Number.MAX_SAFE_INTEGER)
      bytes ||= part.bytes
    }
    open.delete(node)
    if (weight > limits.nodes_max)
      found.add(entry.path, 'nodes', `One datum of this record holds more than ${limits.nodes_max} values.`)
    weights.set(node, bytes ? -weight : weight)
    return { bytes, weight }
  }

  const texts = [...referenced, text]
  const parsed: unknown[] = []
  texts.forEach((one, i) => {
    const path = i === texts.length - 1 ? '' : `reference ${i + 1}: `
    if (found.stopped) return
    const schema = parseSchemaJson(one, path, limits, found)
    parsed.push(schema)
    visit(schema, path, 1, '')
  })
  if (found.stopped) return found.list
  for (const { type, namespace, path } of contents)
    if (!weigh(type, namespace).bytes)
      found.add(path, 'zero-width', 'Items without bytes: six bytes could claim a billion of them.')
  for (const entry of named.values()) if (Array.isArray(entry.node['fields'])) weigh(entry.node as AvroSchema, entry.namespace)
  if (found.list.length > 0) return found.list
  try {
    assertAvroCompiles(texts.map((one) => JSON.parse(one) as AvroSchema))
  } catch (error) {
    found.add('', 'syntax', short((error as Error).message))
  }
  return found.list
}

const isObject = (type: AvroSchema): type is Node => typeof type === 'object' && !Array.isArray(type)
