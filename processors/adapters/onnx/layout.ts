/** From the files that sentence-transformers and Optimum write beside a model to our card: which graph, which pooling, how many tokens. */
import { basename, dirname } from 'node:path/posix'
import { parse } from 'yaml'
import { Fault } from '../../domain/fault.ts'
import { type GraphInput, graph_inputs, type Pooling } from './card.ts'
import { signatureOf } from './onnx-file.ts'

/** What the person who pulls says over what the files say. */
export type LayoutWishes = {
  /** Path of the graph, where there are several. */
  readonly file?: string | undefined
  readonly prefix?: string | undefined
  readonly pooling?: Pooling | undefined
  readonly output?: string | undefined
  readonly tokens_max?: number | undefined
}

type ListedFile = { readonly path: string; readonly bytes: number | null }

/** Small files that say how the graph is to be used; any may be absent. */
export const layout_files = [
  'modules.json',
  '1_Pooling/config.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'tokenizer_config.json',
] as const

/** Files that travel with the weights, by name in any case. */
export const isDocument = (path: string): boolean => /^(licen[cs]e|notice|copying|readme)([._-][\w.-]*)?$/iu.test(path)

const refused = (message: string): Fault => new Fault('model.refused', message)
const mib = (bytes: number | null): string => (bytes === null ? '' : ` (${(bytes / 2 ** 20).toFixed(0)} MiB)`)

/**
 * The graph to take: the wish, else `onnx/model.onnx` or `model.onnx`, else the only one. Faults: model.refused with the choice, where
 * there is none, several, or one that keeps its weights in other files.
 */
export const chooseGraph = <F extends ListedFile>(files: readonly F[], wish: string | undefined, of: string): F => {
  const graphs = files.filter(({ path }) => path.endsWith('.onnx'))
  const list = graphs.map(({ path, bytes }) => `${path}${mib(bytes)}`).join(', ')
  if (graphs.length === 0)
    throw refused(
      `${of} has no ONNX graph. Export one with \`optimum-cli export onnx --model <id> --task feature-extraction <folder>\`, then \`entrepot model pull <folder>\`.`,
    )
  const chosen =
    wish !== undefined
      ? graphs.find(({ path }) => path === wish)
      : (graphs.find(({ path }) => path === 'onnx/model.onnx') ??
        graphs.find(({ path }) => path === 'model.onnx') ??
        (graphs.length === 1 ? graphs[0] : undefined))
  if (chosen === undefined)
    throw refused(
      wish === undefined
        ? `${of} has several graphs, choose one with --file: ${list}.`
        : `${of} has no graph ${wish}; it has ${list}.`,
    )
  const stem = chosen.path.replace(/\.onnx$/u, '')
  const outside = files.find(
    ({ path }) => path.startsWith(`${chosen.path}_data`) || path.startsWith(`${chosen.path}.data`) || path === `${stem}.data`,
  )
  if (outside !== undefined)
    throw refused(
      `${chosen.path} of ${of} keeps its weights in another file, ${outside.path}, which is not supported${
        graphs.length > 1
          ? `; it also has ${graphs
              .filter((one) => one !== chosen)
              .map(({ path }) => path)
              .join(', ')}: choose one with --file`
          : ''
      }. Or save it as one file: onnx.save_model with save_as_external_data=False.`,
    )
  return chosen
}

/** A file of the repository's root, else one beside the graph. */
export const rootOrBeside = <F extends ListedFile>(files: readonly F[], name: string, graph: string): F | undefined =>
  files.find(({ path }) => path === name) ?? files.find(({ path }) => path === `${dirname(graph)}/${name}`)

type Table = Readonly<Record<string, unknown>>
/** The value as a table of JSON; what is none has no keys. */
export const asTable = (value: unknown): Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Table) : {}
const whole = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined

/** Texts of the layout's files by path; those that are absent are left out. */
export type LayoutTexts = Readonly<Record<string, string | undefined>>

const jsonOf = (texts: LayoutTexts, path: string): unknown => {
  const text = texts[path]
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Fault('model.refused', `${path} of the model is not JSON.`, {}, error)
  }
}

