/** An encoder as a folder that transformers and sentence-transformers read: for peers in benches. */
import { configOf, type Dense, type EncoderWeights, type Norm } from './weights.ts'

/** model.safetensors (F32, Hugging Face's names of BERT), config.json and the tokenizer, by file name. */
export const checkpointFiles = (weights: EncoderWeights, tokenizer: string): ReadonlyMap<string, Uint8Array> => {
  const { hidden, layers, vocabulary, positions, epsilon } = weights
  const tensors: { name: string; shape: readonly number[]; values: Float32Array }[] = []
  const add = (name: string, shape: readonly number[], values: Float32Array): void => void tensors.push({ name, shape, values })
  const norm = (name: string, { gain, bias }: Norm): void => {
    add(`${name}.weight`, [hidden], gain)
    add(`${name}.bias`, [hidden], bias)
  }
  const dense = (name: string, { outputs, inputs, weight, bias }: Dense): void => {
    add(`${name}.weight`, [outputs, inputs], weight)
    add(`${name}.bias`, [outputs], bias)
  }
  add('embeddings.word_embeddings.weight', [vocabulary, hidden], weights.words)
  add('embeddings.position_embeddings.weight', [positions, hidden], weights.places)
  // The type's vector is in the positions already.
  add('embeddings.token_type_embeddings.weight', [1, hidden], new Float32Array(hidden))
  norm('embeddings.LayerNorm', weights.embedding_norm)
  for (const [i, layer] of layers.entries()) {
    const at = `encoder.layer.${i}`
    dense(`${at}.attention.self.query`, layer.query)
    dense(`${at}.attention.self.key`, layer.key)
    dense(`${at}.attention.self.value`, layer.value)
    dense(`${at}.attention.output.dense`, layer.attention_out)
    norm(`${at}.attention.output.LayerNorm`, layer.attention_norm)
    dense(`${at}.intermediate.dense`, layer.up)
    dense(`${at}.output.dense`, layer.down)
    norm(`${at}.output.LayerNorm`, layer.out_norm)
  }
  const entries: Record<string, { dtype: 'F32'; shape: readonly number[]; data_offsets: readonly [number, number] }> = {}
  let at = 0
  for (const { name, shape, values } of tensors) {
    entries[name] = { dtype: 'F32', shape, data_offsets: [at, at + values.byteLength] }
    at += values.byteLength
  }
  const header = JSON.stringify(entries)
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  const bytes = ({ values }: { values: Float32Array }): Uint8Array =>
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const config = {
    architectures: ['BertModel'],
    ...configOf(weights),
    type_vocab_size: 1,
    layer_norm_eps: epsilon,
    hidden_act: 'gelu',
    pad_token_id: 1,
  }
  const special = {
    cls_token: '<s>',
    bos_token: '<s>',
    eos_token: '</s>',
    sep_token: '</s>',
    pad_token: '<pad>',
    unk_token: '<unk>',
  }
  return new Map<string, Uint8Array>([
    ['model.safetensors', Buffer.concat([length, padded, ...tensors.map(bytes)])],
    ['config.json', Buffer.from(JSON.stringify(config))],
    ['tokenizer.json', Buffer.from(tokenizer)],
    [
      'tokenizer_config.json',
      Buffer.from(JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: 512, ...special })),
    ],
  ])
}
