/** Work in the background takes its share of the time and no more, and changes nothing but the time. */
import { expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder } from '../ports/embedder.ts'
import { atMost } from './share.ts'

/** A clock that moves by what is slept and by what the encoder takes: 10 ms a text. */
const bench = (share: number) => {
  let now_ms = 0
  let busy_ms = 0
  let at_work = 0
  let most = 0
  const calls: number[] = []
  const clock: Clock = {
    now_ms: () => now_ms,
    monotonic_ms: () => now_ms,
    sleep: async (ms, signal) => {
      if (!signal?.aborted) now_ms += ms
    },
  }
  const real = memoryEmbedder()
  const inner: Embedder = {
    ...real,
    embed: async (texts) => {
      at_work += 1
      most = Math.max(most, at_work)
      calls.push(texts.length)
      await Promise.resolve()
      now_ms += 10 * texts.length
      busy_ms += 10 * texts.length
      at_work -= 1
      return real.embed(texts)
    },
  }
  return { embedder: atMost(inner, share, clock), clock, calls, used: () => busy_ms / now_ms, most: () => most }
}

const texts = Array.from({ length: 40 }, (_, i) => `text ${i}`)

test('calls take their share of the time, a few texts each, one at a time, with the same vectors in order', async () => {
  const { embedder, calls, used, most } = bench(0.25)
  const [one, other] = await Promise.all([embedder.embed(texts), embedder.embed(texts.slice(0, 3))])
  expect(used()).toBeCloseTo(0.25, 6)
  expect(most()).toBe(1)
  expect([...calls].sort((a, b) => a - b)).toEqual([3, 8, 16, 16])
  expect(one).toEqual(await memoryEmbedder().embed(texts))
  expect(other).toEqual(one.slice(0, 3))
})

test('a share of one rests never; a call that fails is told, and the next one works', async () => {
  const { embedder, used } = bench(1)
  await embedder.embed(texts)
  expect(used()).toBe(1)
  let broken = true
  const moody = atMost(
    {
      ...memoryEmbedder(),
      embed: async (some) => {
        if (broken) throw new Error('gone')
        return memoryEmbedder().embed(some)
      },
    },
    0.5,
    bench(1).clock,
  )
  await expect(moody.embed(['a'])).rejects.toThrow('gone')
  broken = false
  expect(await moody.embed(['a'])).toHaveLength(1)
})

test('closing ends a rest', async () => {
  const real = memoryEmbedder()
  let resting: AbortSignal | undefined
  const embedder = atMost(real, 0.01, {
    now_ms: () => 0,
    monotonic_ms: () => 0,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        resting = signal
        signal?.addEventListener('abort', () => resolve())
      }),
  })
  const asked = embedder.embed(['a'])
  while (resting === undefined) await Promise.resolve()
  await embedder.close()
  expect(await asked).toHaveLength(1)
})
