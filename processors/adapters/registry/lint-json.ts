/** Lint of JSON Schemas: bounds, local references, linear patterns, and no shape that makes one value cost many checks. */
import { isUnsafeName, type SchemaLimits } from './limits.ts'
import { parseSchemaJson } from './lint-avro.ts'
import { type Findings, findings, type LintFinding, short } from './lint-finding.ts'
import { compilePattern } from './pattern.ts'

/** The drafts that are validated, by the end of their `$schema`. */
export type Draft = '06' | '07' | '2019-09' | '2020-12'

/** The draft a schema declares; draft 07, which Confluent's serialisers write, when it declares none; undefined when it is another. */
export const draftOf = (schema: unknown): Draft | undefined => {
  const declared = (schema as Record<string, unknown> | null)?.['$schema']
  if (declared === undefined) return '07'
  if (typeof declared !== 'string') return undefined
  const draft = /^https?:\/\/json-schema\.org\/(?:draft-(06|07)|draft\/(2019-09|2020-12))\/schema#?$/.exec(declared)
  return (draft?.[1] ?? draft?.[2]) as Draft | undefined
}

type Node = Record<string, unknown>

/** Patterns that each key of one object is held against. */
const patterns_max = 20
const structured_enum_max = 20

/** How a subschema is applied: to the same value, or to values inside it. `group` tells which of those a value may meet together. */
type Edge = { readonly to: string; readonly inside: boolean; readonly group: string }

const same_value = ['not', 'if', 'then', 'else']
const same_value_lists = ['allOf', 'anyOf', 'oneOf']
const inside_value = ['additionalProperties', 'additionalItems', 'unevaluatedProperties', 'unevaluatedItems', 'contains']
const scalar_types = new Set(['string', 'number', 'integer', 'boolean', 'null'])

const escapePointer = (part: string): string => part.replaceAll('~', '~0').replaceAll('/', '~1')

/** Findings of one JSON Schema. Schemas that build on others are not supported: references stay inside the document. */
export const lintJsonSchema = (text: string, referenced: readonly string[], limits: SchemaLimits): readonly LintFinding[] => {
  const found = findings()
  if (referenced.length > 0) found.stop('', 'references', 'A JSON Schema may refer to its own parts only.')
  const root = found.stopped ? undefined : parseSchemaJson(text, '', limits, found)
  if (found.stopped) return found.list
  if (typeof root !== 'boolean' && (typeof root !== 'object' || root === null || Array.isArray(root)))
    found.stop('', 'syntax', 'A JSON Schema is an object or a boolean.')
  else if (draftOf(root) === undefined)
    found.stop('#/$schema', 'unsupported', 'Drafts 06, 07, 2019-09 and 2020-12 of JSON Schema are supported.')
  if (found.stopped) return found.list
  const { edges } = collect(root, limits, found)
  if (!found.stopped) weighAll(edges, limits, found)
  return found.list
}

/** What it takes to hold one value against a schema: comparisons whatever the value, and comparisons for each of its characters. */
export type ValidationCost = { readonly per_value: number; readonly per_character: number }

/** What a linted schema's validation costs at most for one value anywhere in a record. */
export const validationCost = (root: unknown, limits: SchemaLimits): ValidationCost => {
  const { edges, own } = collect(root, limits, findings())
  const component = components(edges)
  return {
    per_value: costOf(edges, component, (at) => own.get(at)!.per_value),
    per_character: costOf(edges, component, (at) => own.get(at)!.per_character),
  }
}

const lengthOf = (value: unknown): number => (Array.isArray(value) ? value.length : 0)
const isStructured = (value: unknown): boolean => typeof value === 'object' && value !== null
const counts_characters = ['minLength', 'maxLength', 'format', 'uniqueItems']

