/** F19: a model folder that is not to the letter what its card pins is refused, with a code and the command that helps. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { encoderDigest, parseCard } from './card.ts'
import { readCard, readPinned, shipped_model, shipped_models } from './pinned.ts'

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

// The smallest thing that reads as ONNX: a graph with one named output.
const weights = Uint8Array.from([58, 5, 98, 3, 10, 1, 111])
const external = Uint8Array.from([58, 4, 42, 2, 112, 1])
const tokenizer = '{"model":{}}'
const config = '{"vocab_size":3,"hidden_size":4}'

const cardOf = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  name: 'tiny',
  files: {
    model: { name: 'model.onnx', sha256: sha256(weights) },
    tokenizer: { name: 'tokenizer.json', sha256: sha256(tokenizer) },
    config: { name: 'config.json', sha256: sha256(config) },
  },
  dims: 4,
  tokens_max: 16,
  prefix: 'query: ',
  inputs: ['input_ids', 'attention_mask'],
  output: 'o',
  pooling: 'mean',
  ...changes,
})

describe('a model folder', () => {
  let root: string
  let folder: string
  const at = (name: string): string => join(folder, name)
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'entrepot-model-'))
    folder = join(root, 'tiny')
    mkdirSync(folder)
    writeFileSync(at('model.onnx'), weights)
    writeFileSync(at('tokenizer.json'), tokenizer)
    writeFileSync(at('config.json'), config)
    writeFileSync(at('model.json'), JSON.stringify(cardOf()))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const refusal = async (digest?: string): Promise<Fault> => {
    try {
      await readPinned(folder, digest)
    } catch (error) {
      expect(error).toBeInstanceOf(Fault)
      expect((error as Fault).kind).toBe('misconfigured')
      return error as Fault
    }
    throw new Error('it was accepted')
  }

  test('is read when every digest fits', async () => {
    const pinned = await readPinned(folder)
    expect(pinned.card).toMatchObject({ name: 'tiny', dims: 4, prefix: 'query: ', pooling: 'mean', restore: null })
    expect(Buffer.from(pinned.model).equals(Buffer.from(weights))).toBe(true)
    expect(pinned.tokenizer).toBe(tokenizer)
    expect(pinned.vocab_size).toBe(3)
    expect((await readPinned(folder, pinned.digest)).digest).toBe(pinned.digest)
  })

  test.each(['model.onnx', 'tokenizer.json', 'config.json', 'model.json'])('without %s it is missing', async (name) => {
    rmSync(at(name))
    const { code, message } = await refusal()
    expect(code).toBe('model.missing')
    expect(message).toContain(at(name))
    expect(message).toMatch(name === 'model.json' ? /git checkout HEAD/ : /sha256sum/)
  })

  test.each(['model.onnx', 'tokenizer.json', 'config.json'])(
    '%s truncated, or with one bit flipped, is not the pinned one',
    async (name) => {
      const whole = readFileSync(at(name))
      truncateSync(at(name), whole.length - 1)
      expect((await refusal()).code).toBe('model.sha256')
      for (const byte of [0, whole.length - 1]) {
        const flipped = Buffer.from(whole)
        flipped[byte]! ^= 1
        writeFileSync(at(name), flipped)
        const { code, message } = await refusal()
        expect(code).toBe('model.sha256')
        expect(message).toContain(sha256(whole))
        expect(message).toContain(sha256(flipped))
        expect(message).toContain(`sha256sum ${at(name)}`)
      }
    },
  )

  test('the command of the card is in the message', async () => {
    writeFileSync(at('model.json'), JSON.stringify(cardOf({ restore: 'git checkout HEAD -- models/tiny' })))
    writeFileSync(at('model.onnx'), 'other')
    expect((await refusal()).message).toContain('`git checkout HEAD -- models/tiny`')
  })

  test('a link out of the folder is refused even to the right bytes; a link inside is followed', async () => {
    renameSync(at('model.onnx'), join(root, 'elsewhere.onnx'))
    symlinkSync('../elsewhere.onnx', at('model.onnx'))
    const { code, message } = await refusal()
    expect(code).toBe('model.sha256')
    expect(message).toContain('link')
    rmSync(at('model.onnx'))
    renameSync(join(root, 'elsewhere.onnx'), at('blob'))
    symlinkSync('blob', at('model.onnx'))
    expect((await readPinned(folder)).card.name).toBe('tiny')
  })

  test('a folder of that name is no file', async () => {
    rmSync(at('config.json'))
    mkdirSync(at('config.json'))
    expect((await refusal()).code).toBe('model.sha256')
  })

  test('weights that keep tensors in other files are refused', async () => {
    writeFileSync(at('model.onnx'), external)
    const files = { ...(cardOf()['files'] as object), model: { name: 'model.onnx', sha256: sha256(external) } }
    writeFileSync(at('model.json'), JSON.stringify(cardOf({ files })))
    const { code, message } = await refusal()
    expect(code).toBe('model.sha256')
    expect(message).toContain('save_as_external_data=False')
  })

  test('a card and files changed together are caught by the digest of the whole', async () => {
    const digest = (await readPinned(folder)).digest
    writeFileSync(at('tokenizer.json'), '{"model":{"other":1}}')
    const files = {
      ...(cardOf()['files'] as object),
      tokenizer: { name: 'tokenizer.json', sha256: sha256('{"model":{"other":1}}') },
    }
    writeFileSync(at('model.json'), JSON.stringify(cardOf({ files })))
    expect((await readPinned(folder)).digest).not.toBe(digest)
    expect((await refusal(digest)).code).toBe('model.sha256')
  })

  test('the digest is that of all a vector depends on, and of nothing else', () => {
    const digestOf = (changes: Record<string, unknown>): string =>
      encoderDigest(parseCard(JSON.stringify(cardOf(changes)), 'here'))
    const same = digestOf({})
    expect(digestOf({ name: 'other', restore: 'git status' })).toBe(same)
    const papers = { licence: 'MIT', languages: ['zh'], precision: 'fp32', source: 'here', documents: [] }
    expect(digestOf({ ...papers, check: [{ text: 'a', head: [1, 0, 0, 0] }] })).toBe(same)
    for (const changes of [{ prefix: '' }, { tokens_max: 17 }, { pooling: 'cls' }, { output: 'p' }])
      expect(digestOf(changes)).not.toBe(same)
  })

  test.each([
    ['no vocabulary', '{"hidden_size":4}'],
    ['another width', '{"vocab_size":3,"hidden_size":5}'],
    ['no JSON', 'vocab'],
    ['null', 'null'],
  ])('a config of %s has the wrong shape', async (_, text) => {
    writeFileSync(at('config.json'), text)
    const files = { ...(cardOf()['files'] as object), config: { name: 'config.json', sha256: sha256(text) } }
    writeFileSync(at('model.json'), JSON.stringify(cardOf({ files })))
    expect((await refusal()).code).toBe('model.shape')
  })

  test.each([
    ['files.model.name', { files: { ...(cardOf()['files'] as object), model: { name: '../model.onnx', sha256: sha256('') } } }],
    ['files.model.name', { files: { ...(cardOf()['files'] as object), model: { name: '/etc/passwd', sha256: sha256('') } } }],
    ['files.model.sha256', { files: { ...(cardOf()['files'] as object), model: { name: 'm', sha256: 'ABC' } } }],
    ['files.config.name', { files: { ...(cardOf()['files'] as object), config: undefined } }],
    ['files', { files: null }],
    ['name', { name: '' }],
    ['dims', { dims: 0 }],
    ['tokens_max', { tokens_max: 1e9 }],
    ['prefix', { prefix: 7 }],
    ['inputs', { inputs: ['input_ids'] }],
    ['inputs', { inputs: ['input_ids', 'attention_mask', 'pixels'] }],
    ['output', { output: null }],
    ['pooling', { pooling: 'max' }],
    ['restore', { restore: 7 }],
    ['check', { check: [{ text: 'a', head: [1, 0] }] }],
    ['check', { check: [{ text: 'a', head: [2, 0, 0, 0] }] }],
    ['check', { check: 'a' }],
    ['licence', { licence: 7 }],
    ['languages', { languages: 'en' }],
    ['precision', { precision: '' }],
    ['source', { source: {} }],
    ['documents', { documents: {} }],
    ['files', { documents: [{ name: 'Config.json', sha256: sha256('') }] }],
    ['files', { documents: [{ name: 'model.json', sha256: sha256('') }] }],
    ['documents.0.name', { documents: [{ name: '../LICENSE', sha256: sha256('') }] }],
    ['documents.1.sha256', { documents: [{ name: 'LICENSE', sha256: sha256('') }, { name: 'NOTICE' }] }],
  ])('a card with a wrong `%s` is refused by that name', async (field, changes) => {
    writeFileSync(at('model.json'), JSON.stringify(cardOf(changes)))
    const { code, detail } = await refusal()
    expect([code, detail['field']]).toEqual(['config.invalid', field])
  })

  test('a card that is no JSON is refused', async () => {
    writeFileSync(at('model.json'), '{')
    expect((await refusal()).code).toBe('config.invalid')
  })
})

describe('the model that ships', () => {
  test.each(shipped_models.map(({ name }) => [name]))(
    '%s has the name of its folder and the digest that the code pins',
    async (name) => {
      const { folder, digest } = shipped_models.find((one) => one.name === name)!
      const card = await readCard(folder)
      expect([card.name, encoderDigest(card)]).toEqual([name, digest])
      expect(card.licence).not.toBeNull()
    },
  )

  test('the default is one of them', () => {
    expect(shipped_models).toContain(shipped_model)
  })

  test('is the one the code pins, under its licence, with its restore command', async () => {
    const pinned = await readPinned(shipped_model.folder, shipped_model.digest)
    expect(pinned.card).toMatchObject({ name: 'multilingual-e5-small-pruned', dims: 384, tokens_max: 256, pooling: 'graph' })
    expect(pinned.card.restore).toBe('git checkout HEAD -- processors/adapters/onnx/models/multilingual-e5-small-pruned')
    expect(readFileSync(join(shipped_model.folder, 'LICENSE'), 'utf8')).toContain('MIT License')
    expect(readFileSync(join(shipped_model.folder, 'NOTICE'), 'utf8')).toContain('multilingual-e5-small-pruned')
    expect((await readCard(shipped_model.folder)).name).toBe('multilingual-e5-small-pruned')
  })
})
