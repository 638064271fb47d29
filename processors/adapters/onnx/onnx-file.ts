/** Looks into an ONNX file's bytes (protobuf) without running it: weights kept in other files, inputs, outputs, precision, vocabulary. */
import { Fault } from '../../domain/fault.ts'

/** A field of a protobuf message; `start` and `end` are meant for length-delimited ones, `value` for varints. */
type Field = {
  readonly number: number
  readonly wire: number
  readonly value: number
  readonly start: number
  readonly end: number
}

const broken = (): Fault =>
  new Fault('model.shape', 'The weights are not an ONNX file: `model.json` pins a file of another kind.')

/** Fields of the message at [start, end). Varints beyond 2^53 lose their low digits, which no field read here has. */
function* fieldsOf(bytes: Uint8Array, start: number, end: number): Generator<Field> {
  let at = start
  const varint = (): number => {
    let value = 0
    let factor = 1
    for (let i = 0; i < 10; i++) {
      const byte = bytes[at++]
      if (byte === undefined || at > end) throw broken()
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
    throw broken()
  }
  while (at < end) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    const wire = tag % 8
    if (wire === 0) yield { number, wire, value: varint(), start: at, end: at }
    else if (wire === 2) {
      const length = varint()
      if (at + length > end) throw broken()
      yield { number, wire, value: 0, start: at, end: at + length }
      at += length
    } else if (wire === 5 || wire === 1) {
      at += wire === 5 ? 4 : 8
      if (at > end) throw broken()
    } else throw broken()
  }
}

/** The varints of a packed field. */
const packedOf = (bytes: Uint8Array, { start, end }: Field): readonly number[] => {
  const values: number[] = []
  let value = 0
  let factor = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    value += (byte & 127) * factor
    factor *= 128
    if (byte >= 128) continue
    values.push(value)
    value = 0
    factor = 1
  }
  return values
}

// Field numbers of onnx.proto3 (onnx/onnx, stable since IR version 3).
const model = { graph: 7, functions: 25 }
const graph = { node: 1, initializer: 5, input: 11, output: 12, sparse_initializer: 15 }
const node = { input: 1, output: 2, op_type: 4, attribute: 5 }
const function_proto = { node: 7 }
const attribute = { t: 5, g: 6, tensors: 10, graphs: 11, sparse_tensor: 22, sparse_tensors: 23 }
const sparse = { values: 1, indices: 2 }
const tensor = { dims: 1, data_type: 2, name: 8, external_data: 13, data_location: 14 }
const value_info = { name: 1, type: 2 }
const tensor_type = { tensor: 1, elem_type: 1, shape: 2, dim: 1, dim_value: 1 }

/** Deepest nesting of subgraphs that is followed; deeper is refused, not trusted. */
const depth_max = 32

/** Whether any tensor of the graph keeps its bytes in another file (CVE-2024-27318 and its kin: such a path may lead anywhere). */
export const hasExternalData = (bytes: Uint8Array): boolean => {
  const inTensor = (start: number, end: number): boolean => {
    for (const field of fieldsOf(bytes, start, end)) {
      if (field.number === tensor.external_data) return true
      if (field.number === tensor.data_location && field.value !== 0) return true
    }
    return false
  }
  const inSparse = (start: number, end: number): boolean => {
    for (const field of fieldsOf(bytes, start, end))
      if ((field.number === sparse.values || field.number === sparse.indices) && inTensor(field.start, field.end)) return true
    return false
  }
  const inNode = (start: number, end: number, depth: number): boolean => {
    for (const field of fieldsOf(bytes, start, end)) {
      if (field.number !== node.attribute) continue
      for (const part of fieldsOf(bytes, field.start, field.end)) {
        if ((part.number === attribute.t || part.number === attribute.tensors) && inTensor(part.start, part.end)) return true
        if (
          (part.number === attribute.sparse_tensor || part.number === attribute.sparse_tensors) &&
          inSparse(part.start, part.end)
        )
          return true
        if ((part.number === attribute.g || part.number === attribute.graphs) && inGraph(part.start, part.end, depth + 1))
          return true
      }
    }
    return false
  }
  const inGraph = (start: number, end: number, depth: number): boolean => {
    if (depth > depth_max) throw broken()
    for (const field of fieldsOf(bytes, start, end)) {
      if (field.number === graph.initializer && inTensor(field.start, field.end)) return true
      if (field.number === graph.sparse_initializer && inSparse(field.start, field.end)) return true
      if (field.number === graph.node && inNode(field.start, field.end, depth)) return true
    }
    return false
  }
  let graphs = 0
  for (const field of fieldsOf(bytes, 0, bytes.length)) {
    if (field.number === model.graph) {
      graphs++
      if (inGraph(field.start, field.end, 0)) return true
    }
    if (field.number === model.functions)
      for (const part of fieldsOf(bytes, field.start, field.end))
        if (part.number === function_proto.node && inNode(part.start, part.end, 0)) return true
  }
  if (graphs === 0) throw broken()
  return false
}

