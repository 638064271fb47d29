/** Callers take turns, nothing is lost or taken twice, chunks stay within their bound. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Caller, cutChunks, openTurns, tokensGuess } from './turns.ts'

const callOf = (name: string, texts: number): Caller & { readonly name: string } => ({
  name,
  texts: Array.from({ length: texts }, (_, i) => `${name}${i}`),
  settled: false,
})

test('a call of one text waits for one turn of a large one, not for all of it', () => {
  const turns = openTurns<ReturnType<typeof callOf>>(256)
  turns.add(callOf('large', 1_000))
  turns.add(callOf('lone', 1))
  turns.add(callOf('other', 100))
  const taken = turns.take(100)
  expect(taken).toHaveLength(100)
  expect(taken.findIndex(({ call }) => call.name === 'lone')).toBe(32)
  expect(taken.filter(({ call }) => call.name === 'other').length).toBeGreaterThanOrEqual(32)
  expect(turns.texts()).toBe(1_001)
})

test('every text is taken once, in the order of its call; counts go back to nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 300 }),
      (sizes, texts_max) => {
        const turns = openTurns<ReturnType<typeof callOf>>(256)
        const calls = sizes.map((size, i) => callOf(String.fromCharCode(97 + i), size))
        for (const call of calls) turns.add(call)
        const seen = new Map(calls.map((call) => [call.name, [] as number[]]))
        for (let part = turns.take(texts_max); part.length > 0; part = turns.take(texts_max)) {
          expect(part.length).toBeLessThanOrEqual(texts_max)
          for (const { call, index } of part) seen.get(call.name)!.push(index)
        }
        for (const call of calls) expect(seen.get(call.name)).toEqual(call.texts.map((_, i) => i))
        expect([turns.texts(), turns.tokens()]).toEqual([0, 0])
      },
    ),
  )
})

test('texts of a settled call are passed over', () => {
  const turns = openTurns<{ texts: readonly string[]; settled: boolean }>(256)
  const gone = { texts: ['a', 'b'], settled: false }
  turns.add(gone)
  turns.add({ texts: ['c'], settled: false })
  gone.settled = true
  expect(turns.take(10).map(({ call, index }) => call.texts[index])).toEqual(['c'])
  expect([turns.texts(), turns.tokens()]).toEqual([0, 0])
})

test('chunks hold every text once, longest first, within their bound or alone; the last ones are smaller', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      (lengths, threads, last) => {
        const call = { texts: lengths.map((length) => 'x'.repeat(length)), settled: false }
        const turns = openTurns<Caller>(256)
        turns.add(call)
        const chunks = cutChunks(turns.take(1_000), { batch_tokens_max: 768, chunk_tokens_max: 3_072, threads, last })
        const flat = chunks.flat()
        expect(flat.map(({ index }) => index).sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i))
        for (const [i, { tokens }] of flat.entries()) if (i > 0) expect(tokens).toBeLessThanOrEqual(flat[i - 1]!.tokens)
        for (const chunk of chunks) {
          const tokens = chunk.reduce((sum, task) => sum + task.tokens, 0)
          expect(tokens <= 3_072 || chunk.length === 1).toBe(true)
        }
      },
    ),
  )
  const turns = openTurns<Caller>(256)
  turns.add({ texts: new Array<string>(1_000).fill('x'.repeat(60)), settled: false })
  const cut = { batch_tokens_max: 768, chunk_tokens_max: 3_072, threads: 2 }
  const tasks = turns.take(1_000)
  const sizes = cutChunks(tasks, { ...cut, last: true }).map(({ length }) => length)
  expect(sizes[0]).toBe(139)
  expect(sizes.at(-2)).toBeLessThan(40)
  expect(cutChunks(tasks, { ...cut, last: false }).length).toBeLessThan(sizes.length)
})

test('the guess follows bytes, so that Chinese counts about a token a character, and stops at the cut', () => {
  expect(tokensGuess('小米手机', 256)).toBe(6)
  expect(tokensGuess('kettle', 256)).toBe(4)
  expect(tokensGuess('x'.repeat(10_000), 256)).toBe(256)
})
