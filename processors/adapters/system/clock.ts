/** The machine's clock. */
import type { Clock } from '../../ports/clock.ts'

export const systemClock: Clock = {
  now_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  sleep: (duration_ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, duration_ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}
