/** An encoder that rests between its calls, for work in the background that must leave the machine to others. */
import type { Clock } from '../ports/clock.ts'
import type { Embedder } from '../ports/embedder.ts'

/** Texts of one call: so few that rests are short and often, so many that calls are still full batches. */
const texts_max = 16

/**
 * The same vectors in more time: after each call it rests so long that its calls take at most `share` (0 to 1] of the time. One call is at
 * work at a time, so with one worker thread this is its share of one core. Closing ends a rest.
 */
export const atMost = (inner: Embedder, share: number, clock: Clock): Embedder => {
  const closing = new AbortController()
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work)
    // The next one comes on whatever became of this one, which is told to whoever asked.
    turn = mine.then(
      () => undefined,
      () => undefined,
    )
    return mine
  }
  return {
    model: inner.model,
    embed: async (texts) => {
      const results = []
      for (let from = 0; from < texts.length; from += texts_max)
        results.push(
          ...(await inTurn(async () => {
            const began_ms = clock.monotonic_ms()
            const answers = await inner.embed(texts.slice(from, from + texts_max))
            await clock.sleep((clock.monotonic_ms() - began_ms) * (1 / share - 1), closing.signal)
            return answers
          })),
        )
      return results
    },
    close: () => {
      closing.abort()
      return inner.close()
    },
  }
}
