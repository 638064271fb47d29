/** Drift of every kind, made by hand: found, counted before it is repaired, and repaired to nothing; and nothing else is. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { openEmbeddedVectorIndex } from '../adapters/embedded/vector-index.ts'
import { memoryVectorStore, openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import { type LogRecord, partitionOf } from '../domain/record.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { Space, VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import { openNewestOffsets } from './newest.ts'
import { type DriftKind, type DriftReport, drift_kinds, driftOf, reconcile } from './reconcile.ts'
import { dims, openView, partitions, topics, type View, vectorOf, vectors } from './view.fixture.ts'

const folders: string[] = []
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const adapters: Readonly<Record<string, () => Promise<{ readonly index: VectorIndex; readonly admin: VectorIndexAdmin }>>> = {
  memory: async () => openMemoryVectorIndex({ dims }),
  embedded: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-drift-'))
    folders.push(folder)
    const { index, admin } = await openEmbeddedVectorIndex({ folder, dims, model_digest: 'd'.repeat(64) })
    closing.push(() => admin.close())
    return { index, admin }
  },
}

const kindsOf = (report: DriftReport, space: Space): Partial<Record<DriftKind, number>> =>
  Object.fromEntries(Object.entries(report.drift[space]).filter(([, n]) => n > 0))

const check = (
  view: View,
  options: { readonly dry_run?: boolean; readonly deep?: boolean; readonly removals_max?: number } = {},
) => reconcile(view.ports, topics, { dry_run: false, ...options })

/** The point as it is, with a change. */
const spoil = async (view: View, id: string, change: { version?: number; vector?: Float32Array | null; payload?: object }) => {
  const stored = (await view.index.points('items', [id])).get(id)!
  const next = { ...stored, ...change }
  await view.admin.correct([
    {
      space: 'items',
      id,
      vector: next.vector,
      payload: { ...stored.payload, ...change.payload },
      version: next.version,
      seen: stored.version,
    },
  ])
}

/** Takes a point away as a lost write does: nothing is left, not even a tombstone. */
const lose = async (view: View, id: string) => {
  const stored = (await view.index.points('items', [id])).get(id)!
  await view.admin.correct([{ space: 'items', id, vector: null, payload: {}, version: -5, seen: stored.version }])
  await view.admin.purge('items', -4)
}