/** Names of the graph's outputs. */
export const outputsOf = (bytes: Uint8Array): readonly string[] => {
  const names: string[] = []
  for (const top of fieldsOf(bytes, 0, bytes.length)) {
    if (top.number !== model.graph) continue
    for (const field of fieldsOf(bytes, top.start, top.end)) {
      if (field.number !== graph.output) continue
      for (const part of fieldsOf(bytes, field.start, field.end))
        if (part.number === value_info.name) names.push(Buffer.from(bytes.subarray(part.start, part.end)).toString('utf8'))
    }
  }
  return names
}

const textAt = (bytes: Uint8Array, { start, end }: Field): string => Buffer.from(bytes.subarray(start, end)).toString('utf8')

/** Fields of the graph; a file may hold it in parts, which protobuf joins. */
function* graphFields(bytes: Uint8Array): Generator<Field> {
  for (const top of fieldsOf(bytes, 0, bytes.length)) if (top.number === model.graph) yield* fieldsOf(bytes, top.start, top.end)
}

// Numbers of TensorProto.DataType that are met in encoders.
const element_types: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
  21: 'uint4',
  22: 'int4',
}

/** An input or output as declared: element type, and dimensions with null where they vary; `dims` is null where no shape is said. */
export type GraphValue = { readonly name: string; readonly type: string; readonly dims: readonly (number | null)[] | null }

const graphValueOf = (bytes: Uint8Array, field: Field): GraphValue => {
  let name = ''
  let type = 'unknown'
  let dims: (number | null)[] | null = null
  for (const part of fieldsOf(bytes, field.start, field.end)) {
    if (part.number === value_info.name) name = textAt(bytes, part)
    if (part.number !== value_info.type) continue
    for (const kind of fieldsOf(bytes, part.start, part.end)) {
      if (kind.number !== tensor_type.tensor) continue
      for (const said of fieldsOf(bytes, kind.start, kind.end)) {
        if (said.number === tensor_type.elem_type) type = element_types[said.value] ?? `type ${said.value}`
        if (said.number !== tensor_type.shape) continue
        dims = []
        for (const dim of fieldsOf(bytes, said.start, said.end)) {
          if (dim.number !== tensor_type.dim) continue
          const [value] = [...fieldsOf(bytes, dim.start, dim.end)].filter(({ number }) => number === tensor_type.dim_value)
          dims.push(value === undefined || value.value === 0 ? null : value.value)
        }
      }
    }
  }
  return { name, type, dims }
}

/** What the graph takes and gives. Weights that old files list among the inputs are left out. Fault: model.shape when it is no ONNX file. */
export const signatureOf = (
  bytes: Uint8Array,
): { readonly inputs: readonly GraphValue[]; readonly outputs: readonly GraphValue[] } => {
  const inputs: GraphValue[] = []
  const outputs: GraphValue[] = []
  const weights = new Set<string>()
  for (const field of graphFields(bytes)) {
    if (field.number === graph.input) inputs.push(graphValueOf(bytes, field))
    if (field.number === graph.output) outputs.push(graphValueOf(bytes, field))
    if (field.number === graph.initializer)
      for (const part of fieldsOf(bytes, field.start, field.end))
        if (part.number === tensor.name) weights.add(textAt(bytes, part))
  }
  if (outputs.length === 0) throw broken()
  return { inputs: inputs.filter(({ name }) => !weights.has(name)), outputs }
}

/** Names of precisions by the element type that most bytes of the weights have. */
const precisions: Readonly<Record<string, string>> = {
  float32: 'fp32',
  float64: 'fp64',
  float16: 'fp16',
  bfloat16: 'bf16',
  int8: 'int8',
  uint8: 'int8',
  int4: 'int4',
  uint4: 'int4',
}

