import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openDatabase } from './database.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-database-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('what is written is there after reopening, with the settings that make it durable', () => {
  const database = openDatabase(folder)
  database.handle.exec('CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (7)')
  for (const [pragma, value] of [
    ['journal_mode', 'wal'],
    ['synchronous', 2],
    ['page_size', 4096],
    ['mmap_size', 0],
  ] as const)
    expect(database.handle.pragma(pragma, { simple: true })).toBe(value)
  database.close()
  database.close()
  const again = openDatabase(folder)
  expect(again.handle.prepare('SELECT x FROM t').pluck().get()).toBe(7)
  again.check()
  again.close()
})

test('a second owner is refused with the process id of the first, also within one process', () => {
  const database = openDatabase(folder)
  expect(() => openDatabase(folder)).toThrow(
    expect.objectContaining({ code: 'log.locked', message: expect.stringContaining(`${process.pid}`) }),
  )
  const other = openDatabase(folder, { file: 'other.db' })
  other.close()
  const reader = openDatabase(folder, { access: 'read' })
  expect(() => reader.handle.exec('CREATE TABLE t (x)')).toThrow()
  reader.close()
  database.close()
  openDatabase(folder).close()
})

test('an owner in another process is refused while it lives and taken over from when it was killed', async () => {
  const script = `
    const { openDatabase } = await import(${JSON.stringify(new URL('./database.ts', import.meta.url).href)})
    openDatabase(${JSON.stringify(folder)}).handle.exec('CREATE TABLE t (x)')
    process.stdout.write('open')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout!, 'data')
  expect(() => openDatabase(folder)).toThrow(
    expect.objectContaining({ code: 'log.locked', detail: expect.objectContaining({ pid: `${child.pid}` }) }),
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  const database = openDatabase(folder)
  expect(database.handle.prepare('SELECT count(*) FROM t').pluck().get()).toBe(0)
  database.close()
})

test('a damaged file and a foreign file are log.corrupt, and leave no lock behind', async () => {
  const database = openDatabase(folder)
  database.handle.exec('CREATE TABLE t (x BLOB)')
  for (let i = 0; i < 100; i++) database.handle.exec('INSERT INTO t VALUES (randomblob(5000))')
  database.close()
  const file = await open(join(folder, 'log.db'), 'r+')
  for (let page = 2; page < 60; page += 7) await file.write(Buffer.alloc(200, 0xff), 0, 200, page * 4096)
  await file.close()
  expect(() => openDatabase(folder)).toThrow(expect.objectContaining({ code: 'log.corrupt' }))
  writeFileSync(join(folder, 'foreign.db'), 'this is no database, and long enough to be looked at '.repeat(50))
  for (let i = 0; i < 2; i++)
    expect(() => openDatabase(folder, { file: 'foreign.db' })).toThrow(expect.objectContaining({ code: 'log.corrupt' }))
})

test('a file that may not grow is log.full', () => {
  const database = openDatabase(folder, { file_bytes_max: 50 * 4096 })
  database.handle.exec('CREATE TABLE t (x BLOB)')
  expect(() => {
    for (let i = 0; i < 100; i++) database.handle.exec('INSERT INTO t VALUES (randomblob(4000))')
  }).toThrow(expect.objectContaining({ code: 'SQLITE_FULL' }))
  database.close()
  expect(statSync(join(folder, 'log.db')).size).toBeLessThanOrEqual(50 * 4096)
})

test('a folder that cannot be used is a fault that names it', () => {
  expect(() => openDatabase(join(folder, 'absent'), { access: 'read' })).toThrow(
    expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining('absent') }),
  )
  writeFileSync(join(folder, 'file'), '')
  expect(() => openDatabase(join(folder, 'file', 'inside'))).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
