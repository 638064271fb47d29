/**
 * Writes records as platforms do: plain data to framed Avro, JSON or Protobuf by the newest schema of the topic, or to plain JSON.
 * For the demo market, `entrepot replay` and tests; it shares no code with the decoders, so that a round trip proves both.
 */
import protobuf from 'protobufjs'
import { Fault } from '../../domain/fault.ts'
import type { Schema, SchemaFormat, SchemaRegistry, SourceFormat } from '../../ports/schema-registry.ts'
import { frame, messagePathBytes } from './framing.ts'
import { parseProtobuf } from './protobuf.ts'
import { referencedBy } from './schema-graph.ts'

export interface SourceEncoder {
  /**
   * The value as the topic's platform would serialise it. 64-bit integers may be bigint, number or digits; numbers may be text;
   * fields the schema does not have are left out. Throws `map.type` naming the path that does not fit, `schema.unknown` when the
   * topic has no schema, `registry.unavailable` in an outage.
   */
  encode(topic: string, format: SourceFormat, value: unknown): Promise<Buffer>
}

const refuse = (path: string, wants: string): never => {
  throw new Fault('map.type', `${path === '' ? 'The value' : path} does not fit the schema: ${wants} is wanted.`, { path })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

/** JSON text with bigint as digits. */
export const jsonText = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'bigint' ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(inner.toString()) : inner,
  )

const integerOf = (value: unknown, bits: number, path: string): bigint => {
  const exact =
    typeof value === 'bigint'
      ? value
      : typeof value === 'number' && Number.isInteger(value)
        ? BigInt(value)
        : typeof value === 'string' && /^-?\d{1,20}$/u.test(value)
          ? BigInt(value)
          : null
  if (exact === null || BigInt.asIntN(bits, exact) !== exact) return refuse(path, `an integer of ${bits} bits`)
  return exact
}

const numberOf = (value: unknown, path: string): number => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && (!Number.isNaN(number) || value === number) ? number : refuse(path, 'a number')
}

const booleanOf = (value: unknown, path: string): boolean =>
  typeof value === 'boolean' ? value : value === 'true' ? true : value === 'false' ? false : refuse(path, 'true or false')

const textOf = (value: unknown, path: string): string =>
  typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
      ? String(value)
      : refuse(path, 'a text')

const bytesOf = (value: unknown, path: string): Uint8Array =>
  ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : typeof value === 'string'
      ? Buffer.from(value, 'utf8')
      : refuse(path, 'bytes')

/** Base-128, least significant group first; 64 bits, negative as two's complement. */
const varint = (value: bigint): Buffer => {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

const zigzag = (value: bigint): Buffer => varint((value << 1n) ^ (value >> 63n))

const float32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeFloatLE(value)
  return bytes
}

const float64 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(value)
  return bytes
}

const fixedInteger = (value: bigint, size: 4 | 8): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigInt64LE(BigInt.asIntN(64, value))
  return bytes.subarray(0, size)
}

type AvroNode = string | readonly AvroNode[] | { readonly [attribute: string]: unknown }
type Named = Map<string, { readonly node: Record<string, unknown>; readonly namespace: string }>

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

const fullName = (name: string, namespace: string): string =>
  name.includes('.') || namespace === '' ? name : `${namespace}.${name}`

/** Every named type of a schema by its full name. */
const collectNames = (node: AvroNode, namespace: string, names: Named): void => {
  if (typeof node === 'string') return
  if (Array.isArray(node)) {
    for (const branch of node as readonly AvroNode[]) collectNames(branch, namespace, names)
    return
  }
  const object = node as Record<string, unknown>
  let inside = namespace
  if (typeof object['name'] === 'string') {
    const own = typeof object['namespace'] === 'string' ? object['namespace'] : namespace
    const full = fullName(object['name'], own)
    inside = full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : ''
    names.set(full, { node: object, namespace: inside })
  }
  if (typeof object['type'] === 'object') collectNames(object['type'] as AvroNode, inside, names)
  for (const attribute of ['items', 'values'])
    if (object[attribute] !== undefined) collectNames(object[attribute] as AvroNode, inside, names)
  if (Array.isArray(object['fields']))
    for (const field of object['fields'] as { type: AvroNode }[]) collectNames(field.type, inside, names)
}

