/** Records of one partition between kafkajs, which pushes them, and a task, which polls them. */
import type { Fault } from '../../domain/fault.ts'
import type { LogRecord } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PollBounds, Polled } from '../../ports/event-log.ts'

export type PartitionQueue = {
  /** The offset from which the log is to deliver next; everything before it was delivered or is nothing. */
  expected(): number
  /** Records from `expected` on; `next_offset` lies behind all that was looked at, markers included. */
  push(records: readonly LogRecord[], next_offset: number, high_watermark: number): void
  /** False while more records would be too many. */
  hasRoom(): boolean
  /** Resolves when there may be room, when the queue ends, or after so long. */
  untilRoom(duration_ms: number): Promise<void>
  poll(bounds: PollBounds, signal: AbortSignal): Promise<Polled>
  /** The next poll starts at the position again. Nothing needs to be fetched for it. */
  rewind(): void
  /** Forgets what lies before the position. True when the log has to deliver from elsewhere now. */
  advance(position: number): boolean
  /** What was delivered already can still be polled; then polls throw this. */
  stop(fault: Fault): void
  /** True after stop or end: nothing more is wanted from the log. */
  isOver(): boolean
  /** Polls throw this from now on, those that wait as well. */
  end(fault: Fault): void
}

/** Bytes a record counts for in a poll's bound. */
export const recordBytes = ({ key, value, headers }: Pick<LogRecord, 'key' | 'value' | 'headers'>): number => {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, header] of headers) bytes += name.length + header.length
  return bytes
}

const woken = 'woken'

/** A queue that starts at a position and asks for a pause of the log when `bytes_max` bytes wait in it. */
export const partitionQueue = (start: number, clock: Clock, bytes_max: number): PartitionQueue => {
  /** From the position on; those before the cursor were polled and not committed. */
  let records: LogRecord[] = []
  let cursor = 0
  let waiting_bytes = 0
  let wanted_bytes = 0
  let position = start
  let expected = start
  let high_watermark = start
  let stopped: Fault | undefined
  let ended: Fault | undefined
  const sleepers = new Set<() => void>()

  const wake = () => {
    for (const rise of sleepers) rise()
    sleepers.clear()
  }
  const sleep = async (duration_ms: number, signal?: AbortSignal): Promise<void> => {
    const alarm = new AbortController()
    // With a reason of its own: the default one is an error object with a stack, made for every poll.
    const rise = () => alarm.abort(woken)
    sleepers.add(rise)
    signal?.addEventListener('abort', rise, { once: true })
    await clock.sleep(duration_ms, alarm.signal)
    signal?.removeEventListener('abort', rise)
    sleepers.delete(rise)
  }
  const hasRoom = () => waiting_bytes < Math.max(bytes_max, wanted_bytes)

  return {
    expected: () => expected,
    push: (more, next_offset, watermark) => {
      for (const record of more) {
        records.push(record)
        waiting_bytes += recordBytes(record)
      }
      expected = next_offset
      high_watermark = Math.max(watermark, next_offset)
      wake()
    },
    hasRoom,
    untilRoom: async (duration_ms) => {
      if (!hasRoom() && ended === undefined) await sleep(duration_ms)
    },
    poll: async (bounds, signal) => {
      let count = 0
      let bytes = 0
      let full = false
      let until_ms = clock.monotonic_ms() + bounds.wait_ms
      for (;;) {
        if (ended !== undefined) throw ended
        if (signal.aborted) return { records: [], end_offset: Math.max(high_watermark, expected) }
        const had = count
        while (!full && cursor + count < records.length) {
          const size = recordBytes(records[cursor + count]!)
          full = count > 0 && bytes + size > bounds.bytes_max
          if (full) break
          count++
          bytes += size
          full = count >= bounds.records_max || bytes >= bounds.bytes_max
        }
        if (had === 0 && count > 0) until_ms = clock.monotonic_ms() + bounds.linger_ms
        if (count === 0 && stopped !== undefined) throw stopped
        const left_ms = until_ms - clock.monotonic_ms()
        if (full || left_ms <= 0 || (count > 0 && stopped !== undefined)) break
        wanted_bytes = bounds.bytes_max
        if (hasRoom()) wake()
        await sleep(left_ms, signal)
        wanted_bytes = 0
      }
      const polled = records.slice(cursor, cursor + count)
      cursor += count
      waiting_bytes -= bytes
      if (count > 0) wake()
      const drained = cursor === records.length && expected >= high_watermark
      // Behind the last record there may only be markers; a lag that never ends would be reported otherwise.
      const end_offset = drained ? Math.max(position, (records.at(-1)?.offset ?? -1) + 1) : high_watermark
      return { records: polled, end_offset }
    },
    rewind: () => {
      for (let i = 0; i < cursor; i++) waiting_bytes += recordBytes(records[i]!)
      cursor = 0
    },
    advance: (to) => {
      position = to
      let done = 0
      while (done < records.length && records[done]!.offset < to) {
        if (done >= cursor) waiting_bytes -= recordBytes(records[done]!)
        done++
      }
      if (done > 0) records = records.slice(done)
      cursor = Math.max(0, cursor - done)
      wake()
      if (to <= expected) return false
      expected = to
      high_watermark = Math.max(high_watermark, to)
      return true
    },
    stop: (fault) => {
      stopped ??= fault
      wake()
    },
    isOver: () => stopped !== undefined || ended !== undefined,
    end: (fault) => {
      ended ??= fault
      wake()
    },
  }
}
