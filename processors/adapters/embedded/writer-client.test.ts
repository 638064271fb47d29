import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openDatabase } from './database.ts'
import { packRecords } from './frame.ts'
import { createLogSchema } from './writer.ts'
import { openWriterClient } from './writer-client.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-writer-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const settings = (path: string) => ({ path, cache_bytes: 1 << 20, file_bytes_max: Number.POSITIVE_INFINITY })
const topics = [{ name: 't', partitions: 1, keep: 'latest' as const }]

test('a writer that dies fails what was under way as unknown, and the next request finds a new one', async () => {
  const database = openDatabase(folder)
  createLogSchema(database.handle, database.path)
  const hidden = join(folder, 'elsewhere.db')
  const client = openWriterClient(settings(hidden))
  // There is no such file yet, so that the thread dies as it starts.
  const dying = await Promise.allSettled([
    client.ask('create', { topics }),
    client.ask('append', { tables: [], records: packRecords([]) }),
  ])
  expect(dying.map((each) => each.status === 'rejected' && (each.reason as { code: string }).code)).toEqual([
    'log.unavailable',
    'commit.unknown',
  ])
  database.close()
  renameSync(database.path, hidden)
  expect((await client.ask('create', { topics })).created).toEqual(['t'])
  await client.close()
  await client.close()
  await expect(client.ask('create', { topics })).rejects.toEqual(expect.objectContaining({ code: 'log.unavailable' }))
})

test('closing waits for what was asked for', async () => {
  const database = openDatabase(folder)
  createLogSchema(database.handle, database.path)
  const client = openWriterClient(settings(database.path))
  const { partitions } = await client.ask('create', { topics })
  const table = partitions[0]!.table
  const appends = Array.from({ length: 20 }, (_, i) => {
    const records = packRecords([{ table, key: null, value: Buffer.from(`${i}`), timestamp_ms: i }])
    return client.ask('append', { tables: [table], records })
  })
  await client.close()
  expect((await Promise.all(appends)).map(({ written }) => written[0]!.first)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  database.close()
})
