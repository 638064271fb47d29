/**
 * What a fenced transaction costs beside plain idempotent sends of the same records, in one run:
 * by batch size (as fast as it goes), and by how long a batch gathers (at a fixed rate, from append to the next stage's poll).
 * Uses KAFKA_BROKERS when set, else starts a broker. Prints Markdown. About 75 s.
 */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpus, loadavg } from 'node:os'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { openKafkaLog } from '../../processors/adapters/kafka/event-log.ts'
import { kafka_retry } from '../../processors/adapters/kafka/options.ts'
import { type Sending, sendings } from '../../processors/adapters/kafka/placing.ts'
import { givenPartition, sendOne } from '../../processors/adapters/kafka/transaction.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { systemRandom } from '../../processors/adapters/system/random.ts'
import type { LogRecord, OutputRecord } from '../../processors/domain/record.ts'
import type { LogTask } from '../../processors/ports/event-log.ts'
import { startKafka } from '../servers/kafka.ts'

const record_bytes = 900
const output_partitions = 4
const batch_sizes = [1, 50, 500, 2000] as const
const rounds = 2
const round_ms = 1_500
const warm_ms = 3_000
const lingers_ms = [0, 10, 50, 100] as const
const rate_per_s = 1_000
const flow_ms = 3_000

const started = process.env['KAFKA_BROKERS'] === undefined ? await startKafka({ heap_mb: 512 }) : undefined
const brokers = (process.env['KAFKA_BROKERS'] ?? started!.brokers).split(',')
const load_before = loadavg()[0]!
const stem = `bench-${randomUUID().slice(0, 8)}`
const log = await openKafkaLog({ brokers, client_id: stem, clock: systemClock, random: systemRandom, append_linger_ms: 1 })