/** What pooling the files declare: one that is done here, `other` when it must be in the graph, undefined when they say nothing. */
const declaredPooling = (texts: LayoutTexts): 'mean' | 'cls' | 'other' | undefined => {
  const modules = jsonOf(texts, 'modules.json')
  if (Array.isArray(modules)) {
    const kinds = modules.map((one) => String(asTable(one)['type']).split('.').at(-1))
    if (kinds.some((kind) => !['Transformer', 'Pooling', 'Normalize'].includes(kind ?? ''))) return 'other'
  }
  const pooling = asTable(jsonOf(texts, '1_Pooling/config.json'))
  const named = pooling['pooling_mode']
  const modes = [
    ...(typeof named === 'string' ? [named] : Array.isArray(named) ? named.map(String) : []),
    ...Object.entries(pooling).flatMap(([key, on]) => (on === true && key.startsWith('pooling_mode_') ? [key.slice(13)] : [])),
  ].map((mode) => mode.replace(/_tokens?$/u, ''))
  const [mode] = modes
  if (mode === undefined) return undefined
  if (new Set(modes).size > 1) return 'other'
  // A mean over the square root of the length points the same way as the mean, and vectors are of unit length here.
  return mode === 'mean' || mode === 'mean_sqrt_len' ? 'mean' : mode === 'cls' ? 'cls' : 'other'
}

/** Position tables of these begin behind the padding id. */
const offset_positions = ['roberta', 'xlm-roberta', 'camembert', 'mpnet']

const tokensMaxOf = (texts: LayoutTexts, config: Table, wish: number | undefined): number => {
  const positions = whole(config['max_position_embeddings'])
  const pad = typeof config['pad_token_id'] === 'number' ? config['pad_token_id'] : 1
  const fits =
    positions === undefined
      ? undefined
      : offset_positions.includes(String(config['model_type']))
        ? positions - pad - 1
        : positions
  const said = [
    wish ?? whole(asTable(jsonOf(texts, 'sentence_bert_config.json'))['max_seq_length']),
    whole(asTable(jsonOf(texts, 'tokenizer_config.json'))['model_max_length']),
    fits,
  ].filter((one): one is number => one !== undefined && one <= 1e6)
  return Math.max(8, Math.min(8_192, ...(said.length === 0 ? [512] : said)))
}

export type Derived = {
  readonly dims: number | null
  readonly tokens_max: number
  readonly prefix: string
  readonly inputs: readonly GraphInput[]
  readonly output: string
  readonly pooling: Pooling
  /** For the person who pulls. */
  readonly notes: readonly string[]
}

/**
 * How a graph is used, from what lies beside it. `dims` is null where neither graph nor config says it.
 * Faults: model.refused, with the flag to give, where the files do not say enough or want what is not done here.
 */
