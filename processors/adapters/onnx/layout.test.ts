/** From what lies beside a graph to how it is used: what is derived, what is asked for, what is refused. */
import { describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { parseHubId } from './hub.ts'
import {
  chooseGraph,
  deriveUse,
  isDocument,
  type LayoutTexts,
  type LayoutWishes,
  licenceName,
  readFrontMatter,
} from './layout.ts'
import { tinyGraph } from './tiny-model.fixture.ts'

const config = { vocab_size: 8, hidden_size: 8, model_type: 'bert', max_position_embeddings: 512 }
const mean = { '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}' }
const derive = (texts: LayoutTexts, wishes: LayoutWishes = {}, more: { graph?: Buffer; config?: object; name?: string } = {}) =>
  deriveUse(more.graph ?? tinyGraph(), { ...config, ...more.config }, texts, wishes, more.name ?? 'owner/tiny')
const refusal = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (error instanceof Fault && error.code === 'model.refused') return error.message
    throw error
  }
  throw new Error('it was accepted')
}

describe('pooling', () => {
  test.each([
    ['mean', { pooling_mode_mean_tokens: true }],
    ['mean', { pooling_mode_mean_sqrt_len_tokens: true }],
    ['cls', { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }],
    ['mean', { pooling_mode: 'mean' }],
    ['cls', { pooling_mode: ['cls'] }],
  ])('%s of %j', (pooling, declared) => {
    const use = derive({ '1_Pooling/config.json': JSON.stringify(declared) })
    expect(use).toMatchObject({ pooling, output: 'last_hidden_state', dims: 8, inputs: ['input_ids', 'attention_mask'] })
  })

  test.each([
    { pooling_mode_max_tokens: true },
    { pooling_mode_lasttoken: true },
    { pooling_mode_mean_tokens: true, pooling_mode_cls_token: true },
  ])('%j is not done here, unless the graph does it', (declared) => {
    const texts = { '1_Pooling/config.json': JSON.stringify(declared) }
    expect(refusal(() => derive(texts))).toContain('pooling in the graph')
    const graph = tinyGraph({ output: 'sentence_embedding' })
    expect(derive(texts, {}, { graph })).toMatchObject({ pooling: 'graph', output: 'sentence_embedding', dims: 8 })
  })

  test('a layer behind the pooling must be in the graph', () => {
    const modules = ['Transformer', 'Pooling', 'Dense', 'Normalize'].map((type) => ({
      type: `sentence_transformers.models.${type}`,
    }))
    const texts = { ...mean, 'modules.json': JSON.stringify(modules) }
    expect(refusal(() => derive(texts))).toContain('pooling in the graph')
    expect(derive(texts, {}, { graph: tinyGraph({ output: 'sentence_embedding' }) }).pooling).toBe('graph')
  })

  test('is never guessed; a wish decides', () => {
    expect(refusal(() => derive({}))).toContain('--pooling')
    expect(derive({}, { pooling: 'cls' })).toMatchObject({ pooling: 'cls', output: 'last_hidden_state' })
    expect(derive(mean, { pooling: 'mean', output: '/inner' })).toMatchObject({ output: '/inner', dims: 8 })
    expect(refusal(() => derive(mean, { pooling: 'graph' }))).toContain('last_hidden_state')
  })
})

test('texts are cut where the files say, at most where positions end', () => {
  const of = (texts: LayoutTexts, more: object = {}, tokens_max?: number) =>
    derive({ ...mean, ...texts }, tokens_max === undefined ? {} : { tokens_max }, { config: more }).tokens_max
  expect(of({})).toBe(512)
  expect(of({ 'sentence_bert_config.json': '{"max_seq_length": 256}' })).toBe(256)
  expect(of({ 'sentence_bert_config.json': '{"max_seq_length": null}' })).toBe(512)
  expect(of({ 'tokenizer_config.json': '{"model_max_length": 128}' })).toBe(128)
  // "Very large" is how a tokenizer says that it has no bound.
  expect(of({ 'tokenizer_config.json': '{"model_max_length": 1000000000000000019884624838656}' })).toBe(512)
  expect(of({}, { model_type: 'xlm-roberta', max_position_embeddings: 514, pad_token_id: 1 })).toBe(512)
  expect(of({ 'sentence_bert_config.json': '{"max_seq_length": 256}' }, {}, 64)).toBe(64)
  expect(of({}, {}, 100_000)).toBe(512)
  expect(of({}, { max_position_embeddings: undefined })).toBe(512)
})