/** The keywords of one subschema, without those it applies. An object or array is compared for as long as it is equal. */
const ownCost = (node: Node): ValidationCost => {
  const members = Array.isArray(node['enum']) ? node['enum'] : []
  const needed = [node['dependencies'], node['dependentRequired']]
    .flatMap((lists) => (isStructured(lists) ? Object.values(lists as Node) : []))
    .reduce((sum: number, list) => sum + lengthOf(list), 0)
  return {
    per_value: 1 + members.length + lengthOf(node['required']) + needed,
    per_character:
      counts_characters.filter((keyword) => node[keyword] !== undefined).length +
      [...members, node['const']].filter(isStructured).length,
  }
}

type Collected = { readonly edges: ReadonlyMap<string, Edge[]>; readonly own: ReadonlyMap<string, ValidationCost> }

/** Visits every subschema, checks what it says, and returns by pointer which others it applies. */
const collect = (root: unknown, limits: SchemaLimits, found: Findings): Collected => {
  const edges = new Map<string, Edge[]>()
  const own = new Map<string, ValidationCost>()
  const refs: { readonly from: string; readonly to: string }[] = []
  const anchors = new Map<string, string>()
  let nodes = 0
  let properties = 0

  const visit = (schema: unknown, path: string, depth: number): undefined => {
    if (found.stopped) return
    if (++nodes > limits.nodes_max) return found.stop(path, 'nodes', `The schema has more than ${limits.nodes_max} subschemas.`)
    if (depth > limits.depth_max) return found.stop(path, 'depth', `The schema nests deeper than ${limits.depth_max} subschemas.`)
    const out: Edge[] = []
    edges.set(path, out)
    own.set(path, { per_value: 1, per_character: 0 })
    if (typeof schema === 'boolean') return
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
      return found.add(path, 'syntax', 'A subschema is an object or a boolean.')
    const node = schema as Node
    own.set(path, ownCost(node))
    const apply = (child: unknown, at: string, inside: boolean, group: string): undefined => {
      out.push({ to: at, inside, group })
      visit(child, at, depth + 1)
    }
    const applyList = (list: readonly unknown[], at: string, inside: boolean): undefined => {
      for (const [i, member] of list.entries()) apply(member, `${at}/${i}`, inside, inside ? `[${i}]` : '')
    }
    const applyEach = (members: unknown, at: string, inside: boolean, group: (name: string) => string): undefined => {
      if (typeof members !== 'object' || members === null) return found.add(at, 'syntax', 'Subschemas stand here in an object.')
      const names = Object.keys(members)
      for (const name of names) {
        if (found.stopped) return
        if (isUnsafeName(name)) found.add(`${at}/${escapePointer(name)}`, 'names', `${name} is not allowed as a name.`)
        if (name.length > limits.name_chars_max)
          found.add(at, 'names', `A name is longer than ${limits.name_chars_max} characters.`)
        apply((members as Node)[name], `${at}/${escapePointer(name)}`, inside, group(name))
      }
    }

    for (const keyword of Object.keys(node)) {
      if (found.stopped) return
      const value = node[keyword]
      const at = `${path}/${keyword}`
      if (same_value.includes(keyword)) apply(value, at, false, '')
      else if (same_value_lists.includes(keyword)) {
        if (!Array.isArray(value)) found.add(at, 'syntax', `${keyword} takes a list of subschemas.`)
        else applyList(value, at, false)
      } else if (inside_value.includes(keyword)) apply(value, at, true, '*')
      else
        switch (keyword) {
          case '$ref':
            if (typeof value === 'string' && value.startsWith('#')) {
              refs.push({ from: path, to: value })
              break
            }
            found.add(at, 'references', 'A reference may lead to parts of this schema only (#...).')
            break
          case '$dynamicRef':
          case '$recursiveRef':
            found.add(at, 'unsupported', `${keyword} is not supported.`)
            break
          case '$id':
          case 'id':
            if (path !== '#' && typeof value === 'string') found.add(at, 'unsupported', 'Only the whole schema may have an id.')
            break
          case '$anchor':
            if (typeof value === 'string') anchors.set(`#${value}`, path)
            break
          case 'properties':
            properties += typeof value === 'object' && value !== null ? Object.keys(value).length : 0
            if (properties > limits.fields_max)
              return found.stop(at, 'fields', `The schema has more than ${limits.fields_max} properties.`)
            applyEach(value, at, true, (name) => name)
            break
          case 'patternProperties':
            if (typeof value === 'object' && value !== null) checkPatterns(Object.keys(value), at)
            applyEach(value, at, true, () => '*')
            break
          case 'propertyNames':
            // Names are strings: nothing in here can recurse, yet its patterns count.
            apply(value, at, true, '(names)')
            break
          case 'items':
            if (Array.isArray(value)) applyList(value, at, true)
            else apply(value, at, true, '*')
            break
          case 'prefixItems':
            if (Array.isArray(value)) applyList(value, at, true)
            else found.add(at, 'syntax', 'prefixItems takes a list of subschemas.')
            break
          case 'dependentSchemas':
            applyEach(value, at, false, () => '')
            break
          case 'dependencies':
            if (typeof value === 'object' && value !== null)
              for (const name of Object.keys(value)) {
                const member = (value as Node)[name]
                if (!Array.isArray(member)) apply(member, `${at}/${escapePointer(name)}`, false, '')
              }
            break
          case 'definitions':
          case '$defs':
            if (typeof value !== 'object' || value === null) found.add(at, 'syntax', 'Definitions stand in an object.')
            else for (const name of Object.keys(value)) visit((value as Node)[name], `${at}/${escapePointer(name)}`, depth + 1)
            break
          case 'pattern':
            if (typeof value !== 'string') found.add(at, 'pattern', 'A pattern is a string.')
            else checkPattern(value, at)
            break
          case 'enum':
            if (!Array.isArray(value) || value.length === 0 || value.length > limits.symbols_max)
              found.add(at, 'enum', `An enum is a list of 1 to ${limits.symbols_max} values.`)
            else if (value.filter((member) => typeof member === 'object' && member !== null).length > structured_enum_max)
              found.add(at, 'cost', `An enum may hold ${structured_enum_max} objects and arrays: each is compared in depth.`)
            break
          case 'uniqueItems':
            if (value === true && !isScalarList(node))
              found.add(at, 'cost', 'uniqueItems compares every two items: it is allowed where items have one scalar type.')
            break
          default:
          // Annotations and plain assertions cost nothing; keywords of others are not compiled.
        }
    }
  }

  const checkPatterns = (patterns: readonly string[], at: string): undefined => {
    if (patterns.length > patterns_max)
      found.add(at, 'cost', `Every key would be held against ${patterns.length} patterns; ${patterns_max} are allowed.`)
    else for (const pattern of patterns) checkPattern(pattern, at)
  }

  const checkPattern = (pattern: string, at: string): undefined => {
    if (pattern.length > limits.pattern_chars_max)
      return found.add(at, 'pattern', `A pattern is longer than ${limits.pattern_chars_max} characters.`)
    try {
      compilePattern(pattern)
    } catch (error) {
      found.add(at, 'pattern', `${short(pattern)} does not run in linear time: ${short((error as Error).message)}`)
    }
  }

  visit(root, '#', 1)
  for (const { from, to } of refs) {
    if (found.stopped) break
    const target = anchors.get(to) ?? decodePointer(to)
    if (target === undefined || !edges.has(target)) found.add(`${from}/$ref`, 'references', `${short(to)} is not a subschema.`)
    else edges.get(from)!.push({ to: target, inside: false, group: '' })
  }
  return { edges, own }
}

