/**
 * A member of a group as a process of its own, to be frozen and killed by tests: copies records to an output topic, counts them in
 * its state, and prints a line for each commit and each time it is fenced. Ends on SIGTERM.
 */
import { asFault } from '../../domain/fault.ts'
import type { EventLog, LogTask, Subscription } from '../../ports/event-log.ts'
import { openKafkaLog } from './event-log.ts'
import { testOptions } from './opened-log.fixture.ts'

export type Copying = {
  readonly group: string
  readonly input: string
  readonly output: string
  readonly records_max: number
  readonly on_line: (line: string) => void
}

/** Copies until stopped. Every fault but a fatal one is answered as the runtime answers it: release, then reacquire. */
export const copy = async (log: EventLog, { group, input, output, records_max, on_line }: Copying) => {
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let subscription: Subscription | undefined

  const work = async (task: LogTask): Promise<void> => {
    try {
      while (!stopping.signal.aborted) {
        const { records } = await task.poll({ records_max, bytes_max: 1 << 20, linger_ms: 2, wait_ms: 500 }, stopping.signal)
        if (records.length === 0) continue
        const count = Number(task.state.get('count')?.toString() ?? '0') + records.length
        await task.commit({
          outputs: records.map(({ key, value, timestamp_ms }) => ({ topic: output, key, value, timestamp_ms })),
          state: [{ key: 'count', value: Buffer.from(String(count)) }],
          position: records.at(-1)!.offset + 1,
        })
        on_line(`committed ${records.length}`)
      }
      await task.release()
    } catch (error) {
      const fault = asFault(error)
      on_line(fault.code)
      await task.release()
      if (stopping.signal.aborted) return
      if (fault.kind === 'misconfigured' || fault.kind === 'defect') throw fault
      await subscription?.reacquire(task.input)
    }
  }
  const failures: unknown[] = []
  subscription = await log.subscribe(group, [input], {
    assigned: (task) => {
      on_line(`assigned ${task.input.partition}`)
      const done: Promise<void> = work(task)
        .catch((error: unknown) => {
          failures.push(error)
          on_line(`failed ${String(error)}`)
        })
        .finally(() => running.delete(done))
      running.add(done)
    },
    revoked: async () => undefined,
    failed: (error) => {
      failures.push(error)
      on_line(`failed ${String(error)}`)
    },
  })
  return {
    failures,
    stop: async () => {
      stopping.abort()
      await Promise.all(running)
      await subscription.close()
    },
  }
}

if (process.argv[1] === import.meta.filename) {
  const [brokers, group, input, output, session_timeout_ms] = process.argv.slice(2)
  const log = await openKafkaLog(testOptions(brokers!, { session_timeout_ms: Number(session_timeout_ms) }))
  const copying = await copy(log, {
    group: group!,
    input: input!,
    output: output!,
    records_max: 20,
    on_line: (line) => process.stdout.write(`${line}\n`),
  })
  process.once('SIGTERM', async () => {
    await copying.stop()
    await log.close()
    process.exit(0)
  })
}
