/** The embedded index: the laws of VectorIndex, the same answers as the reference in any order of work, and what a crash leaves. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import type { OpenedIndex } from '../../ports/vector-index.contract.ts'
import { vectorIndexContract } from '../../ports/vector-index.contract.ts'
import type { Filter, ImageSpace, PointWrite, Space } from '../../ports/vector-index.ts'
import { memoryVectorStore, openMemoryVectorIndex } from '../memory/vector-index.ts'
import { openEmbeddedVectorIndex } from './vector-index.ts'

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'entrepot-vectors-'))
const model_digest = 'd'.repeat(64)

const opener =
  (exact_rows_max: number) =>
  async (dims: number, images?: ImageSpace, folder: string = newFolder()): Promise<OpenedIndex> => {
    const own = images === undefined ? {} : { images }
    const { index, admin } = await openEmbeddedVectorIndex({ folder, dims, model_digest, exact_rows_max, ...own })
    return {
      index,
      admin,
      async close() {
        await admin.close()
        rmSync(folder, { recursive: true })
      },
      async reopen(again, images_again) {
        await admin.close()
        return opener(exact_rows_max)(again, images_again, folder)
      },
    }
  }

vectorIndexContract('embedded, exact scan', (dims, images) => opener(20_000)(dims, images))
vectorIndexContract('embedded, lists from 20 points on', (dims, images) => opener(20)(dims, images))

describe('the embedded index', () => {
  const folders: string[] = []
  const folder = (): string => {
    const made = newFolder()
    folders.push(made)
    return made
  }
  afterEach(() => {
    for (const made of folders.splice(0)) rmSync(made, { recursive: true })
  })

  type Step =
    | { readonly do: 'write'; readonly points: readonly PointWrite[]; readonly version: number }
    | {
        readonly do: 'search'
        readonly vector: Float32Array
        readonly limit: number
        readonly filter: Filter
        readonly space: Space
      }
    | { readonly do: 'purge'; readonly space: Space; readonly version: number }
    | { readonly do: 'reopen' }

  const space = fc.constantFrom<Space>('items', 'users')
  const id = fc.integer({ min: 0, max: 24 }).map((n) => `p${n}`)
  const vector = fc
    .array(fc.integer({ min: -4, max: 4 }), { minLength: 3, maxLength: 3 })
    .filter((xs) => xs.some((x) => x !== 0))
    .map((xs) => Float32Array.from(xs))
  const payload = fc.record({ a: fc.constantFrom('x', 'y', null), n: fc.integer({ min: 0, max: 3 }) }, { requiredKeys: [] })
  const point = fc.record({ space, id, vector: fc.option(vector, { freq: 4 }), payload })
  const filter: fc.Arbitrary<Filter> = fc.constantFrom<Filter>(
    {},
    { must: [{ field: 'a', equals: 'x' }] },
    { must: [{ field: 'n', at_least: 1, at_most: 2 }], must_not: [{ field: 'a', any_of: ['y'] }] },
    { exclude: ['p1', 'p2', 'p3', 'absent'] },
    { must: [{ field: 'n', any_of: [0, 3] }], exclude: ['p7'] },
  )
  const version = fc.integer({ min: 0, max: 30 })
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('write' as const), points: fc.array(point, { maxLength: 12 }), version }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('search' as const), vector, limit: fc.integer({ min: 1, max: 30 }), filter, space }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const), space, version }) },
    { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  )

  test('any order of work gives what the reference gives, and the same after every reopening', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const own = folder()
        const open = () => openEmbeddedVectorIndex({ folder: own, dims: 3, model_digest })
        const reference = openMemoryVectorIndex({ dims: 3, store: memoryVectorStore() })
        let { index, admin } = await open()
        for (const one of steps) {
          if (one.do === 'write') {
            await reference.index.write(one.points, one.version)
            await index.write(one.points, one.version)
          } else if (one.do === 'search') {
            const query = { space: one.space, vector: one.vector, limit: one.limit, filter: one.filter }
            const [wanted] = await reference.index.search([query])
            const [found] = await index.search([query])
            // Points that differ by less than the quantisation may stand in another order; equal ones may not.
            expect(found!.map(({ similarity }) => similarity)).toEqual(
              wanted!.map(({ similarity }) => expect.closeTo(similarity, 4)),
            )
            const payloads = await reference.index.points(
              one.space,
              found!.map((hit) => hit.id),
            )
            for (const hit of found!) expect(payloads.get(hit.id)).toMatchObject({ deleted: false, payload: hit.payload })
          } else if (one.do === 'purge')
            expect(await admin.purge(one.space, one.version)).toBe(await reference.admin.purge(one.space, one.version))
          else {
            await admin.close()
            ;({ index, admin } = await open())
          }
        }
        for (const each of ['items', 'users'] as const) {
          const all = Array.from({ length: 25 }, (_, n) => `p${n}`)
          expect(await index.points(each, all)).toEqual(await reference.index.points(each, all))
        }
        expect((await admin.describe()).points).toEqual((await reference.admin.describe()).points)
        await admin.close()
      }),
      { numRuns: 25 },
    )
  })

  test('learned lists are kept, and sorted into again after a reopening', async () => {
    const own = folder()
    const open = () => openEmbeddedVectorIndex({ folder: own, dims: 8, model_digest, exact_rows_max: 100 })
    const point = (i: number): PointWrite => ({
      space: 'items',
      id: `p${i}`,
      vector: Float32Array.from({ length: 8 }, (_, d) => Math.sin((i + 1) * (d + 1))),
      payload: { i },
    })
    const first = await open()
    for (let from = 0; from < 600; from += 100)
      await first.index.write(
        Array.from({ length: 100 }, (_, i) => point(from + i)),
        from,
      )
    await first.settled()
    const queries = Array.from({ length: 20 }, (_, i) => ({ space: 'items' as const, vector: point(i * 31).vector!, limit: 5 }))
    const before = await first.index.search(queries)
    await first.admin.close()
    const second = await open()
    expect(await second.index.search(queries)).toEqual(before)
    await second.settled()
    expect(await second.index.search(queries)).toEqual(before)
    await second.admin.close()
  })

  test('closing while lists are learned loses nothing', async () => {
    const own = folder()
    const open = () => openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest, exact_rows_max: 50 })
    const { index, admin } = await open()
    await index.write(
      Array.from({ length: 400 }, (_, i) => ({
        space: 'items' as const,
        id: `p${i}`,
        vector: Float32Array.of(1, i, 2, 3),
        payload: {},
      })),
      1,
    )
    await admin.close()
    const again = await open()
    expect((await again.admin.describe()).points.items).toBe(400)
    await again.admin.close()
    await expect(again.index.search([])).rejects.toMatchObject({ code: 'index.unavailable' })
  })

  test("another model's file is refused, though its vectors have the same length", async () => {
    const own = folder()
    const first = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest })
    await first.admin.close()
    const other = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest: 'e'.repeat(64) })
    await expect(other.admin.ensure()).rejects.toMatchObject({ code: 'index.dimension' })
    await expect(other.index.write([], 1)).rejects.toMatchObject({ code: 'index.dimension' })
    await other.admin.close()
  })

  test('a folder has one owner', async () => {
    const own = folder()
    const first = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest })
    await expect(openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest })).rejects.toMatchObject({ code: 'log.locked' })
    await first.admin.close()
  })

  test('a write that finds no space changes nothing, and what is there is still found', async () => {
    const own = folder()
    const { index, admin } = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest, file_bytes_max: 200_000 })
    const vector = Float32Array.of(1, 0, 0, 0)
    await index.write([{ space: 'items', id: 'a', vector, payload: { n: 1 } }], 1)
    const large = Array.from({ length: 100 }, (_, i) => ({
      space: 'items' as const,
      id: i === 0 ? 'a' : `b${i}`,
      vector,
      payload: { n: 2, text: 'x'.repeat(5_000) },
    }))
    await expect(index.write(large, 2)).rejects.toMatchObject({ code: 'index.unavailable' })
    const [hits] = await index.search([{ space: 'items', vector, limit: 9 }])
    expect(hits).toMatchObject([{ id: 'a', payload: { n: 1 } }])
    await index.write([{ space: 'items', id: 'a', vector, payload: { n: 3 } }], 3)
    expect((await index.points('items', ['a'])).get('a')).toMatchObject({ version: 3, payload: { n: 3 } })
    await admin.close()
  })

  test('what was acknowledged is there after kill -9', async () => {
    const own = folder()
    const program = `
      import { openEmbeddedVectorIndex } from ${JSON.stringify(new URL('./vector-index.ts', import.meta.url).href)}
      const { index } = await openEmbeddedVectorIndex({ folder: ${JSON.stringify(own)}, dims: 4, model_digest: '${model_digest}' })
      for (let version = 1; ; version++) {
        const points = Array.from({ length: 20 }, (_, i) => ({
          space: 'items', id: 'p' + (version * 7 + i), vector: Float32Array.of(1, version, i, 0), payload: { version },
        }))
        await index.write(points, version)
        process.stdout.write(version + '\\n')
        await new Promise(setImmediate)
      }`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let acknowledged = 0
    let text = ''
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString()
      acknowledged = Number(text.trimEnd().split('\n').at(-1))
      if (acknowledged >= 30) child.kill('SIGKILL')
    })
    await new Promise((resolve) => child.once('close', resolve))
    expect(acknowledged).toBeGreaterThanOrEqual(30)
    const { index, admin } = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest })
    const newest = new Map<string, number>()
    for (let written = 1; written <= acknowledged; written++)
      for (let i = 0; i < 20; i++) newest.set(`p${written * 7 + i}`, written)
    const points = await index.points('items', [...newest.keys()])
    for (const [name, written] of newest) expect(points.get(name)!.version).toBeGreaterThanOrEqual(written)
    const [hits] = await index.search([{ space: 'items', vector: Float32Array.of(1, 1, 1, 0), limit: 10_000 }])
    expect(hits!.length).toBe((await admin.describe()).points.items)
    await admin.close()
  })

  test('rebuilds leave nothing behind in the file, whether they came to their end or not', async () => {
    const own = folder()
    const points = (of: string) =>
      Array.from({ length: 1_300 }, (_, i) => ({
        space: 'items' as const,
        id: `p${i}`,
        vector: Float32Array.of(1, i, 2, 3),
        payload: { of },
      }))
    const objects = () => {
      const handle = new Database(join(own, 'vectors.db'), { readonly: true })
      const names = handle
        .prepare("SELECT name FROM sqlite_master WHERE name LIKE 'points%' OR name LIKE 'tombstones%'")
        .pluck()
        .all()
      handle.close()
      return (names as string[]).map((name) => name.replace('tombstones_2', 'tombstones')).sort()
    }
    for (const round of ['first', 'second', 'third']) {
      const { index, admin, settled } = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest, exact_rows_max: 50 })
      const staged = await admin.stage()
      await staged.write(points(round), 1)
      const searching = index.search([{ space: 'items', vector: Float32Array.of(1, 5, 2, 3), limit: 5 }])
      await staged.promote()
      await searching
      await expect(staged.write(points(round), 2)).rejects.toMatchObject({ code: 'index.unavailable' })
      await settled()
      const unfinished = await admin.stage()
      await unfinished.write(points('unfinished'), 9)
      await admin.close()

      const again = await openEmbeddedVectorIndex({ folder: own, dims: 4, model_digest, exact_rows_max: 50 })
      const [hits] = await again.index.search([{ space: 'items', vector: Float32Array.of(1, 5, 2, 3), limit: 5 }])
      expect(hits!.map(({ payload }) => payload['of'])).toEqual(Array(5).fill(round))
      await again.admin.close()
      expect(objects()).toEqual(['points', 'tombstones'])
    }
  })

  test('a write that a switch overtakes goes on in the new collection', async () => {
    const { index, admin } = await openEmbeddedVectorIndex({ folder: folder(), dims: 4, model_digest })
    const points = (version: number) =>
      Array.from({ length: 500 }, (_, i) => ({
        space: 'items' as const,
        id: `p${i}`,
        vector: Float32Array.of(1, version, 0, 0),
        payload: { version },
      }))
    await index.write(points(1), 1)
    const staged = await admin.stage()
    await staged.write(points(2), 2)
    const writing = index.write(points(3), 3)
    await staged.promote()
    await writing
    const found = await index.points(
      'items',
      points(0).map(({ id }) => id),
    )
    // Both halves are whole, and what is searched is what is stored.
    expect(new Set([...found.values()].map(({ version }) => version))).toEqual(new Set([2, 3]))
    const [hits] = await index.search([{ space: 'items', vector: Float32Array.of(1, 3, 0, 0), limit: 1_000 }])
    expect(hits!.length).toBe(500)
    for (const { id, payload } of hits!) expect(payload['version']).toBe(found.get(id)!.version)
    await admin.close()
  })
})
