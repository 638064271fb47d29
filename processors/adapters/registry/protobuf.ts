/**
 * Protobuf: protobufjs parses the .proto text, and that is all it does. The wire format is read here, by plans made from the parsed
 * file, so that no code is generated from a schema, cut strings are seen, 64-bit integers are exact and everything is bounded.
 */
import { isUtf8 } from 'node:buffer'
import protobuf from 'protobufjs'
import { Fault } from '../../domain/fault.ts'
import type { SourceValue } from '../../ports/schema-registry.ts'
import { type DecodeLimits, isUnsafeName } from './limits.ts'

const well_known = ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'].map(
  (name) => `google/protobuf/${name}.proto`,
)

export const isWellKnownImport = (name: string): boolean => well_known.includes(name)

export type ProtobufFile = {
  readonly package_name: string
  readonly imports: readonly string[]
  /** Top-level messages in order of declaration, as message indexes count them. */
  readonly messages: readonly protobuf.Type[]
  /** Everything the file declares at its top. */
  readonly declared: readonly protobuf.ReflectionObject[]
  /** Finds the types that fields name. Throws when one is missing. */
  resolve(): void
}

/** Parses a file and adds the well-known types it imports. Throws protobufjs' error. */
export const parseProtobuf = (text: string): ProtobufFile => {
  const root = new protobuf.Root()
  const parsed = protobuf.parse(text, root, { keepCase: true })
  const package_name = parsed.package ?? ''
  const space = package_name === '' ? root : root.lookup(package_name)
  const declared = space instanceof protobuf.Namespace ? [...space.nestedArray] : []
  const imports = [...(parsed.imports ?? []), ...(parsed.weakImports ?? [])]
  return {
    package_name,
    imports,
    messages: declared.filter((object) => object instanceof protobuf.Type),
    declared,
    resolve() {
      for (const name of imports) {
        const common = (protobuf.common as unknown as { get(file: string): protobuf.INamespace | null }).get(name)
        if (common?.nested !== undefined) root.addJSON(common.nested)
      }
      root.resolveAll()
    },
  }
}

type Scalar =
  | 'double'
  | 'float'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'sint32'
  | 'sint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed32'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes'

const varint = 0
const fixed64 = 1
const delimited = 2
const start_group = 3
const end_group = 4
const fixed32 = 5

/** How a single value of a field is read: a scalar, an enum by its names, or a message. */
type ValuePlan =
  | { readonly scalar: Scalar; readonly wire: number }
  | { readonly symbols: ReadonlyMap<number, string>; readonly wire: 0 }
  | { readonly message: MessagePlan; readonly wire: 2 }

type FieldPlan = {
  readonly name: string
  readonly value: ValuePlan
  readonly kind: 'single' | 'repeated' | 'map'
  /** The keys of a map. */
  readonly key: ValuePlan | undefined
  readonly required: boolean
  /** What stands there when the field is absent: null where presence is tracked, else the type's default. */
  readonly absent: SourceValue
  /** Names of the other members of its oneof. */
  readonly rivals: readonly string[]
}

type Fields = Record<string, unknown>

type MessagePlan = {
  readonly name: string
  readonly create: () => Fields
  fields: readonly FieldPlan[]
  byNumber: ReadonlyMap<number, FieldPlan>
  /** Turns a well-known type into the value it stands for. */
  readonly finish: ((fields: Fields) => SourceValue) | undefined
}

const wires: Readonly<Record<Scalar, number>> = {
  double: fixed64,
  float: fixed32,
  int32: varint,
  int64: varint,
  uint32: varint,
  uint64: varint,
  sint32: varint,
  sint64: varint,
  fixed32,
  fixed64,
  sfixed32: fixed32,
  sfixed64: fixed64,
  bool: varint,
  string: delimited,
  bytes: delimited,
}

const isScalar = (type: string): type is Scalar => Object.hasOwn(wires, type)

/** What an enum number outside the schema reads as; the same word stands for a newer writer's symbol in canonical schemas. */
const unknown_symbol = 'UNKNOWN'

const time_ms_max = 8.64e15

/** Seconds and nanoseconds as whole ms. */
const toMs = (fields: Fields): number => {
  const ms = Number(fields['seconds']) * 1_000 + Math.floor((fields['nanos'] as number) / 1_000_000)
  if (Math.abs(ms) > time_ms_max) throw new Fault('time.invalid', 'A timestamp is beyond the range of dates.')
  return ms
}

