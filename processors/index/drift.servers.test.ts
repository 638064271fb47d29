/**
 * Drift and rebuild on a real Qdrant: at QDRANT_URL, or from a `qdrant` binary on PATH; kills and restored storage only with the
 * binary. The log is the one in memory, so that what should stand in the index is known exactly.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import { QdrantClient } from '@qdrant/js-client-rest'
import { type QdrantServer, startQdrant } from '../../scripts/servers/qdrant.ts'
import { openQdrantIndex } from '../adapters/qdrant/vector-index.ts'
import { rebuild } from './rebuild.ts'
import { driftOf, reconcile } from './reconcile.ts'
import { dims, openView, topics, type View, vectorOf } from './view.fixture.ts'

const model_digest = 'd41f7'.padEnd(64, '0')
const collection = 'entrepot-drift'
const api_key = process.env['QDRANT_API_KEY'] ?? null

const folder = mkdtempSync(join(tmpdir(), 'entrepot-drift-qdrant-'))
mkdirSync(join(folder, 'at-work'))
let started: QdrantServer | undefined = process.env['QDRANT_URL']
  ? undefined
  : await startQdrant({ folder: join(folder, 'at-work') })
const url = process.env['QDRANT_URL'] ?? started?.url

afterAll(async () => {
  await started?.kill9()
  rmSync(folder, { recursive: true, force: true })
}, 30_000)

const open = (at: string) => openQdrantIndex({ url: at, api_key, collection, model_digest, dims, retry_ms: 50, tries_max: 8 })

const fresh = async (at: string): Promise<View> => {
  const client = new QdrantClient({
    url: at,
    checkCompatibility: false,
    ...(api_key === null ? {} : { headers: { 'api-key': api_key } }),
  })
  for (const { name } of (await client.getCollections()).collections)
    if (name.startsWith(collection)) await client.deleteCollection(name)
  const { index, admin } = open(at)
  return openView(index, admin)
}

const agrees = async (view: View): Promise<void> => {
  expect(await view.held()).toEqual(await view.wanted())
  expect(driftOf(await reconcile(view.ports, topics, { dry_run: true, deep: true }))).toBe(0)
}

const putSome = async (view: View, from: number, count: number): Promise<void> => {
  for (let n = from; n < from + count; n++)
    await view.put(n % 4 === 0 ? 'users' : 'items', `k${(n * 7) % 90}`, n % 11 === 3 ? null : n)
}

if (url === undefined)
  test('drift and rebuild were not tried on Qdrant', () => {
    process.stderr.write(
      'Neither QDRANT_URL is set nor is `qdrant` on PATH: drift and rebuild were not tried on a real Qdrant.\n',
    )
    expect(started).toBeUndefined()
  })
else
  describe('a real Qdrant', () => {
    test('a rebuild in one process while another writes and a third reads: no gap, nothing lost', async () => {
      const view = await fresh(url)
      await putSome(view, 0, 300)
      await view.settle()
      await view.index.write([{ space: 'items', id: 'nobody', vector: vectorOf(1), payload: {} }], 0)
      let over = false
      let n = 1_000
      let writes = 0
      let reads = 0
      const reader = open(url)
      const writing = (async () => {
        while (!over) {
          await putSome(view, n, 3)
          n += 3
          await view.round(10)
          writes += 1
        }
      })()
      const reading = (async () => {
        while (!over) {
          const [hits] = await reader.index.search([{ space: 'items', vector: vectorOf(5), limit: 5 }])
          expect(hits!.length).toBe(5)
          expect((await reader.index.points('items', ['k7'])).size).toBe(1)
          reads += 1
        }
      })()
      const rebuilder = open(url)
      const before = (await rebuilder.admin.describe()).collection
      try {
        const report = await rebuild({ ...view.ports, ...rebuilder }, topics)
        expect(report.drift.remaining).toBe(0)
        expect(report.collection).not.toBe(before)
      } finally {
        over = true
        await Promise.all([writing, reading])
      }
      await view.settle()
      await agrees(view)
      expect((await view.index.points('items', ['nobody'])).size).toBe(0)
      expect(Math.min(writes, reads)).toBeGreaterThan(5)
      const client = new QdrantClient({
        url,
        checkCompatibility: false,
        ...(api_key === null ? {} : { headers: { 'api-key': api_key } }),
      })
      expect((await client.collectionExists(before)).exists).toBe(false)
    }, 120_000)

    test('storage of an hour ago: the drift is found, counted, and repaired to nothing', async () => {
      if (started === undefined) {
        process.stderr.write('QDRANT_URL is set: nothing was killed and no storage was restored.\n')
        return expect(process.env['QDRANT_URL']).toBeDefined()
      }
      const at_work = join(folder, 'at-work')
      const port = Number(new URL(started.url).port)
      const view = await fresh(url)
      await putSome(view, 0, 200)
      await view.settle()
      await started.kill9()
      cpSync(at_work, join(folder, 'copy'), { recursive: true })
      started = await startQdrant({ folder: at_work, port })
      await putSome(view, 200, 120)
      await view.settle()
      await agrees(view)
      await started!.kill9()
      rmSync(at_work, { recursive: true })
      cpSync(join(folder, 'copy'), at_work, { recursive: true })
      started = await startQdrant({ folder: at_work, port })

      const wrong = await reconcile(view.ports, topics, { dry_run: true })
      expect(wrong.drift.items.stale).toBeGreaterThan(0)
      expect(driftOf(wrong)).toBeGreaterThan(20)
      expect(await view.held()).not.toEqual(await view.wanted())
      const repair = await reconcile(view.ports, topics, { dry_run: false })
      expect(driftOf(repair)).toBe(driftOf(wrong))
      expect(repair).toMatchObject({ repaired: driftOf(wrong), remaining: 0 })
      await agrees(view)
    }, 120_000)

    test('killed again and again under writes and deletes: what is acknowledged stays, or is found and put back', async () => {
      if (started === undefined) {
        process.stderr.write('QDRANT_URL is set: nothing was killed.\n')
        return expect(process.env['QDRANT_URL']).toBeDefined()
      }
      const port = Number(new URL(started.url).port)
      const view = await fresh(url)
      let n = 0
      let found = 0
      for (let kill = 0; kill < 5; kill++) {
        let over = false
        const writing = (async () => {
          while (!over) {
            await putSome(view, n, 5)
            n += 5
            // The runtime sends the same batch again until it is taken.
            await view.round(20, async (points, version) => {
              for (;;)
                try {
                  return await view.index.write(points, version)
                } catch (error) {
                  expect(error).toMatchObject({ code: 'index.unavailable' })
                }
            })
          }
        })()
        await new Promise((resolve) => setTimeout(resolve, 300 + 130 * kill))
        await started!.kill9()
        started = await startQdrant({ folder: join(folder, 'at-work'), port })
        over = true
        await writing
        found += driftOf(await reconcile(view.ports, topics, { dry_run: false }))
        await view.settle()
        await agrees(view)
      }
      process.stderr.write(`${n} records, 5 kills of Qdrant: ${found} points had to be put back.\n`)
      expect(n).toBeGreaterThan(50)
    }, 120_000)
  })
