/** Lays an encoder of the BERT kind out as an ONNX graph: token ids to unit vectors, in float32, float16 or with int8 products. */
import { type GraphWriter, openGraph, tensor } from './onnx-graph.ts'
import type { Dense, EncoderWeights, Norm } from './weights.ts'

export type Precision =
  | { readonly of: 'float32' | 'float16' }
  | {
      readonly of: 'int8'
      /**
       * 7: two products of a uint8 and a weight fit into 16 bits, so that AVX2's vpmaddubsw is exact and a machine without VNNI gives
       * the same integers at full speed. 8: finer; such a machine needs the slower exact product (session.x64quantprecision).
       */
      readonly weight_bits: 7 | 8
    }

/** A weight matrix as integers: `integers` [inputs, outputs] row-major, one scale a column (symmetric, largest magnitude = `peak`). */
export const quantised = (
  { weight, inputs, outputs }: Pick<Dense, 'weight' | 'inputs' | 'outputs'>,
  peak: number,
): { readonly integers: Int8Array; readonly scales: Float32Array } => {
  const integers = new Int8Array(inputs * outputs)
  const scales = new Float32Array(outputs)
  for (let n = 0; n < outputs; n++) {
    let most = 1e-12
    for (let k = 0; k < inputs; k++) most = Math.max(most, Math.abs(weight[n * inputs + k]!))
    scales[n] = most / peak
    for (let k = 0; k < inputs; k++) integers[k * outputs + n] = Math.round((weight[n * inputs + k]! / most) * peak)
  }
  return { integers, scales }
}

/** Rows ready for products with integers: what was divided by `scale`, [rows, 1], and put around `zero`. */
type IntegerRows = { readonly at: string; readonly scale: string; readonly zero: string }

const contrib = { domain: 'com.microsoft' } as const
const to = { float32: 1, int32: 6, float16: 10 } as const
/** GELU's least value is -0.17: its output needs few integers below zero. */
const gelu_zero = 32
const gelu_least = 0.17

/**
 * The graph. Inputs: `input_ids`, `attention_mask` int64 [batch, tokens]. Outputs: `sentence_embedding` float32 [batch, hidden], the
 * mean over the real tokens at unit length, and `last_hidden_state` float32 [batch, tokens, hidden]. float32 and float16 use standard
 * operators alone; int8 uses those of ONNX Runtime that apply scale and bias while a product is still in registers.
 */
