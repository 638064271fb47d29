import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { loadSettings } from '../config/load.ts'
import { openWorld } from './compose.ts'
import { openPublisher, sourceOf } from './publish.ts'
import { type BadRow, keyFieldOf, replayRows } from './replay-rows.ts'
import type { World } from './world.ts'

const folder = mkdtempSync(join(tmpdir(), 'entrepot-replay-rows-'))
let world: World
beforeAll(async () => {
  const { settings } = loadSettings({
    env: {},
    set: [`data.folder=${join(folder, 'data')}`, 'platforms.enabled=abt,online_retail,shopify'],
    working_folder: folder,
  })
  world = await openWorld(settings, { embedder: memoryEmbedder(8) })
  await world.prepare()
}, 30_000)
afterAll(async () => {
  await world.close()
  rmSync(folder, { recursive: true })
})

const mapOf = (platform: string, kind: string) => {
  const found = world.platforms.find(({ name }) => name === platform)!
  return found.maps[found.sources.indexOf(sourceOf(world.platforms, platform, kind))]!
}

const replay = async (text: string, rate: number | null = null) => {
  const file = join(folder, 'rows.csv')
  writeFileSync(file, text)
  const bad: BadRow[] = []
  let rows = 0
  const source = sourceOf(world.platforms, 'abt', undefined)
  const log = await world.log()
  const before = (await log.offsets(source.topic))[0]!.end
  const published = await replayRows(world, await openPublisher(world), {
    source,
    files: [file],
    key: 'id',
    rate,
    signal: new AbortController().signal,
    progress: (count) => {
      rows += count
    },
    bad: (row) => bad.push(row),
  })
  const records = await Array.fromAsync(log.scan({ topic: source.topic, partition: 0 }, before))
  return { published, rows, bad, records }
}

test('rows become records that the platform’s map can read, keyed; bad ones are told by line and left out', async () => {
  const { published, rows, bad, records } = await replay(
    'id,name,description,price\n1,Lamp,"a, b",3\n2,too few\n,No id,x,1\n4,Fan,,\n',
  )
  expect([published, rows, records.map(({ key }) => key!.toString())]).toEqual([2, 2, ['1', '4']])
  expect(bad.map(({ line, fault }) => [line, fault.code])).toEqual([
    [3, 'map.type'],
    [4, 'key.missing'],
  ])
  const decoded = await (await world.decoder()).decode(
    'source.abt.items',
    'AVRO',
    records.map(({ value }) => value!),
  )
  expect(decoded.map((one) => ({ ...(one as { value: object }).value }))).toEqual([
    { id: '1', name: 'Lamp', description: 'a, b', price: '3' },
    { id: '4', name: 'Fan', description: '', price: '' },
  ])
})

test('a rate is kept', async () => {
  const started = performance.now()
  const { published } = await replay(
    `id,name,description,price\n${Array.from({ length: 20 }, (_, i) => `${i},x,y,1`).join('\n')}\n`,
    40,
  )
  expect(published).toBe(20)
  expect(performance.now() - started).toBeGreaterThan(450)
})

test('the key is the field that the map takes for the id, when it is one', () => {
  expect([keyFieldOf(mapOf('abt', 'items')), keyFieldOf(mapOf('online_retail', 'interactions'))]).toEqual(['id', 'user_id'])
  expect(keyFieldOf(mapOf('shopify', 'items'))).toBe(null)
})

test('a platform with several topics wants a kind, an unknown one gets the nearest name', () => {
  expect(sourceOf(world.platforms, 'online_retail', 'interactions').topic).toBe('source.online_retail.interactions')
  expect(() => sourceOf(world.platforms, 'shopify', undefined)).toThrow(
    expect.objectContaining({ message: expect.stringContaining('--kind carts|items|orders') }),
  )
  expect(() => sourceOf(world.platforms, 'shopfy', 'items')).toThrow(
    expect.objectContaining({ message: expect.stringContaining('shopify') }),
  )
  expect(() => sourceOf(world.platforms, 'abt', 'orders')).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
