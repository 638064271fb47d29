/** Kills a process that commits, again and again at random instants; nothing may be lost, doubled or torn. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import type { LogRecord, TopicPartition } from '../../domain/record.ts'
import type { EventLog, LogTask } from '../../ports/event-log.ts'
import { systemClock } from '../system/clock.ts'
import { openDatabase } from './database.ts'
import { openEmbeddedLog } from './event-log.ts'

const kills = 10
const inputs = 2500
const partitions = 2

const all = async (log: EventLog, at: TopicPartition): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for await (const record of log.scan(at, 0)) records.push(record)
  return records
}

/** Runs the fixture to its end, or until it is killed so long after it began to write. Returns the notes it printed in full. */
const run = async (folder: string, most: number, notes: number, kill_after_ms?: number): Promise<string[]> => {
  const fixture = fileURLToPath(new URL('./crash.fixture.ts', import.meta.url))
  const child = spawn(process.execPath, [fixture, folder, `${most}`, `${notes}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    if (printed === '' && kill_after_ms !== undefined) setTimeout(() => child.kill('SIGKILL'), kill_after_ms)
    printed += chunk.toString()
  })
  const [code, signal] = await once(child, 'close')
  if (kill_after_ms === undefined) expect([code, signal]).toEqual([0, null])
  else expect(signal).toBe('SIGKILL')
  return printed
    .slice(0, printed.lastIndexOf('\n') + 1)
    .trim()
    .split('\n')
}

test(`kill -9, ${kills} times: each input has one output, state counts them, every acknowledged append is there`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-crash-'))
  const opened = () => {
    const database = openDatabase(folder)
    const log = openEmbeddedLog(database, { clock: systemClock })
    const close = async () => {
      await log.close()
      database.close()
    }
    return { database, log, close }
  }
  const before = opened()
  await before.log.createTopics([
    { name: 'in', partitions, keep: { days: 1 } },
    { name: 'out', partitions: 3, keep: { days: 1 } },
    { name: 'last', partitions: 1, keep: 'latest' },
    { name: 'notes', partitions: 1, keep: { days: 1 } },
  ])
  const values = Array.from({ length: inputs }, (_, i) => `${i}`)
  await before.log.append(
    values.map((value, i) => ({ topic: 'in', partition: i % partitions, key: null, value: Buffer.from(value), timestamp_ms: i })),
  )
  await before.close()

  const notes: string[] = []
  for (let kill = 0; kill < kills; kill++) notes.push(...(await run(folder, 3, 1_000_000, 5 + Math.random() * 100)))
  const killed = opened()
  expect(killed.database.handle.pragma('integrity_check', { simple: true })).toBe('ok')
  const positions = await killed.log.positions('copy', 'in')
  const read = positions.reduce((sum, { position }) => sum + position, 0)
  await killed.close()
  // It was killed at work, not before or after.
  expect(read).toBeGreaterThan(kills)
  expect(read).toBeLessThan(inputs)
  notes.push(...(await run(folder, 200, 1)))

  const { database, log, close } = opened()
  expect(database.handle.pragma('integrity_check', { simple: true })).toBe('ok')
  const out = (await Promise.all([0, 1, 2].map((partition) => all(log, { topic: 'out', partition })))).flat()
  const numbers = (records: readonly LogRecord[]) => records.map(({ value }) => Number(value)).toSorted((a, b) => a - b)
  expect(numbers(out)).toEqual(values.map(Number))
  // The compacted topic holds the last value of each of its keys that the order of the inputs allows.
  const last = new Map((await all(log, { topic: 'last', partition: 0 })).map(({ key, value }) => [`${key}`, Number(value)]))
  expect([...last.keys()].map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  for (const [key, value] of last) expect(value).toBe(inputs - 20 + Number(key))
  const tasks: LogTask[] = []
  await log.subscribe('copy', ['in'], { assigned: (task) => void tasks.push(task), revoked: async () => {}, failed: () => {} })
  for (const task of tasks) {
    const mine = values.filter((_, i) => i % partitions === task.input.partition)
    expect(task.position()).toBe(mine.length)
    expect(`${task.state.get('count')}`).toBe(`${mine.length}`)
    expect(task.state.entries('seen ', inputs).map(([key]) => key)).toEqual(mine.map((value) => `seen ${value}`).toSorted())
  }
  const noted = new Map((await all(log, { topic: 'notes', partition: 0 })).map(({ offset, value }) => [offset, `${value}`]))
  expect(notes.length).toBeGreaterThan(kills)
  for (const line of notes) {
    const [offset, ...text] = line.split(' ')
    expect(noted.get(Number(offset))).toBe(text.join(' '))
  }
  await close()
  rmSync(folder, { recursive: true })
}, 120_000)
