/** Vectors that a broken model makes, through the real embed stage on the embedded adapters: dead letters with the item's own bytes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { loadSettings } from '../config/load.ts'
import type { ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import type { LogRecord } from '../domain/record.ts'
import { item } from '../embed/item.fixture.ts'
import { degenerate_titles, moody } from '../simulate/hostile/moody.ts'
import { openWorld } from './compose.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-degenerate-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const headerOf = ({ headers }: LogRecord, name: string): string | undefined =>
  headers.find(([one]) => one === name)?.[1].toString('utf8')

test('zero, NaN, short and overlong vectors are dead-lettered with the record’s bytes, and never stored, indexed or remembered', async () => {
  const { settings } = loadSettings({
    env: {},
    set: ['mode=embedded', `data.folder=${folder}`, 'topics.partitions=1', 'platforms.enabled=shopify'],
    working_folder: folder,
  })
  const world = await openWorld(settings, { embedder: moody(memoryEmbedder()) })
  try {
    await world.prepare()
    const log = await world.log()
    const { items, vectors } = world.topics
    const serde = await (await world.serdes()).of<Item>(items.name, items.schema)
    // Twice each: what was wrong once is asked for again, and is wrong again.
    const titles = [...Object.keys(degenerate_titles), 'a sound kettle']
    const sent = [...titles, ...titles].map((title, n) => ({
      topic: items.name,
      key: Buffer.from(`shop:1:${n}`),
      value: serde.serialize(item({ item_id: `shop:1:${n}`, title })),
      timestamp_ms: 1_700_000_000_000,
    }))
    await log.append(sent.slice(0, titles.length))
    const stages = await world.start(['embed', 'index'], () => undefined)
    const index = await world.index()
    const indexed = async (count: number): Promise<void> => {
      for (let i = 0; i < 500 && (await index.describe()).points.items < count; i++) await systemClock.sleep(10)
    }
    await indexed(1)
    await log.append(sent.slice(titles.length))
    await indexed(2)
    await stages.stop()

    const letters: LogRecord[] = []
    for (const { partition } of await log.offsets(world.topology.dead_letters.name))
      for await (const letter of log.scan({ topic: world.topology.dead_letters.name, partition }, 0)) letters.push(letter)
    const wrong = sent.filter((_, n) => n % titles.length < titles.length - 1)
    expect(letters).toHaveLength(wrong.length)
    for (const letter of letters) {
      const original = sent[Number(headerOf(letter, '__connect.errors.offset'))]!
      expect(headerOf(letter, 'x-reason-code')).toBe('embed.degenerate')
      expect(headerOf(letter, '__connect.errors.topic')).toBe(items.name)
      expect([letter.key?.equals(original.key), letter.value?.equals(original.value)]).toEqual([true, true])
    }
    expect(new Set(letters.map((letter) => letter.key?.toString()))).toEqual(new Set(wrong.map(({ key }) => key.toString())))

    const stored: ItemVector[] = []
    const vector_serde = await (await world.serdes()).of<ItemVector>(vectors.name, vectors.schema)
    for await (const { value } of log.scan({ topic: vectors.name, partition: 0 }, 0)) {
      const [vector] = await vector_serde.deserialize([value!])
      if (!(vector instanceof Fault) && vector !== undefined) stored.push(vector)
    }
    expect(stored.map(({ card }) => card.title)).toEqual(['a sound kettle', 'a sound kettle'])
    expect((await index.describe()).points.items).toBe(2)
  } finally {
    await world.close()
  }
}, 30_000)
