/** A text encoder of some hundred bytes that ONNX Runtime and the tokeniser really run: a table of word vectors, and nothing else. */
import { createHash } from 'node:crypto'

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))])
const field = (number: number, content: readonly number[]): number[] => [
  ...varint(number * 8 + 2),
  ...varint(content.length),
  ...content,
]
const word = (number: number, value: string): number[] => field(number, [...Buffer.from(value, 'utf8')])
const whole = (number: number, value: number): number[] => [...varint(number * 8), ...varint(value)]

const value = (name: string, type: number, dims: readonly (string | number)[]): number[] => [
  ...word(1, name),
  ...field(
    2,
    field(1, [
      ...whole(1, type),
      ...field(
        2,
        dims.flatMap((dim) => field(1, typeof dim === 'number' ? whole(1, dim) : word(2, dim))),
      ),
    ]),
  ),
]
const node = (op: string, inputs: readonly string[], outputs: readonly string[], attributes: readonly number[] = []): number[] =>
  field(1, [
    ...inputs.flatMap((name) => word(1, name)),
    ...outputs.flatMap((name) => word(2, name)),
    ...word(4, op),
    ...attributes,
  ])
const integer = (name: string, of: number): number[] => field(5, [...word(1, name), ...whole(3, of), ...whole(20, 2)])

export const tiny_dims = 8
export const tiny_words = ['[UNK]', 'steel', 'kettle', 'red', 'garden', 'bench', 'usb-c', 'cable'] as const

export type TinyTraits = {
  /** Its table is said to lie in another file. */
  readonly external?: boolean
  /** It takes one more input. */
  readonly input?: string
  /** Every vector depends on all texts of the batch, as with one activation scale per tensor. */
  readonly neighbours?: boolean
  /** The vectors are NaN. */
  readonly broken?: boolean
  /** The output's name; `sentence_embedding` is [batch, dims], the sum over the tokens. */
  readonly output?: 'last_hidden_state' | 'sentence_embedding'
}

/** The graph: last_hidden_state = table[input_ids] * attention_mask. */
export const tinyGraph = (traits: TinyTraits = {}): Buffer => {
  const { output = 'last_hidden_state' } = traits
  const table = new Float32Array(tiny_words.length * tiny_dims)
  for (let i = 0; i < table.length; i++) table[i] = traits.broken === true ? Number.NaN : Math.sin(1 + i * 1.7)
  const axes = Buffer.from(BigInt64Array.of(-1n).buffer)
  const one = Buffer.from(BigInt64Array.of(1n).buffer)
  const initializers = [
    field(5, [
      ...whole(1, tiny_words.length),
      ...whole(1, tiny_dims),
      ...whole(2, 1),
      ...word(8, 'table'),
      ...(traits.external === true
        ? [...field(13, [...word(1, 'location'), ...word(2, 'weights.bin')]), ...whole(14, 1)]
        : field(9, [...Buffer.from(table.buffer)])),
    ]),
    field(5, [...whole(1, 1), ...whole(2, 7), ...word(8, 'axes'), ...field(9, [...axes])]),
    field(5, [...whole(1, 1), ...whole(2, 7), ...word(8, 'one'), ...field(9, [...one])]),
  ]
  const nodes = [
    node('Gather', ['table', 'input_ids'], ['words']),
    node('Cast', ['attention_mask'], ['mask'], integer('to', 1)),
    node('Unsqueeze', ['mask', 'axes'], ['weights']),
    node('Mul', ['words', 'weights'], ['masked']),
    ...(traits.neighbours === true
      ? [node('ReduceMean', ['masked'], ['all'], integer('keepdims', 1)), node('Sub', ['masked', 'all'], ['tokens'])]
      : [node('Identity', ['masked'], ['tokens'])]),
    output === 'sentence_embedding'
      ? node('ReduceSum', ['tokens', 'one'], [output], integer('keepdims', 0))
      : node('Identity', ['tokens'], [output]),
  ]
  const inputs = ['input_ids', 'attention_mask', ...(traits.input === undefined ? [] : [traits.input])]
  const graph = [
    ...nodes.flat(),
    ...word(2, 'tiny'),
    ...initializers.flat(),
    ...inputs.flatMap((name) => field(11, value(name, 7, ['batch', 'tokens']))),
    ...field(12, value(output, 1, output === 'sentence_embedding' ? ['batch', tiny_dims] : ['batch', 'tokens', tiny_dims])),
  ]
  // IR version 8, operator set 17.
  return Buffer.from([...whole(1, 8), ...field(7, graph), ...field(8, whole(2, 17))])
}

export const tiny_tokenizer = JSON.stringify({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: Object.fromEntries(tiny_words.map((text, id) => [text, id])), unk_token: '[UNK]' },
})
export const tiny_config = JSON.stringify({
  model_type: 'bert',
  vocab_size: tiny_words.length,
  hidden_size: tiny_dims,
  max_position_embeddings: 64,
})

const readme = '---\nlicense: apache-2.0\nlanguage:\n- en\n- de\n---\n# Tiny\n'

/** Files as sentence-transformers and Optimum write them, by path. */
export const tinyRepository = (traits: TinyTraits = {}): Record<string, Buffer> =>
  Object.fromEntries(
    Object.entries({
      'README.md': readme,
      'config.json': tiny_config,
      'tokenizer.json': tiny_tokenizer,
      'modules.json': JSON.stringify([
        { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
        { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
        { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
      ]),
      '1_Pooling/config.json': JSON.stringify({ pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }),
      'sentence_bert_config.json': '{"max_seq_length": 32}',
      'onnx/model.onnx': tinyGraph(traits),
    }).map(([path, content]) => [path, Buffer.from(content)]),
  )

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** Files of a model folder with its card. */
export const tinyFolder = (traits: TinyTraits = {}, card: Record<string, unknown> = {}): Record<string, Buffer> => {
  const model = tinyGraph(traits)
  const pooled = traits.output === 'sentence_embedding'
  const files = {
    model: { name: 'model.onnx', sha256: sha256(model) },
    tokenizer: { name: 'tokenizer.json', sha256: sha256(tiny_tokenizer) },
    config: { name: 'config.json', sha256: sha256(tiny_config) },
  }
  const whole_card = {
    name: 'tiny',
    files,
    dims: tiny_dims,
    tokens_max: 32,
    prefix: '',
    inputs: ['input_ids', 'attention_mask'],
    output: traits.output ?? 'last_hidden_state',
    pooling: pooled ? 'graph' : 'mean',
    licence: 'Apache-2.0',
    ...card,
  }
  return {
    'model.json': Buffer.from(JSON.stringify(whole_card)),
    'model.onnx': model,
    'tokenizer.json': Buffer.from(tiny_tokenizer),
    'config.json': Buffer.from(tiny_config),
    'README.md': Buffer.from(readme),
  }
}
