/** Compatibility of Protobuf schemas, after Confluent's rules: what is on the wire under a number keeps its meaning. */
import protobuf from 'protobufjs'
import { parseProtobuf } from './protobuf.ts'

/** Types that a reader may exchange for each other without misreading the wire. */
const kinds: Readonly<Record<string, string>> = {
  int32: 'varint',
  uint32: 'varint',
  int64: 'varint',
  uint64: 'varint',
  bool: 'varint',
  sint32: 'zigzag',
  sint64: 'zigzag',
  fixed32: 'fixed32',
  sfixed32: 'fixed32',
  fixed64: 'fixed64',
  sfixed64: 'fixed64',
  string: 'bytes',
  bytes: 'bytes',
}

const kindOf = (field: protobuf.Field): string => {
  if (field.resolvedType instanceof protobuf.Enum) return 'varint'
  if (field.resolvedType !== null) return `message ${field.resolvedType.fullName}`
  return kinds[field.type] ?? field.type
}

const labelOf = (field: protobuf.Field): string =>
  field instanceof protobuf.MapField ? `map<${kinds[field.keyType] ?? field.keyType}>` : field.repeated ? 'repeated' : 'singular'

const messagesOf = (types: readonly protobuf.Type[]): Map<string, protobuf.Type> => {
  const all = new Map<string, protobuf.Type>()
  const visit = (type: protobuf.Type): void => {
    all.set(type.fullName, type)
    for (const child of type.nestedArray) if (child instanceof protobuf.Type) visit(child)
  }
  for (const type of types) visit(type)
  return all
}

/** Why a reader with `reader` would misread or lose what `writer` wrote. Removing a field is allowed; giving its number away is not. */
export const protobufObstacles = (reader: string, writer: string): readonly string[] => {
  const [reading, writing] = [parseProtobuf(reader), parseProtobuf(writer)]
  reading.resolve()
  writing.resolve()
  const reasons: string[] = []
  if (reading.package_name !== writing.package_name)
    reasons.push(`The package changes from ${writing.package_name || '(none)'} to ${reading.package_name || '(none)'}.`)
  const targets = messagesOf(reading.messages)
  for (const [name, old] of messagesOf(writing.messages)) {
    const type = targets.get(name)
    if (type === undefined) {
      reasons.push(`Message ${name} is gone.`)
      continue
    }
    for (const field of old.fieldsArray) {
      const at = `${name}.${field.name}`
      const now = type.fieldsById[field.id]
      const moved = type.fields[field.name]
      if (moved !== undefined && moved.id !== field.id) reasons.push(`Field ${at} moves from number ${field.id} to ${moved.id}.`)
      if (now === undefined) {
        if (field.required) reasons.push(`Required field ${at} is gone.`)
        continue
      }
      if (labelOf(now) !== labelOf(field)) reasons.push(`Field ${at} changes from ${labelOf(field)} to ${labelOf(now)}.`)
      else if (kindOf(now) !== kindOf(field)) reasons.push(`Field ${at} changes from ${field.type} to ${now.type}.`)
    }
    for (const field of type.fieldsArray)
      if (field.required && old.fieldsById[field.id]?.required !== true)
        reasons.push(`Required field ${name}.${field.name} is added.`)
  }
  const order = (types: readonly protobuf.Type[]): readonly string[] => types.map((type) => type.fullName)
  const kept = order(reading.messages)
  if (order(writing.messages).some((name, i) => targets.has(name) && kept[i] !== name))
    reasons.push('Messages change their order, by which records name theirs.')
  return reasons
}