/** Big-endian two's complement of a decimal text at a scale. */
const decimalBytes = (value: unknown, scale: number, path: string): Buffer => {
  const text = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
  const found = typeof text === 'string' ? /^(-?)(\d+)(?:\.(\d+))?$/u.exec(text) : null
  if (found === null) return refuse(path, 'a plain decimal')
  const fraction = (found[3] ?? '').padEnd(scale, '0')
  if (fraction.length > scale) return refuse(path, `at most ${scale} decimals`)
  let unscaled = BigInt(`${found[2]}${fraction}`)
  if (found[1] === '-') unscaled = -unscaled
  let size = 1
  while (BigInt.asIntN(size * 8, unscaled) !== unscaled) size++
  return Buffer.from(
    BigInt.asUintN(size * 8, unscaled)
      .toString(16)
      .padStart(size * 2, '0'),
    'hex',
  )
}

const avroWriter = (texts: readonly string[]): ((value: unknown) => Buffer) => {
  const nodes = texts.map((text) => JSON.parse(text) as AvroNode)
  const names: Named = new Map()
  for (const node of nodes) collectNames(node, '', names)

  const write = (node: AvroNode, namespace: string, value: unknown, path: string): Buffer => {
    if (Array.isArray(node)) return writeUnion(node as readonly AvroNode[], namespace, value, path)
    if (typeof node === 'string') {
      if (primitives.has(node)) return writePlain(node, {}, value, path)
      const named = names.get(fullName(node, namespace)) ?? names.get(node)
      return named === undefined ? refuse(path, `the type ${node}`) : write(named.node, named.namespace, value, path)
    }
    const object = node as Record<string, unknown>
    const type = object['type']
    if (typeof type === 'object') return write(type as AvroNode, namespace, value, path)
    const inside =
      typeof object['name'] === 'string'
        ? (names.get(fullName(object['name'], (object['namespace'] as string | undefined) ?? namespace))?.namespace ?? namespace)
        : namespace
    switch (type) {
      case 'record': {
        if (!isObject(value)) return refuse(path, 'an object')
        return Buffer.concat(
          (object['fields'] as { name: string; type: AvroNode; default?: unknown }[]).map((field) => {
            const given = value[field.name]
            const here = path === '' ? field.name : `${path}.${field.name}`
            return write(field.type, inside, given === undefined ? (field.default ?? null) : given, here)
          }),
        )
      }
      case 'array': {
        if (!Array.isArray(value)) return refuse(path, 'a list')
        const items = value.map((item, at) => write(object['items'] as AvroNode, inside, item, `${path}[${at}]`))
        return Buffer.concat([...(items.length > 0 ? [zigzag(BigInt(items.length))] : []), ...items, zigzag(0n)])
      }
      case 'map': {
        if (!isObject(value)) return refuse(path, 'an object')
        const entries = Object.entries(value).flatMap(([key, item]) => [
          writePlain('string', {}, key, path),
          write(object['values'] as AvroNode, inside, item, `${path}.${key}`),
        ])
        return Buffer.concat([...(entries.length > 0 ? [zigzag(BigInt(entries.length / 2))] : []), ...entries, zigzag(0n)])
      }
      case 'enum': {
        const symbols = object['symbols'] as string[]
        const index = symbols.indexOf(textOf(value, path))
        return index < 0 ? refuse(path, `one of ${symbols.join(', ')}`) : zigzag(BigInt(index))
      }
      case 'fixed': {
        const bytes = bytesOf(value, path)
        return bytes.length === object['size'] ? Buffer.from(bytes) : refuse(path, `${object['size'] as number} bytes`)
      }
      default:
        return primitives.has(type as string)
          ? writePlain(type as string, object, value, path)
          : write(type as string, namespace, value, path)
    }
  }

  const writePlain = (type: string, node: Record<string, unknown>, value: unknown, path: string): Buffer => {
    switch (type) {
      case 'null':
        return value === null || value === undefined ? Buffer.alloc(0) : refuse(path, 'null')
      case 'boolean':
        return Buffer.from([booleanOf(value, path) ? 1 : 0])
      case 'int':
        return zigzag(integerOf(value, 32, path))
      case 'long':
        return zigzag(integerOf(value, 64, path))
      case 'float':
        return float32(numberOf(value, path))
      case 'double':
        return float64(numberOf(value, path))
      default: {
        const decimal = type === 'bytes' && node['logicalType'] === 'decimal'
        const bytes = decimal
          ? decimalBytes(value, (node['scale'] as number | undefined) ?? 0, path)
          : type === 'string'
            ? Buffer.from(textOf(value, path), 'utf8')
            : bytesOf(value, path)
        return Buffer.concat([zigzag(BigInt(bytes.length)), bytes])
      }
    }
  }

  /** The first branch of the value's own kind, else the first that takes it: `19.99` as text goes to a string branch, not a double. */
  const writeUnion = (branches: readonly AvroNode[], namespace: string, value: unknown, path: string): Buffer => {
    const kind = (branch: AvroNode): string => {
      const name = typeof branch === 'string' ? branch : ((branch as Record<string, unknown>)['type'] as string)
      if (typeof branch === 'string' && !primitives.has(branch)) {
        const named = names.get(fullName(branch, namespace)) ?? names.get(branch)
        return named === undefined ? branch : (named.node['type'] as string)
      }
      return name
    }
    const wanted =
      value === null || value === undefined
        ? ['null']
        : typeof value === 'string'
          ? ['string', 'enum', 'bytes']
          : typeof value === 'bigint'
            ? ['long']
            : typeof value === 'number'
              ? Number.isInteger(value)
                ? ['int', 'long', 'double', 'float']
                : ['double', 'float']
              : typeof value === 'boolean'
                ? ['boolean']
                : Array.isArray(value)
                  ? ['array']
                  : ['record', 'map', 'bytes', 'fixed']
    const order = [
      ...branches.filter((branch) => wanted.includes(kind(branch))),
      ...branches.filter((branch) => !wanted.includes(kind(branch))),
    ]
    let first: unknown
    for (const branch of order) {
      try {
        return Buffer.concat([zigzag(BigInt(branches.indexOf(branch))), write(branch, namespace, value, path)])
      } catch (error) {
        first ??= error
      }
    }
    throw first
  }

  return (value) => write(nodes.at(-1)!, '', value, '')
}