test('a prefix is the wish, else the default prompt; where one is usual and none is said, it is told', () => {
  const prompts = { 'config_sentence_transformers.json': '{"prompts": {"query": "query: "}, "default_prompt_name": "query"}' }
  expect(derive({ ...mean, ...prompts })).toMatchObject({ prefix: 'query: ', notes: [expect.stringContaining('query: ')] })
  expect(derive({ ...mean, ...prompts }, { prefix: '' })).toMatchObject({ prefix: '', notes: [] })
  for (const name of ['intfloat/multilingual-e5-small@c0 multilingual-e5-small', 'me/e5'])
    expect(derive(mean, {}, { name }).notes).toEqual([expect.stringContaining('--prefix')])
  expect(derive(mean, {}, { name: 'me/e55' }).notes).toEqual([])
  const without = { '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true, "include_prompt": false}' }
  expect(refusal(() => derive(without, { prefix: 'query: ' }))).toContain('--prefix ""')
})

test('a graph that takes something else, and files that are no JSON, are refused', () => {
  expect(refusal(() => derive(mean, {}, { graph: tinyGraph({ input: 'position_ids' }) }))).toContain('position_ids (int64)')
  expect(derive(mean, {}, { graph: tinyGraph({ input: 'token_type_ids' }) }).inputs).toHaveLength(3)
  expect(refusal(() => derive({ '1_Pooling/config.json': '{' }))).toContain('1_Pooling/config.json')
  expect(() => derive(mean, {}, { graph: Buffer.from('not ONNX') })).toThrow(Fault)
})

test('of several graphs the plain one is taken, or the only one, or a choice is asked for', () => {
  const files = (...paths: string[]) => paths.map((path) => ({ path, bytes: 2 ** 20 }))
  expect(chooseGraph(files('onnx/model_fp16.onnx', 'onnx/model.onnx', 'README.md'), undefined, 'it').path).toBe('onnx/model.onnx')
  expect(chooseGraph(files('model.onnx', 'a.onnx'), undefined, 'it').path).toBe('model.onnx')
  expect(chooseGraph(files('a.onnx', 'b.txt'), undefined, 'it').path).toBe('a.onnx')
  expect(refusal(() => chooseGraph(files('a.onnx', 'b.onnx'), undefined, 'it'))).toContain('a.onnx (1 MiB), b.onnx (1 MiB)')
  expect(chooseGraph(files('a.onnx', 'b.onnx'), 'b.onnx', 'it').path).toBe('b.onnx')
  for (const beside of ['model.onnx_data', 'model.onnx.data', 'model.onnx_data_1', 'model.data'])
    expect(refusal(() => chooseGraph(files('model.onnx', beside), undefined, 'it'))).toContain(beside)
})

test('a model card’s front matter names licence and languages; nothing that it holds can hurt', () => {
  expect(readFrontMatter('---\nlicense: mit\nlanguage: [en, no, zh]\n---\n# x')).toEqual({
    licence: 'mit',
    languages: ['en', 'no', 'zh'],
  })
  expect(readFrontMatter('---\nlicense: unknown\n---\n')).toMatchObject({ licence: null })
  expect(readFrontMatter('---\r\nlicense: other\r\nlicense_name: gemma\r\n---\r\n')).toMatchObject({ licence: 'gemma' })
  for (const text of [
    '',
    '# no matter',
    '---\n[unclosed\n---\n',
    '---\n- a list\n---\n',
    '---\nlicense: 7\nlanguage: {a: b}\n---\n',
  ])
    expect(readFrontMatter(text)).toEqual({ licence: null, languages: [] })
  expect([licenceName('apache-2.0'), licenceName('gemma')]).toEqual(['Apache-2.0', 'gemma'])
})

test('papers are known by name, and nothing else is', () => {
  for (const name of [
    'LICENSE',
    'LICENSE.txt',
    'license.md',
    'LICENCE',
    'NOTICE',
    'README.md',
    'COPYING',
    'LICENSE-MIT',
    'LICENSE.note',
  ])
    expect([name, isDocument(name)]).toEqual([name, true])
  for (const name of ['licensed.bin', 'model.json', 'readmefirst', '../LICENSE', '.LICENSE'])
    expect([name, isDocument(name)]).toEqual([name, false])
})

test('a hub id is owner, name and perhaps a revision', () => {
  expect(parseHubId('intfloat/multilingual-e5-small')).toEqual({ id: 'intfloat/multilingual-e5-small', revision: 'main' })
  expect(parseHubId('a/b@v1.0')).toEqual({ id: 'a/b', revision: 'v1.0' })
  for (const text of ['a', 'a/b/c', '/a/b', 'a/b@', 'a b/c', 'a/..', '../a', 'a/b?x=1'])
    expect([text, parseHubId(text)]).toEqual([text, undefined])
})
