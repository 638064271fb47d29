/**
 * Avro by avsc, with its lax corners made strict: bounds on everything read, exact 64-bit integers, finite numbers, objects that inherit nothing.
 *
 * avsc compiles a schema once and reads through a cursor (its Tap). Both are replaced where they forgive too much: the cursor by one that
 * throws at the first byte that is not there, types by heirs of theirs with another `_read`. These members are private to avsc, whose version
 * is pinned; avro.test.ts and bad-inputs.test.ts go red when an upgrade changes them.
 */
import { isUtf8 } from 'node:buffer'
import avro, { type Type } from 'avsc'
import { Fault } from '../../domain/fault.ts'
import type { SourceValue } from '../../ports/schema-registry.ts'
import { StrictTap, truncated, WritingTap } from './avro-tap.ts'
import { header_bytes } from './framing.ts'
import { type DecodeLimits, isUnsafeName } from './limits.ts'

/** A parsed schema: a name, a union or a definition. */
export type AvroSchema = string | readonly AvroSchema[] | { readonly [attribute: string]: unknown }

/** The members of avsc's types that are used or replaced here. */
type Readable = {
  _read(tap: StrictTap): unknown
  _skip(tap: StrictTap): void
  _write(tap: WritingTap, value: unknown): void
  _check(value: unknown, flags?: number, hook?: (value: unknown, type: unknown) => void, path?: string[]): boolean
}
type ArrayReadable = Readable & { readonly itemsType: Readable }
type MapReadable = Readable & { readonly valuesType: Readable }
type HookOptions = { registry: Record<string, Type> }

/** The same type with some members replaced. avsc freezes its types, so the heir carries them. */
const heir = (base: Type, members: Partial<Readable> & Record<string, unknown>): Type =>
  Object.create(
    base,
    Object.fromEntries(Object.entries(members).map(([name, value]) => [name, { value, enumerable: false }])),
  ) as Type

const inner = (type: Type): Readable => type as unknown as Readable

/** The next block's item count, 0 at the end. Every item takes a byte at least: lint sees to that. */
const blockCount = (tap: StrictTap, so_far: number, count_max: number): number => {
  let count = tap.readLong()
  if (count === 0) return 0
  if (count < 0) {
    count = -count
    tap.skipLong()
  }
  if (so_far + count > count_max)
    throw new Fault('limits.items', `An array or map claims ${so_far + count} entries; ${count_max} are allowed.`, {
      byte: tap.pos,
    })
  tap.entries += count
  if (tap.entries > tap.limits.entries_max)
    throw new Fault('limits.items', `The value has more than ${tap.limits.entries_max} entries in all.`, { byte: tap.pos })
  if (count > tap.end - tap.pos) throw truncated()
  return count
}

const weights = new WeakMap<object, number>()
/** How many fields a datum of the type has, those of records directly inside included: what it costs whatever its bytes. */
const weightOf = (type: Readable): number => {
  const { typeName, fields } = type as unknown as {
    readonly typeName: string
    readonly fields: readonly { readonly type: Type }[]
  }
  if (typeName !== 'record' && typeName !== 'error') return 0
  let weight = weights.get(type)
  if (weight === undefined) {
    // Lint refuses a record directly inside itself; the zero ends the walk all the same.
    weights.set(type, 0)
    weight = fields.reduce((sum, field) => sum + 1 + weightOf(inner(field.type)), 0)
    weights.set(type, weight)
  }
  return weight
}

function readArray(this: ArrayReadable, tap: StrictTap): unknown[] {
  const items = this.itemsType
  const weight = weightOf(items)
  const values: unknown[] = []
  tap.enter()
  for (let count = blockCount(tap, 0, tap.limits.items_max); count > 0; ) {
    tap.spend(count * weight)
    for (; count > 0; count--) values.push(items._read(tap))
    count = blockCount(tap, values.length, tap.limits.items_max)
  }
  tap.depth--
  return values
}