const decodePointer = (ref: string): string | undefined => {
  if (ref === '#' || ref === '#/') return '#'
  try {
    return decodeURIComponent(ref)
  } catch {
    return undefined
  }
}

const isScalarList = (node: Node): boolean => {
  const items = node['items']
  if (typeof items !== 'object' || items === null || Array.isArray(items)) return false
  const type = (items as Node)['type']
  return typeof type === 'string' && scalar_types.has(type)
}

/**
 * Bounds the work per value. Without recursion it is the number of subschemas on all ways from the root. Through recursion
 * each value may be met by one way only: two ways (two branches, or a branch beside a property) would double at each level.
 */
const weighAll = (edges: ReadonlyMap<string, readonly Edge[]>, limits: SchemaLimits, found: Findings): undefined => {
  const component = components(edges)
  for (const [from, out] of edges) {
    const cycle = component.get(from)!
    const back = out.filter((edge) => component.get(edge.to) === cycle)
    const recursive = back.length > 0
    if (!recursive) continue
    const direct = back.filter((edge) => !edge.inside)
    const inside = back.filter((edge) => edge.inside)
    const groups = new Set(inside.map((edge) => edge.group))
    if (direct.length > 1 || (direct.length === 1 && inside.length > 0) || (groups.has('*') && inside.length > 1))
      found.add(from, 'recursion', 'The schema recurs by more than one way for one value: each level would double the work.')
  }
  const same = new Map([...edges].map(([from, out]) => [from, out.filter((edge) => !edge.inside)]))
  const circles = components(same)
  const sizes = new Map<number, number>()
  for (const at of circles.values()) sizes.set(at, (sizes.get(at) ?? 0) + 1)
  for (const [from, out] of same)
    if ((sizes.get(circles.get(from)!) ?? 0) > 1 || out.some((edge) => edge.to === from))
      return found.add(from, 'recursion', 'The schema applies itself to the same value without end.')
  if (costOf(edges, component, () => 1) > limits.cost_max)
    found.add('#', 'cost', `One value would be checked against more than ${limits.cost_max} subschemas.`)
}

