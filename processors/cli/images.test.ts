/** Images from a shop's server to a search, through the log, the stages and the index of a folder, with an encoder of one node. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import sharp from 'sharp'
import { writeTinyImageModel } from '../adapters/onnx/tiny-image-model.fixture.ts'
import { loadSettings } from '../config/load.ts'
import type { Item } from '../domain/item.ts'
import { item } from '../embed/item.fixture.ts'
import { reconcile } from '../index/reconcile.ts'
import { indexedTopics } from '../index/topics.ts'
import { openWorld } from './compose.ts'
import type { World } from './world.ts'

let folder: string
let server: Server
let base: string
let hits = 0
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-images-'))
  mkdirSync(join(folder, 'model'))
  writeTinyImageModel(join(folder, 'model'))
  const flat = (background: string, side = 30) =>
    sharp({ create: { width: side, height: side, channels: 3, background }, limitInputPixels: false }).png()
  const files: Record<string, Buffer> = {
    '/red': await flat('#f00').toBuffer(),
    '/blue': await flat('#00f').toBuffer(),
    '/bomb': await flat('#fff', 9_000).toBuffer(),
    '/broken': (await flat('#0f0').toBuffer()).subarray(0, 50),
  }
  hits = 0
  server = createServer((request, response) => {
    hits += 1
    const file = files[request.url ?? '']
    response.writeHead(file === undefined ? 404 : 200).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

const world = async (...set: readonly string[]): Promise<World> => {
  const { settings } = loadSettings({
    env: {},
    set: ['mode=embedded', `data.folder=${join(folder, 'data')}`, 'topics.partitions=1', ...set],
    working_folder: folder,
  })
  const opened = await openWorld(settings, { stages: ['embed-images', 'index-images'] })
  await opened.prepare()
  return opened
}
const model = (): string => `image_model.folder=${join(folder, 'model')}`

/** Appends items, and lets both stages work until all is done; returns how records ended, by reason. */
const work = async (
  opened: World,
  items: Readonly<Record<string, Partial<Item> | null>>,
  written: number,
): Promise<Record<string, number>> => {
  const { name, schema } = opened.topics.items
  const serde = await (await opened.serdes()).of<Item>(name, schema)
  await (await opened.log()).append(
    Object.entries(items).map(([id, change]) => ({
      topic: name,
      key: Buffer.from(id),
      value: change === null ? null : serde.serialize(item({ item_id: id, ...change })),
      timestamp_ms: 1_700_000_000_000,
    })),
  )
  const ends: Record<string, number> = {}
  let read = 0
  let indexed = 0
  let done: () => void = () => undefined
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const stages = await opened.start(['embed-images', 'index-images'], (event) => {
    if (event.event !== 'committed') return
    if (event.stage === 'embed-images') read += event.records
    else indexed += event.records
    for (const [reason, count] of Object.entries(event.dropped)) ends[reason] = (ends[reason] ?? 0) + count
    if (read === Object.keys(items).length && indexed === written) done()
  })
  await all
  await stages.stop()
  return ends
}

test('an item is found by its image; one whose image is broken, a bomb, absent or private goes on without', async () => {
  const opened = await world(model(), 'image_model.allow_private=true')
  try {
    const shows = (path: string): Partial<Item> => ({ image_urls: [base + path], title: path })
    const ends = await work(
      opened,
      {
        a: shows('/red'),
        b: shows('/blue'),
        c: shows('/red'),
        d: shows('/bomb'),
        e: shows('/broken'),
        f: shows('/absent'),
        g: {},
      },
      3,
    )
    expect(ends).toEqual({ image_refused: 1, image_broken: 1, image_missing: 1, no_image: 1, indexed: 3 })
    expect(hits).toBe(5)
    const index = await opened.index()
    const near = (...vector: number[]) => ({ space: 'images' as const, vector: Float32Array.from(vector), limit: 2 })
    const [blue, red] = await index.search([near(0, 0, 1), { ...near(1, 0, 0), filter: { exclude: ['a'] } }])
    expect(blue![0]).toMatchObject({
      id: 'b',
      similarity: expect.closeTo(1, 3),
      payload: { title: '/blue', image_url: `${base}/blue` },
    })
    expect(red![0]).toMatchObject({ id: 'c', similarity: expect.closeTo(1, 3) })
    expect((await index.describe()).points).toEqual({ items: 0, users: 0, images: 3 })
    // The next day: a price moves, an item goes, an image is replaced by another.
    hits = 0
    await work(opened, { a: { ...shows('/red'), price_minor: 1 }, b: null, c: shows('/blue') }, 3)
    expect(hits).toBe(0)
    const [now] = await index.search([near(0, 0, 1)])
    expect(now!.map(({ id }) => id)).toEqual(['c', 'a'])
    const report = await reconcile(
      { log: await opened.log(), serdes: await opened.serdes(), index, admin: index, clock: opened.clock },
      indexedTopics(opened.group_prefix, opened.topics),
      { dry_run: true, deep: true },
    )
    expect(report).toMatchObject({ checked: { images: 3 }, points: { images: 2 }, repaired: 0, remaining: 0, pending: 0 })
  } finally {
    await opened.close()
  }
}, 60_000)

test('a private address is not asked, and without an image model there is nothing of images', async () => {
  const guarded = await world(model())
  try {
    expect(await work(guarded, { a: { image_urls: [`${base}/red`] } }, 0)).toEqual({ image_refused: 1 })
    expect(hits).toBe(0)
  } finally {
    await guarded.close()
  }
  const plain = await world()
  try {
    expect(plain.topology.stages.map(({ processor }) => processor.name).filter((name) => /image/u.test(name))).toEqual([])
    expect(plain.topics.images).toBeUndefined()
    expect((await (await plain.index()).describe()).image_dims).toBe(null)
  } finally {
    await plain.close()
  }
}, 60_000)