const theValue = (fields: Fields): SourceValue => fields['value'] as SourceValue

/** Well-known types as plain values: timestamps and durations in ms, wrappers as what they wrap, Struct as its JSON. */
const finishers: Readonly<Record<string, (fields: Fields) => SourceValue>> = {
  '.google.protobuf.Timestamp': toMs,
  '.google.protobuf.Duration': toMs,
  '.google.protobuf.DoubleValue': theValue,
  '.google.protobuf.FloatValue': theValue,
  '.google.protobuf.Int64Value': theValue,
  '.google.protobuf.UInt64Value': theValue,
  '.google.protobuf.Int32Value': theValue,
  '.google.protobuf.UInt32Value': theValue,
  '.google.protobuf.BoolValue': theValue,
  '.google.protobuf.StringValue': theValue,
  '.google.protobuf.BytesValue': theValue,
  '.google.protobuf.Struct': (fields) => fields['fields'] as SourceValue,
  '.google.protobuf.ListValue': (fields) => fields['values'] as SourceValue,
  '.google.protobuf.Value': (fields) => {
    for (const kind of ['stringValue', 'numberValue', 'boolValue', 'structValue', 'listValue'])
      if (fields[kind] !== null) return fields[kind] as SourceValue
    return null
  },
}

/** Makes plans of messages, each once, so that recursion in the schema ends. */
const planner = () => {
  const plans = new Map<protobuf.Type, MessagePlan>()

  const valuePlan = (type: string, resolved: protobuf.Type | protobuf.Enum | null): ValuePlan => {
    if (resolved instanceof protobuf.Enum) {
      const symbols = new Map<number, string>()
      for (const [symbol, number] of Object.entries(resolved.values)) if (!symbols.has(number)) symbols.set(number, symbol)
      return { symbols, wire: varint }
    }
    if (resolved !== null) return { message: plan(resolved), wire: delimited }
    if (!isScalar(type)) throw new Error(`${type} is not a type`)
    return { scalar: type, wire: wires[type] }
  }

  const absentValue = (field: protobuf.Field, value: ValuePlan): SourceValue => {
    if (field.hasPresence || 'message' in value) return null
    if ('symbols' in value) return value.symbols.get(0) ?? unknown_symbol
    if (value.scalar === 'string') return ''
    if (value.scalar === 'bytes') return Buffer.alloc(0)
    return value.scalar === 'bool' ? false : 0
  }

  const plan = (type: protobuf.Type): MessagePlan => {
    const known = plans.get(type)
    if (known !== undefined) return known
    // A constructor of one's own, with nothing to inherit, keeps messages of one kind in one hidden class.
    class Message {
      [field: string]: unknown
    }
    delete (Message.prototype as { constructor?: unknown }).constructor
    Object.setPrototypeOf(Message.prototype, null)
    Object.freeze(Message.prototype)
    const made: MessagePlan = {
      name: type.name,
      create: () => new Message(),
      fields: [],
      byNumber: new Map(),
      finish: finishers[type.fullName],
    }
    plans.set(type, made)
    const numbered = type.fieldsArray.map((field): readonly [number, FieldPlan] => {
      const is_map = field instanceof protobuf.MapField
      const value = valuePlan(field.type, field.resolvedType)
      return [
        field.id,
        {
          name: field.name,
          value,
          kind: is_map ? 'map' : field.repeated ? 'repeated' : 'single',
          key: is_map ? valuePlan(field.keyType, null) : undefined,
          required: field.required,
          absent: absentValue(field, value),
          rivals: (field.partOf?.fieldsArray ?? []).filter((other) => other !== field).map((other) => other.name),
        },
      ]
    })
    made.fields = numbered.map(([, field]) => field)
    made.byNumber = new Map(numbered)
    return made
  }
  return plan
}

const truncated = (): Fault => new Fault('decode.truncated', 'The value ends before its schema says it does.')

/** What absent lists and maps share, so that absence costs nothing. */
const no_items: readonly SourceValue[] = Object.freeze([])
const no_entries: Fields = Object.freeze(Object.create(null) as Fields)

const safe_max = BigInt(Number.MAX_SAFE_INTEGER)

/** Reads the wire format with a bound at every step. */
class WireReader {
  buf = Buffer.alloc(0) as Buffer & { utf8Slice(start: number, end: number): string }
  pos = 0
  /** The last varint, as two halves of 32 bits. */
  low = 0
  high = 0
  readonly limits: DecodeLimits