/**
 * What the weights are made of: `precision` by the element type of most bytes, with `dynamic` where activations get one scale per
 * tensor at run time; `vocabulary`, the rows of the table that `input_ids` looks into, null where that is not to be seen.
 */
export const weightsOf = (bytes: Uint8Array): { readonly precision: string; readonly vocabulary: number | null } => {
  const tensors = new Map<string, readonly number[]>()
  const bytes_by_type = new Map<string, number>()
  const nodes: { readonly op: string; readonly inputs: readonly string[]; readonly outputs: readonly string[] }[] = []
  for (const field of graphFields(bytes)) {
    if (field.number === graph.initializer) {
      let name = ''
      let type = 'unknown'
      const dims: number[] = []
      for (const part of fieldsOf(bytes, field.start, field.end)) {
        if (part.number === tensor.name) name = textAt(bytes, part)
        if (part.number === tensor.data_type) type = element_types[part.value] ?? 'unknown'
        // Repeated numbers come one by one, or packed into one field.
        if (part.number === tensor.dims && part.wire === 0) dims.push(part.value)
        if (part.number === tensor.dims && part.wire === 2) dims.push(...packedOf(bytes, part))
      }
      tensors.set(name, dims)
      bytes_by_type.set(type, (bytes_by_type.get(type) ?? 0) + (field.end - field.start))
    }
    if (field.number === graph.node) {
      const inputs: string[] = []
      const outputs: string[] = []
      let op = ''
      for (const part of fieldsOf(bytes, field.start, field.end)) {
        if (part.number === node.input) inputs.push(textAt(bytes, part))
        if (part.number === node.output) outputs.push(textAt(bytes, part))
        if (part.number === node.op_type) op = textAt(bytes, part)
      }
      nodes.push({ op, inputs, outputs })
    }
  }
  const [most] = [...bytes_by_type].sort(([, a], [, b]) => b - a)
  const named = most === undefined ? 'unknown' : (precisions[most[0]] ?? most[0])
  const by_output = new Map(nodes.flatMap((one) => one.outputs.map((name) => [name, one] as const)))
  /** The name from which a tensor comes by casts and scales only. */
  const originOf = (name: string): string => {
    let at = name
    for (let hops = 0; hops < 8; hops++) {
      const from = by_output.get(at)
      if (from === undefined || !['Cast', 'Identity', 'DequantizeLinear'].includes(from.op)) break
      at = from.inputs[0] ?? at
    }
    return at
  }
  let vocabulary: number | null = null
  for (const { op, inputs } of nodes) {
    const [table, ids] =
      op === 'Gather' || op === 'GatherBlockQuantized'
        ? [inputs[0], inputs[1]]
        : op === 'EmbedLayerNormalization' || op === 'QEmbedLayerNormalization'
          ? [inputs[2], inputs[0]]
          : []
    if (table === undefined || ids === undefined || originOf(ids) !== 'input_ids') continue
    const rows = tensors.get(originOf(table))?.[0]
    if (rows !== undefined) vocabulary = rows
  }
  return { precision: nodes.some(({ op }) => op === 'DynamicQuantizeLinear') ? `${named} dynamic` : named, vocabulary }
}

const varintBytes = (value: number): number[] => {
  const out: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      out.push(rest)
      return out
    }
    out.push((rest % 128) + 128)
  }
}
const message = (number: number, content: readonly number[]): number[] => [
  ...varintBytes(number * 8 + 2),
  ...varintBytes(content.length),
  ...content,
]

/**
 * The same model with the float32 tensor `name` among its outputs. Protobuf merges a repeated `graph` field into the first one and
 * appends its lists, so that some bytes at the end do it and the pinned file stays as it is. An unknown name is refused by the engine.
 */
export const withOutput = (bytes: Uint8Array, name: string): Uint8Array => {
  if (outputsOf(bytes).includes(name)) return bytes
  const float32_tensor = message(1, [1 * 8, 1])
  const output = [...message(value_info.name, [...Buffer.from(name, 'utf8')]), ...message(value_info.type, float32_tensor)]
  const tail = message(model.graph, message(graph.output, output))
  const out = new Uint8Array(bytes.length + tail.length)
  out.set(bytes)
  out.set(tail, bytes.length)
  return out
}
