/** `entrepot model lanes|upgrade|rollback|drop` on a folder, with two real encoders, from the arguments to the exit code. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openDatabase } from '../adapters/embedded/database.ts'
import { openEmbeddedLog } from '../adapters/embedded/event-log.ts'
import { tinyFolder } from '../adapters/onnx/tiny-model.fixture.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { loadSettings } from '../config/load.ts'
import type { Item } from '../domain/item.ts'
import { item } from '../embed/item.fixture.ts'
import { no_log } from '../telemetry/log.ts'
import { model_drop, model_lanes, model_rollback, model_upgrade } from './commands/model-lanes.ts'
import { openWorld } from './compose.ts'
import { runCommandLine } from './frame.ts'
import { exit_codes } from './signals.ts'
import { openTerminal } from './terminal.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-lanes-'))
  for (const [model, card] of [
    ['one', {}],
    ['two', { tokens_max: 16 }],
  ] as const) {
    mkdirSync(join(folder, model))
    for (const [name, bytes] of Object.entries(tinyFolder({}, { name: `tiny-${model}`, ...card })))
      writeFileSync(join(folder, model, name), bytes)
  }
  writeFileSync(
    join(folder, 'entrepot.yaml'),
    `topics: { partitions: 2 }\nplatforms: { enabled: [shopify] }\nmodel: { folder: ${join(folder, 'one')}, reembed_share: 1 }\n`,
  )
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const entrepot = async (...argv: readonly string[]) => {
  let said = ''
  let erred = ''
  const code = await runCommandLine({
    commands: [model_lanes, model_upgrade, model_rollback, model_drop],
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

const settings = () =>
  loadSettings({ file: join(folder, 'entrepot.yaml'), env: {}, set: ['mode=embedded', `data.folder=${folder}`] }).settings

const titles = ['steel kettle', 'red kettle', 'garden bench', 'red bench', 'usb-c cable', 'steel cable']

const fill = async (titles: readonly string[]): Promise<void> => {
  const world = await openWorld(settings())
  try {
    await world.prepare()
    const { name, schema } = world.topics.items
    const serde = await (await world.serdes()).of<Item>(name, schema)
    await (await world.log()).append(
      titles.map((title, n) => {
        const value = item({ item_id: `shop:1:${n}`, title })
        return { topic: name, key: Buffer.from(value.item_id), value: serde.serialize(value), timestamp_ms: Date.now() }
      }),
    )
    const stages = await world.start(['embed', 'index'], () => undefined)
    const index = await world.index()
    for (let i = 0; i < 500 && (await index.describe()).points.items < titles.length; i++) await systemClock.sleep(20)
    await stages.stop()
  } finally {
    await world.close()
  }
}

const lanes = async (): Promise<readonly { lane: string; model: string; role: string }[]> =>
  (
    JSON.parse((await entrepot('model', 'lanes', '--json')).said) as { lanes: { lane: string; model: string; role: string }[] }
  ).lanes.map(({ lane, model, role }) => ({ lane, model, role }))

test('a lane is filled and goes live, is rolled back, and what is not live is dropped', async () => {
  await fill(titles)
  expect(await lanes()).toEqual([{ lane: 'first', model: 'tiny-one', role: 'live' }])

  const upgraded = await entrepot('model', 'upgrade', '--to', join(folder, 'two'))
  expect(upgraded.code).toBe(exit_codes.ok)
  expect(upgraded.said).toContain('tiny-two is live')
  const lane = (await lanes())[1]!.lane
  expect(await lanes()).toEqual([
    { lane: 'first', model: 'tiny-one', role: 'kept, to go back to' },
    { lane, model: 'tiny-two', role: 'live' },
  ])
  expect(existsSync(join(folder, `lane-${lane}`, 'vectors.db'))).toBe(true)
  expect((await entrepot('model', 'upgrade', '--to', join(folder, 'two'))).said).toContain('live already')

  // The settings name the old model alone: it is refused to work with, by name.
  const stale = await openWorld(settings(), { stages: ['index'] })
  await expect(stale.index()).rejects.toMatchObject({ code: 'model.changed' })
  await stale.close()

  expect((await entrepot('model', 'drop', lane)).erred).toContain('is live')
  const back = await entrepot('model', 'rollback')
  expect([back.code, back.said]).toEqual([exit_codes.ok, expect.stringContaining('tiny-one is live again')])
  const world = await openWorld(settings(), { stages: ['index'] })
  expect((await (await world.index()).describe()).points.items).toBe(titles.length)
  await world.close()

  const dropped = await entrepot('model', 'drop', lane)
  expect([dropped.code, dropped.said]).toEqual([exit_codes.ok, expect.stringContaining('is deleted')])
  expect(existsSync(join(folder, `lane-${lane}`))).toBe(false)
  const opened = await openWorld(settings(), { stages: [] })
  expect((await (await opened.log()).listTopics()).filter((topic) => topic.endsWith(`.${lane}`))).toEqual([])
  await opened.close()
  expect((await entrepot('model', 'rollback')).erred).toContain('no lane to go back to')

  // Given up is not for ever: it is filled anew.
  const again = await entrepot('model', 'upgrade', '--to', join(folder, 'two'), '--share', '1')
  expect([again.code, again.said]).toEqual([exit_codes.ok, expect.stringContaining(`${titles.length} items`)])
}, 60_000)

/** How many records the lane's vectors have, while another process owns the folder. */
const embeddedSoFar = async (): Promise<number> => {
  const database = openDatabase(folder, { access: 'read' })
  const log = openEmbeddedLog(database, { clock: systemClock })
  try {
    const topic = (await log.listTopics()).find((name) => name.startsWith('catalog.vectors.v1.'))
    return topic === undefined ? 0 : (await log.offsets(topic)).reduce((sum, { end }) => sum + end, 0)
  } finally {
    await log.close()
    database.close()
  }
}

test('killed at work, it goes on where it was: every item once', async () => {
  const count = 600
  await fill(Array.from({ length: count }, (_, n) => `steel kettle ${n}`))
  const launcher = fileURLToPath(new URL('./entrepot.js', import.meta.url))
  const arguments_given = ['model', 'upgrade', '--to', join(folder, 'two'), '--share', '0.01', '--data', folder]
  const child = spawn(process.execPath, [launcher, ...arguments_given], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  let done = 0
  while (child.exitCode === null && done < 64) {
    done = await embeddedSoFar()
    await systemClock.sleep(20)
  }
  child.kill('SIGKILL')
  await exited
  done = await embeddedSoFar()
  expect(done).toBeGreaterThanOrEqual(64)
  expect(done).toBeLessThan(count)
  const upgraded = await entrepot('model', 'upgrade', '--to', join(folder, 'two'), '--share', '1')
  expect([upgraded.code, upgraded.said]).toEqual([exit_codes.ok, expect.stringContaining(`${count} items`)])
  expect(await embeddedSoFar()).toBe(count)
}, 90_000)

test('what cannot be done is said', async () => {
  await fill(titles)
  expect((await entrepot('model', 'drop', 'nothing')).erred).toContain('There is no lane nothing')
  expect((await entrepot('model', 'upgrade')).erred).toContain('model.next')
  expect((await entrepot('model', 'upgrade', '--to', join(folder, 'two'), '--share', '3')).erred).toContain('0.01 to 1')
  expect((await entrepot('model', 'upgrade', '--to', join(folder, 'one'))).said).toContain('live already')
}, 30_000)