  constructor(limits: DecodeLimits) {
    this.limits = limits
  }

  varint(end: number): void {
    const buf = this.buf
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= end) throw truncated()
      const byte = buf[this.pos++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break
        this.low = low >>> 0
        this.high = high >>> 0
        return
      }
    }
    throw new Fault('decode.invalid', 'An integer is longer than 64 bits.', { byte: this.pos })
  }

  /** The two halves as an unsigned or signed number, or as bigint where a number would not be exact. */
  wide(signed: boolean): number | bigint {
    const { low, high } = this
    if (high < 0x200000) return high * 4294967296 + low
    const raw = (BigInt(high) << 32n) | BigInt(low)
    const value = signed ? BigInt.asIntN(64, raw) : raw
    return value >= -safe_max && value <= safe_max ? Number(value) : value
  }

  zigzag64(): number | bigint {
    const raw = (BigInt(this.high) << 32n) | BigInt(this.low)
    const value = raw & 1n ? -(raw >> 1n) - 1n : raw >> 1n
    return value >= -safe_max && value <= safe_max ? Number(value) : value
  }

  /** A length that fits before `end`; returns where it ends. */
  length(end: number): number {
    this.varint(end)
    if (this.high !== 0 || this.low > end - this.pos) throw truncated()
    return this.pos + this.low
  }

  take(length: number, end: number): number {
    const pos = this.pos
    if (length > end - pos) throw truncated()
    this.pos = pos + length
    return pos
  }

  narrow(fits: boolean): void {
    if (!fits) throw new Fault('number.range', 'An integer is outside 32 bits.', { byte: this.pos })
  }

  scalar(type: Scalar, end: number): SourceValue {
    const { buf } = this
    switch (type) {
      case 'string': {
        const stop = this.length(end)
        const text = buf.utf8Slice(this.pos, stop)
        this.pos = stop
        if (text.length > this.limits.string_chars_max)
          throw new Fault('limits.string', `A string has ${text.length} characters; ${this.limits.string_chars_max} are allowed.`)
        return text
      }
      case 'bytes': {
        const stop = this.length(end)
        const bytes = Buffer.from(buf.subarray(this.pos, stop))
        this.pos = stop
        return bytes
      }
      case 'double':
      case 'float': {
        const value = type === 'double' ? buf.readDoubleLE(this.take(8, end)) : buf.readFloatLE(this.take(4, end))
        if (!Number.isFinite(value)) throw new Fault('number.nonfinite', `A ${type} is NaN or infinite.`, { byte: this.pos })
        return value === 0 ? 0 : value
      }
      case 'fixed32':
        return buf.readUInt32LE(this.take(4, end))
      case 'sfixed32':
        return buf.readInt32LE(this.take(4, end))
      case 'fixed64':
      case 'sfixed64': {
        const pos = this.take(8, end)
        this.low = buf.readUInt32LE(pos)
        this.high = buf.readUInt32LE(pos + 4)
        return this.wide(type === 'sfixed64')
      }
    }
    this.varint(end)
    const { low, high } = this
    switch (type) {
      case 'int32':
        this.narrow((high === 0 && low <= 0x7fffffff) || (high === 0xffffffff && low >= 0x80000000))
        return low | 0
      case 'uint32':
        this.narrow(high === 0)
        return low
      case 'sint32':
        this.narrow(high === 0)
        return (low >>> 1) ^ -(low & 1)
      case 'bool':
        return low !== 0 || high !== 0
      case 'sint64':
        return this.zigzag64()
      default:
        return this.wide(type === 'int64')
    }
  }

  value(plan: ValuePlan, end: number, depth: number, merged?: unknown): SourceValue {
    if ('message' in plan) {
      const stop = this.length(end)
      return this.message(plan.message, stop, depth + 1, merged)
    }
    if ('scalar' in plan) return this.scalar(plan.scalar, end)
    this.varint(end)
    this.narrow((this.high === 0 && this.low <= 0x7fffffff) || (this.high === 0xffffffff && this.low >= 0x80000000))
    return plan.symbols.get(this.low | 0) ?? unknown_symbol
  }

  /** One message up to `end`. A message field that comes again is merged into what came before, as the format wants it. */
  message(plan: MessagePlan, end: number, depth: number, merged?: unknown): SourceValue {
    if (depth > this.limits.depth_max)
      throw new Fault('limits.depth', `The value nests deeper than ${this.limits.depth_max} levels.`, { byte: this.pos })
    this.countValues(plan)
    const fields = (merged ?? this.fresh(plan)) as Fields
    let seen: Set<string> | undefined
    while (this.pos < end) {
      this.varint(end)
      if (this.high !== 0) throw new Fault('decode.invalid', 'A field tag is longer than 32 bits.', { byte: this.pos })
      const number = this.low >>> 3
      const wire = this.low & 7
      if (number === 0) throw new Fault('decode.invalid', 'A field has number 0.', { byte: this.pos })
      const field = plan.byNumber.get(number)
      if (field === undefined) this.skip(wire, number, end, depth)
      else {
        this.field(field, fields, wire, end, depth)
        if (field.required) {
          seen ??= new Set()
          seen.add(field.name)
        }
      }
    }
    for (const field of plan.fields)
      if (field.required && merged === undefined && seen?.has(field.name) !== true)
        throw new Fault('decode.invalid', `${plan.name}.${field.name} is required but absent.`)
    return plan.finish === undefined ? (fields as SourceValue) : plan.finish(fields)
  }

  fresh(plan: MessagePlan): Fields {
    const fields = plan.create()
    for (const field of plan.fields)
      fields[field.name] = field.kind === 'repeated' ? no_items : field.kind === 'map' ? no_entries : field.absent
    return fields
  }

  field(field: FieldPlan, fields: Fields, wire: number, end: number, depth: number): void {
    const { value } = field
    if (field.kind === 'repeated') {
      let items = fields[field.name] as SourceValue[]
      if (items === no_items) {
        items = []
        fields[field.name] = items
      }
      if (wire === value.wire) {
        items.push(this.value(value, end, depth))
        this.countEntry(items.length, this.limits.items_max)
        return
      }
      if (wire !== delimited) throw this.wrongWire(field, wire)
      const stop = this.length(end)
      while (this.pos < stop) {
        items.push(this.value(value, stop, depth))
        this.countEntry(items.length, this.limits.items_max)
      }
      return
    }
    if (field.kind === 'map') {
      if (wire !== delimited) throw this.wrongWire(field, wire)
      if (fields[field.name] === no_entries) fields[field.name] = Object.create(null)
      this.entry(field, fields[field.name] as Fields, this.length(end), depth + 1)
      return
    }
    if (wire !== value.wire) throw this.wrongWire(field, wire)
    const before = fields[field.name]
    const mergeable = 'message' in value && value.message.finish === undefined && before !== null
    fields[field.name] = this.value(value, end, depth, mergeable ? before : undefined)
    for (const rival of field.rivals) fields[rival] = null
  }

  entry(field: FieldPlan, map: Fields, end: number, depth: number): void {
    const { key: key_plan, value: value_plan } = field
    let key: string | undefined
    let value: SourceValue | undefined
    while (this.pos < end) {
      this.varint(end)
      const number = this.low >>> 3
      const wire = this.low & 7
      if (number === 1 && wire === key_plan!.wire) {
        const start = this.pos
        key = String(this.value(key_plan!, end, depth))
        if (key.includes('\ufffd') && !isUtf8(this.buf.subarray(start, this.pos)))
          throw new Fault('decode.utf8', 'A map key is not valid UTF-8.', { byte: start })
      } else if (number === 2 && wire === value_plan.wire) value = this.value(value_plan, end, depth)
      else throw this.wrongWire(field, wire)
    }
    key ??= key_plan !== undefined && 'scalar' in key_plan && key_plan.scalar === 'string' ? '' : String(zeroOf(key_plan!))
    if (isUnsafeName(key)) throw new Fault('json.proto', `A map key is ${key}.`)
    if (key in map) throw new Fault('json.dup_key', `Map ${field.name} holds a key twice.`)
    map[key] = value ?? ('message' in value_plan ? this.empty(value_plan.message) : zeroOf(value_plan))
    const size = (this.sizes.get(map) ?? 0) + 1
    this.sizes.set(map, size)
    this.countEntry(size, this.limits.keys_max)
  }

  /** Entries of each map of this record so far. */
  readonly sizes = new Map<Fields, number>()
  /** Items of repeated fields and entries of maps so far. */
  entries = 0

  empty(plan: MessagePlan): SourceValue {
    this.countValues(plan)
    const fields = this.fresh(plan)
    return plan.finish === undefined ? (fields as SourceValue) : plan.finish(fields)
  }

  /** Fields of all messages of this record so far. */
  values = 0

  /** A message costs its fields whether they are there or not, also where it is merged into one before. */
  countValues(plan: MessagePlan): void {
    this.values += plan.fields.length
    if (this.values > this.limits.values_max)
      throw new Fault('limits.items', `The value has more than ${this.limits.values_max} fields in all.`, { byte: this.pos })
  }

  /** One more entry, the `count`th of its field. */
  countEntry(count: number, max: number): void {
    if (count > max) throw new Fault('limits.items', `A repeated field or map has more than ${max} entries.`, { byte: this.pos })
    if (++this.entries > this.limits.entries_max)
      throw new Fault('limits.items', `The value has more than ${this.limits.entries_max} entries in all.`, { byte: this.pos })
  }

  wrongWire(field: FieldPlan, wire: number): Fault {
    return new Fault('decode.invalid', `Field ${field.name} comes with wire type ${wire}.`, { byte: this.pos })
  }

  skip(wire: number, number: number, end: number, depth: number): void {
    switch (wire) {
      case varint:
        this.varint(end)
        return
      case fixed64:
        this.take(8, end)
        return
      case fixed32:
        this.take(4, end)
        return
      case delimited:
        this.pos = this.length(end)
        return
      case start_group:
        if (depth >= this.limits.depth_max)
          throw new Fault('limits.depth', `The value nests deeper than ${this.limits.depth_max} levels.`, { byte: this.pos })
        for (;;) {
          this.varint(end)
          const inner_number = this.low >>> 3
          const inner_wire = this.low & 7
          if (inner_wire === end_group && inner_number === number) return
          this.skip(inner_wire, inner_number, end, depth + 1)
        }
      default:
        throw new Fault('decode.invalid', `Wire type ${wire} does not belong here.`, { byte: this.pos })
    }
  }
}

