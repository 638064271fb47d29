/** Lint of Protobuf schemas: bounds on the text before it is parsed, then names, numbers and imports of what it declares. */
import protobuf from 'protobufjs'
import { isUnsafeName, type SchemaLimits } from './limits.ts'
import { findings, type LintFinding, short } from './lint-finding.ts'
import { isWellKnownImport, parseProtobuf } from './protobuf.ts'

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

/** Findings of one .proto file. Files of others cannot be imported, save Google's well-known types. */
export const lintProtobuf = (text: string, referenced: readonly string[], limits: SchemaLimits): readonly LintFinding[] => {
  const found = findings()
  if (referenced.length > 0)
    found.stop('', 'references', 'A .proto file may import well-known types only; put the others into it.')
  const structure = structureOf(text)
  let depth = 0
  let statements = 0
  for (let i = 0; i < structure.length && !found.stopped; i++) {
    const char = structure[i]
    if (char === '{' || char === '[' || char === '<' || char === '(') {
      if (++depth > limits.depth_max) found.stop('', 'depth', `The file nests deeper than ${limits.depth_max} levels.`)
    } else if (char === '}' || char === ']' || char === '>' || char === ')') depth--
    else if (char === ';' && ++statements > limits.nodes_max)
      found.stop('', 'nodes', `The file has more than ${limits.nodes_max} statements.`)
  }
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

  let fields = 0
  let types = 0
  const visit = (object: protobuf.ReflectionObject, path: string, nesting: number): undefined => {
    if (found.stopped) return
    if (++types > limits.nodes_max) return found.stop(path, 'nodes', `The file declares more than ${limits.nodes_max} types.`)
    if (nesting > limits.depth_max) return found.stop(path, 'depth', `Messages nest deeper than ${limits.depth_max} levels.`)
    if (object instanceof protobuf.Field) return found.add(path, 'unsupported', 'Extensions are not supported.')
    if (object instanceof protobuf.Enum) {
      const symbols = Object.keys(object.values).length
      if (symbols > limits.symbols_max)
        found.add(path, 'enum', `An enum has ${symbols} symbols; ${limits.symbols_max} are allowed.`)
      return
    }
    if (!(object instanceof protobuf.Type)) return
    if ((object as { group?: boolean }).group === true) found.add(path, 'unsupported', 'Groups are not supported: use a message.')
    if (object.extensions !== undefined && object.extensions.length > 0)
      found.add(path, 'unsupported', 'Extension ranges are not supported.')
    fields += object.fieldsArray.length
    if (fields > limits.fields_max) return found.stop(path, 'fields', `The file has more than ${limits.fields_max} fields.`)
    for (const field of object.fieldsArray) {
      if (field.id < 1 || field.id > field_number_max || (field.id >= 19_000 && field.id <= 19_999))
        found.add(`${path}.${field.name}`, 'syntax', `Field number ${field.id} is not allowed.`)
    }
    for (const child of object.nestedArray) visit(child, `${path}.${child.name}`, nesting + 1)
  }
  for (const object of file.declared) visit(object, object.name, 1)
  if (found.list.length > 0) return found.list
  try {
    file.resolve()
  } catch (error) {
    found.add('', 'references', short((error as Error).message))
  }
  return found.list
}
