/** Lint of Protobuf schemas: bounds on the text before it is parsed, then names, numbers and imports of what it declares. */
import protobuf from 'protobufjs'
import { isUnsafeName, type SchemaLimits } from './limits.ts'
import { type Findings, findings, type LintFinding, short } from './lint-finding.ts'
import { isWellKnownImport, parseProtobuf } from './protobuf.ts'

const declared_name = /^[A-Za-z_][A-Za-z0-9_]*$/
const identifier = /[A-Za-z_][A-Za-z0-9_]*/g
const field_number_max = 536_870_911

/** Comments and the contents of strings blanked, so that what is left is structure. One pass, linear. */
const structureOf = (text: string): string => {
  const parts: string[] = []
  let kept = 0
  let i = 0
  const blank = (until: number): undefined => {
    parts.push(text.slice(kept, i), ' ')
    i = until
    kept = until
  }
  while (i < text.length) {
    const char = text[i]!
    if (char === '/' && text[i + 1] === '/') {
      const end = text.indexOf('\n', i)
      blank(end < 0 ? text.length : end)
    } else if (char === '/' && text[i + 1] === '*') {
      const end = text.indexOf('*/', i + 2)
      blank(end < 0 ? text.length : end + 2)
    } else if (char === '"' || char === "'") {
      let end = i + 1
      while (end < text.length && text[end] !== char) end += text[end] === '\\' ? 2 : 1
      blank(Math.min(end + 1, text.length))
    } else i++
  }
  parts.push(text.slice(kept))
  return parts.join('')
}

/** A pair of braces: how many statements its message or enum has, those of a message's oneofs included. */
type Block = { readonly counter: { statements: number }; readonly is_enum: boolean }

/** Bounds nesting and statements before the parser sees them. */
const scanStructure = (structure: string, limits: SchemaLimits, found: Findings): void => {
  const blocks: Block[] = []
  let brackets = 0
  let statements = 0
  let message_statements = 0
  let start = 0
  const countStatement = (): void => {
    if (++statements > limits.nodes_max) found.stop('', 'nodes', `The file has more than ${limits.nodes_max} statements.`)
  }
  for (let i = 0; i < structure.length && !found.stopped; i++) {
    const char = structure[i]
    if (char === '[' || char === '<' || char === '(') {
      if (++brackets > limits.depth_max) found.stop('', 'depth', `The file nests deeper than ${limits.depth_max} levels.`)
    } else if (char === ']' || char === '>' || char === ')') brackets--
    else if (char === '{') {
      const opening = structure.slice(start, i)
      const outer = blocks.at(-1)
      const shares = outer !== undefined && /^\s*oneof\b/.test(opening)
      blocks.push(shares ? outer : { counter: { statements: 0 }, is_enum: /^\s*enum\b/.test(opening) })
      countStatement()
      if (blocks.length > limits.depth_max) found.stop('', 'depth', `The file nests deeper than ${limits.depth_max} levels.`)
      start = i + 1
    } else if (char === '}') {
      blocks.pop()
      start = i + 1
    } else if (char === ';') {
      start = i + 1
      countStatement()
      const block = blocks.at(-1)
      if (block === undefined) continue
      const own = ++block.counter.statements
      if (block.is_enum) {
        if (own > limits.symbols_max) found.stop('', 'enum', `An enum has more than ${limits.symbols_max} symbols.`)
      } else if (own > limits.message_fields_max)
        found.stop('', 'fields', `A message has more than ${limits.message_fields_max} fields.`)
      else if (++message_statements > limits.fields_max)
        found.stop('', 'fields', `The file has more than ${limits.fields_max} fields.`)
    }
  }
}

/** Findings of one .proto file. Files of others cannot be imported, save Google's well-known types. */
export const lintProtobuf = (text: string, referenced: readonly string[], limits: SchemaLimits): readonly LintFinding[] => {
  const found = findings()
  if (referenced.length > 0)
    found.stop('', 'references', 'A .proto file may import well-known types only; put the others into it.')
  const structure = structureOf(text)
  scanStructure(structure, limits, found)
  if (!found.stopped)
    for (const [name] of structure.matchAll(identifier)) {
      if (isUnsafeName(name)) found.stop('', 'names', `${name} is not allowed as a name.`)
      else if (name.length > limits.name_chars_max)
        found.stop('', 'names', `A name is longer than ${limits.name_chars_max} characters.`)
      if (found.stopped) break
    }
  if (found.stopped) return found.list

  let file: ReturnType<typeof parseProtobuf>
  try {
    file = parseProtobuf(text)
  } catch (error) {
    found.stop('', 'syntax', short((error as Error).message))
    return found.list
  }
  for (const name of file.imports)
    if (!isWellKnownImport(name))
      found.add('', 'references', `${short(name)} is not one of Google's well-known types, which alone may be imported.`)
  if (file.package_name.startsWith('google.protobuf')) found.add('', 'names', 'The package google.protobuf is not yours.')
  if (file.messages.length === 0) found.add('', 'syntax', 'The file declares no message.')

  // The scan above and the parser may disagree about where a string ends; what was declared is what counts.
  const checkName = (name: string, path: string): void => {
    if (!declared_name.test(name) || isUnsafeName(name)) found.add(path, 'names', `${short(name)} is not allowed as a name.`)
  }
  const visit = (object: protobuf.ReflectionObject, path: string): undefined => {
    if (found.stopped) return
    checkName(object.name, path)
    if (object instanceof protobuf.Enum) for (const symbol of Object.keys(object.values)) checkName(symbol, path)
    if (object instanceof protobuf.Field) return found.add(path, 'unsupported', 'Extensions are not supported.')
    if (!(object instanceof protobuf.Type)) return
    if ((object as { group?: boolean }).group === true) found.add(path, 'unsupported', 'Groups are not supported: use a message.')
    if (object.extensions !== undefined && object.extensions.length > 0)
      found.add(path, 'unsupported', 'Extension ranges are not supported.')
    for (const oneof of object.oneofsArray) checkName(oneof.name, path)
    for (const field of object.fieldsArray) {
      checkName(field.name, path)
      if (field.id < 1 || field.id > field_number_max || (field.id >= 19_000 && field.id <= 19_999))
        found.add(`${path}.${field.name}`, 'syntax', `Field number ${field.id} is not allowed.`)
    }
    for (const child of object.nestedArray) visit(child, `${path}.${child.name}`)
  }
  for (const object of file.declared) visit(object, object.name)
  if (found.list.length > 0) return found.list
  try {
    file.resolve()
  } catch (error) {
    found.add('', 'references', short((error as Error).message))
  }
  return found.list
}