const protobufWriter = (text: string): ((value: unknown) => Buffer) => {
  const file = parseProtobuf(text)
  file.resolve()
  const root = file.messages[0]
  if (root === undefined) throw new Fault('schema.hostile', 'The schema declares no message.')

  const delimited = (bytes: Uint8Array): Buffer => Buffer.concat([varint(BigInt(bytes.length)), bytes])
  const tagOf = (id: number, wire: number): Buffer => varint(BigInt(id * 8 + wire))

  const scalar = (type: string, value: unknown, path: string): Buffer => {
    switch (type) {
      case 'double':
        return float64(numberOf(value, path))
      case 'float':
        return float32(numberOf(value, path))
      case 'bool':
        return varint(booleanOf(value, path) ? 1n : 0n)
      case 'string':
        return delimited(Buffer.from(textOf(value, path), 'utf8'))
      case 'bytes':
        return delimited(bytesOf(value, path))
      case 'sint32':
      case 'sint64':
        return zigzag(integerOf(value, type === 'sint32' ? 32 : 64, path))
      case 'fixed32':
      case 'sfixed32':
        return fixedInteger(integerOf(value, 33, path), 4)
      case 'fixed64':
      case 'sfixed64':
        return fixedInteger(integerOf(value, 65, path), 8)
      case 'uint32':
      case 'uint64':
        return varint(integerOf(value, type === 'uint32' ? 33 : 65, path))
      default:
        return varint(integerOf(value, type === 'int32' ? 32 : 64, path))
    }
  }
  const wireOf = (type: string): number =>
    ['double', 'fixed64', 'sfixed64'].includes(type)
      ? 1
      : ['float', 'fixed32', 'sfixed32'].includes(type)
        ? 5
        : ['string', 'bytes'].includes(type)
          ? 2
          : 0

  const single = (field: Pick<protobuf.Field, 'resolvedType' | 'type'>, id: number, value: unknown, path: string): Buffer => {
    const { resolvedType, type } = field
    if (resolvedType instanceof protobuf.Enum) {
      const number = typeof value === 'number' ? value : resolvedType.values[textOf(value, path)]
      return number === undefined
        ? refuse(path, `one of ${Object.keys(resolvedType.values).join(', ')}`)
        : Buffer.concat([tagOf(id, 0), varint(BigInt(number))])
    }
    if (resolvedType instanceof protobuf.Type) return Buffer.concat([tagOf(id, 2), delimited(message(resolvedType, value, path))])
    return Buffer.concat([tagOf(id, wireOf(type)), scalar(type, value, path)])
  }

  const entry = (field: protobuf.MapField, key: string, value: unknown, path: string): Buffer =>
    Buffer.concat([
      tagOf(field.id, 2),
      delimited(
        Buffer.concat([
          tagOf(1, wireOf(field.keyType)),
          scalar(field.keyType, key, path),
          single(field, 2, value, `${path}.${key}`),
        ]),
      ),
    ])

  const message = (type: protobuf.Type, value: unknown, path: string): Buffer => {
    if (!isObject(value)) return refuse(path, 'an object')
    return Buffer.concat(
      type.fieldsArray.flatMap((field): readonly Buffer[] => {
        const given = value[field.name]
        if (given === undefined || given === null) return []
        const here = path === '' ? field.name : `${path}.${field.name}`
        if (field instanceof protobuf.MapField)
          return isObject(given)
            ? Object.entries(given).map(([key, item]) => entry(field, key, item, here))
            : refuse(here, 'an object')
        if (field.repeated)
          return Array.isArray(given)
            ? given.map((item, at) => single(field, field.id, item, `${here}[${at}]`))
            : refuse(here, 'a list')
        return [single(field, field.id, given, here)]
      }),
    )
  }

  return (value) => Buffer.concat([messagePathBytes([0]), message(root, value, '')])
}

