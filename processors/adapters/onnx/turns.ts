/** Whose texts go next, and which go together: callers take turns, texts of like length share a chunk. */
import { bytesOf } from './texts.ts'

/** One call's texts, some of which may have been taken already. A call that is settled has nothing more to say. */
export type Caller = { readonly texts: readonly string[]; readonly settled: boolean }

/** One text of one call. */
export type Task<C extends Caller> = {
  readonly call: C
  readonly index: number
  /** A guess of its tokens, special ones included, that only decides how work is cut up. */
  readonly tokens: number
}

/** Texts taken from one caller before the next one has its turn. */
const turn_texts = 32

/** Scripts differ less by bytes than by characters: three to four bytes of UTF-8 a token. */
export const tokensGuess = (text: string, tokens_max: number): number => Math.min(tokens_max, 2 + Math.ceil(bytesOf(text) / 3))

export type Turns<C extends Caller> = {
  /** Texts that wait, and the guess of their tokens; those of settled calls count until they would be taken. */
  texts(): number
  tokens(): number
  add(call: C): void
  /** The next texts, `texts_max` of them at most: each caller in turn, so that none waits for all of another's. */
  take(texts_max: number): readonly Task<C>[]
  clear(): void
}

export const openTurns = <C extends Caller>(tokens_max: number): Turns<C> => {
  let callers: { readonly tasks: readonly Task<C>[]; next: number }[] = []
  let texts = 0
  let tokens = 0
  return {
    texts: () => texts,
    tokens: () => tokens,
    add: (call) => {
      const tasks = call.texts.map((text, index) => ({ call, index, tokens: tokensGuess(text, tokens_max) }))
      if (tasks.length === 0) return
      callers.push({ tasks, next: 0 })
      texts += tasks.length
      for (const task of tasks) tokens += task.tokens
    },
    take: (texts_max) => {
      const taken: Task<C>[] = []
      while (taken.length < texts_max) {
        const caller = callers.shift()
        if (caller === undefined) break
        const room = Math.min(turn_texts, texts_max - taken.length)
        const { settled } = caller.tasks[0]!.call
        const turn = settled ? caller.tasks.slice(caller.next) : caller.tasks.slice(caller.next, caller.next + room)
        caller.next += turn.length
        texts -= turn.length
        for (const task of turn) {
          tokens -= task.tokens
          if (!settled) taken.push(task)
        }
        if (caller.next < caller.tasks.length) callers.push(caller)
      }
      return taken
    },
    clear: () => {
      callers = []
      texts = 0
      tokens = 0
    },
  }
}

/**
 * Cuts texts into chunks of like length, longest first. A chunk has at most `chunk_tokens_max` tokens, or one text. Where nothing else
 * waits (`last`) and there are several threads, chunks become smaller towards the end, so that the threads end together.
 */
export const cutChunks = <C extends Caller>(
  tasks: readonly Task<C>[],
  {
    batch_tokens_max,
    chunk_tokens_max,
    threads,
    last,
  }: { batch_tokens_max: number; chunk_tokens_max: number; threads: number; last: boolean },
): readonly (readonly Task<C>[])[] => {
  const sorted = [...tasks].sort((a, b) => b.tokens - a.tokens)
  let left = sorted.reduce((sum, { tokens }) => sum + tokens, 0)
  const bound = (): number =>
    last && threads > 1
      ? Math.min(chunk_tokens_max, Math.max(batch_tokens_max / 2, Math.ceil(left / (2 * threads))))
      : chunk_tokens_max
  const chunks: Task<C>[][] = []
  let room = 0
  for (const task of sorted) {
    if (chunks.length === 0 || task.tokens > room) {
      chunks.push([])
      room = bound()
    }
    chunks.at(-1)!.push(task)
    room -= task.tokens
    left -= task.tokens
  }
  return chunks
}
