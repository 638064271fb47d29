/** Each image is fetched and computed once, no item is lost for its image, and state holds what items show, however batches are cut. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { ImageVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import { unit } from '../domain/vector.ts'
import { topic } from '../flow/topic.ts'
import { account } from '../runtime/account.ts'
import { embedImages } from './images.ts'
import { item } from './item.fixture.ts'

const vectors = topic<ImageVector>('images', {
  key: 'item_id',
  schema: 'image-vector',
  partitions: 1,
  keep: 'latest',
  holds: 'x',
})
const model = { name: 'm', digest: 'd'.repeat(64), dims: 3 }
const hour_ms = 3_600_000

/** The stage on a state that lives on. `web` is what stands behind each URL: the number that an image shows, or a fault. */
const stage = (web: Record<string, number | Fault>) => {
  const store = new Map<string, Buffer>()
  const topic_now = new Map<string, ImageVector>()
  const fetched: string[] = []
  const computed: number[] = []
  const processor = embedImages(vectors, { refetch_ms: 100 * hour_ms, retry_ms: 10 * hour_ms })
  const reads = processor.reads(
    {
      index: null as never,
      embedder: null as never,
      sources: null as never,
      images: {
        source: {
          fetch: async (urls) =>
            urls.map((url) => {
              fetched.push(url)
              const found = web[url]!
              return found instanceof Fault ? found : Uint8Array.of(found)
            }),
        },
        embedder: {
          model,
          embed: async (images) =>
            images.map(([shown]) => {
              computed.push(shown!)
              return shown === 0 ? new Fault('image.broken', 'x') : unit(Float32Array.of(1, shown!, 0))
            }),
          close: async () => undefined,
        },
      },
    },
    { get: (key: string) => store.get(key), entries: () => [] } as never,
  )
  let offset = 0
  return {
    store,
    fetched,
    computed,
    /** What the topic holds: by item the number that its image shows. */
    held: () => Object.fromEntries([...topic_now].map(([id, { vector }]) => [id, Math.round(vector[1]! / vector[0]!)])),
    run: async (changes: readonly (readonly [id: string, change: Partial<Item> | null])[], at_h = 0) => {
      const records = changes.map(([id, change]) => ({
        offset: offset++,
        key: id,
        value: change === null ? null : item({ item_id: id, ...change }),
        bytes: null,
        timestamp_ms: 0,
        headers: [],
      }))
      const outcome = await processor.run({ topic: 't', partition: 0, now_ms: 1 + at_h * hour_ms, records }, reads)
      account(
        processor,
        records.map((record) => record.offset),
        outcome,
        [vectors],
      )
      for (const { key, value } of outcome.state ?? [])
        if (value === null) store.delete(key)
        else store.set(key, value)
      for (const { key, value } of outcome.emit)
        if (value === null) topic_now.delete(key)
        else topic_now.set(key, value as ImageVector)
      return {
        emitted: outcome.emit.map(({ key, value }) => [key, value === null ? null : 'vector']),
        dropped: (outcome.dropped ?? []).map((drop) => ('reason' in drop ? drop.reason : drop.fault.code)),
      }
    },
  }
}
const shows = (url: string, change: Partial<Item> = {}): Partial<Item> => ({ image_urls: [url], ...change })

test('one URL, one fetch; the same file behind another URL is computed once; a price alone moves neither', async () => {
  const { run, fetched, computed, held, store } = stage({ a: 5, copy: 5, b: 7 })
  await run([
    ['1', shows('a')],
    ['2', shows('a')],
    ['3', shows('copy')],
    ['4', shows('b')],
  ])
  await run([
    ['1', shows('a', { price_minor: 1 })],
    ['5', shows('copy')],
  ])
  expect([fetched, computed]).toEqual([
    ['a', 'copy', 'b'],
    [5, 7],
  ])
  expect(held()).toEqual({ 1: 5, 2: 5, 3: 5, 4: 7, 5: 5 })
  expect(await run(['1', '2', '3', '4', '5'].map((id) => [id, null]))).toMatchObject({ dropped: [] })
  expect([held(), store.size]).toEqual([{}, 0])
})

test('an item whose image fails goes on, for a named reason; one that had an image loses it', async () => {
  const web: Record<string, number | Fault> = {
    a: 5,
    gone: new Fault('image.missing', 'x'),
    inner: new Fault('image.refused', 'x'),
    away: new Fault('image.unavailable', 'x'),
    broken: 0,
  }
  const { run, fetched, held } = stage(web)
  const ended = await run([
    ['1', shows('a')],
    ['2', shows('gone')],
    ['3', shows('inner')],
    ['4', shows('away')],
    ['5', shows('broken')],
    ['6', {}],
  ])
  expect(ended.dropped).toEqual(['image_missing', 'image_refused', 'image_unavailable', 'image_broken', 'no_image'])
  expect(
    (
      await run([
        ['1', shows('gone')],
        ['6', null],
      ])
    ).emitted,
  ).toEqual([['1', null]])
  expect(held()).toEqual({})
  web['away'] = 9
  web['gone'] = 8
  // What a server was away for is asked for with the next change; what was missing, some hours later.
  fetched.length = 0
  await run(
    [
      ['2', shows('gone')],
      ['4', shows('away')],
    ],
    1,
  )
  expect([fetched, held()]).toEqual([['away'], { 4: 9 }])
  await run([['2', shows('gone')]], 11)
  expect(held()).toEqual({ 2: 8, 4: 9 })
})

test('an old image is fetched again: another file is another vector, and a server that is away takes none', async () => {
  const web: Record<string, number | Fault> = { a: 5 }
  const { run, computed, held } = stage(web)
  await run([
    ['1', shows('a')],
    ['2', shows('a')],
  ])
  web['a'] = new Fault('image.unavailable', 'x')
  await run([['1', shows('a')]], 101)
  expect(held()).toEqual({ 1: 5, 2: 5 })
  web['a'] = 6
  await run([['1', shows('a')]], 102)
  expect(held()).toEqual({ 1: 6, 2: 5 })
  // The only item that shows the new file leaves; the URL is known still, by the item that shows the old one.
  await run(
    [
      ['1', null],
      ['3', shows('a')],
    ],
    103,
  )
  await run([['3', null]], 103)
  await run([['4', shows('a')]], 103)
  expect([held(), computed]).toEqual([{ 2: 5, 4: 6 }, [5, 6, 6]])
})

test('the topic and the state do not depend on how records fall into batches', async () => {
  const change = fc.tuple(
    fc.constantFrom('1', '2', '3', '4'),
    fc.option(fc.constantFrom('a', 'copy', 'b', 'gone', 'broken', undefined), { nil: null }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(change, fc.boolean()), { maxLength: 30 }), async (list) => {
      const web = { a: 5, copy: 5, b: 7, gone: new Fault('image.missing', 'x'), broken: 0 }
      const rows = list.map(([[id, url]]) => [id, url === null ? null : { image_urls: url === undefined ? [] : [url] }] as const)
      const single = stage(web)
      for (const row of rows) await single.run([row])
      const batched = stage(web)
      let batch: typeof rows = []
      for (const [i, row] of rows.entries()) {
        batch.push(row)
        if (!list[i]![1] && i < rows.length - 1) continue
        await batched.run(batch)
        batch = []
      }
      expect(batched.held()).toEqual(single.held())
      const plain = (store: Map<string, Buffer>) =>
        Object.fromEntries([...store].sort().map(([key, value]) => [key, value.toString('hex')]))
      expect(plain(batched.store)).toEqual(plain(single.store))
    }),
    { numRuns: 300 },
  )
})