const topic = async (name: string, partitions: number): Promise<string> => {
  const full = `${stem}-${name}`
  await log.createTopics([{ name: full, partitions, keep: { days: 1 } }])
  return full
}
/** The task of a topic's only partition, in a group of its own. */
const taskOf = (input: string): Promise<LogTask> =>
  new Promise((resolve, reject) => {
    log
      .subscribe(`${input}-${randomUUID().slice(0, 6)}`, [input], {
        assigned: resolve,
        revoked: async () => undefined,
        failed: reject,
      })
      .catch(reject)
  })
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
const ms = (value: number): string => (value < 10 ? value.toFixed(1) : value.toFixed(0))
const thousands = (value: number): string => Math.round(value).toLocaleString('en')
const row = (...cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`)

const value = Buffer.alloc(record_bytes, 'x')
const outputs = (to: string, count: number): OutputRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    topic: to,
    partition: i % output_partitions,
    key: Buffer.from(`key-${i % 1000}`),
    value,
    timestamp_ms: Date.now(),
  }))

console.log('## By batch size: one writer, as fast as it goes\n')
row('records a batch', 'plain records/s', 'plain p50 / p99 ms', 'fenced records/s', 'fenced p50 / p99 ms', 'fenced of plain')
row('---:', '---:', '---:', '---:', '---:', '---:')
{
  const out = await topic('out', output_partitions)
  const task = await taskOf(await topic('in', 1))
  const kafka = new Kafka({ brokers, clientId: stem, logLevel: logLevel.NOTHING, retry: kafka_retry })
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: givenPartition,
    allowAutoTopicCreation: false,
    retry: kafka_retry,
  })
  await producer.connect()
  const plain = async (groups: readonly Sending[]) => {
    for (const group of groups) await sendOne(producer, group, CompressionTypes.None)
  }
  let position = task.position()
  const fenced = (records: readonly OutputRecord[]) => task.commit({ outputs: records, state: [], position: ++position })

  for (const warm_until_ms = performance.now() + warm_ms; performance.now() < warm_until_ms; ) {
    await plain(await sendings(outputs(out, 200), async () => output_partitions))
    await fenced(outputs(out, 200))
  }
  for (const size of batch_sizes) {
    const timings = { plain: [] as number[], fenced: [] as number[] }
    for (let round = 0; round < rounds; round++)
      for (const kind of ['plain', 'fenced'] as const) {
        const ends_ms = performance.now() + round_ms
        while (performance.now() < ends_ms) {
          const records = outputs(out, size)
          const groups = await sendings(records, async () => output_partitions)
          const began_ms = performance.now()
          if (kind === 'plain') await plain(groups)
          else await fenced(records)
          timings[kind].push(performance.now() - began_ms)
        }
      }
    const per_s = (all: readonly number[]) => (1000 * size * all.length) / all.reduce((sum, each) => sum + each, 0)
    const cells = (all: number[]) => {
      const sorted = all.toSorted((a, b) => a - b)
      return [thousands(per_s(all)), `${ms(quantile(sorted, 0.5))} / ${ms(quantile(sorted, 0.99))}`]
    }
    row(size, ...cells(timings.plain), ...cells(timings.fenced), (per_s(timings.fenced) / per_s(timings.plain)).toFixed(2))
  }
  await producer.disconnect()
}

console.log(`\n## By interval: ${rate_per_s} records/s, from append to the poll of the stage behind\n`)
row('linger ms', 'records a commit', 'plain p50 / p99 ms', 'fenced p50 / p99 ms', 'added p50 ms')
row('---:', '---:', '---:', '---:', '---:')
for (const linger_ms of lingers_ms) {
  const results = new Map<string, { sorted: number[]; batch: number }>()
  for (const kind of ['plain', 'fenced'] as const) {
    const input = await topic(`flow-${linger_ms}-${kind}`, 1)
    const output = await topic(`flown-${linger_ms}-${kind}`, 1)
    const [stage, behind] = [await taskOf(input), await taskOf(output)]
    const until_ms = performance.now() + flow_ms
    const feeding = (async () => {
      const began_ms = performance.now()
      const pending: Promise<unknown>[] = []
      for (let sent = 0; performance.now() < until_ms; ) {
        const due = Math.floor(((performance.now() - began_ms) / 1000) * rate_per_s)
        for (; sent < due; sent++) {
          const stamped = Buffer.alloc(record_bytes)
          stamped.writeDoubleBE(performance.now())
          pending.push(log.append([{ topic: input, partition: 0, key: null, value: stamped, timestamp_ms: Date.now() }]))
        }
        await systemClock.sleep(2)
      }
      await Promise.all(pending)
    })()
    const done = new AbortController()
    const batches: number[] = []
    const working = (async () => {
      while (!done.signal.aborted) {
        const { records } = await stage.poll({ records_max: 2_000, bytes_max: 4 << 20, linger_ms, wait_ms: 200 }, done.signal)
        if (records.length === 0) continue
        batches.push(records.length)
        const copies = records.map(({ key, value: bytes, timestamp_ms }) => ({
          topic: output,
          partition: 0,
          key,
          value: bytes,
          timestamp_ms,
        }))
        if (kind === 'fenced') await stage.commit({ outputs: copies, state: [], position: records.at(-1)!.offset + 1 })
        else await log.append(copies)
      }
    })()
    const latencies: number[] = []
    const seen = (records: readonly LogRecord[]) => {
      const now_ms = performance.now()
      for (const { value: bytes } of records) latencies.push(now_ms - bytes!.readDoubleBE())
    }
    const watching = (async () => {
      while (!done.signal.aborted)
        seen((await behind.poll({ records_max: 5_000, bytes_max: 8 << 20, linger_ms: 0, wait_ms: 200 }, done.signal)).records)
    })()
    await feeding
    await systemClock.sleep(500)
    done.abort()
    await Promise.all([working, watching])
    await stage.release()
    await behind.release()
    // The first half second warms up.
    const sorted = latencies.slice(rate_per_s / 2).toSorted((a, b) => a - b)
    results.set(kind, { sorted, batch: batches.reduce((sum, each) => sum + each, 0) / Math.max(1, batches.length) })
  }
  const [plain, fenced] = [results.get('plain')!, results.get('fenced')!]
  const cell = ({ sorted }: { sorted: number[] }) => `${ms(quantile(sorted, 0.5))} / ${ms(quantile(sorted, 0.99))}`
  row(
    linger_ms,
    Math.round(fenced.batch),
    cell(plain),
    cell(fenced),
    ms(quantile(fenced.sorted, 0.5) - quantile(plain.sorted, 0.5)),
  )
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(
  [
    '',
    `${record_bytes} B a record, to ${output_partitions} partitions and one position record in the first table, to one partition in the second; Kafka with one broker beside the writer;`,
    `Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), load ${load_before.toFixed(1)} before and ${loadavg()[0]!.toFixed(1)} after; commit ${commit}.`,
    'Command: `node scripts/bench/kafka-commit.ts`',
  ].join('\n'),
)
await log.close()
await started?.stop()
process.exit(0)
