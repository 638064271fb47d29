/** Writes an ONNX model: nodes in the order they are added, weights in the file, byte for byte the same for the same calls. */
import protobuf from 'protobufjs'

/** Element types of onnx.proto (TensorProto.DataType). */
export const element_types = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10, int4: 22 } as const
export type ElementType = keyof typeof element_types

/** A weight: little-endian bytes, row-major. */
export type TensorData = { readonly type: ElementType; readonly dims: readonly number[]; readonly bytes: Uint8Array }

type Attribute = number | readonly number[] | { readonly float: number }
export type NodeOptions = {
  /** '' = the ONNX standard; `com.microsoft` = contrib operators of ONNX Runtime. */
  readonly domain?: '' | 'com.microsoft'
  /** A number is an int, { float } a float, a list ints. */
  readonly attributes?: Readonly<Record<string, Attribute>>
  /** How many outputs; names are made. */
  readonly outputs?: number
}

export type ValueInfo = { readonly name: string; readonly type: ElementType; readonly dims: readonly (number | string)[] }

export type GraphWriter = {
  /** Adds a node and returns the name of its first output; an empty input name leaves an optional input out. */
  node(op: string, inputs: readonly string[], options?: NodeOptions): string
  /** As node, all outputs. */
  nodes(op: string, inputs: readonly string[], options: NodeOptions): readonly string[]
  /** Adds a weight, or finds the one of that name, and returns its name. */
  weight(name: string, tensor: () => TensorData): string
  /** Gives a tensor another name, for outputs. */
  named(from: string, name: string): void
  bytes(inputs: readonly ValueInfo[], outputs: readonly ValueInfo[], about: { name: string; producer: string }): Uint8Array
}

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule === undefined ? {} : { rule }) })

/** The part of onnx.proto that is written here (onnx/onnx, IR version 10). */
const onnx = protobuf.Root.fromJSON({
  nested: {
    Attribute: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        ints: field(8, 'int64', 'repeated'),
        type: field(20, 'int32'),
      },
    },
    Node: {
      fields: {
        input: field(1, 'string', 'repeated'),
        output: field(2, 'string', 'repeated'),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: field(5, 'Attribute', 'repeated'),
        domain: field(7, 'string'),
      },
    },
    Tensor: {
      fields: {
        dims: field(1, 'int64', 'repeated'),
        dataType: field(2, 'int32'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
      },
    },
    Dimension: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
    Shape: { fields: { dim: field(1, 'Dimension', 'repeated') } },
    TensorType: { fields: { elemType: field(1, 'int32'), shape: field(2, 'Shape') } },
    Type: { fields: { tensorType: field(1, 'TensorType') } },
    ValueInfo: { fields: { name: field(1, 'string'), type: field(2, 'Type') } },
    Graph: {
      fields: {
        node: field(1, 'Node', 'repeated'),
        name: field(2, 'string'),
        initializer: field(5, 'Tensor', 'repeated'),
        input: field(11, 'ValueInfo', 'repeated'),
        output: field(12, 'ValueInfo', 'repeated'),
      },
    },
    OperatorSet: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    Model: {
      fields: {
        irVersion: field(1, 'int64'),
        producerName: field(2, 'string'),
        graph: field(7, 'Graph'),
        opsetImport: field(8, 'OperatorSet', 'repeated'),
      },
    },
  },
})
const model_type = onnx.lookupType('Model')

const attribute_types = { float: 1, int: 2, ints: 7 } as const

const attributeOf = (name: string, value: Attribute) =>
  typeof value === 'number'
    ? { name, i: value, type: attribute_types.int }
    : 'float' in value
      ? { name, f: value.float, type: attribute_types.float }
      : { name, ints: value, type: attribute_types.ints }

const infoOf = ({ name, type, dims }: ValueInfo) => ({
  name,
  type: {
    tensorType: {
      elemType: element_types[type],
      shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
    },
  },
})

/** An empty graph of opset 21. */
export const openGraph = (): GraphWriter => {
  const nodes: Record<string, unknown>[] = []
  const weights = new Map<string, TensorData>()
  let contrib = false
  const add: GraphWriter['nodes'] = (op, inputs, { domain = '', attributes = {}, outputs = 1 }) => {
    const name = `${op}_${nodes.length}`
    const names = Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}.${i}`))
    if (domain !== '') contrib = true
    nodes.push({
      name,
      opType: op,
      input: inputs,
      output: names,
      ...(domain === '' ? {} : { domain }),
      attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value)),
    })
    return names
  }
  return {
    nodes: add,
    node: (op, inputs, options = {}) => add(op, inputs, options)[0]!,
    weight: (name, tensor) => {
      if (!weights.has(name)) weights.set(name, tensor())
      return name
    },
    named: (from, name) => {
      nodes.push({ name, opType: 'Identity', input: [from], output: [name], attribute: [] })
    },
    bytes: (inputs, outputs, { name, producer }) =>
      model_type
        .encode(
          model_type.fromObject({
            irVersion: 10,
            producerName: producer,
            graph: {
              name,
              node: nodes,
              initializer: [...weights].map(([key, { type, dims, bytes }]) => ({
                name: key,
                dims,
                dataType: element_types[type],
                rawData: bytes,
              })),
              input: inputs.map(infoOf),
              output: outputs.map(infoOf),
            },
            opsetImport: [{ domain: '', version: 21 }, ...(contrib ? [{ domain: 'com.microsoft', version: 1 }] : [])],
          }),
        )
        .finish(),
  }
}

const bytesOf = (array: Float32Array | Int8Array | Uint8Array | BigInt64Array | Int32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/** Weights by element type; `dims` in rows and columns as ONNX counts them. */
export const tensor = {
  float32: (dims: readonly number[], values: Float32Array | readonly number[]): TensorData => ({
    type: 'float32',
    dims,
    bytes: bytesOf(values instanceof Float32Array ? values : Float32Array.from(values)),
  }),
  float16: (dims: readonly number[], values: Float32Array | readonly number[]): TensorData => ({
    type: 'float16',
    dims,
    bytes: bytesOf(new Uint16Array(Float16Array.from(values).buffer)),
  }),
  int8: (dims: readonly number[], values: Int8Array): TensorData => ({ type: 'int8', dims, bytes: bytesOf(values) }),
  uint8: (dims: readonly number[], values: Uint8Array): TensorData => ({ type: 'uint8', dims, bytes: values }),
  /** `values` hold two numbers a byte, the first in the low half. */
  int4: (dims: readonly number[], values: Uint8Array): TensorData => ({ type: 'int4', dims, bytes: values }),
  /** Bits of float16 numbers as they are. */
  float16_bits: (dims: readonly number[], values: Uint16Array): TensorData => ({ type: 'float16', dims, bytes: bytesOf(values) }),
  int64: (dims: readonly number[], values: readonly number[]): TensorData => ({
    type: 'int64',
    dims,
    bytes: bytesOf(BigInt64Array.from(values, BigInt)),
  }),
} as const