function skipArray(this: ArrayReadable, tap: StrictTap): void {
  let skipped = 0
  for (let count = blockCount(tap, 0, tap.limits.items_max); count > 0; ) {
    for (; count > 0; count--, skipped++) this.itemsType._skip(tap)
    count = blockCount(tap, skipped, tap.limits.items_max)
  }
}

/** Keys become property names of objects without prototype; a platform's maps may not even hold the unsafe ones. */
const readMap = (refuse_unsafe: boolean) =>
  function read(this: MapReadable, tap: StrictTap): Record<string, unknown> {
    const values = this.valuesType
    const weight = weightOf(values)
    const map = Object.create(null) as Record<string, unknown>
    let read = 0
    tap.enter()
    for (let count = blockCount(tap, 0, tap.limits.keys_max); count > 0; ) {
      tap.spend(count * weight)
      for (; count > 0; count--, read++) {
        const start = tap.pos
        const key = tap.readString()
        if (refuse_unsafe && isUnsafeName(key)) throw new Fault('json.proto', `A map key is ${key}.`)
        if (key.includes('\ufffd') && !isUtf8(tap.buf.subarray(start, tap.pos)))
          throw new Fault('decode.utf8', 'A map key is not valid UTF-8.', { byte: start })
        if (key in map) throw new Fault('json.dup_key', 'A map holds a key twice.', { byte: start })
        map[key] = values._read(tap)
      }
      count = blockCount(tap, read, tap.limits.keys_max)
    }
    tap.depth--
    return map
  }

function skipMap(this: MapReadable, tap: StrictTap): void {
  let skipped = 0
  for (let count = blockCount(tap, 0, tap.limits.keys_max); count > 0; ) {
    for (; count > 0; count--, skipped++) {
      tap.skipString()
      this.valuesType._skip(tap)
    }
    count = blockCount(tap, skipped, tap.limits.keys_max)
  }
}

/** Records stay instances of avsc's own constructors, which are fast, but inherit nothing by them. */
const isolateRecord = (type: Type): void => {
  const { recordConstructor } = type as unknown as { recordConstructor: { prototype: object } }
  const prototype = recordConstructor.prototype
  delete (prototype as { constructor?: unknown }).constructor
  Object.setPrototypeOf(prototype, null)
  Object.freeze(prototype)
}

const is_complex = new Set(['record', 'error', 'array', 'map'])

/** The value of the branch itself, whichever branches there are: nothing wraps it. Counts nesting, since recursion leads through here. */
const unionReader = (types: readonly Type[]) => {
  const branches = types.map(inner)
  const nests = types.map((type) => is_complex.has(type.typeName))
  return (tap: StrictTap): unknown => {
    const index = tap.readLong()
    const branch = branches[index]
    if (branch === undefined)
      throw new Fault('decode.invalid', `Union index ${index} is not one of ${branches.length} branches.`, { byte: tap.pos })
    if (!nests[index]) return branch._read(tap)
    tap.enter()
    tap.spend(weightOf(branch))
    const value = branch._read(tap)
    tap.depth--
    return value
  }
}

const time_ms_max = 8.64e15
const inTime = (ms: number): number => {
  if (ms > time_ms_max || ms < -time_ms_max) throw new Fault('time.invalid', 'A timestamp is beyond the range of dates.')
  return ms
}
const wholeDivision = (value: number | bigint, by: number): number =>
  typeof value === 'number' ? Math.floor(value / by) : Number((value - (value < 0n ? BigInt(by - 1) : 0n)) / BigInt(by))

