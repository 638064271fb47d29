/** `entrepot repair` and `entrepot rebuild` on a folder, from the arguments to the exit code. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { loadSettings } from '../config/load.ts'
import type { ItemCard, ItemVector } from '../domain/catalog.ts'
import { no_log } from '../telemetry/log.ts'
import { rebuild } from './commands/rebuild.ts'
import { repair } from './commands/repair.ts'
import { openWorld } from './compose.ts'
import { runCommandLine } from './frame.ts'
import { exit_codes } from './signals.ts'
import { openTerminal } from './terminal.ts'
import type { World } from './world.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-repair-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const entrepot = async (...argv: readonly string[]) => {
  let said = ''
  let erred = ''
  const code = await runCommandLine({
    commands: [repair, rebuild],
    argv: [...argv, '--data', folder],
    env: {},
    out: openTerminal({ write: (text: string) => (said += text) }, {}),
    err: openTerminal({ write: (text: string) => (erred += text) }, {}),
    version: '0',
    openLog: () => no_log,
    stopping: () => new AbortController().signal,
  })
  return { code, said, erred }
}

const card: ItemCard = {
  title: 'Steel kettle',
  brand: null,
  platform: 'shop',
  merchant_id: '1',
  market: 'DE',
  language: 'en',
  category_id: null,
  price_minor: 2_999,
  currency: 'EUR',
  price_ref_minor: 2_999,
  availability: 'IN_STOCK',
  item_group_id: null,
  gtin: null,
  url: null,
}

/** Items in the topic and, through the stage itself, in the index. */
const fill = async (count: number): Promise<World> => {
  const { settings } = loadSettings({ env: {}, set: ['mode=embedded', `data.folder=${folder}`], working_folder: folder })
  const world = await openWorld(settings, { stages: ['index'] })
  await world.prepare()
  const { name, schema } = world.topics.vectors
  const log = await world.log()
  const serde = await (await world.serdes()).of<ItemVector>(name, schema)
  await log.append(
    Array.from({ length: count }, (_, n) => {
      const vector = new Float32Array(world.model.dims)
      vector[n] = 1
      const item_id = `shop:1:${n}`
      const value = serde.serialize({
        item_id,
        vector,
        content_hash: `h${n}`,
        model_digest: world.model.digest,
        card,
        source_updated_at: 1_700_000_000_000,
        ingested_at: 1_700_000_000_000,
      })
      return { topic: name, key: Buffer.from(item_id), value, timestamp_ms: 1_700_000_000_000 }
    }),
  )
  let committed = 0
  let done: () => void = () => undefined
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const stages = await world.start(['index'], (event) => {
    if (event.event === 'committed') committed += event.records
    if (committed === count) done()
  })
  await all
  await stages.stop()
  return world
}

test('drift is told with exit code 1, repaired, and gone; a rebuild finds none', async () => {
  const world = await fill(6)
  expect(await entrepot('repair', '--dry-run')).toMatchObject({
    code: exit_codes.misconfigured,
    erred: expect.stringContaining('Stop it'),
  })
  const index = await world.index()
  const seen = (await index.points('items', ['shop:1:2'])).get('shop:1:2')!.version
  await index.correct([{ space: 'items', id: 'shop:1:2', vector: null, payload: {}, version: seen, seen }])
  await index.write([{ space: 'users', id: 'k1.nobody', vector: new Float32Array(world.model.dims).fill(1), payload: {} }], 0)
  await world.close()

  const dry = await entrepot('repair', '--dry-run')
  expect(dry.code).toBe(exit_codes.findings)
  expect(dry.said).toMatch(/missing +1 +0\nahead +0 +1\n/u)
  expect(dry.said).toContain('2 points differ; 6 items and 0 users compared')
  expect(await entrepot('repair')).toMatchObject({
    code: exit_codes.ok,
    said: expect.stringContaining('2 of 2 points put right'),
  })
  const clean = await entrepot('repair', '--deep', '--json')
  expect(clean.code).toBe(exit_codes.ok)
  expect(JSON.parse(clean.said)).toMatchObject({ complete: true, remaining: 0, points: { items: 6, users: 0 } })
  expect(await entrepot('rebuild')).toMatchObject({
    code: exit_codes.ok,
    said: expect.stringContaining('6 records copied to vectors.db'),
  })
  expect(JSON.parse((await entrepot('repair', '--deep', '--json')).said)).toMatchObject({ remaining: 0, points: { items: 6 } })
}, 60_000)
