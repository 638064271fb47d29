/** Looks into an ONNX file's bytes (protobuf) without running it: weights kept in other files, and inner tensors as outputs. */
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

// Field numbers of onnx.proto3 (onnx/onnx, stable since IR version 3).
const model = { graph: 7, functions: 25 }
const graph = { node: 1, initializer: 5, output: 12, sparse_initializer: 15 }
const node = { attribute: 5 }
const function_proto = { node: 7 }
const attribute = { t: 5, g: 6, tensors: 10, graphs: 11, sparse_tensor: 22, sparse_tensors: 23 }
const sparse = { values: 1, indices: 2 }
const tensor = { external_data: 13, data_location: 14 }
const value_info = { name: 1, type: 2 }

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