for (const [name, open] of Object.entries(adapters))
  describe(`drift in the ${name} index`, () => {
    const opened = async (): Promise<View> => {
      const { index, admin } = await open()
      const view = await openView(index, admin)
      for (let n = 0; n < 20; n++) await view.put('items', `i${n}`, n)
      for (let n = 0; n < 10; n++) await view.put('users', `u${n}`, 100 + n)
      await view.put('items', 'gone', 50)
      await view.settle()
      await view.put('items', 'gone', null)
      await view.put('items', 'i1', 21)
      await view.settle()
      return view
    }

    /** Found, counted in a dry run and again before the repair, repaired, and then gone. */
    const finds = async (view: View, kind: DriftKind, deep = false, space: Space = 'items'): Promise<void> => {
      const before = await check(view, { dry_run: true, deep })
      expect([kindsOf(before, space), before.repaired, before.remaining]).toEqual([{ [kind]: 1 }, 0, 1])
      const told: unknown[] = []
      const repair = await reconcile(view.ports, topics, {
        dry_run: false,
        deep,
        on_drift: (...find) => told.push(find),
      })
      expect([kindsOf(repair, space), repair.repaired, repair.remaining]).toEqual([{ [kind]: 1 }, 1, 0])
      expect(told).toEqual([[space, kind, 1]])
      expect(driftOf(await check(view, { deep: true }))).toBe(0)
      expect(await view.held()).toEqual(await view.wanted())
    }

    test('none where there is none', async () => {
      const view = await opened()
      const report = await check(view, { deep: true })
      expect(driftOf(report)).toBe(0)
      expect(report).toMatchObject({
        complete: true,
        checked: { items: 21, users: 10 },
        points: { items: 20, users: 10 },
        pending: 0,
        unreadable: 0,
        examples: [],
      })
    })

    test('missing: an acknowledged write that is gone', async () => {
      const view = await opened()
      await lose(view, 'i3')
      expect((await check(view, { dry_run: true })).examples).toEqual([{ space: 'items', id: 'i3', kind: 'missing' }])
      await finds(view, 'missing')
    })

    test('missing: a tombstone where the item is live, also of the newest version', async () => {
      const view = await opened()
      await spoil(view, 'i3', { vector: null })
      await finds(view, 'missing')
    })

    test('stale: an older write came back', async () => {
      const view = await opened()
      await spoil(view, 'i1', { version: 0, vector: vectorOf(1), payload: { updated_at: 1 } })
      await finds(view, 'stale')
    })

    test('orphan: a key that the topic no longer holds', async () => {
      const view = await opened()
      await view.admin.correct([
        {
          space: 'items',
          id: 'gone',
          vector: vectorOf(50),
          payload: {},
          version: 2,
          seen: (await view.index.points('items', ['gone'])).get('gone')!.version,
        },
      ])
      view.log.compact(vectors.name)
      await finds(view, 'orphan')
      // What comes late and is older than what was compared brings it back no more; a new record does.
      const { version } = (await view.index.points('items', ['gone'])).get('gone')!
      await view.index.write([{ space: 'items', id: 'gone', vector: vectorOf(50), payload: {} }], version)
      expect((await view.index.points('items', ['gone'])).get('gone')!.deleted).toBe(true)
      await view.put('items', 'gone', 51)
      await view.settle()
      expect((await view.held()).items['gone']).toBe(51)
    })

    test('undeleted: a tombstone that was lost, or a write that came after it', async () => {
      for (const version of [0, 1_000]) {
        const view = await opened()
        const { version: seen } = (await view.index.points('items', ['gone'])).get('gone')!
        await view.admin.correct([
          {
            space: 'items',
            id: 'gone',
            vector: vectorOf(50),
            payload: { updated_at: 50 },
            version: Math.min(version, seen),
            seen,
          },
        ])
        await finds(view, 'undeleted')
      }
    })

    test('ahead: a version beyond the end, live or deleted, in the topic or not', async () => {
      for (const vector of [vectorOf(3), null]) {
        const view = await opened()
        await spoil(view, 'i3', { version: 1_000_000, vector })
        await finds(view, 'ahead')
        await view.put('items', 'i3', 33)
        await view.settle()
        expect((await view.held()).items['i3']).toBe(33)
      }
      const view = await opened()
      await view.index.write([{ space: 'users', id: 'nobody', vector: vectorOf(1), payload: {} }], 1_000_000)
      await finds(view, 'ahead', false, 'users')
    })

    test('differs: the right version with another payload or vector, seen when looked at deeply', async () => {
      for (const change of [{ payload: { title: 'other' } }, { payload: { more: 1 } }, { vector: vectorOf(4) }]) {
        const view = await opened()
        await spoil(view, 'i3', change)
        expect(driftOf(await check(view, { dry_run: true }))).toBe(0)
        await finds(view, 'differs', true)
      }
    })

    test('an index that lost everything is filled again', async () => {
      const view = await opened()
      const staged = await view.admin.stage()
      await staged.promote()
      const report = await check(view)
      expect([report.drift.items.missing, report.drift.users.missing]).toEqual([20, 10])
      expect(report).toMatchObject({ repaired: 30, remaining: 0 })
      expect(report.examples.length).toBe(20)
      expect(await view.held()).toEqual(await view.wanted())
    })
  })

const memoryView = async () => {
  const { index, admin } = openMemoryVectorIndex({ dims })
  return openView(index, admin)
}

test('what the stage has not acknowledged yet is pending, and no drift', async () => {
  const view = await memoryView()
  for (let n = 0; n < 12; n++) await view.put('items', `i${n}`, n)
  expect(await check(view)).toMatchObject({ pending: 12, repaired: 0, remaining: 0, points: { items: 0 } })
  await view.round(2)
  const report = await check(view)
  expect(driftOf(report)).toBe(0)
  expect(report.pending).toBeGreaterThan(0)
})

test('what the stage refuses is no drift either', async () => {
  const view = await memoryView()
  await view.put('items', 'a', 1)
  await view.spoil('a')
  await view.spoil('b')
  await view.settle()
  const report = await check(view, { deep: true })
  expect(driftOf(report)).toBe(0)
  expect(report.unreadable).toBe(2)
  expect((await view.held()).items).toEqual({ a: 1 })
})