export const encoderGraph = (weights: EncoderWeights, precision: Precision): Uint8Array => {
  const g: GraphWriter = openGraph()
  const { hidden, heads } = weights
  const int8 = precision.of === 'int8' ? precision : null
  const float = precision.of === 'float16' ? 'float16' : 'float32'

  const scalar = (value: number, type: 'float32' | 'float16' = float): string =>
    g.weight(`${type}.${value}`, () => tensor[type]([], [value]))
  const ints = (...values: number[]): string => g.weight(`ints.${values.join('.')}`, () => tensor.int64([values.length], values))
  const vector = (name: string, values: Float32Array): string => g.weight(name, () => tensor[float]([values.length], values))
  const cast = (at: string, type: keyof typeof to): string => g.node('Cast', [at], { attributes: { to: to[type] } })
  const layerNorm = (at: string, name: string, norm: Norm): string =>
    g.node('LayerNormalization', [at, vector(`${name}.gain`, norm.gain), vector(`${name}.bias`, norm.bias)], {
      attributes: { axis: -1, epsilon: { float: weights.epsilon } },
    })

  const shape = g.node('Shape', ['input_ids'])
  const flat = ints(-1, hidden)
  const by_text = g.node('Concat', [shape, ints(hidden)], { attributes: { axis: 0 } })
  const by_head = g.node('Concat', [shape, ints(heads, hidden / heads)], { attributes: { axis: 0 } })

  const words = (): string => {
    const rows = weights.vocabulary
    if (int8 === null)
      return g.node('Gather', [g.weight('words', () => tensor[float]([rows, hidden], weights.words)), 'input_ids'])
    const packed = weights.words_packed
    if (packed !== null) {
      const table = g.weight('words', () => tensor.int4([rows, hidden], packed.integers))
      const scales = g.weight('words.scales', () => tensor.float16_bits([rows, hidden / 32], packed.scales))
      const gathered = g.node('GatherBlockQuantized', [table, 'input_ids', scales], {
        ...contrib,
        attributes: { gather_axis: 0, quantize_axis: 1, block_size: 32 },
      })
      return cast(gathered, 'float32')
    }
    // A scale a row: rows are the columns of the transposed matrix.
    const integers = new Int8Array(rows * hidden)
    const scales = new Float32Array(rows)
    for (let row = 0; row < rows; row++) {
      const values = weights.words.subarray(row * hidden, (row + 1) * hidden)
      const most = values.reduce((sofar, value) => Math.max(sofar, Math.abs(value)), 1e-12)
      scales[row] = most / 127
      for (const [k, value] of values.entries()) integers[row * hidden + k] = Math.round((value / most) * 127)
    }
    const table = g.weight('words', () => tensor.int8([rows, hidden], integers))
    const scale = g.weight('words.scales', () => tensor.float32([rows, 1], scales))
    return g.node('Mul', [cast(g.node('Gather', [table, 'input_ids']), 'float32'), g.node('Gather', [scale, 'input_ids'])])
  }
  const width = g.node('Slice', [shape, ints(1), ints(2), ints(0)])
  const table = g.weight('places', () => tensor[float]([weights.positions, hidden], weights.places))
  const places = g.node('Slice', [table, ints(0), width, ints(0)])
  let x = g.node('Reshape', [layerNorm(g.node('Add', [words(), places]), 'embedding', weights.embedding_norm), flat])

  const row_count = int8 === null ? '' : g.node('ReduceProd', [shape], { attributes: { keepdims: 1 } })
  const row_zeros = new Map<number, string>()
  const rowZeros = (value: number): string => {
    const known = row_zeros.get(value)
    if (known !== undefined) return known
    const made = g.node('Expand', [g.weight(`zeros.${value}`, () => tensor.uint8([1], Uint8Array.of(value))), row_count])
    row_zeros.set(value, made)
    return made
  }
  const rowMost = (at: string): string => g.node('ReduceMax', [at, ints(1)], { attributes: { keepdims: 1 } })

  /** A scale for each token, so that no other token, text or padding moves it. */
  const quantisedRows = (at: string, after_gelu: boolean): IntegerRows => {
    const zero_point = after_gelu ? gelu_zero : 128
    const scale = after_gelu
      ? g.node('Max', [g.node('Mul', [rowMost(at), scalar(1 / (255 - gelu_zero))]), scalar(gelu_least / gelu_zero)])
      : g.node('Mul', [
          g.node('Max', [
            rowMost(at),
            g.node('Neg', [g.node('ReduceMin', [at, ints(1)], { attributes: { keepdims: 1 } })]),
            scalar(1e-12),
          ]),
          scalar(1 / 127),
        ])
    const rows = g.node('QuantizeLinear', [at, g.node('Reshape', [scale, ints(-1)]), rowZeros(zero_point)], {
      attributes: { axis: 0 },
    })
    return { at: rows, scale, zero: g.weight(`zero.${zero_point}`, () => tensor.uint8([], Uint8Array.of(zero_point))) }
  }

  /** What makes y = x W^T + b of the rows at a place, for as many W as there are; the rows are quantised once. */
  const productsOf = (at: string, after_gelu = false): ((dense: Dense, name: string) => string) => {
    if (int8 === null)
      return (dense, name) => {
        const { inputs, outputs, weight, bias } = dense
        const turned = new Float32Array(weight.length)
        for (let n = 0; n < outputs; n++) for (let k = 0; k < inputs; k++) turned[k * outputs + n] = weight[n * inputs + k]!
        const product = g.node('MatMul', [at, g.weight(name, () => tensor[float]([inputs, outputs], turned))])
        return g.node('Add', [product, vector(`${name}.bias`, bias)])
      }
    const rows = quantisedRows(at, after_gelu)
    return (dense, name) => {
      const { inputs, outputs, bias } = dense
      const { integers, scales } = quantised(dense, int8.weight_bits === 7 ? 63 : 127)
      const weight = g.weight(name, () => tensor.int8([inputs, outputs], integers))
      const product = g.node(
        'MatMulIntegerToFloat',
        [rows.at, weight, scalar(1), vector(`${name}.scales`, scales), rows.zero],
        contrib,
      )
      return g.node('Add', [g.node('Mul', [product, rows.scale]), vector(`${name}.bias`, bias)])
    }
  }

  const attention_mask = cast('attention_mask', int8 === null ? float : 'int32')
  /** 0 for a token, -10,000 for padding, [batch, 1, 1, tokens]. */
  const penalty =
    int8 === null
      ? g.node('Unsqueeze', [g.node('Mul', [g.node('Sub', [attention_mask, scalar(1)]), scalar(10_000)]), ints(1, 2)])
      : ''

  for (const [i, layer] of weights.layers.entries()) {
    const { query, key, value } = layer
    const dense = productsOf(x)
    const attended = (): string => {
      if (int8 !== null)
        return g.node(
          'MultiHeadAttention',
          [
            ...[dense(query, `${i}.query`), dense(key, `${i}.key`), dense(value, `${i}.value`)].map((part) =>
              g.node('Reshape', [part, by_text]),
            ),
            '',
            attention_mask,
          ],
          { ...contrib, attributes: { num_heads: heads } },
        )
      const root = Math.sqrt(hidden / heads)
      const scaled: Dense = { ...query, weight: query.weight.map((w) => w / root), bias: query.bias.map((b) => b / root) }
      const head = (part: Dense, name: string, perm: readonly number[]): string =>
        g.node('Transpose', [g.node('Reshape', [dense(part, name), by_head])], { attributes: { perm } })
      const scores = g.node('MatMul', [head(scaled, `${i}.query`, [0, 2, 1, 3]), head(key, `${i}.key`, [0, 2, 3, 1])])
      const shares = g.node('Softmax', [g.node('Add', [scores, penalty])], { attributes: { axis: -1 } })
      return g.node('Transpose', [g.node('MatMul', [shares, head(value, `${i}.value`, [0, 2, 1, 3])])], {
        attributes: { perm: [0, 2, 1, 3] },
      })
    }
    const c = g.node('Reshape', [attended(), flat])
    const a = productsOf(c)(layer.attention_out, `${i}.attention_out`)
    const h = layerNorm(g.node('Add', [a, x]), `${i}.attention_norm`, layer.attention_norm)
    const up = productsOf(h)(layer.up, `${i}.up`)
    const f = int8 === null ? g.node('Gelu', [up]) : g.node('FastGelu', [up], contrib)
    const d = productsOf(f, true)(layer.down, `${i}.down`)
    x = layerNorm(g.node('Add', [d, h]), `${i}.out_norm`, layer.out_norm)
  }

  const states = g.node('Reshape', [x, by_text])
  g.named(float === 'float16' ? cast(states, 'float32') : states, 'last_hidden_state')
  // The mean over real tokens as a product: of one text's rows alone, so that no other text is in the sum.
  const real = g.node('Unsqueeze', [cast('attention_mask', 'float32'), ints(1)])
  const sum = g.node('Squeeze', [g.node('MatMul', [real, 'last_hidden_state']), ints(1)])
  g.named(g.node('Div', [sum, g.node('ReduceL2', [sum, ints(1)], { attributes: { keepdims: 1 } })]), 'sentence_embedding')
  const tokens = (name: string) => ({ name, type: 'int64', dims: ['batch', 'tokens'] }) as const
  return g.bytes(
    [tokens('input_ids'), tokens('attention_mask')],
    [
      { name: 'sentence_embedding', type: 'float32', dims: ['batch', hidden] },
      { name: 'last_hidden_state', type: 'float32', dims: ['batch', 'tokens', hidden] },
    ],
    { name: 'encoder', producer: 'entrepot' },
  )
}
