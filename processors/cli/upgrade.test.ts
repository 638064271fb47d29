/** A new model beside the old one, on the embedded adapters: filled, stopped at work, resumed, live, rolled back; nothing is ever mixed. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { loadSettings } from '../config/load.ts'
import { laneFolder, openWorld } from './compose.ts'
import { indexed, oldModel, publishItems, start, until, upgradeStory } from './upgrade.fixture.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-upgrade-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const settingsOf = () =>
  loadSettings({
    env: {},
    set: [
      'mode=embedded',
      `data.folder=${folder}`,
      'topics.partitions=2',
      'platforms.enabled=shopify',
      'model.reembed_share=1',
      'stages.embed.records_max=8',
      'recommend.debounce_ms=0',
    ],
    working_folder: folder,
  }).settings

test('a new model is filled beside the old one, resumes where it was stopped, takes over, and can be taken back', async () => {
  const lane = await upgradeStory(settingsOf())
  expect(existsSync(laneFolder(settingsOf(), lane))).toBe(true)
}, 120_000)

test('another model in the settings is refused by name; the live one alone is worked with', async () => {
  const first = await start(settingsOf(), oldModel())
  await publishItems(first.world, 0, 3)
  await until('the catalogue is searchable', async () => (await indexed(first.river)) === 3)
  await first.stop()
  const world = await openWorld(settingsOf(), { embedder: memoryEmbedder(32) })
  try {
    await expect(world.prepare()).rejects.toMatchObject({ code: 'model.changed', kind: 'misconfigured' })
    await expect(world.index()).rejects.toMatchObject({ code: 'model.changed' })
    await expect(world.embedder()).rejects.toMatchObject({ code: 'model.changed' })
    await expect(world.start(['index'], () => undefined)).rejects.toMatchObject({ code: 'model.changed' })
  } finally {
    await world.close()
  }
})

test('a log of before lanes, with vectors of another model, is refused as well', async () => {
  const first = await start(settingsOf(), oldModel())
  await publishItems(first.world, 0, 3)
  await until('the catalogue is searchable', async () => (await indexed(first.river)) === 3)
  // As if nobody had ever said whose vectors these are.
  const log = await first.world.log()
  for (const key of ['live', 'lane/first'])
    await log.append([{ topic: first.world.lanes_topic, key: Buffer.from(key), value: null, timestamp_ms: Date.now() }])
  await first.stop()
  const other = memoryEmbedder(64)
  const world = await openWorld(settingsOf(), { embedder: { ...other, model: { ...other.model, digest: 'f'.repeat(64) } } })
  try {
    await expect(world.prepare()).rejects.toMatchObject({ code: 'model.changed' })
  } finally {
    await world.close()
  }
})