test('removals stop at their bound, and are told of', async () => {
  const view = await memoryView()
  for (let n = 0; n < 8; n++) await view.index.write([{ space: 'items', id: `i${n}`, vector: vectorOf(n), payload: {} }], 1_000)
  await view.put('items', 'i0', 1)
  await view.settle()
  const report = await check(view, { removals_max: 3 })
  expect(report).toMatchObject({ drift: { items: { ahead: 8 } }, repaired: 4, remaining: 4, withheld: 4 })
  expect(Object.keys((await view.held()).items).length).toBe(5)
})

test('it stops where it is told to, and says so', async () => {
  const view = await memoryView()
  for (let n = 0; n < 12; n++) await view.put('items', `i${n}`, n)
  const stop = new AbortController()
  const report = await reconcile(view.ports, topics, {
    dry_run: true,
    signal: stop.signal,
    on_progress: () => stop.abort(),
  })
  expect(report.complete).toBe(false)
})

test('a record that stands in another partition than its key’s is no orphan', async () => {
  const view = await memoryView()
  const key = Buffer.from('i1')
  const partition = (partitionOf(key, partitions) + 1) % partitions
  const value = Buffer.from(
    JSON.stringify({ vector: [1, 0], card: {}, content_hash: 'h', model_digest: 'm', source_updated_at: 0 }),
  )
  await view.log.append([{ topic: vectors.name, partition, key, value, timestamp_ms: 0 }])
  await view.settle()
  expect(driftOf(await check(view, { deep: true }))).toBe(0)
})

