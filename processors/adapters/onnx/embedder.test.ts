/** The real encoder in its threads: the laws of the port, models by config, wrong models, dying threads, full queues. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { dot, toBytes, type Vector } from '../../domain/vector.ts'
import type { Clock } from '../../ports/clock.ts'
import { embedderContract } from '../../ports/embedder.contract.ts'
import type { Embedder } from '../../ports/embedder.ts'
import { systemClock } from '../system/clock.ts'
import { openOnnxEmbedder, spawnThread } from './embedder.ts'
import { shipped_model } from './pinned.ts'

const clock = systemClock
const vectorsOf = async (embedder: Embedder, texts: readonly string[]): Promise<readonly Vector[]> =>
  (await embedder.embed(texts)).map((result) => {
    if (result instanceof Fault) throw result
    return result
  })
const faultOf = (answer: Promise<unknown>): Promise<Fault> =>
  answer.then(
    () => {
      throw new Error('it was accepted')
    },
    (error: unknown) => {
      if (error instanceof Fault) return error
      throw error
    },
  )

embedderContract(
  'onnx, all-MiniLM-L6-v2',
  async () => {
    const threads: Worker[] = []
    const embedder = await openOnnxEmbedder({
      workers: 1,
      clock,
      spawn: (settings) => {
        const thread = spawnThread(settings)
        threads.push(thread)
        return thread
      },
    })
    return { embedder, crash: async () => void (await threads.at(-1)!.terminate()) }
  },
  { exact: true },
)

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** A copy of a model folder with another card; files named in `changed` get that text, and the card their digests. */
const folderWith = (from: string, card: Record<string, unknown>, changed: Record<string, string> = {}): string => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-model-'))
  folders.push(folder)
  const pinned: Record<string, { name: string; sha256: string }> = {}
  for (const [role, name] of [
    ['model', 'model_int8_row.onnx'],
    ['tokenizer', 'tokenizer.json'],
    ['config', 'config.json'],
  ] as const) {
    const text = changed[name]
    if (text === undefined) copyFileSync(join(from, name), join(folder, name))
    else writeFileSync(join(folder, name), text)
    pinned[role] = {
      name,
      sha256: createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    }
  }
  writeFileSync(join(folder, 'model.json'), JSON.stringify({ files: pinned, ...card }))
  return folder
}
const shipped_card = JSON.parse(readFileSync(join(shipped_model.folder, 'model.json'), 'utf8')) as Record<string, unknown>
const { files: _, restore: __, ...shipped_rest } = shipped_card

describe('the model that ships', () => {
  test('is opened without settings, falls back to the CPU, and counts what it did', async () => {
    const embedder = await openOnnxEmbedder({ clock, workers: 2, providers: ['cuda', 'cpu'] })
    try {
      expect(embedder.model).toEqual({ name: 'all-MiniLM-L6-v2', digest: shipped_model.digest, dims: 384, tokens_max: 256 })
      const texts = ['steel kettle', 'blue running shoe', '', 'long '.repeat(300), 'steel kettle']
      const results = await embedder.embed(texts)
      expect(results.map((result) => (result instanceof Fault ? result.code : result.length))).toEqual([
        384,
        384,
        'embed.empty',
        384,
        384,
      ])
      const stats = embedder.stats()
      expect(stats).toMatchObject({ threads: 2, queued: 0, texts: 5, truncated: 1, empty: 1, degenerate: 0, crashes: 0 })
      expect(stats.cells).toBeGreaterThanOrEqual(stats.tokens)
      expect(stats.batches).toBeGreaterThan(0)
      // On a machine with CUDA the first choice holds; elsewhere it is skipped, and says so.
      expect([stats.provider, stats.fell_back.map(({ provider }) => provider)]).toEqual(
        stats.provider === 'cuda' ? ['cuda', []] : ['cpu', ['cuda']],
      )
    } finally {
      await embedder.close()
    }
  }, 60_000)

  test('gives the same bits with one thread or two, whatever the batch budget', async () => {
    const texts = Array.from({ length: 60 }, (_, i) => `${'part '.repeat(i % 13)}number ${i} of a set`)
    const open = (workers: number, batch_tokens_max: number) => openOnnxEmbedder({ clock, workers, batch_tokens_max })
    const one = await open(1, 64)
    const expected = (await vectorsOf(one, texts)).map(toBytes)
    await one.close()
    const two = await open(2, 1_024)
    const actual = (await vectorsOf(two, texts)).map(toBytes)
    await two.close()
    expect(actual.map((bytes, index) => bytes.equals(expected[index]!))).toEqual(texts.map(() => true))
  }, 60_000)

  test('no provider that works is a setting to correct', async () => {
    const { code, message } = await faultOf(openOnnxEmbedder({ clock, workers: 1, providers: ['tensorrt'] }))
    expect(code).toBe('config.invalid')
    expect(message).toContain('tensorrt')
  }, 60_000)

  test.each([
    { workers: 0 },
    { batch_tokens_max: 0.5 },
    { length_bucket: 0 },
    { queue_texts_max: Number.NaN },
    { providers: [] },
  ])('a setting out of range is refused: %j', async (settings) => {
    expect((await faultOf(openOnnxEmbedder({ clock, ...settings }))).code).toBe('config.invalid')
  })
})