const zeroOf = (plan: ValuePlan): SourceValue => {
  if ('symbols' in plan) return plan.symbols.get(0) ?? unknown_symbol
  if (!('scalar' in plan)) return null
  if (plan.scalar === 'string') return ''
  if (plan.scalar === 'bytes') return Buffer.alloc(0)
  return plan.scalar === 'bool' ? false : 0
}

/** Decodes the message that the path names and that starts at `offset`. */
export type ProtobufDecoder = (value: Buffer, offset: number, indexes: readonly number[]) => SourceValue | Fault

/**
 * A decoder of every message a linted .proto text declares. Fields keep the names of the text. An absent field is null where presence is
 * tracked (messages, oneof, `optional`), else its type's default; enums are their symbols, unknown numbers `UNKNOWN`; 64-bit integers are
 * exact; well-known types are plain values (see finishers). A message without a byte is refused, for it would be all defaults.
 */
export const protobufDecoder = (text: string, limits: DecodeLimits): ProtobufDecoder => {
  const file = parseProtobuf(text)
  file.resolve()
  const plan = planner()
  const byPath = new Map<string, MessagePlan | undefined>()
  const messageAt = (indexes: readonly number[]): MessagePlan | undefined => {
    let level: readonly protobuf.Type[] = file.messages
    let type: protobuf.Type | undefined
    for (const index of indexes) {
      type = level[index]
      if (type === undefined) return undefined
      level = type.nestedArray.filter((object) => object instanceof protobuf.Type)
    }
    return type === undefined ? undefined : plan(type)
  }
  const first = messageAt([0])
  const reader = new WireReader(limits)
  return (value, offset, indexes) => {
    if (value.length > limits.record_bytes_max)
      return new Fault('limits.bytes', `The record has ${value.length} bytes; ${limits.record_bytes_max} are allowed.`)
    let message = first
    if (indexes.length !== 1 || indexes[0] !== 0) {
      const path = indexes.join('.')
      message = byPath.get(path)
      if (message === undefined) {
        message = messageAt(indexes)
        if (message !== undefined) byPath.set(path, message)
      }
    }
    if (message === undefined)
      return new Fault('decode.index', `The schema has no message at index ${indexes.slice(0, 16).join('.')}.`)
    if (value.length === offset) return new Fault('decode.empty', 'The message has no bytes.')
    reader.buf = value as WireReader['buf']
    reader.pos = offset
    reader.entries = 0
    reader.values = 0
    if (reader.sizes.size > 0) reader.sizes.clear()
    try {
      return reader.message(message, value.length, 1)
    } catch (error) {
      if (error instanceof Fault) return error
      if (error instanceof RangeError) return new Fault('limits.depth', 'The value nests too deep.', {}, error)
      throw error
    }
  }
}
