/**
 * Measures the embedded log beside a bare better-sqlite3 loop that inserts the same bytes, in the same run: records/s, commits/s,
 * latency, and how long the event loop stands still meanwhile. Prints a markdown table; takes about 20 seconds.
 *
 *   node scripts/bench/embedded-log.ts [--seconds 1.5] [--folder /var/tmp]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type EmbeddedDatabase, openDatabase } from '../../processors/adapters/embedded/database.ts'
import { type EmbeddedLog, openEmbeddedLog } from '../../processors/adapters/embedded/event-log.ts'
import { packChanges, packRecords } from '../../processors/adapters/embedded/frame.ts'
import { createLogSchema, openWriter } from '../../processors/adapters/embedded/writer.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import type { OutputRecord } from '../../processors/domain/record.ts'
import type { LogTask } from '../../processors/ports/event-log.ts'

const { values: args } = parseArgs({
  options: { seconds: { type: 'string', default: '1.5' }, folder: { type: 'string', default: tmpdir() } },
})
const rounds = 3
const round_ms = (Number(args.seconds) * 1000) / rounds

const batch_records = 200
const batch_keys = 50
const value_bytes = 700
const state_bytes = 2000
const keys_total = 20_000
const value = Buffer.alloc(value_bytes, 0x61)
const state_value = Buffer.alloc(state_bytes, 0x62)
const never = new AbortController().signal
const bounds = { records_max: batch_records, bytes_max: 8 << 20, linger_ms: 0, wait_ms: 1000 }

let turn = 0
const record = (topic: string): OutputRecord => ({
  topic,
  key: Buffer.from(`key-${turn++ % keys_total}`),
  value,
  headers: [['trace', Buffer.alloc(16, 1)]],
  timestamp_ms: 1_700_000_000_000 + turn,
})
const changes = () =>
  Array.from({ length: batch_keys }, () => ({
    key: `user-${Math.imul(turn++, 2654435761) >>> 0}`.slice(0, 9),
    value: state_value,
  }))

/** What was seen of one kind of work, over all rounds. */
type Line = {
  what: string
  unit: string
  each: number
  took_ms: number[]
  wall_ms: number
  cpu_ms: number
  main_ms: number
  late_ms: number
  beside?: string
}
const lines = new Map<string, Line>()

/** Repeats a step for the given time, `lanes` of them side by side, and notes how it went. */
const measure = async (
  what: string,
  unit: string,
  each: number,
  lanes: readonly (() => Promise<void>)[],
  beside?: string,
): Promise<void> => {
  const line: Line = lines.get(what) ?? {
    what,
    unit,
    each,
    took_ms: [],
    wall_ms: 0,
    cpu_ms: 0,
    main_ms: 0,
    late_ms: 0,
    ...(beside === undefined ? {} : { beside }),
  }
  lines.set(what, line)
  const loop = monitorEventLoopDelay({ resolution: 1 })
  for (const lane of lanes) await lane()
  loop.enable()
  const cpu = process.cpuUsage()
  const main = process.threadCpuUsage()
  const started = performance.now()
  await Promise.all(
    lanes.map(async (lane) => {
      while (performance.now() - started < round_ms) {
        const begun = performance.now()
        await lane()
        line.took_ms.push(performance.now() - begun)
      }
    }),
  )
  line.wall_ms += performance.now() - started
  const cpu_used = process.cpuUsage(cpu)
  const main_used = process.threadCpuUsage(main)
  line.cpu_ms += (cpu_used.user + cpu_used.system) / 1000
  line.main_ms += (main_used.user + main_used.system) / 1000
  // Lets the monitor see the end of the last step.
  await new Promise((resolve) => setTimeout(resolve, 5))
  loop.disable()
  line.late_ms = Math.max(line.late_ms, loop.percentile(99) / 1e6)
}

const inFolder = async <T>(work: (database: EmbeddedDatabase) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(args.folder, 'entrepot-bench-'))
  const database = openDatabase(folder)
  try {
    return await work(database)
  } finally {
    database.close()
    rmSync(folder, { recursive: true })
  }
}

