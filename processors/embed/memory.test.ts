/** What was asked for is not computed again, by anyone, and nobody can tell by the bytes. */
import { describe, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { Fault } from '../domain/fault.ts'
import { toBytes, type Vector } from '../domain/vector.ts'
import type { Embedder } from '../ports/embedder.ts'
import { type Answered, openAvoided, remembering } from './memory.ts'

/** An encoder that takes 0.5 s a text and answers when it is let. */
const slow = (real: Embedder = memoryEmbedder()) => {
  const asked: string[][] = []
  let now_ms = 0
  let gate: Promise<void> = Promise.resolve()
  let open: () => void = () => undefined
  return {
    asked,
    clock: { monotonic_ms: () => now_ms },
    close: () => {
      gate = new Promise((resolve) => {
        open = resolve
      })
    },
    open: () => open(),
    embedder: {
      ...real,
      embed: async (texts: readonly string[]) => {
        asked.push([...texts])
        await gate
        now_ms += 500 * texts.length
        return real.embed(texts)
      },
    } satisfies Embedder,
  }
}

const bytes = (results: readonly (Vector | Fault)[]): readonly string[] =>
  results.map((result) => (result instanceof Fault ? result.code : toBytes(result).toString('hex')))

describe('a remembering encoder', () => {
  test('computes a text once, whoever asks, and says where each answer came from', async () => {
    const { embedder, clock, asked } = slow()
    const counts: Answered[] = []
    const memory = remembering(embedder, { bytes_max: 1 << 20, clock, answered: (count) => counts.push(count) })
    const first = await memory.embed(['red cup', 'tea pot', 'red cup'])
    const again = await memory.embed(['tea pot', 'blue cup', 'red cup'])
    expect(asked).toEqual([['red cup', 'tea pot'], ['blue cup']])
    expect(counts).toEqual([
      { known: 0, shared: 0, computed: 2, seconds: 1 },
      { known: 2, shared: 0, computed: 1, seconds: 0.5 },
    ])
    const plain = await memoryEmbedder().embed(['tea pot', 'blue cup', 'red cup'])
    expect(bytes(again)).toEqual(bytes(plain))
    expect(bytes(first)[0]).toBe(bytes(first)[2])
  })

  test('what two partitions ask for at once is computed once', async () => {
    const { embedder, clock, asked, close, open } = slow()
    const counts: Answered[] = []
    const memory = remembering(embedder, { bytes_max: 0, clock, answered: (count) => counts.push(count) })
    close()
    const one = memory.embed(['red cup', 'tea pot'])
    const other = memory.embed(['tea pot', 'blue cup'])
    open()
    expect(bytes(await one)[1]).toBe(bytes(await other)[0])
    expect(asked).toEqual([['red cup', 'tea pot'], ['blue cup']])
    expect(counts.map(({ known, shared, computed }) => ({ known, shared, computed }))).toEqual([
      { known: 0, shared: 0, computed: 2 },
      { known: 0, shared: 1, computed: 1 },
    ])
    expect(memory.size()).toEqual({ texts: 0, bytes: 0 })
  })

  test('seconds of calls that overlap count once', async () => {
    const { embedder, clock, close, open } = slow()
    const counts: Answered[] = []
    const memory = remembering(embedder, { bytes_max: 0, clock, answered: (count) => counts.push(count) })
    close()
    const both = [memory.embed(['a', 'b']), memory.embed(['c', 'd'])]
    open()
    await Promise.all(both)
    await memory.embed(['a'])
    // The double's clock moves by both calls' texts: four of them, then one.
    expect(counts.map(({ computed }) => computed)).toEqual([2, 2, 1])
    expect(counts.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(2.5)
    await memory.embed([])
    expect(counts.at(-1)).toEqual({ known: 0, shared: 0, computed: 0, seconds: 0 })
  })

  test('a call that fails fails for all who waited for its texts, and the next one computes', async () => {
    const real = memoryEmbedder()
    let broken = true
    const memory = remembering(
      {
        ...real,
        embed: async (texts) => {
          await Promise.resolve()
          if (broken) throw new Fault('embedder.unavailable', 'gone')
          return real.embed(texts)
        },
      },
      { bytes_max: 1 << 20, clock: { monotonic_ms: () => 0 } },
    )
    const both = await Promise.allSettled([memory.embed(['red cup']), memory.embed(['red cup'])])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    broken = false
    expect(bytes(await memory.embed(['red cup']))).toEqual(bytes(await real.embed(['red cup'])))
  })

  test('the longest unasked goes first, and memory stays within its bytes', async () => {
    const { embedder, clock, asked } = slow()
    const each = 64 * 4 + 320
    const memory = remembering(embedder, { bytes_max: 2 * each + 10, clock })
    await memory.embed(['a', 'b'])
    await memory.embed(['a', 'c'])
    expect(memory.size()).toEqual({ texts: 2, bytes: 2 * each })
    await memory.embed(['a', 'c'])
    await memory.embed(['b'])
    expect(asked).toEqual([['a', 'b'], ['c'], ['b']])
  })

  test('neither faults nor unusable vectors are remembered; a caller cannot change what others get', async () => {
    const { embedder, clock, asked } = slow()
    const broken = {
      ...embedder,
      embed: async (texts: readonly string[]) =>
        (await embedder.embed(texts)).map((v, i) => (texts[i] === 'nan' ? new Float32Array(64).fill(Number.NaN) : v)),
    }
    const memory = remembering(broken, { bytes_max: 1 << 20, clock })
    const [spoilt] = await memory.embed(['red cup', ' ', 'nan'])
    ;(spoilt as Vector).fill(0)
    const [cup, empty] = await memory.embed(['red cup', ' ', 'nan'])
    expect(bytes([cup!])).toEqual(bytes(await memoryEmbedder().embed(['red cup'])))
    expect(empty).toMatchObject({ code: 'embed.empty' })
    expect(asked).toEqual([
      ['red cup', ' ', 'nan'],
      [' ', 'nan'],
    ])
  })

  test('an encoder that answers too few texts is a defect', async () => {
    const memory = remembering({ ...memoryEmbedder(), embed: async () => [] }, { bytes_max: 0, clock: { monotonic_ms: () => 0 } })
    await expect(memory.embed(['red cup'])).rejects.toMatchObject({ code: 'outcome.invalid' })
  })
})

describe('avoided seconds', () => {
  test('are texts times the mean of what was computed, once that is known; what came before is added then', () => {
    const said: number[] = []
    const { avoided, computed } = openAvoided((seconds) => said.push(seconds))
    avoided(10)
    expect(said).toEqual([])
    computed(4, 9)
    avoided(1)
    expect(said).toEqual([])
    computed(60, 23)
    avoided(1)
    computed(64, 0)
    avoided(4)
    avoided(0)
    expect(said).toEqual([6, 1])
  })
})