describe('a wrong model is refused before anything is embedded', () => {
  const open = (model_folder: string) => faultOf(openOnnxEmbedder({ clock, workers: 1, model_folder }))

  test('one bit of the weights flipped', async () => {
    const folder = folderWith(shipped_model.folder, shipped_rest)
    const weights = readFileSync(join(folder, 'model_int8_row.onnx'))
    weights[weights.length >> 1]! ^= 1
    writeFileSync(join(folder, 'model_int8_row.onnx'), weights)
    expect((await open(folder)).code).toBe('model.sha256')
  }, 60_000)

  test.each([
    ['other dims', { dims: 385 }, {}],
    ['a tensor that the graph has not', { output: '/no/such/tensor' }, {}],
    ['a vector per text where there is one per token', { pooling: 'graph' }, {}],
    ['a vector per token where there is one per text', { output: 'sentence_embedding' }, {}],
    ['an input that the graph has not', { inputs: ['input_ids', 'attention_mask', 'token_type_ids'] }, {}],
    ['more positions than the weights have', { tokens_max: 1_024 }, {}],
    ['a vocabulary larger than the weights', {}, { 'config.json': '{"vocab_size":30521,"hidden_size":384}' }],
    ['a tokeniser that is none', {}, { 'tokenizer.json': '{}' }],
  ])(
    '%s',
    async (_, card, changed) => {
      const { code, message } = await open(folderWith(shipped_model.folder, { ...shipped_rest, ...card }, changed))
      expect(code).toBe('model.shape')
      expect(message).toContain('all-MiniLM-L6-v2')
    },
    60_000,
  )
})

describe('another model by config', () => {
  const e5 = fileURLToPath(new URL('../../../../shared/models/multilingual-e5-small', import.meta.url))
  const missing = existsSync(join(e5, 'model_int8_row.onnx'))
    ? ''
    : ' (not run: ../shared/models/multilingual-e5-small is absent)'
  const maybe = missing === '' ? test : test.skip
  const card = {
    name: 'multilingual-e5-small',
    dims: 384,
    tokens_max: 512,
    prefix: 'query: ',
    inputs: ['input_ids', 'attention_mask'],
  }

  test('an encoder that pools inside its graph keeps a cosine of 0.999999', async () => {
    const pooled = { ...shipped_rest, output: 'sentence_embedding', pooling: 'graph' }
    const embedder = await openOnnxEmbedder({ clock, workers: 1, model_folder: folderWith(shipped_model.folder, pooled) })
    try {
      expect(embedder.model.digest).not.toBe(shipped_model.digest)
      const texts = ['steel kettle', 'red steel kettle', 'garden bench with three seats', 'one more thing']
      const together = await vectorsOf(embedder, texts)
      for (const [index, text] of texts.entries()) {
        const [alone] = await vectorsOf(embedder, [text])
        expect(dot(alone!, together[index]!)).toBeGreaterThanOrEqual(0.999999)
        expect(Math.abs(dot(alone!, alone!) - 1)).toBeLessThan(1e-6)
      }
    } finally {
      await embedder.close()
    }
  }, 60_000)

  maybe(
    `multilingual-e5-small knows Chinese, to the bit alone and in company${missing}`,
    async () => {
      const inner = { output: '/m/encoder/layer.11/output/LayerNorm/LayerNormalization_output_0', pooling: 'mean' }
      const embedder = await openOnnxEmbedder({ clock, workers: 1, model_folder: folderWith(e5, { ...card, ...inner }) })
      try {
        const texts = [
          '小米14 Ultra 5G手机 黑色',
          'Xiaomi 14 Ultra 5G phone, black',
          'Wooden garden bench, 3 seats',
          'стул деревянный',
          ' ',
          '\u0007',
        ]
        const results = await embedder.embed(texts)
        expect(results.map((result) => (result instanceof Fault ? result.code : 'vector'))).toEqual([
          ...['vector', 'vector', 'vector', 'vector'],
          ...['embed.empty', 'embed.empty'],
        ])
        const [chinese, english, bench] = results as Vector[]
        expect(dot(chinese!, english!)).toBeGreaterThan(dot(chinese!, bench!) + 0.05)
        for (const [index, text] of texts.slice(0, 4).entries()) {
          const [alone] = await vectorsOf(embedder, [text])
          expect(toBytes(alone!).equals(toBytes(results[index] as Vector))).toBe(true)
        }
      } finally {
        await embedder.close()
      }
    },
    120_000,
  )
})

