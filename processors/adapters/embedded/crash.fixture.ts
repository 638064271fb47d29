/** A process to be killed: copies its input, counting in state, a few records a commit, until all is read. Run by crash.test.ts. */
import { systemClock } from '../system/clock.ts'
import { openDatabase } from './database.ts'
import { openEmbeddedLog } from './event-log.ts'

const [folder, most, inputs] = process.argv.slice(2)
const database = openDatabase(folder!)
// Retention runs all the time, so that it is killed at work too.
const log = openEmbeddedLog(database, { clock: systemClock, trim_ms: 10 })
const never = new AbortController().signal
const done: Promise<void>[] = []

await log.subscribe('copy', ['in'], {
  assigned: (task) => {
    const work = async () => {
      for (let turn = 0; ; turn++) {
        const records_max = 1 + (turn % Number(most))
        const { records } = await task.poll({ records_max, bytes_max: 1 << 20, linger_ms: 0, wait_ms: 0 }, never)
        if (records.length === 0) return
        const count = Number(task.state.get('count') ?? '0') + records.length
        await task.commit({
          outputs: records.flatMap(({ value, timestamp_ms }) => [
            { topic: 'out', key: value, value, timestamp_ms },
            { topic: 'last', partition: 0, key: Buffer.from(`${Number(value) % 20}`), value, timestamp_ms },
          ]),
          state: [
            { key: 'count', value: Buffer.from(`${count}`) },
            ...records.map(({ value }) => ({ key: `seen ${value}`, value: Buffer.from('x') })),
          ],
          position: records.at(-1)!.offset + 1,
        })
      }
    }
    done.push(work())
  },
  revoked: async () => {},
  failed: (error) => {
    throw error
  },
})
// Work of its own beside the copying, acknowledged line by line: what was printed must be there.
const noting = async () => {
  for (let i = 0; i < Number(inputs); i++) {
    const [place] = await log.append([{ topic: 'notes', key: null, value: Buffer.from(`${process.pid} ${i}`), timestamp_ms: 1 }])
    process.stdout.write(`${place!.offset} ${process.pid} ${i}\n`)
  }
}
await Promise.all([Promise.all(done), noting()])
await log.close()
database.close()
