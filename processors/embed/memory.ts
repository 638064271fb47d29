/** The process's memory of texts, in front of the encoder: what any partition has asked for is not computed again for another. */
import { Fault } from '../domain/fault.ts'
import { digestOf } from '../domain/ids.ts'
import { dot, type Vector } from '../domain/vector.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder } from '../ports/embedder.ts'

/** How one call was answered; texts, a text that stands twice in a call counted once. */
export type Answered = {
  /** Computed before, for this partition or another. */
  readonly known: number
  /** Being computed for another call at this moment: waited for, not computed again. */
  readonly shared: number
  readonly computed: number
  /** Wall seconds in which the encoder was at work since the last call that says so: calls that overlap count once. */
  readonly seconds: number
}

export type MemoryOptions = {
  /** Bytes of vectors and keys kept; the longest unasked go first. 0 keeps none and still shares what is in flight. */
  readonly bytes_max: number
  readonly clock: Pick<Clock, 'monotonic_ms'>
  /** Told once a call, after it was answered. */
  readonly answered?: (counts: Answered) => void
}

/** What an entry costs besides its numbers: a 64-digit key, the map's slot, two objects. */
const entry_bytes = 320

/** Only what may be stored is remembered: a broken answer must not outlive the cause that broke it. */
const whole = (vector: Vector): boolean => Math.abs(dot(vector, vector) - 1) < 1e-3

type Pending = { readonly promise: Promise<Vector | Fault>; settle(value: Vector | Fault): void; fail(error: unknown): void }

const pending = (): Pending => {
  let settle: (value: Vector | Fault) => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const promise = new Promise<Vector | Fault>((resolve, reject) => {
    settle = resolve
    fail = reject
  })
  // Nobody may be waiting for it; the call that computes it throws by itself.
  promise.catch(() => undefined)
  return { promise, settle, fail }
}

/**
 * An encoder that remembers. Keyed by the digests of the encoder and of the text, so it never answers for another encoder; a vector is the
 * same bytes whether it was remembered or computed, because an encoder gives one text one vector (docs/adr/0008). Faults of a text are not
 * remembered. A call that the encoder refuses as a whole fails for those who waited for its texts as well: each of them asks again.
 */
export const remembering = (
  inner: Embedder,
  { bytes_max, clock, answered }: MemoryOptions,
): Embedder & { readonly size: () => { readonly texts: number; readonly bytes: number } } => {
  const known = new Map<string, Vector>()
  const in_flight = new Map<string, Pending>()
  const bytes_each = inner.model.dims * 4 + entry_bytes
  const texts_max = Math.floor(bytes_max / bytes_each)

  /** Calls at work, since when the clock runs for them, and what no answer has told yet. */
  let at_work = 0
  let since_ms = 0
  let busy_ms = 0
  const begins = (): void => {
    if (at_work === 0) since_ms = clock.monotonic_ms()
    at_work += 1
  }
  const ends = (): void => {
    const now_ms = clock.monotonic_ms()
    busy_ms += now_ms - since_ms
    since_ms = now_ms
    at_work -= 1
  }

  const remember = (key: string, vector: Vector): void => {
    if (texts_max === 0 || !whole(vector)) return
    known.delete(key)
    if (known.size >= texts_max) known.delete(known.keys().next().value!)
    known.set(key, vector.slice())
  }

  return {
    model: inner.model,
    size: () => ({ texts: known.size, bytes: known.size * bytes_each }),
    close: () => inner.close(),
    embed: async (texts, options) => {
      const keys = texts.map((text) => digestOf(inner.model.digest, text))
      const answers = new Map<string, Vector | Fault | Promise<Vector | Fault>>()
      const own = new Map<string, { readonly text: string; readonly pending: Pending }>()
      let shared = 0
      for (const [at, key] of keys.entries()) {
        if (answers.has(key)) continue
        const vector = known.get(key)
        if (vector !== undefined) {
          known.delete(key)
          known.set(key, vector)
          answers.set(key, vector)
          continue
        }
        const asked = in_flight.get(key)
        if (asked !== undefined) {
          shared += 1
          answers.set(key, asked.promise)
          continue
        }
        const mine = pending()
        in_flight.set(key, mine)
        own.set(key, { text: texts[at]!, pending: mine })
        answers.set(key, mine.promise)
      }
      if (own.size > 0) {
        begins()
        try {
          const results = await inner.embed(
            [...own.values()].map(({ text }) => text),
            options,
          )
          if (results.length !== own.size)
            throw new Fault('outcome.invalid', `The embedder answered ${results.length} texts of ${own.size}.`)
          for (const [at, [key, { pending: mine }]] of [...own].entries()) {
            const result = results[at]!
            if (!(result instanceof Fault)) remember(key, result)
            mine.settle(result)
          }
        } catch (error) {
          for (const { pending: mine } of own.values()) mine.fail(error)
          throw error
        } finally {
          ends()
          for (const key of own.keys()) in_flight.delete(key)
        }
      }
      const seconds = own.size > 0 ? busy_ms / 1000 : 0
      if (own.size > 0) busy_ms = 0
      const results = await Promise.all(keys.map((key) => answers.get(key)!))
      answered?.({ known: answers.size - own.size - shared, shared, computed: own.size, seconds })
      // What a caller does to its vector must not be seen by the next one.
      return results.map((result) => (result instanceof Fault ? result : result.slice()))
    },
  }
}

/** Texts computed before their mean is taken for a price: the first few are cold, and small batches are dear. */
const sample_min = 64

/**
 * Seconds of encoding that were not spent: texts avoided times the mean seconds of those that were computed by this process. Until 64 were
 * computed their price is not known; what was avoided before is then added.
 */
export const openAvoided = (avoided_seconds: (seconds: number) => void) => {
  let computed = 0
  let spent_s = 0
  let owed = 0
  return {
    avoided: (texts: number): void => {
      owed += texts
      if (computed < sample_min || owed === 0) return
      avoided_seconds((owed * spent_s) / computed)
      owed = 0
    },
    computed: (texts: number, seconds: number): void => {
      computed += texts
      spent_s += seconds
    },
  }
}
