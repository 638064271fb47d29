/** The real encoder in its threads: the laws of the port, models by config, wrong models, dying threads, full queues. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Transferable, Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { dot, toBytes, type Vector } from '../../domain/vector.ts'
import type { Clock } from '../../ports/clock.ts'
import { embedderContract } from '../../ports/embedder.contract.ts'
import type { Embedder } from '../../ports/embedder.ts'
import { systemClock } from '../system/clock.ts'
import { checkTextOf } from './check.ts'
import { type EmbedderEvent, type OnnxEmbedderOptions, openOnnxEmbedder, spawnThread } from './embedder.ts'
import type { ToThread } from './messages.ts'
import { shipped_model, shipped_models } from './pinned.ts'
import { unpackTexts } from './texts.ts'

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

for (const { name, folder } of shipped_models)
  embedderContract(
    `onnx, ${name}`,
    async () => {
      const threads: Worker[] = []
      const embedder = await openOnnxEmbedder({
        model_folder: folder,
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
const folderWith = (
  from: string,
  card: Record<string, unknown>,
  changed: Record<string, string> = {},
  weights = 'model_int8.onnx',
): string => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-model-'))
  folders.push(folder)
  const pinned: Record<string, { name: string; sha256: string }> = {}
  for (const [role, name] of [
    ['model', weights],
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
      expect(embedder.model).toEqual({
        name: 'multilingual-e5-small-pruned',
        digest: shipped_model.digest,
        dims: 384,
        tokens_max: 256,
      })
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
    const weights = readFileSync(join(folder, 'model_int8.onnx'))
    weights[weights.length >> 1]! ^= 1
    writeFileSync(join(folder, 'model_int8.onnx'), weights)
    expect((await open(folder)).code).toBe('model.sha256')
  }, 60_000)

  test.each([
    ['other dims', { dims: 385 }, {}],
    ['a tensor that the graph has not', { output: '/no/such/tensor' }, {}],
    ['a vector per text where there is one per token', { output: 'last_hidden_state' }, {}],
    ['a vector per token where there is one per text', { pooling: 'mean' }, {}],
    ['an input that the graph has not', { inputs: ['input_ids', 'attention_mask', 'token_type_ids'] }, {}],
    ['more positions than the weights have', { tokens_max: 1_024 }, {}],
    ['a vocabulary larger than the weights', {}, { 'config.json': '{"vocab_size":30521,"hidden_size":384}' }],
    ['a tokeniser that is none', {}, { 'tokenizer.json': '{}' }],
  ])(
    '%s',
    async (_, card, changed) => {
      const { code, message } = await open(folderWith(shipped_model.folder, { ...shipped_rest, ...card }, changed))
      expect(code).toBe('model.shape')
      expect(message).toContain('multilingual-e5-small-pruned')
    },
    60_000,
  )

  test('vectors that are not the ones its card says; the ones it says are let in', async () => {
    const embedder = await openOnnxEmbedder({ clock, workers: 1 })
    const [vector] = await vectorsOf(embedder, ['steel kettle'])
    await embedder.close()
    const right = checkTextOf('steel kettle', vector!)
    const wrong = { ...right, head: right.head.map((number, i) => (i === 5 ? number + 0.01 : number)) }
    const { code, message } = await open(folderWith(shipped_model.folder, { ...shipped_rest, check: [right, wrong] }))
    expect(code).toBe('model.check')
    expect(message).toContain('0.0100')
    const model_folder = folderWith(shipped_model.folder, { ...shipped_rest, check: [right] })
    await (await openOnnxEmbedder({ clock, workers: 1, model_folder })).close()
  }, 60_000)
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

  test('an encoder whose graph leaves the pooling to us keeps a cosine of 0.999999', async () => {
    const pooled = { ...shipped_rest, output: 'last_hidden_state', pooling: 'mean' }
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
      const embedder = await openOnnxEmbedder({
        clock,
        workers: 1,
        model_folder: folderWith(e5, { ...card, ...inner }, {}, 'model_int8_row.onnx'),
      })
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
          `const n = m.texts.ends.length; parentPort.postMessage({ is: 'done', id: m.id, vectors: new Float32Array(n * 384).fill(1), outcomes: new Uint8Array(n), work: { batches: 1, tokens: n, cells: n, truncated: 0, engine_ms: 0, tokenize_ms: 0 } })`,
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

  test('a thread that dies while it loads makes opening fail', async () => {
    const { code } = await faultOf(
      openOnnxEmbedder({ clock, workers: 2, spawn: () => new Worker('process.exit(9)', { eval: true }) }),
    )
    expect(code).toBe('embedder.unavailable')
  }, 30_000)
})

describe('how calls share the threads', () => {
  /**
   * A thread that answers nothing by itself and writes down what it is given. `answer` finishes the oldest chunk: each text's vector
   * begins with the text's number, the digits in it.
   */
  type Chunk = { id: number; texts: readonly string[]; urgent: boolean }
  const openHands = async (options: Partial<OnnxEmbedderOptions> = {}) => {
    const given: Chunk[][] = []
    const threads: Worker[] = []
    const events: EmbedderEvent[] = []
    const embedder = await openOnnxEmbedder({
      clock,
      workers: 1,
      observe: (event) => events.push(event),
      spawn: () => {
        const thread = new Worker(
          `const { parentPort } = require('node:worker_threads')
           parentPort.on('message', (m) => {
             if (m.do === 'close') process.exit(0)
             if (m.do === 'say') parentPort.postMessage(m.what, [m.what.vectors.buffer])
           })
           parentPort.postMessage({ is: 'ready', provider: 'cpu', fell_back: [] })`,
          { eval: true },
        )
        const mine: Chunk[] = []
        given.push(mine)
        threads.push(thread)
        const post = thread.postMessage.bind(thread)
        thread.postMessage = (message: ToThread | { do: 'say' }, transfer?: readonly Transferable[]) => {
          if (message.do === 'embed') mine.push({ ...message, texts: unpackTexts(message.texts) })
          else post(message, transfer as Transferable[])
        }
        return thread
      },
      ...options,
    })
    const answer = (thread = 0): void => {
      const { id, texts } = given[thread]!.shift()!
      const vectors = new Float32Array(texts.length * 384)
      for (const [row, text] of texts.entries()) vectors[row * 384] = Number(/\d+/u.exec(text)?.[0] ?? 0)
      const work = { batches: 1, tokens: texts.length, cells: texts.length, truncated: 1, engine_ms: 0, tokenize_ms: 0 }
      const what = { is: 'done', id, vectors, outcomes: new Uint8Array(texts.length), work }
      threads[thread]!.postMessage({ do: 'say', what }, [vectors.buffer])
    }
    return { embedder, given, answer, events, threads }
  }
  const long = 'word '.repeat(200)
  /** Enough for a whole batch. */
  const flood = (from: number, texts: number): readonly string[] => Array.from({ length: texts }, (_, i) => `${from + i} ${long}`)
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  const firsts = async (answers: Promise<readonly (Vector | Fault)[]>): Promise<readonly number[]> =>
    (await answers).map((result) => (result as Vector)[0]!)

  test('a lone text goes at once where all threads idle; calls of one turn go together', async () => {
    const { embedder, given, answer } = await openHands({ batch_wait_ms: 60_000 })
    try {
      const answers = [embedder.embed(['7']), embedder.embed(['8', '9'])]
      await turn()
      expect(given[0]!.map(({ texts }) => texts)).toEqual([['7', '8', '9']])
      answer()
      expect(await Promise.all(answers.map(firsts))).toEqual([[7], [8, 9]])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('while a thread computes, small calls are gathered, and go together when it is done', async () => {
    const { embedder, given, answer } = await openHands()
    try {
      const first = embedder.embed(['1'])
      await turn()
      const others = [embedder.embed(['2']), embedder.embed(['3'])]
      await turn()
      others.push(embedder.embed(['4']))
      await turn()
      expect(given[0]!.map(({ texts }) => texts)).toEqual([['1']])
      answer()
      await first
      await turn()
      expect(given[0]!.map(({ texts }) => texts)).toEqual([['2', '3', '4']])
      answer()
      expect(await Promise.all(others.map(firsts))).toEqual([[2], [3], [4]])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('while one thread computes and another idles, texts wait for company no longer than they are told to', async () => {
    const waits: (() => void)[] = []
    const slow: Clock = {
      ...clock,
      sleep: (duration_ms, signal) =>
        duration_ms === 5_555 ? new Promise<void>((resolve) => waits.push(resolve)) : clock.sleep(duration_ms, signal),
    }
    const { embedder, given, answer } = await openHands({ workers: 2, clock: slow, batch_wait_ms: 5_555 })
    try {
      const first = embedder.embed(['1'])
      await turn()
      const second = embedder.embed(['2'])
      await turn()
      const third = embedder.embed(['3'])
      await turn()
      expect(given.flat().map(({ texts }) => texts)).toEqual([['1']])
      expect(waits).toHaveLength(1)
      waits[0]!()
      await turn()
      const busy = given.findIndex((chunks) => chunks[0]?.texts[0] === '1')
      expect(given[1 - busy]!.map(({ texts }) => texts)).toEqual([['2', '3']])
      answer(0)
      answer(1)
      expect(await Promise.all([first, second, third].map(firsts))).toEqual([[1], [2], [3]])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a flood: the next chunk lies ready, no thread holds more than two, and late small calls are not behind all of it', async () => {
    const { embedder, given, answer } = await openHands()
    try {
      const all = embedder.embed(flood(0, 60))
      await turn()
      expect(given[0]!.length).toBe(2)
      expect(given[0]!.every(({ texts }) => texts.length === 12)).toBe(true)
      const late = embedder.embed(['77'])
      let answered = 0
      let late_after = 0
      void late.then(() => {
        late_after = answered
      })
      while (answered < 6) {
        expect(given[0]!.length).toBeLessThanOrEqual(2)
        answer()
        answered++
        await embedder.embed([])
        while (given[0]!.length === 0 && answered < 6) await turn()
        await turn()
      }
      expect(await firsts(all)).toEqual(Array.from({ length: 60 }, (_, i) => i))
      expect(await firsts(late)).toEqual([77])
      expect(late_after).toBe(6)
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a text whose answer somebody waits for is handed over at once, whatever lies there', async () => {
    const { embedder, given, answer } = await openHands({ queue_texts_max: 10 })
    try {
      const all = [embedder.embed(flood(0, 60)), embedder.embed(flood(100, 5))]
      await turn()
      const search = embedder.embed(['99'], { urgent: true })
      await turn()
      expect(given[0]!.map(({ urgent, texts }) => [urgent, texts.length])).toEqual([
        [false, 12],
        [false, 12],
        [true, 1],
      ])
      given[0]!.unshift(given[0]!.pop()!)
      answer()
      expect(await firsts(search)).toEqual([99])
      const closed = Promise.all(all.map(faultOf))
      await embedder.close()
      expect((await closed).map(({ code }) => code)).toEqual(['embedder.unavailable', 'embedder.unavailable'])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('a call beyond the bound waits for room, and is answered in its turn', async () => {
    const { embedder, given, answer, events } = await openHands({ queue_texts_max: 3 })
    try {
      const answers = [embedder.embed(['1', '2']), embedder.embed(['3', '4']), embedder.embed(['5']), embedder.embed(['6', '7'])]
      await turn()
      expect(given[0]!.map(({ texts }) => texts)).toEqual([['1', '2']])
      expect(embedder.stats().queued).toBe(7)
      answer()
      await answers[0]
      await turn()
      expect(given[0]!.map(({ texts }) => texts)).toEqual([['3', '4', '5']])
      answer()
      await answers[1]
      await turn()
      answer()
      expect(await Promise.all(answers.map(firsts))).toEqual([[1, 2], [3, 4], [5], [6, 7]])
      expect(embedder.stats()).toMatchObject({ queued: 0, texts: 7, truncated: 3, batches: 3 })
      const depths = events.flatMap((event) => (event.event === 'queued' ? [event.texts] : []))
      expect([Math.max(...depths), depths.at(-1)]).toEqual([7, 0])
      const worked = events.flatMap((event) => (event.event === 'worked' ? [[event.work.texts, event.work.truncated]] : []))
      expect(worked).toEqual([
        [2, 1],
        [3, 1],
        [2, 1],
      ])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('of two chunks a thread died with, only the first is suspected; both are answered by the next thread', async () => {
    const { embedder, given, answer, threads, events } = await openHands()
    try {
      const all = embedder.embed(flood(0, 20))
      await turn()
      const held = given[0]!.map(({ texts }) => texts)
      expect(held.length).toBe(2)
      for (const died of [0, 1]) {
        await threads[died]!.terminate()
        while (given[died + 1] === undefined || given[died + 1]!.length < (died === 0 ? 2 : 1)) await turn()
      }
      // Died of twice, the first is given up, and its call with it; the second was never at fault, but belongs to the same call.
      expect((await faultOf(all)).code).toBe('embedder.unavailable')
      expect(given[1]!.map(({ texts }) => texts)).toEqual(held)
      expect(events.filter(({ event }) => event === 'crashed')).toHaveLength(2)
      const next = embedder.embed(['5'])
      let done = false
      void next.then(() => {
        done = true
      })
      while (!done) {
        if (given[2]!.length > 0) answer(2)
        await turn()
      }
      expect(await firsts(next)).toEqual([5])
    } finally {
      await embedder.close()
    }
  }, 30_000)

  test('closing under a flood: every call ends, every thread is gone', async () => {
    let left = 0
    const embedder = await openOnnxEmbedder({
      clock,
      workers: 2,
      queue_texts_max: 50,
      spawn: (settings) => {
        const thread = spawnThread(settings)
        left++
        thread.on('exit', () => left--)
        return thread
      },
    })
    const calls = Array.from({ length: 20 }, (_, i) =>
      embedder.embed(flood(i * 10, 10)).then(
        (results) => results.length,
        (error: unknown) => (error as Fault).code,
      ),
    )
    await calls[0]
    await embedder.close()
    for (const end of await Promise.all(calls)) expect([10, 'embedder.unavailable']).toContain(end)
    expect(left).toBe(0)
  }, 60_000)
})
