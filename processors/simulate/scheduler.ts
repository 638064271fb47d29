/** Virtual time: a queue of what happens next, and the machines it happens on. One seed decides the order of everything. */
import type { Clock } from '../ports/clock.ts'

/** A process of an operating system: what is left of it when it dies is nothing; while it is frozen nothing of it happens. */
export type Machine = {
  readonly name: string
  readonly clock: Clock
  alive(): boolean
  frozen(): boolean
  /** SIGKILL: no callback of this process runs any more. */
  kill(): void
  /** SIGSTOP: callbacks are kept back until `thaw`. */
  freeze(): void
  thaw(): void
  /** Sets the wall clock off by so many ms from now on. */
  skew(offset_ms: number): void
}

export type Scheduler = {
  /** Virtual milliseconds since the beginning. */
  now_ms(): number
  /** Runs `callback` after so long; on a machine, only if that is alive then. Returns what takes it back. */
  after(delay_ms: number, machine: Machine | null, callback: () => void): () => void
  machine(name: string): Machine
  /** Runs what comes next, and whatever follows from it at once. False when nothing is left. */
  step(): Promise<boolean>
  /** Steps until the time has come or `done` says so; answers whether it did. */
  until(end_ms: number, done?: () => boolean): Promise<boolean>
  /** Callbacks run so far. */
  steps(): number
  /** Wall time at virtual 0, epoch ms. */
  readonly epoch_ms: number
}

type Entry = { at_ms: number; readonly order: number; machine: Machine | null; callback: (() => void) | null }

/** A binary heap by time, then by order of entry: latencies are drawn by the caller, so ties need no chance. */
class Agenda {
  readonly #heap: Entry[] = []

  get size(): number {
    return this.#heap.length
  }

  push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(entry, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  peek(): Entry | undefined {
    return this.#heap[0]
  }

  pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

const before = (a: Entry, b: Entry): boolean => a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order)

/**
 * `turn` resolves once every promise job that is ready has run (setImmediate does); it comes from outside because nothing in here may
 * know real time. `epoch_ms` is the wall time at virtual 0.
 */
export const openScheduler = (turn: () => Promise<void>, epoch_ms: number): Scheduler => {
  const agenda = new Agenda()
  const backlog = new Map<Machine, Entry[]>()
  let now_ms = 0
  let order = 0
  let steps = 0

  const after = (delay_ms: number, machine: Machine | null, callback: () => void): (() => void) => {
    const entry: Entry = { at_ms: now_ms + Math.max(0, delay_ms), order: order++, machine, callback }
    agenda.push(entry)
    return () => {
      entry.callback = null
    }
  }

  const machine = (name: string): Machine => {
    let alive = true
    let frozen = false
    let offset_ms = 0
    const clock: Clock = {
      now_ms: () => Math.floor(epoch_ms + now_ms + offset_ms),
      monotonic_ms: () => now_ms,
      sleep: (duration_ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted === true) return resolve()
          const done = () => {
            signal?.removeEventListener('abort', cut)
            resolve()
          }
          const take_back = after(duration_ms, self, done)
          const cut = () => {
            take_back()
            resolve()
          }
          signal?.addEventListener('abort', cut, { once: true })
        }),
    }
    const self: Machine = {
      name,
      clock,
      alive: () => alive,
      frozen: () => frozen,
      kill: () => {
        alive = false
        frozen = false
        backlog.delete(self)
      },
      freeze: () => {
        if (alive) frozen = true
      },
      thaw: () => {
        frozen = false
        const kept = backlog.get(self) ?? []
        backlog.delete(self)
        for (const entry of kept) if (entry.callback !== null) after(0, self, entry.callback)
      },
      skew: (offset) => {
        offset_ms = offset
      },
    }
    return self
  }

  const step = async (): Promise<boolean> => {
    for (;;) {
      const entry = agenda.pop()
      if (entry === undefined) return false
      if (entry.callback === null) continue
      now_ms = entry.at_ms
      const of = entry.machine
      if (of !== null && !of.alive()) continue
      if (of?.frozen() === true) {
        const kept = backlog.get(of)
        if (kept === undefined) backlog.set(of, [entry])
        else kept.push(entry)
        continue
      }
      steps++
      entry.callback()
      await turn()
      return true
    }
  }

  return {
    epoch_ms,
    now_ms: () => now_ms,
    after,
    machine,
    step,
    steps: () => steps,
    until: async (end_ms, done) => {
      while (done?.() !== true) {
        const next = agenda.peek()
        if (next === undefined || next.at_ms > end_ms) {
          now_ms = Math.max(now_ms, end_ms)
          return done?.() === true
        }
        await step()
      }
      return true
    },
  }
}