export const deriveUse = (
  weights: Uint8Array,
  config: Table,
  texts: LayoutTexts,
  wishes: LayoutWishes,
  name: string,
): Derived => {
  const { inputs, outputs } = signatureOf(weights)
  const notes: string[] = []
  const strange = inputs.filter((one) => !(graph_inputs as readonly string[]).includes(one.name) || one.type !== 'int64')
  if (strange.length > 0)
    throw refused(
      `The graph takes ${strange.map((one) => `${one.name} (${one.type})`).join(', ')}; here it may take ${graph_inputs.join(', ')}, all int64. Export it for the task feature-extraction.`,
    )
  for (const needed of ['input_ids', 'attention_mask'])
    if (!inputs.some((one) => one.name === needed)) throw refused(`The graph takes no ${needed}: is it a text encoder?`)

  const declared = declaredPooling(texts)
  const pooled = outputs.find((one) => one.name === 'sentence_embedding')
  const tokens =
    outputs.find((one) => one.name === 'last_hidden_state' || one.name === 'token_embeddings') ??
    outputs.find((one) => one.dims?.length === 3)
  let pooling = wishes.pooling
  if (pooling === undefined) {
    if ((declared === 'mean' || declared === 'cls') && tokens !== undefined) pooling = declared
    else if (pooled !== undefined) pooling = 'graph'
    else if (declared === 'other')
      throw refused(
        'The model pools in a way that is done neither here (mean, cls) nor in its graph. Export it with pooling in the graph: `optimum-cli export onnx --library sentence_transformers`.',
      )
    else
      throw refused(
        'Nothing says how the model pools its tokens (no 1_Pooling/config.json, no output sentence_embedding). Look into its model card, then give --pooling mean or --pooling cls.',
      )
  }
  const wanted = wishes.output
  const output =
    wanted !== undefined
      ? (outputs.find((one) => one.name === wanted) ?? { name: wanted, type: 'float32', dims: null })
      : pooling === 'graph'
        ? (pooled ?? outputs.find((one) => one.dims?.length === 2))
        : tokens
  if (output === undefined)
    throw refused(
      `The graph gives ${outputs.map((one) => one.name).join(', ')}; none fits --pooling ${pooling}. Name a tensor with --output.`,
    )
  const dims =
    output.dims?.at(-1) ?? (pooling === 'graph' ? null : (whole(config['hidden_size']) ?? whole(config['dim']) ?? null))

  const prompts = asTable(jsonOf(texts, 'config_sentence_transformers.json'))
  const chosen = prompts['default_prompt_name']
  const prompt = typeof chosen === 'string' ? asTable(prompts['prompts'])[chosen] : undefined
  const prefix = wishes.prefix ?? (typeof prompt === 'string' ? prompt : '')
  if (wishes.prefix === undefined && prefix !== '')
    notes.push(`Every text gets the prefix ${JSON.stringify(prefix)}, the model's default prompt.`)
  if (wishes.prefix === undefined && prefix === '' && /(^|[^a-z0-9])e5([^a-z0-9]|$)/iu.test(name))
    notes.push(
      'Models of the e5 family are trained with a prefix: pull again with --prefix "query: ", or --prefix "" to be sure of none.',
    )
  if (prefix !== '' && asTable(jsonOf(texts, '1_Pooling/config.json'))['include_prompt'] === false)
    throw refused('The model leaves its prompt out of the pooling, which is not done here. Give --prefix "" to use it without.')

  return {
    dims,
    tokens_max: tokensMaxOf(texts, config, wishes.tokens_max),
    prefix,
    inputs: graph_inputs.filter((one) => inputs.some((input) => input.name === one)),
    output: output.name,
    pooling,
    notes,
  }
}

// The hub writes licences in lower case; SPDX does not.
const spdx: Readonly<Record<string, string>> = {
  mit: 'MIT',
  'apache-2.0': 'Apache-2.0',
  'bsd-2-clause': 'BSD-2-Clause',
  'bsd-3-clause': 'BSD-3-Clause',
  'cc0-1.0': 'CC0-1.0',
  'cc-by-4.0': 'CC-BY-4.0',
  'cc-by-sa-4.0': 'CC-BY-SA-4.0',
  'cc-by-nc-4.0': 'CC-BY-NC-4.0',
  'gpl-3.0': 'GPL-3.0-only',
  'agpl-3.0': 'AGPL-3.0-only',
}
/** A licence as SPDX writes it, where it is one of the usual; else as it stands. */
export const licenceName = (text: string): string => (spdx[text.toLowerCase()] ?? text).slice(0, 200)

/** Whether a model card's word for its licence says nothing. */
export const isNoLicence = (text: string): boolean => /^(unknown|none|n\/a|\?+)$/iu.test(text.trim())

/** Licence and languages that a model card's front matter (YAML between two lines of ---) names. */
export const readFrontMatter = (readme: string): { readonly licence: string | null; readonly languages: readonly string[] } => {
  const found = /^\ufeff?---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/u.exec(readme)
  if (found === null) return { licence: null, languages: [] }
  let matter: Table
  try {
    matter = asTable(parse(found[1]!, { maxAliasCount: 10 }))
  } catch {
    // A card that is no YAML says nothing; the flags do then.
    return { licence: null, languages: [] }
  }
  const first = (value: unknown): string | null => {
    const [one] = Array.isArray(value) ? value : [value]
    return typeof one === 'string' && one !== '' ? one : null
  }
  const language = matter['language']
  return {
    licence: [matter['license_name'], matter['license']].map(first).find((one) => one !== null && !isNoLicence(one)) ?? null,
    languages: (Array.isArray(language) ? language : [language])
      .map((one) => (one === false ? 'no' : one))
      .filter((one): one is string => typeof one === 'string' && one !== '' && one.length <= 64)
      .slice(0, 512),
  }
}

/** The name of a file in a model folder: a path without its folders. */
export const flatName = (path: string): string => basename(path)