describe('threads that misbehave', () => {
  const ready = `const { parentPort } = require('node:worker_threads'); const ready = () => parentPort.postMessage({ is: 'ready', provider: 'cpu', fell_back: [] })\n`
  /** A thread that is ready and then does `body` with each request. */
  const thread = (body: string) => () =>
    new Worker(`${ready}parentPort.on('message', (m) => { if (m.do === 'close') process.exit(0); ${body} }); ready()`, {
      eval: true,
    })

  test('texts on which two threads died are given back as unavailable, and the embedder lives on', async () => {
    let started = 0
    const embedder = await openOnnxEmbedder({
      clock,
      workers: 1,
      spawn: () => {
        started++
        return thread(started <= 2 ? 'process.exit(3)' : `parentPort.postMessage({ is: 'failed', id: m.id, message: 'no' })`)()
      },
    })
    try {
      const first = await faultOf(embedder.embed(['a', 'b']))
      expect([first.code, first.kind]).toEqual(['embedder.unavailable', 'transient'])
      expect(first.message).toContain('exit code 3')
      expect(embedder.stats().crashes).toBe(2)
      // The third thread answers that it failed, twice: the same end without a death.
      expect((await faultOf(embedder.embed(['c']))).code).toBe('embedder.unavailable')
      expect(started).toBe(3)
      expect(embedder.stats().queued).toBe(0)
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a thread that cannot start again makes every call unavailable at once, until one can', async () => {
    let started = 0
    const embedder = await openOnnxEmbedder({
      clock,
      workers: 1,
      spawn: () => {
        started++
        if (started === 1) return thread('process.exit(3)')()
        if (started === 2)
          return new Worker(
            `${ready}parentPort.postMessage({ is: 'refused', code: 'model.sha256', message: 'altered', detail: {} })`,
            { eval: true },
          )
        return thread(
          `const n = m.texts.length; parentPort.postMessage({ is: 'done', id: m.id, vectors: new Float32Array(n * 384).fill(1), outcomes: new Uint8Array(n), work: { batches: 1, tokens: n, cells: n, truncated: 0, engine_ms: 0, tokenize_ms: 0 } })`,
        )()
      },
    })
    try {
      expect((await faultOf(embedder.embed(['a']))).code).toBe('model.sha256')
      const answer = async (): Promise<readonly (Vector | Fault)[]> => {
        for (;;) {
          try {
            return await embedder.embed(['b'])
          } catch (error) {
            if ((error as Fault).code !== 'model.sha256') throw error
            await clock.sleep(20)
          }
        }
      }
      expect(await answer()).toHaveLength(1)
      expect(started).toBe(3)
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a thread that is silent past the deadline is replaced', async () => {
    const impatient: Clock = {
      ...clock,
      sleep: (duration_ms, signal) => clock.sleep(duration_ms === 7_777 ? 1 : duration_ms, signal),
    }
    const embedder = await openOnnxEmbedder({ clock: impatient, workers: 1, deadline_ms: 7_777, spawn: thread('') })
    try {
      const { code, message } = await faultOf(embedder.embed(['a']))
      expect(code).toBe('embedder.unavailable')
      expect(message).toContain('silent for 7777 ms')
      expect(embedder.stats().crashes).toBe(2)
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a full queue refuses the next call and keeps the others', async () => {
    const embedder = await openOnnxEmbedder({ clock, workers: 1, queue_texts_max: 3, spawn: thread('') })
    const waiting = [faultOf(embedder.embed(['a', 'b'])), faultOf(embedder.embed(['c', 'd']))]
    const { code, message } = await faultOf(embedder.embed(['e']))
    expect(code).toBe('embedder.unavailable')
    expect(message).toContain('4 texts wait')
    await embedder.close()
    expect((await Promise.all(waiting)).map((fault) => fault.message)).toEqual([
      'The embedder is closed.',
      'The embedder is closed.',
    ])
  }, 30_000)

  test('a thread that dies while it loads makes opening fail', async () => {
    const { code } = await faultOf(
      openOnnxEmbedder({ clock, workers: 2, spawn: () => new Worker('process.exit(9)', { eval: true }) }),
    )
    expect(code).toBe('embedder.unavailable')
  }, 30_000)

  test('texts that arrive while a thread idles wait for company when told to', async () => {
    let release = () => {}
    const linger: Clock = {
      ...clock,
      sleep: (duration_ms, signal) =>
        duration_ms === 5_555 ? new Promise<void>((resolve) => (release = resolve)) : clock.sleep(duration_ms, signal),
    }
    const sizes: number[] = []
    const embedder = await openOnnxEmbedder({
      clock: linger,
      workers: 1,
      linger_ms: 5_555,
      spawn: (settings) => {
        const real = spawnThread(settings)
        const post = real.postMessage.bind(real)
        real.postMessage = (message: { do: string; texts?: readonly string[] }) => {
          if (message.do === 'embed') sizes.push(message.texts!.length)
          post(message)
        }
        return real
      },
    })
    try {
      const answers = [embedder.embed(['a']), embedder.embed(['b', 'c'])]
      expect(sizes).toEqual([])
      release()
      expect((await Promise.all(answers)).map((answer) => answer.length)).toEqual([1, 2])
      expect(sizes).toEqual([3])
    } finally {
      await embedder.close()
    }
  }, 60_000)
})
