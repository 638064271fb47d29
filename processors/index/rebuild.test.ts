/** A rebuild under a stage at work: every read is answered, nothing that was written is lost, and what fails leaves the index as it was. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { openEmbeddedVectorIndex } from '../adapters/embedded/vector-index.ts'
import { openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import { Fault } from '../domain/fault.ts'
import type { Space, StagedIndex, VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import { rebuild } from './rebuild.ts'
import { driftOf, reconcile } from './reconcile.ts'
import { dims, openView, topics, type View, vectorOf } from './view.fixture.ts'

const folders: string[] = []
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

type Opened = { readonly index: VectorIndex; readonly admin: VectorIndexAdmin }
const adapters: Readonly<Record<string, () => Promise<Opened>>> = {
  memory: async () => openMemoryVectorIndex({ dims }),
  embedded: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-rebuild-'))
    folders.push(folder)
    const { index, admin } = await openEmbeddedVectorIndex({ folder, dims, model_digest: 'd'.repeat(64), exact_rows_max: 30 })
    closing.push(() => admin.close())
    return { index, admin }
  },
}

const agrees = async (view: View): Promise<void> => {
  expect(await view.held()).toEqual(await view.wanted())
  expect(driftOf(await reconcile(view.ports, topics, { dry_run: true, deep: true }))).toBe(0)
}

/** The index with something happening before and after each step of a rebuild. */
const busy = ({ ports, log, admin }: View, happen: () => Promise<void>, change: Partial<StagedIndex> = {}) => ({
  ...ports,
  log: {
    ...log,
    offsets: async (topic: string) => {
      const offsets = await log.offsets(topic)
      await happen()
      return offsets
    },
  },
  admin: {
    ...admin,
    stage: async (): Promise<StagedIndex> => {
      const staged = await admin.stage()
      return {
        ...staged,
        write: async (points, version) => {
          await staged.write(points, version)
          await happen()
        },
        promote: async () => {
          await happen()
          await staged.promote()
          await happen()
        },
        ...change,
      }
    },
  },
})

for (const [name, open] of Object.entries(adapters))
  describe(`a rebuild of the ${name} index`, () => {
    test('refills what is damaged, and answers all the time', async () => {
      const { index, admin } = await open()
      const view = await openView(index, admin)
      for (let n = 0; n < 120; n++) await view.put('items', `i${n % 60}`, n)
      for (let n = 0; n < 30; n++) await view.put('users', `u${n}`, n + 1)
      await view.put('items', 'i7', null)
      await view.settle()
      // Damage of which nothing is known: a payload, and a point too many.
      const seen = (await index.points('items', ['i1'])).get('i1')!.version
      await admin.correct([{ space: 'items', id: 'i1', vector: vectorOf(3), payload: { updated_at: 3 }, version: seen, seen }])
      await index.write([{ space: 'items', id: 'nobody', vector: vectorOf(1), payload: {} }], 0)

      let n = 1_000
      let answers = 0
      const happen = async () => {
        await view.put('items', `i${n % 70}`, n++)
        await view.round(1)
        const [hits] = await index.search([{ space: 'items', vector: vectorOf(5), limit: 5 }])
        expect(hits!.length).toBe(5)
        answers += 1
      }
      const steps = new Set<string>()
      const report = await rebuild(busy(view, happen), topics, { on_progress: ({ step }) => steps.add(step) })
      expect(answers).toBeGreaterThan(10)
      expect([...steps].sort()).toEqual(['catch_up', 'compare', 'copy', 'switch'])
      expect(report.caught_up).toBeGreaterThan(0)
      expect(report.drift.remaining).toBe(0)
      await view.settle()
      await agrees(view)
      expect((await index.points('items', ['nobody'])).size).toBe(0)
      // The stage goes on where it was, on the new collection.
      await view.put('items', 'i2', 5_000)
      await view.settle()
      expect((await view.held()).items['i2']).toBe(5_000)
    })

    test('a collection that does not keep what it acknowledged is not promoted', async () => {
      const { index, admin } = await open()
      const view = await openView(index, admin)
      for (let n = 0; n < 20; n++) await view.put('items', `i${n}`, n)
      await view.settle()
      const forgetful = { write: async () => undefined, correct: async () => undefined }
      await expect(
        rebuild(
          busy(view, async () => undefined, forgetful),
          topics,
        ),
      ).rejects.toMatchObject({
        code: 'index.unavailable',
        message: expect.stringContaining('differs from the topics in 20 of 20'),
      })
      await agrees(view)
    })

    test('a fault or a stop before the switch leaves the index as it was', async () => {
      const { index, admin } = await open()
      const view = await openView(index, admin)
      for (let n = 0; n < 20; n++) await view.put('items', `i${n}`, n)
      await view.settle()
      await index.write([{ space: 'items', id: 'nobody', vector: vectorOf(1), payload: {} }], 0)
      const before = await view.held()
      const fails = {
        promote: async () => {
          throw new Fault('index.unavailable', 'away')
        },
      }
      await expect(
        rebuild(
          busy(view, async () => undefined, fails),
          topics,
        ),
      ).rejects.toMatchObject({ message: 'away' })
      const stop = new AbortController()
      const stopping = rebuild(
        busy(view, async () => stop.abort()),
        topics,
        { signal: stop.signal },
      )
      await expect(stopping).rejects.toMatchObject({ code: 'index.unavailable', message: expect.stringContaining('stopped') })
      expect(await view.held()).toEqual(before)
      await rebuild(view.ports, topics)
      await agrees(view)
    })
  })

test('whatever comes while it is at work, the new index ends equal to the topics', async () => {
  const step = fc.record({
    space: fc.constantFrom<Space>('items', 'users'),
    id: fc.nat({ max: 9 }),
    n: fc.option(fc.integer({ min: 1, max: 1_000 }), { freq: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.array(step, { maxLength: 40 }),
      fc.nat(7),
      async (before, during, seed) => {
        const { index, admin } = openMemoryVectorIndex({ dims })
        const view = await openView(index, admin)
        for (const { space, id, n } of before) await view.put(space, `k${id}`, n)
        if (seed % 2 === 0) await view.settle()
        const left = [...during]
        let turn = seed
        const happen = async () => {
          turn = (turn * 5 + 3) % 8
          const next = turn < 5 ? left.shift() : undefined
          if (next !== undefined) await view.put(next.space, `k${next.id}`, next.n)
          if (turn % 2 === 0) await view.round(1 + (turn % 3))
          if (turn === 5) view.log.compact(topics[0]!.topic)
        }
        const report = await rebuild(busy(view, happen), topics)
        expect(report.drift.remaining).toBe(0)
        await view.settle()
        await agrees(view)
      },
    ),
    { numRuns: 300 },
  )
}, 60_000)
