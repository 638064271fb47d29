/**
 * Compatibility of JSON Schemas: whether everything the writer's schema admits is admitted by the reader's. Cautious: it follows types,
 * properties, items and bounds, and takes any other difference for a narrowing.
 */

type Node = Readonly<Record<string, unknown>>

/** Keywords that say nothing about which values are admitted. */
const annotations = new Set([
  '$schema',
  '$id',
  'id',
  '$comment',
  '$anchor',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'contentMediaType',
  'contentEncoding',
])
const compared = new Set(['type', 'properties', 'required', 'additionalProperties', 'items', 'enum', 'const', '$ref'])
/** Upper bounds may grow, lower bounds may shrink. */
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']
const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
const all_types = ['null', 'boolean', 'object', 'array', 'number', 'string']

const stable = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  ) ?? 'undefined'

const resolve = (schema: unknown, root: unknown): unknown => {
  let node = schema
  for (let hops = 0; hops < 32; hops++) {
    const ref = (node as Node | null)?.['$ref']
    if (typeof ref !== 'string') return node
    let target: unknown = root
    for (const part of ref.split('/').slice(1))
      target = (target as Node | undefined)?.[decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')]
    node = target ?? true
  }
  return node
}

const typesOf = (node: Node): readonly string[] => {
  const type = node['type']
  return type === undefined ? all_types : Array.isArray(type) ? (type as string[]) : [type as string]
}
const membersOf = (node: Node, keyword: string): Node => (node[keyword] as Node | undefined) ?? {}
const listOf = (node: Node, keyword: string): readonly string[] => (node[keyword] as string[] | undefined) ?? []

/** Why values that `writer` admits may be refused by `reader`. */
export const jsonObstacles = (reader: unknown, writer: unknown): readonly string[] => {
  const reasons: string[] = []
  const compared_pairs = new Set<string>()

  const compare = (given_new: unknown, given_old: unknown, path: string, depth: number): void => {
    const now = resolve(given_new, reader)
    const old = resolve(given_old, writer)
    const same = stable(now) === stable(old)
    // The same words mean the same only where they cannot lead elsewhere.
    if (same && !stable(now).includes('"$ref"')) return
    const pair = `${stable(now)}\n${stable(old)}`
    if (compared_pairs.has(pair) || depth > 64) return
    compared_pairs.add(pair)
    if (now === true || old === false) return
    if (typeof now === 'object' && now !== null && Object.keys(now).every((keyword) => annotations.has(keyword))) return
    if (now === false) {
      reasons.push(`${path} is not admitted any more.`)
      return
    }
    compareNodes(now as Node, old === true ? {} : (old as Node), path, depth)
  }

  const compareNodes = (now: Node, old: Node, path: string, depth: number): void => {
    const admitted = typesOf(now)
    const narrowed = typesOf(old).filter(
      (type) => !admitted.includes(type) && !(type === 'integer' && admitted.includes('number')),
    )
    if (narrowed.length > 0) reasons.push(`${path} does not admit ${narrowed.join(', ')} any more.`)
    for (const keyword of upper) {
      const bound = now[keyword] as number | undefined
      if (bound !== undefined && !(typeof old[keyword] === 'number' && old[keyword] <= bound))
        reasons.push(`${path}: ${keyword} is narrowed.`)
    }
    for (const keyword of lower) {
      const bound = now[keyword] as number | undefined
      if (bound !== undefined && bound !== 0 && !(typeof old[keyword] === 'number' && old[keyword] >= bound))
        reasons.push(`${path}: ${keyword} is narrowed.`)
    }
    compareEnums(now, old, path)
    compareProperties(now, old, path, depth)
    if (now['items'] !== undefined) {
      if (Array.isArray(now['items'])) {
        if (stable(now['items']) !== stable(old['items'])) reasons.push(`${path}: items change.`)
      } else if (typesOf(old).includes('array')) compare(now['items'], old['items'] ?? true, `${path}[]`, depth + 1)
    }
    for (const keyword of Object.keys(now)) {
      if (annotations.has(keyword) || compared.has(keyword) || upper.includes(keyword) || lower.includes(keyword)) continue
      if (stable(now[keyword]) !== stable(old[keyword])) reasons.push(`${path}: ${keyword} is added or changes.`)
    }
  }

  const compareEnums = (now: Node, old: Node, path: string): void => {
    const values = (node: Node): readonly unknown[] | undefined =>
      'const' in node ? [node['const']] : (node['enum'] as unknown[] | undefined)
    const admitted = values(now)
    if (admitted === undefined) return
    const before = values(old)
    const texts = new Set(admitted.map(stable))
    if (before === undefined) reasons.push(`${path} is narrowed to a list of values.`)
    else if (!before.every((value) => texts.has(stable(value))))
      reasons.push(`${path} does not admit some of its values any more.`)
  }

  const compareProperties = (now: Node, old: Node, path: string, depth: number): void => {
    if (!typesOf(now).includes('object') || !typesOf(old).includes('object')) return
    const properties = membersOf(now, 'properties')
    const before = membersOf(old, 'properties')
    const was_required = new Set(listOf(old, 'required'))
    const added = listOf(now, 'required').filter((name) => !was_required.has(name))
    if (added.length > 0) reasons.push(`${path} requires ${added.join(', ')}.`)
    // What an undeclared property may be: with patterns in play nothing is sure, and the keyword comparison refuses changes of those.
    const rest_now = now['additionalProperties'] ?? true
    const rest_old = old['additionalProperties'] ?? true
    for (const name of Object.keys(before)) {
      if (name in properties) compare(properties[name], before[name], `${path}.${name}`, depth + 1)
      else compare(rest_now, before[name], `${path}.${name}`, depth + 1)
    }
    for (const name of Object.keys(properties))
      if (!(name in before)) compare(properties[name], rest_old, `${path}.${name}`, depth + 1)
    compare(rest_now, rest_old, `${path}.*`, depth + 1)
  }

  compare(reader, writer, '#', 0)
  return reasons
}
