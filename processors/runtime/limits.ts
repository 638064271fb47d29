/** What bounds the records that a process holds at once. */
import type { Clock } from '../ports/clock.ts'

export type RuntimeLimits = {
  /** Records being processed, over all tasks (guarantee G8); each task may hold one more polled batch while it waits its turn. */
  readonly in_flight_records_max: number
  readonly in_flight_bytes_max: number
  /** No progress for this long while records wait, and no declared pause: the process exits with 70 (G9). */
  readonly progress_timeout_ms: number
  /** How long SIGTERM waits for batches in flight (G10). */
  readonly drain_ms: number
  /** First and longest wait after a transient fault; doubles in between, with full jitter. */
  readonly backoff_first_ms: number
  readonly backoff_max_ms: number
  /** The breaker: so many dead letters in a row pause the partition, lest a bad deploy drain a topic (G12). */
  readonly dead_letters_in_row_max: number
}

export const default_limits: RuntimeLimits = {
  in_flight_records_max: 10_000,
  in_flight_bytes_max: 64 * 1024 * 1024,
  progress_timeout_ms: 120_000,
  drain_ms: 20_000,
  backoff_first_ms: 100,
  backoff_max_ms: 10_000,
  dead_letters_in_row_max: 1_000,
}

/** A share of the process's in-flight budget; given back after the commit. */
export type Share = { release(): void }

/** Records and bytes in flight. Waiters are served first come, first served, so that no task starves. */
export class InFlightBudget {
  #records = 0
  #bytes = 0
  readonly #limits: RuntimeLimits
  readonly #waiting: { records: number; bytes: number; grant: () => void }[] = []

  constructor(limits: RuntimeLimits) {
    this.#limits = limits
  }

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Resolves with the share, or with null when the signal aborts first. Requests above the whole budget are cut to it. */
  async take(records: number, bytes: number, signal: AbortSignal): Promise<Share | null> {
    const want = {
      records: Math.min(records, this.#limits.in_flight_records_max),
      bytes: Math.min(bytes, this.#limits.in_flight_bytes_max),
    }
    if (signal.aborted) return null
    if (this.#waiting.length > 0 || !this.#fits(want)) {
      const granted = await new Promise<boolean>((resolve) => {
        const waiter = { ...want, grant: () => resolve(true) }
        this.#waiting.push(waiter)
        signal.addEventListener(
          'abort',
          () => {
            const at = this.#waiting.indexOf(waiter)
            if (at >= 0) {
              this.#waiting.splice(at, 1)
              this.#grant()
              resolve(false)
            }
          },
          { once: true },
        )
      })
      if (!granted) return null
    } else this.#hold(want)
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        this.#records -= want.records
        this.#bytes -= want.bytes
        this.#grant()
      },
    }
  }

  #fits(want: { records: number; bytes: number }): boolean {
    return (
      this.#records + want.records <= this.#limits.in_flight_records_max &&
      this.#bytes + want.bytes <= this.#limits.in_flight_bytes_max
    )
  }

  #hold(want: { records: number; bytes: number }): void {
    this.#records += want.records
    this.#bytes += want.bytes
  }

  #grant(): void {
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || !this.#fits(next)) return
      this.#waiting.shift()
      this.#hold(next)
      next.grant()
    }
  }
}

/** The wait before attempt `attempt` (0 is the first retry): exponential with full jitter, in ms. */
export const backoffMs = (limits: RuntimeLimits, attempt: number, chance: number): number => {
  const ceiling = Math.min(limits.backoff_max_ms, limits.backoff_first_ms * 2 ** Math.min(attempt, 20))
  return Math.ceil(ceiling / 2 + (ceiling / 2) * chance)
}

/** Waits before a retry; returns early when the signal aborts. */
export const backOff = (
  clock: Clock,
  limits: RuntimeLimits,
  attempt: number,
  chance: number,
  signal: AbortSignal,
): Promise<void> => clock.sleep(backoffMs(limits, attempt, chance), signal)