const writers: Readonly<Record<SchemaFormat, (texts: readonly string[]) => (value: unknown) => Buffer>> = {
  AVRO: avroWriter,
  JSON: () => (value) => Buffer.from(jsonText(value), 'utf8'),
  PROTOBUF: (texts) => protobufWriter(texts.at(-1)!),
}

type Writer = { readonly id: number; readonly format: SchemaFormat; readonly write: (value: unknown) => Buffer }

/** An encoder over a registry; the newest schema of `<topic>-value` is looked up once per topic. */
export const openSourceEncoder = (registry: SchemaRegistry): SourceEncoder => {
  const known = new Map<string, Promise<Writer>>()
  const look = async (topic: string): Promise<Writer> => {
    const latest = await registry.latest(`${topic}-value`)
    if (latest === undefined)
      throw new Fault('schema.unknown', `No schema is registered for ${topic}: run \`entrepot schemas register\`.`, { topic })
    const referenced: readonly Schema[] = await referencedBy(latest, registry.version)
    const texts = [...referenced.map((schema) => schema.text), latest.text]
    return { id: latest.id, format: latest.format, write: writers[latest.format](texts) }
  }
  return {
    encode: async (topic, format, value) => {
      if (format === 'PLAIN_JSON') return Buffer.from(jsonText(value), 'utf8')
      let found = known.get(topic)
      if (found === undefined) {
        found = look(topic)
        known.set(topic, found)
        found.catch(() => known.delete(topic))
      }
      const writer = await found
      if (writer.format !== format)
        throw new Fault('schema.type', `${topic} has a schema in ${writer.format}; its map reads ${format}.`, { topic })
      return frame(writer.id, writer.write(value))
    },
  }
}
