/** Time as an argument, so that simulation can own it. */
export interface Clock {
  /** Wall time, epoch milliseconds. May jump. */
  now_ms(): number
  /** Monotonic milliseconds from an arbitrary start; for durations only. */
  monotonic_ms(): number
  /** Resolves after `duration_ms`, or at once when the signal aborts; never rejects. */
  sleep(duration_ms: number, signal?: AbortSignal): Promise<void>
}