describe('beside a stage at work', () => {
  /** Lets something happen at every step that the comparison takes. */
  const busy = (view: View, happen: () => Promise<void>): View['ports'] => {
    const { log, index, admin } = view
    const scan: EventLog['scan'] = async function* (at, from): AsyncGenerator<LogRecord> {
      for await (const record of log.scan(at, from)) {
        await happen()
        yield record
      }
    }
    return {
      ...view.ports,
      log: {
        ...log,
        scan,
        offsets: async (topic: string) => {
          await happen()
          const offsets = await log.offsets(topic)
          await happen()
          return offsets
        },
        positions: async (group: string, topic: string) => {
          const positions = await log.positions(group, topic)
          await happen()
          return positions
        },
      },
      index: {
        ...index,
        points: async (space: Space, ids: readonly string[]) => {
          const points = await index.points(space, ids)
          await happen()
          return points
        },
      },
      admin: {
        ...admin,
        versions: async function* (space: Space) {
          for await (const point of admin.versions(space)) {
            await happen()
            yield point
          }
        },
        correct: async (points: Parameters<VectorIndexAdmin['correct']>[0]) => {
          await happen()
          await admin.correct(points)
        },
      },
    }
  }

  type Step = { readonly space: Space; readonly id: number; readonly n: number | null }
  const step: fc.Arbitrary<Step> = fc.record({
    space: fc.constantFrom<Space>('items', 'users'),
    id: fc.nat({ max: 9 }),
    n: fc.option(fc.integer({ min: 1, max: 1_000 }), { freq: 3 }),
  })
  const put = (view: View, { space, id, n }: Step) => view.put(space, `k${id}`, n)

  test('a sound index is never said to drift, whatever happens meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.array(step, { maxLength: 40 }),
        fc.nat(7),
        async (before, during, seed) => {
          const view = await memoryView()
          for (const one of before) await put(view, one)
          await view.settle()
          const left = [...during]
          let turn = seed
          const happen = async () => {
            turn = (turn * 5 + 3) % 8
            const next = turn < 4 ? left.shift() : undefined
            if (next !== undefined) await put(view, next)
            if (turn % 2 === 0) await view.round(1 + (turn % 3))
            if (turn === 5) view.log.compact(vectors.name)
          }
          const report = await reconcile(busy(view, happen), topics, { dry_run: false, deep: seed % 2 === 0 })
          expect(report.drift).toEqual(
            Object.fromEntries(
              ['items', 'users', 'images'].map((space) => [space, Object.fromEntries(drift_kinds.map((kind) => [kind, 0]))]),
            ),
          )
          await view.settle()
          expect(await view.held()).toEqual(await view.wanted())
        },
      ),
      { numRuns: 300 },
    )
  }, 60_000)

  type Harm = { readonly do: 'lose' | 'restore' | 'resurrect' | 'forget_write' | 'ahead' | 'spoil'; readonly at: number }
  const harm: fc.Arbitrary<Harm> = fc.record({
    do: fc.constantFrom('lose', 'restore', 'resurrect', 'forget_write', 'ahead', 'spoil'),
    at: fc.nat({ max: 9 }),
  })

  test('whatever was done to the index, one deep repair beside the stage makes it equal to the topics', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(step, harm), { minLength: 1, maxLength: 40 }),
        fc.array(step, { maxLength: 20 }),
        fc.nat(7),
        async (history, during, seed) => {
          const store = memoryVectorStore()
          const { index, admin } = openMemoryVectorIndex({ dims, store })
          const view = await openView(index, admin)
          const losing: VectorIndex['write'] = async (points, version) => {
            const kept = points.filter(() => false)
            await index.write(kept, version)
          }
          let snapshot = new Map(store.points.items)
          for (const each of history) {
            if ('space' in each) {
              await put(view, each)
              if (each.id % 3 === 0) await view.round(2)
              continue
            }
            const id = `k${each.at}`
            const point = store.points.items.get(id)
            if (each.do === 'lose') store.points.items.delete(id)
            if (each.do === 'restore') {
              for (const key of [...store.points.items.keys()]) store.points.items.delete(key)
              for (const [key, value] of snapshot) store.points.items.set(key, value)
            }
            if (each.do === 'forget_write') {
              snapshot = new Map(store.points.items)
              await view.settle(losing)
            }
            if (each.do === 'resurrect')
              store.points.items.set(id, {
                id,
                version: point?.version ?? -1,
                deleted: false,
                vector: vectorOf(7),
                payload: { updated_at: 7 },
              })
            if (each.do === 'ahead' && point !== undefined) store.points.items.set(id, { ...point, version: 5_000 })
            if (each.do === 'spoil' && point !== undefined && !point.deleted)
              store.points.items.set(id, { ...point, payload: { ...point.payload, title: 'spoilt' } })
          }
          await view.settle()
          const left = [...during]
          let turn = seed
          const happen = async () => {
            turn = (turn * 5 + 3) % 8
            const next = turn < 2 ? left.shift() : undefined
            if (next !== undefined) await put(view, next)
            if (turn % 2 === 0) await view.round(1 + (turn % 3))
          }
          const counted = await check(view, { dry_run: true, deep: true })
          const report = await reconcile(busy(view, happen), topics, { dry_run: false, deep: true })
          expect(report.remaining).toBe(0)
          expect(report.repaired).toBeLessThanOrEqual(driftOf(counted))
          await view.settle()
          expect(await view.held()).toEqual(await view.wanted())
          expect(driftOf(await check(view, { deep: true }))).toBe(0)
          for (const { id, payload } of store.points.items.values())
            expect({ id, title: payload['title'] }).not.toMatchObject({ title: 'spoilt' })
        },
      ),
      { numRuns: 300 },
    )
  }, 60_000)
})

test('the table of newest offsets is a map', () => {
  const table = openNewestOffsets()
  const naive = new Map<string, { offset: number; live: boolean; open: boolean }>()
  for (let i = 0; i < 5_000; i++) {
    const id = `key ${(i * 7919) % 1_711}`
    const live = i % 5 !== 0
    table.set(id, i, live)
    naive.set(id, { offset: i, live, open: live })
    if (i % 3 === 0) {
      table.setOpen(id, i % 2 === 0)
      naive.get(id)!.open = i % 2 === 0
    }
  }
  expect(table.size()).toBe(naive.size)
  for (const [id, entry] of naive) expect(table.get(id)).toEqual(entry)
  expect(table.get('absent')).toBeUndefined()
  expect(table.below(4_000)).toBe([...naive.values()].filter(({ offset }) => offset < 4_000).length)
  expect(table.open(4_000)).toBe([...naive.values()].filter(({ offset, open }) => open && offset < 4_000).length)
})