/**
 * The cost of the root and all it leads to, once for every way there. Components are numbered so that every edge leads to an equal or
 * smaller number: one pass upwards sums them up.
 */
const costOf = (
  edges: ReadonlyMap<string, readonly Edge[]>,
  component: ReadonlyMap<string, number>,
  own: (at: string) => number,
): number => {
  const members = new Map<number, string[]>()
  for (const [at, number] of component) members.set(number, [...(members.get(number) ?? []), at])
  const costs: number[] = []
  for (let number = 0; number < members.size; number++) {
    let sum = 0
    for (const at of members.get(number)!) {
      sum += own(at)
      for (const edge of edges.get(at)!) if (component.get(edge.to) !== number) sum += costs[component.get(edge.to)!]!
    }
    costs[number] = Math.min(sum, Number.MAX_SAFE_INTEGER)
  }
  return costs[component.get('#')!]!
}

/** Strongly connected components (Tarjan), by number, without recursion of our own stack. */
const components = (edges: ReadonlyMap<string, readonly Edge[]>): ReadonlyMap<string, number> => {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const component = new Map<string, number>()
  const stack: string[] = []
  const on_stack = new Set<string>()
  let counter = 0
  let components = 0
  for (const root of edges.keys()) {
    if (index.has(root)) continue
    const work: { readonly at: string; next: number }[] = []
    const push = (at: string): undefined => {
      index.set(at, counter)
      low.set(at, counter++)
      stack.push(at)
      on_stack.add(at)
      work.push({ at, next: 0 })
    }
    push(root)
    while (work.length > 0) {
      const top = work.at(-1)!
      const edge = edges.get(top.at)![top.next++]
      if (edge !== undefined) {
        if (!index.has(edge.to)) push(edge.to)
        else if (on_stack.has(edge.to)) low.set(top.at, Math.min(low.get(top.at)!, index.get(edge.to)!))
        continue
      }
      work.pop()
      const below = work.at(-1)
      if (below !== undefined) low.set(below.at, Math.min(low.get(below.at)!, low.get(top.at)!))
      if (low.get(top.at) !== index.get(top.at)) continue
      for (;;) {
        const member = stack.pop()!
        on_stack.delete(member)
        component.set(member, components)
        if (member === top.at) break
      }
      components++
    }
  }
  return component
}
