import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { stateStoreContract } from '../../ports/state-store.contract.ts'
import { openDatabase } from './database.ts'
import { boundedCache, openEmbeddedStateStore } from './state-store.ts'

const inFolder = (cache_bytes?: number) => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-state-'))
  const database = openDatabase(folder)
  const close = () => {
    database.close()
    rmSync(folder, { recursive: true })
  }
  return { database, store: openEmbeddedStateStore(database, 'law', cache_bytes), close }
}

stateStoreContract('embedded', async () => {
  const { store, close } = inFolder()
  return { store, close: async () => close() }
})
stateStoreContract('embedded, with hardly any cache', async () => {
  const { store, close } = inFolder(500)
  return { store, close: async () => close() }
})

test('another store of the database is another map, and a store is there after reopening', () => {
  const { database, store, close } = inFolder()
  const other = openEmbeddedStateStore(database, 'other')
  store.apply([{ key: 'k', value: Buffer.from('1') }])
  expect(other.get('k')).toBeUndefined()
  expect(openEmbeddedStateStore(database, 'law').get('k')?.toString()).toBe('1')
  close()
})

test('the cache keeps to its bytes and forgets the least recently used', () => {
  const cache = boundedCache(2000)
  for (let i = 0; i < 5; i++) cache.set(`${i}`, Buffer.alloc(150))
  expect(cache.get('0')?.length).toBe(150)
  for (let i = 5; i < 8; i++) cache.set(`${i}`, Buffer.alloc(150))
  expect(cache.bytes()).toBeLessThanOrEqual(2000)
  expect(cache.get('0')?.length).toBe(150)
  expect(cache.get('1')).toBeUndefined()
  cache.set('absent', null)
  expect(cache.get('absent')).toBeNull()
  cache.set('0', Buffer.alloc(10_000))
  expect(cache.get('0')).toBeUndefined()
  for (let i = 0; i < 100; i++) cache.set('7', Buffer.alloc(i))
  cache.clear()
  expect(cache.bytes()).toBe(0)
})