/** A big-endian two's complement integer of `length` bytes with `scale` digits behind the point, in plain decimal notation. */
const decimalText = (tap: StrictTap, length: number, precision: number, scale: number): string => {
  const pos = tap.take(length)
  if (length === 0) throw new Fault('decode.invalid', 'A decimal has no bytes.')
  if (length > precision + 1) throw new Fault('number.range', `A decimal has more than its ${precision} digits.`)
  // Up to six bytes are exact as a number, which is all that money needs.
  const unscaled =
    length <= 6
      ? tap.buf.readIntBE(pos, length)
      : BigInt.asIntN(length * 8, BigInt(`0x${tap.buf.toString('hex', pos, pos + length)}`))
  const negative = unscaled < 0
  const digits = String(negative ? -unscaled : unscaled)
  if (digits.length > precision) throw new Fault('number.range', `A decimal has more than its ${precision} digits.`)
  const padded = digits.padStart(scale + 1, '0')
  const sign = negative ? '-' : ''
  return scale === 0 ? sign + padded : `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
}

/** How a logical type is read from a platform's record: times as ms, decimals and UUIDs as text. Undefined: as its plain type. */
const logicalReader = (schema: Record<string, unknown>): ((tap: StrictTap) => unknown) | undefined => {
  const size = schema['size'] as number
  switch (`${schema['type']}:${schema['logicalType']}`) {
    case 'long:timestamp-millis':
    case 'long:local-timestamp-millis':
      return (tap) => inTime(Number(tap.readLongExact()))
    case 'long:timestamp-micros':
    case 'long:local-timestamp-micros':
      return (tap) => inTime(wholeDivision(tap.readLongExact(), 1_000))
    case 'long:timestamp-nanos':
    case 'long:local-timestamp-nanos':
      return (tap) => inTime(wholeDivision(tap.readLongExact(), 1_000_000))
    case 'int:date':
      return (tap) => inTime(tap.readInt() * 86_400_000)
    case 'long:time-micros':
      return (tap) => inTime(wholeDivision(tap.readLongExact(), 1_000))
    case 'bytes:decimal':
      return (tap) => decimalText(tap, tap.readLong(), schema['precision'] as number, (schema['scale'] as number) ?? 0)
    case 'fixed:decimal':
      return (tap) => decimalText(tap, size, schema['precision'] as number, (schema['scale'] as number) ?? 0)
    case 'fixed:uuid':
      return (tap) =>
        tap
          .readFixed(size)
          .toString('hex')
          .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    default:
      return undefined
  }
}

type Adapt = (base: Type, schema: AvroSchema) => Type

/** avsc asks the hook about every node of a schema; it builds the node as usual and lets `adapt` make it strict. */
const hooked = (adapt: Adapt) => {
  const open = new Set<unknown>()
  return (given: unknown, options: HookOptions): Type | undefined => {
    let schema = given as AvroSchema
    if (typeof schema === 'string') {
      if (!isPrimitive(schema)) return undefined
      schema = { type: schema }
    }
    if (open.has(schema)) return undefined
    open.add(schema)
    try {
      const base = avro.Type.forSchema(schema as never, options as never)
      const type = adapt(base, schema)
      // A named type was registered before it was adapted; later references shall find the adapted one.
      if (type.name !== undefined && type !== base) options.registry[type.name] = type
      return type
    } finally {
      open.delete(schema)
    }
  }
}

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])
export const isPrimitive = (name: string): boolean => primitives.has(name)

const adaptSource: Adapt = (base, schema) => {
  switch (base.typeName) {
    case 'record':
    case 'error':
      isolateRecord(base)
      return base
    case 'array':
      return heir(base, { _read: readArray, _skip: skipArray })
    case 'map':
      return heir(base, { _read: readMap(true), _skip: skipMap })
    case 'union:wrapped':
      return heir(base, { _read: unionReader((base as avro.types.WrappedUnionType).types) })
    default: {
      const logical = logicalReader(schema as Record<string, unknown>)
      if (logical !== undefined) return heir(base, { _read: logical })
      return base.typeName === 'long' ? heir(base, { _read: (tap: StrictTap) => tap.readLongExact() }) : base
    }
  }
}

/** Only what decides how bytes are laid out, rebuilt from an allow-list: no docs, defaults, aliases or attributes of others. */
const layoutOf = (schema: AvroSchema): AvroSchema => {
  if (typeof schema === 'string') return schema
  if (Array.isArray(schema)) return schema.map(layoutOf)
  const node = schema as Record<string, unknown>
  if (typeof node['type'] === 'object') return layoutOf(node['type'] as AvroSchema)
  const layout: Record<string, unknown> = {}
  for (const attribute of ['type', 'name', 'namespace', 'size', 'symbols', 'logicalType', 'precision', 'scale'])
    if (node[attribute] !== undefined) layout[attribute] = node[attribute]
  if (node['items'] !== undefined) layout['items'] = layoutOf(node['items'] as AvroSchema)
  if (node['values'] !== undefined) layout['values'] = layoutOf(node['values'] as AvroSchema)
  if (Array.isArray(node['fields']))
    layout['fields'] = node['fields'].map((field) => ({ name: field.name, type: layoutOf(field.type) }))
  return layout
}

/** Compiles schemas that build on each other; the last is the result. */
const compile = (schemas: readonly AvroSchema[], adapt: Adapt | undefined, wrapUnions: 'always' | 'auto'): Type => {
  const options = {
    registry: {},
    wrapUnions,
    omitRecordMethods: true,
    ...(adapt === undefined ? {} : { typeHook: hooked(adapt) }),
  }
  let type: Type | undefined
  for (const schema of schemas) type = avro.Type.forSchema(schema as never, options as never)
  return type!
}

/** What avsc throws is about the bytes; its messages name indexes and schema names, never values. */
const asMalformed = (error: unknown): Fault => {
  if (error instanceof Fault) return error
  if (error instanceof RangeError) return new Fault('limits.depth', 'The value nests too deep.', {}, error)
  return new Fault('decode.invalid', `The bytes do not follow the schema: ${(error as Error).message}.`, {}, error)
}

const readWhole = <V>(tap: StrictTap, type: Pick<Readable, '_read'>): V | Fault => {
  try {
    const value = type._read(tap) as V
    if (tap.pos !== tap.end)
      return new Fault('decode.trailing', `${tap.end - tap.pos} bytes follow the datum.`, { byte: tap.pos })
    return value
  } catch (error) {
    return asMalformed(error)
  }
}

/** Decodes the datum that starts at `offset` and ends with the value. */
export type AvroDecoder<V> = (value: Buffer, offset: number) => V | Fault

/**
 * A decoder of a platform's records by the schema they were written with (linted before; referenced schemas come first).
 * Longs beyond 2^53 are bigint; timestamps and dates of a logical type are epoch ms, times of day ms since midnight;
 * decimals are plain decimal text; a union's value stands for itself. Invalid UTF-8 in strings becomes U+FFFD.
 */
export const avroSourceDecoder = (schemas: readonly AvroSchema[], limits: DecodeLimits): AvroDecoder<SourceValue> => {
  const type = inner(compile(schemas.map(layoutOf), adaptSource, 'always'))
  const tap = new StrictTap(limits)
  return (value, offset) => {
    if (value.length > limits.record_bytes_max)
      return new Fault('limits.bytes', `The record has ${value.length} bytes; ${limits.record_bytes_max} are allowed.`)
    return readWhole(tap.over(value, offset), type)
  }
}

/** Whether a value is a Float32Array, of whichever realm. */
const isVector = (value: unknown): value is Float32Array => Object.prototype.toString.call(value) === '[object Float32Array]'

const safeLong = (tap: StrictTap): number => {
  const value = tap.readLongExact()
  if (typeof value === 'bigint') throw new Fault('number.range', 'A long is beyond 2^53.', { byte: tap.pos })
  return value
}

/** avsc's own check of a value, and where it fails a report to avsc's hook. */
const checkedBy = (base: Type, holds: (value: unknown) => boolean): Partial<Readable> => ({
  _check(value, flags, hook, path) {
    if (holds(value)) return inner(base)._check.call(base, value, flags, hook, path)
    hook?.(value, base)
    return false
  },
  _write(tap, value) {
    if (!holds(value)) throw new Error('out of range')
    inner(base)._write.call(base, tap, value)
  },
})

const adaptCanonical: Adapt = (base, schema) => {
  const logical = (schema as Record<string, unknown>)['logicalType']
  switch (base.typeName) {
    case 'record':
      isolateRecord(base)
      return base
    case 'array':
      return heir(base, { _read: readArray, _skip: skipArray })
    case 'map':
      return heir(base, { _read: readMap(false), _skip: skipMap })
    case 'long':
      return logical === 'timestamp-millis'
        ? heir(base, {
            _read: (tap: StrictTap) => inTime(safeLong(tap)),
            ...checkedBy(base, (value) => Math.abs(value as number) <= time_ms_max),
          })
        : heir(base, {
            _read: safeLong,
            // avsc refuses 2^53 - 1, which is a count like any other.
            _check(value, _flags, hook) {
              if (Number.isSafeInteger(value)) return true
              hook?.(value, base)
              return false
            },
            _write(tap, value) {
              if (!Number.isSafeInteger(value)) throw new Error('out of range')
              tap.writeLong(value as number)
            },
          })
    case 'double':
      return heir(base, checkedBy(base, Number.isFinite))
    case 'bytes':
      if (logical !== 'float32-vector') return base
      return heir(base, {
        _read(tap: StrictTap) {
          const bytes = tap.readBytes()
          if (bytes.length % 4 !== 0) throw new Fault('decode.invalid', `A vector of ${bytes.length} bytes is not float32.`)
          const vector = new Float32Array(bytes.length / 4)
          new Uint8Array(vector.buffer).set(bytes)
          return vector
        },
        _check(value: unknown, _flags?: number, hook?: (value: unknown, type: unknown) => void) {
          if (isVector(value)) return true
          hook?.(value, base)
          return false
        },
        _write(tap: WritingTap, value: unknown) {
          if (!isVector(value)) throw new Error('not a Float32Array')
          tap.writeBytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
        },
      })
    case 'union:unwrapped': {
      const [none, some, ...others] = (base as avro.types.UnwrappedUnionType).types
      if (none?.typeName !== 'null' || some === undefined || others.length > 0) return base
      const present = inner(some)
      // Null or one type: which branch a value belongs to needs no look at the value's kind, so it may be a vector too.
      return heir(base, {
        _getIndex: (value: unknown) => (value === null ? 0 : 1),
        _read(tap: StrictTap) {
          const index = tap.readLong()
          if (index === 0) return null
          if (index === 1) return present._read(tap)
          throw new Fault('decode.invalid', `Union index ${index} is not one of 2 branches.`, { byte: tap.pos })
        },
        _write(tap: WritingTap, value: unknown) {
          if (value === null) tap.writeLong(0)
          else {
            tap.writeLong(1)
            present._write(tap, value)
          }
        },
      })
    }
    default:
      return base
  }
}

/** A canonical schema, compiled: longs are safe numbers, timestamp-millis epoch ms, float32-vector Float32Array, unions null or one type. */
export type CanonicalType = { readonly type: Type }

export const canonicalType = (schema: AvroSchema): CanonicalType => ({ type: compile([schema], adaptCanonical, 'auto') })

/** Another version of a canonical schema, for reading what was written with it: its defaults and aliases are the writer's own affair. */
export const writerType = (schema: AvroSchema): CanonicalType => canonicalType(layoutOf(schema))

const scratch_bytes = 64 * 1024

/** Encodes behind a wire header. Throws `outcome.invalid` naming the first field that does not fit. */
export const canonicalEncoder = <V>({ type }: CanonicalType, schema_id: number): ((value: V) => Buffer) => {
  const tap = new WritingTap(scratch_bytes)
  const writer = inner(type)
  return (value) => {
    tap.pos = header_bytes
    try {
      writer._write(tap, value)
    } catch (error) {
      let field = '(unknown)'
      type.isValid(value, {
        errorHook: (path) => {
          if (field === '(unknown)') field = path.join('.')
        },
      })
      throw new Fault('outcome.invalid', `Field ${field} of ${type.name} does not fit its schema.`, { field }, error)
    }
    const bytes = Buffer.allocUnsafe(tap.pos)
    tap.buf.copy(bytes, 0, 0, tap.pos)
    bytes[0] = 0
    bytes.writeInt32BE(schema_id, 1)
    return bytes
  }
}

/** A decoder from a writer's schema to the reader's. Throws `schema.resolve` when one cannot be read as the other. */
export const canonicalDecoder = <V>(
  reader: CanonicalType,
  writer: CanonicalType | undefined,
  limits: DecodeLimits,
): AvroDecoder<V> => {
  const type = writer === undefined ? inner(reader.type) : resolverOf(reader.type, writer.type)
  const tap = new StrictTap(limits)
  return (value, offset) => readWhole(tap.over(value, offset), type)
}

const resolverOf = (reader: Type, writer: Type): Pick<Readable, '_read'> => {
  try {
    return reader.createResolver(writer, { ignoreNamespaces: true } as never) as unknown as Pick<Readable, '_read'>
  } catch (error) {
    throw new Fault('schema.resolve', `${writer.name} cannot be read as ${reader.name}: ${(error as Error).message}.`, {}, error)
  }
}

/** Why `reader` cannot read everything that `writer` wrote; empty when it can. Referenced schemas come first in each list. */
export const avroObstacles = (reader: readonly AvroSchema[], writer: readonly AvroSchema[]): readonly string[] => {
  const reading = compile(reader, undefined, 'auto')
  const writing = compile(writer, undefined, 'auto')
  try {
    reading.createResolver(writing, { ignoreNamespaces: true } as never)
    return []
  } catch (error) {
    return [(error as Error).message]
  }
}

/** Compiles for decoding and forgets, so that what avsc alone refuses (a field twice, a union of two strings) is found. Throws avsc's error. */
export const assertAvroCompiles = (schemas: readonly AvroSchema[]): void => {
  compile(schemas.map(layoutOf), adaptSource, 'always')
}

/** Encodes a value for tests, tools and simulated platforms, with avsc as it is. */
export const avroEncoder = (schemas: readonly AvroSchema[]): ((value: unknown) => Buffer) => {
  const type = compile(schemas, undefined, 'auto')
  return (value) => type.toBuffer(value)
}

const complex_kinds = new Set(['record', 'error', 'enum', 'fixed', 'array', 'map'])

/** A schema's meaning as text: what avsc or a registry may write differently (layout, docs, order, short names) is made equal. */
export const avroIdentity = (schema: AvroSchema): string => {
  const plain = (type: AvroSchema, namespace: string): unknown => {
    if (typeof type === 'string')
      return isPrimitive(type) || complex_kinds.has(type) || type.includes('.') || namespace === ''
        ? type
        : `${namespace}.${type}`
    if (Array.isArray(type)) return type.map((branch) => plain(branch, namespace))
    const node = type as Record<string, unknown>
    let inside = namespace
    const out: Record<string, unknown> = {}
    if (typeof node['name'] === 'string') {
      const { name } = node
      const own = typeof node['namespace'] === 'string' ? node['namespace'] : namespace
      const full = name.includes('.') || own === '' ? name : `${own}.${name}`
      inside = full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : ''
      out['name'] = full
    }
    for (const attribute of Object.keys(node).sort()) {
      const value = node[attribute]
      if (attribute === 'doc' || attribute === 'name' || attribute === 'namespace') continue
      if (attribute === 'items' || attribute === 'values') out[attribute] = plain(value as AvroSchema, inside)
      else if (attribute === 'fields')
        out[attribute] = (value as { name: string; type: AvroSchema; default?: unknown; aliases?: unknown }[]).map((field) => ({
          name: field.name,
          type: plain(field.type, inside),
          default: field.default,
          aliases: field.aliases,
        }))
      else if (attribute === 'type')
        out[attribute] = typeof value === 'string' && node['name'] !== undefined ? value : plain(value as AvroSchema, inside)
      else out[attribute] = value
    }
    const { type: kind, ...others } = out
    if (Object.keys(others).length === 0) return kind
    return { type: kind, ...others }
  }
  return JSON.stringify(plain(schema, ''))
}