/** The limit: one table of records, one of state, nothing but inserts in a transaction. */
const bare = (what: string, unit: string, each: number, records: number, with_state: boolean) =>
  inFolder((database) => {
    const { handle } = database
    handle.exec('CREATE TABLE log (o INTEGER PRIMARY KEY, key BLOB, value BLOB, headers BLOB, t INTEGER)')
    handle.exec('CREATE TABLE state (id INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB)')
    const insert = handle.prepare('INSERT INTO log (key, value, headers, t) VALUES (?, ?, ?, ?)')
    const put = handle.prepare(
      'INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    const headers = Buffer.alloc(29)
    const batch = handle.transaction(() => {
      for (let i = 0; i < records; i++) {
        const { key, timestamp_ms } = record('log')
        insert.run(key, value, headers, timestamp_ms)
      }
      if (with_state) for (const { key } of changes()) put.run(Buffer.from(key), state_value)
    })
    return measure(what, unit, each, [
      async () => {
        batch.immediate()
        // As a real program would, let the loop turn.
        await new Promise((resolve) => setImmediate(resolve))
      },
    ])
  })

const withLog = <T>(work: (log: EmbeddedLog) => Promise<T>): Promise<T> =>
  inFolder(async (database) => {
    const log = openEmbeddedLog(database, { clock: systemClock })
    try {
      return await work(log)
    } finally {
      await log.close()
    }
  })

/** The tasks of a group, one per partition of the topic. */
const tasksOf = async (log: EmbeddedLog, group: string, topic: string): Promise<readonly LogTask[]> => {
  const tasks: LogTask[] = []
  await log.subscribe(group, [topic], {
    assigned: (task) => void tasks.push(task),
    revoked: async () => {},
    failed: (error) => {
      throw error
    },
  })
  return tasks
}

/**
 * A stage: polls a batch, reads its keys, commits as many outputs, state and position. It goes round in the input it has: the
 * position stays, so that nothing but the commits is written.
 */
const stage = (task: LogTask, output: string, records_max: number) => async (): Promise<void> => {
  const limits = { ...bounds, records_max, wait_ms: 0 }
  let { records } = await task.poll(limits, never)
  if (records.length < records_max) {
    task.rewind()
    records = (await task.poll(limits, never)).records
  }
  const state = records_max === 1 ? [] : changes()
  for (const { key } of state) task.state.get(key)
  await task.commit({ outputs: records.map(() => record(output)), state, position: task.position() })
}

const committing = (what: string, partitions: number, beside: string, records_max = batch_records) =>
  withLog(async (log) => {
    await log.createTopics([
      { name: 'in', partitions, keep: { days: 7 } },
      { name: 'out', partitions: 4, keep: { days: 7 } },
    ])
    const tasks = await tasksOf(log, 'bench', 'in')
    for (const task of tasks)
      await log.append(Array.from({ length: 20 * batch_records }, () => ({ ...record('in'), ...task.input })))
    return measure(
      what,
      'commits/s',
      1,
      tasks.map((task) => stage(task, 'out', records_max)),
      beside,
    )
  })

/** The same writer without its thread: each commit waits for the disk on the caller's thread. */
const inline = (what: string, lanes: number, beside: string) =>
  inFolder((database) => {
    createLogSchema(database.handle, database.path)
    const writer = openWriter(database.path, database.handle)
    writer.apply([{ kind: 'create', body: { topics: [{ name: 'in', partitions: lanes, keep: { days: 7 } }] } }])
    const tables = Array.from({ length: lanes }, (_, i) => i + 1)
    for (const partition of tables.keys()) writer.apply([{ kind: 'claim', body: { group: 'g', topic: 'in', partition } }])
    return measure(
      what,
      'commits/s',
      1,
      tables.map((table) => async () => {
        const records = packRecords(Array.from({ length: batch_records }, () => ({ ...record('in'), table })))
        writer.apply([
          {
            kind: 'commit',
            body: { task: table, epoch: 1, position: turn, tables: [table], records, state: packChanges(changes()) },
          },
        ])
        await new Promise((resolve) => setImmediate(resolve))
      }),
      beside,
    )
  })

const latency = () =>
  withLog(async (log) => {
    const names = ['a', 'b', 'c', 'd']
    await log.createTopics(names.map((name) => ({ name, partitions: 1, keep: { days: 7 } })))
    const stop = new AbortController()
    const workers = names.slice(0, 3).map(async (name, i) => {
      const [task] = await tasksOf(log, `stage-${name}`, name)
      while (!stop.signal.aborted) {
        const { records } = await task!.poll({ ...bounds, wait_ms: 10_000 }, stop.signal)
        if (records.length === 0) continue
        await task!.commit({
          outputs: records.map((each) => ({ ...each, topic: names[i + 1]! })),
          state: [],
          position: records.at(-1)!.offset + 1,
        })
      }
    })
    const [last] = await tasksOf(log, 'last', 'd')
    await measure('append -> 3 stages -> read, one record', 'round trips/s', 1, [
      async () => {
        await log.append([record('a')])
        const { records } = await last!.poll({ ...bounds, wait_ms: 10_000 }, never)
        await last!.commit({ outputs: [], state: [], position: records.at(-1)!.offset + 1 })
      },
    ])
    stop.abort()
    await Promise.all(workers)
  })

const bare_append = `bare: ${batch_records} inserts a transaction`
const bare_commit = `bare: ${batch_records} inserts and ${batch_keys} keys a transaction`
const bare_single = 'bare: 1 insert a transaction'
// In rounds, so that what else the machine does falls on all alike.
for (let round = 0; round < rounds; round++) {
  await bare(bare_append, 'records/s', batch_records, batch_records, false)
  await withLog(async (log) => {
    await log.createTopics([{ name: 'in', partitions: 1, keep: { days: 7 } }])
    const append = async () => void (await log.append(Array.from({ length: batch_records }, () => record('in'))))
    await measure(`append of ${batch_records}`, 'records/s', batch_records, [append], bare_append)
    await measure(
      `append of ${batch_records}, 4 at a time`,
      'records/s',
      batch_records,
      [append, append, append, append],
      bare_append,
    )
  })
  await bare(bare_commit, 'commits/s', 1, batch_records, true)
  await committing(`task: poll ${batch_records}, read ${batch_keys} keys, commit both`, 1, bare_commit)
  await committing('4 such tasks side by side', 4, bare_commit)
  await inline('4 commits of that size, without the thread', 4, bare_commit)
  await bare(bare_single, 'commits/s', 1, 1, false)
  await committing('task: 1 record a commit', 1, bare_single, 1)
  await committing('8 such tasks side by side', 8, bare_single, 1)
  await latency()
}

const rateOf = (line: Line): number => (line.took_ms.length * line.each * 1000) / line.wall_ms
const shown = (number: number): string => (number >= 100 ? Math.round(number).toLocaleString('en') : number.toFixed(1))
console.log(
  `${batch_records} records of ${value_bytes} B, ${batch_keys} state keys of ${state_bytes} B a commit; ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n`,
)
console.log(
  '| what | rate | to bare | p50 ms | p99 ms | CPU ms each | of it main thread | event loop late, p99 ms |\n|---|---|---|---|---|---|---|---|',
)
for (const line of lines.values()) {
  const took = line.took_ms.toSorted((a, b) => a - b)
  const beside = line.beside === undefined ? '' : (rateOf(line) / rateOf(lines.get(line.beside)!)).toFixed(2)
  const cells = [
    line.what,
    `${shown(rateOf(line))} ${line.unit}`,
    beside,
    took[took.length >> 1]!.toFixed(1),
    took[Math.floor(took.length * 0.99)]!.toFixed(1),
    (line.cpu_ms / took.length).toFixed(2),
    (line.main_ms / took.length).toFixed(2),
    line.late_ms.toFixed(1),
  ]
  console.log(`| ${cells.join(' | ')} |`)
}
