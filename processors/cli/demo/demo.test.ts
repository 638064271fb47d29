import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../../adapters/memory/embedder.ts'
import type { Recommendation } from '../../domain/recommendation.ts'
import { no_log } from '../../telemetry/log.ts'
import { dlq_ls, dlq_replay, dlq_show } from '../commands/dlq.ts'
import { recommend } from '../commands/recommend.ts'
import { openWorld } from '../compose.ts'
import { runCommandLine } from '../frame.ts'
import { sumOf } from '../tally.ts'
import { openTerminal } from '../terminal.ts'
import { breaks } from './broken.ts'
import { type DemoResult, runDemo } from './demo.ts'
import { openMarket } from './market.ts'
import { demoHolds, reportLines } from './report.ts'
import { makeDemoFolder } from './settings.ts'

const parent = mkdtempSync(join(tmpdir(), 'entrepot-demo-test-'))
afterAll(() => rmSync(parent, { recursive: true, force: true }))

const text: string[] = []
const terminal = openTerminal({ write: (line) => text.push(line), columns: 100 }, {})

/** Runs one command line and gives its exit code and JSON. */
const ask = async (...argv: readonly string[]): Promise<{ code: number; said: unknown; told: string }> => {
  const out: string[] = []
  const err: string[] = []
  const code = await runCommandLine({
    commands: [recommend, dlq_ls, dlq_show, dlq_replay],
    argv: [...argv, '--json'],
    env: {},
    out: openTerminal({ write: (line) => out.push(line) }, {}),
    err: openTerminal({ write: (line) => err.push(line) }, {}),
    version: '0',
    openLog: () => no_log,
    stopping: () => new AbortController().signal,
  })
  const said = out.join('')
  return { code, said: said === '' ? null : JSON.parse(said), told: err.join('') }
}

type Group = { reason: string; topic: string; count: number; example: { place: string } }

describe('a small market through the whole embedded river', () => {
  const folder = join(parent, 'market')
  let result: DemoResult

  beforeAll(async () => {
    result = await runDemo(terminal, {
      seed: 11,
      seconds: 8,
      folder,
      products: 70,
      rate: 120,
      broken: 0.1,
      signal: new AbortController().signal,
      embedder: memoryEmbedder(64),
    })
  }, 60_000)

  test('loses nothing: records in = canonical + dropped + dead-lettered, in the topics and as counted', () => {
    const open = result.balances.filter((one) => !one.holds)
    expect(open).toEqual([])
    expect(demoHolds(result)).toBe(true)
    expect(result.balances.reduce((sum, one) => sum + one.records, 0)).toBe(result.published)
    expect(result.published).toBeGreaterThan(300)
  })

  test('each broken event dies of its own code, each oddity is dropped for its own reason', () => {
    const actual = { dropped: {} as Record<string, number>, dead: {} as Record<string, number> }
    for (const { counted } of result.balances)
      for (const end of ['dropped', 'dead'] as const)
        for (const [name, n] of Object.entries(counted![end])) actual[end][name] = (actual[end][name] ?? 0) + n
    expect(actual).toEqual(result.meant)
    expect(Object.keys(result.meant.dead).sort()).toEqual([...new Set(breaks.map(({ code }) => code))].sort())
    expect(Object.keys(result.meant.dropped)).toEqual(expect.arrayContaining(['duplicate', 'parent_listing', 'bundle', 'draft']))
  })

  test('a click on what no shop lists ends as join.missing, after learning waited for it', () => {
    expect(result.tally.stage('learn').topics.get('behavior.interactions.v1')!.dead).toEqual({ 'join.missing': 1 })
  })

  test('a few clicks on something new move the list', () => {
    const { before, after } = result
    const old = new Set(before!.items.map((item) => item.item_id))
    expect(after!.items.filter((item) => !old.has(item.item_id)).length).toBeGreaterThan(0)
    expect(after!.profile_version).toBeGreaterThan(before!.profile_version)
    expect(after!.items.every((item) => Number.isFinite(item.score) && item.offers.length > 0)).toBe(true)
  })

  test('no list shows an item twice, or one product as two', async () => {
    const world = await openWorld(result.world_settings, { embedder: memoryEmbedder(64) })
    try {
      const { name, schema } = world.topics.recommendations
      const serde = await (await world.serdes()).of<Recommendation>(name, schema)
      const log = await world.log()
      const lists: Recommendation[] = []
      for (const { partition } of await log.offsets(name))
        for await (const { value } of log.scan({ topic: name, partition }, 0))
          for (const list of await serde.deserialize(value === null ? [] : [value])) lists.push(list as Recommendation)
      expect(lists.length).toBeGreaterThan(20)
      const index = await world.index()
      for (const { items } of lists) {
        const shown = items.flatMap((item) => item.offers.map((offer) => offer.item_id))
        expect(new Set(shown).size).toBe(shown.length)
        const points = await index.points(
          'items',
          items.map((item) => item.item_id),
        )
        const gtins = [...points.values()].flatMap(({ payload }) =>
          typeof payload['gtin'] === 'string' ? [payload['gtin']] : [],
        )
        expect(new Set(gtins).size).toBe(gtins.length)
      }
    } finally {
      await world.close()
    }
  }, 30_000)

  test('the report fits its terminal and names what to try next', () => {
    const lines = reportLines(terminal, result, folder)
    expect(lines.join('\n')).toContain(`npx entrepot recommend ${result.user.login} --platform ga4`)
    expect(lines.join('\n')).toContain('holds on each of')
    expect(text.filter((line) => line.includes('shoppers')).length).toBeGreaterThan(0)
    expect(sumOf(result.meant.dead)).toBeGreaterThan(0)
  })

  const data = ['--data', folder]

  test('recommend finds the list by the platform’s own id, by pseudonym, and says why there is none', async () => {
    const by_id = await ask('recommend', result.user.login, '--platform', 'ga4', ...data)
    expect(by_id).toMatchObject({ code: 0, said: { user_key: result.user.key, items: expect.any(Array) } })
    expect((await ask('recommend', result.user.key, ...data)).said).toEqual(by_id.said)
    const stranger = await ask('recommend', '1', '--platform', 'ga4', ...data)
    expect([stranger.code, stranger.told]).toEqual([1, expect.stringContaining('Nobody knows')])
    expect((await ask('recommend', 'somebody', ...data)).code).toBe(2)
  }, 30_000)

  test('dlq ls counts what was meant to die, dlq show gives back the bytes', async () => {
    const { said } = await ask('dlq', 'ls', ...data)
    const counts = Object.fromEntries(
      (said as Group[]).filter(({ topic }) => topic.startsWith('source.')).map((group) => [group.reason, group.count]),
    )
    expect(counts).toEqual(result.meant.dead)
    const empty = (said as Group[]).find(({ reason }) => reason === 'decode.empty')
    const shown = await ask('dlq', 'show', (empty ?? (said as Group[])[0]!).example.place, ...data)
    expect(shown).toMatchObject({ code: 0, said: { reason: empty === undefined ? expect.any(String) : 'decode.empty' } })
    expect((await ask('dlq', 'ls', '--reason', 'no.such', ...data)).code).toBe(2)
  }, 30_000)

  test('dlq replay tries by default, sends once with --yes, and never twice', async () => {
    const reason = Object.keys(result.meant.dead)[0]!
    const n = result.meant.dead[reason]
    const dry = await ask('dlq', 'replay', '--reason', reason, ...data)
    expect(dry.said).toMatchObject({ dry_run: true, count: n })
    const sent = await ask('dlq', 'replay', '--reason', reason, '--yes', ...data)
    expect(sent.said).toMatchObject({ dry_run: false, count: n, before: 0 })
    const again = await ask('dlq', 'replay', '--reason', reason, '--yes', ...data)
    expect(again.said).toMatchObject({ count: 0, before: n })
  }, 30_000)
})

test('the same seed tells the same story', () => {
  const story = (seed: number) => {
    const market = openMarket({ seed, products: 80, shoppers: 10, now_ms: 1_790_000_000_000 })
    const events = [
      ...market.catalogue(),
      ...Array.from({ length: 300 }, (_, i) => market.step(1_790_000_000_000 + i * 20)).flat(),
    ]
    return JSON.stringify(events, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  }
  expect(story(5)).toBe(story(5))
  expect(story(5)).not.toBe(story(6))
})

test('the demo makes its own folder anew and leaves anybody else’s alone', () => {
  const own = join(parent, 'own')
  makeDemoFolder(own)
  writeFileSync(join(own, 'left-over'), '')
  expect(makeDemoFolder(own).data.folder).toBe(own)
  const other = join(parent, 'other')
  mkdirSync(other)
  writeFileSync(join(other, 'precious'), '')
  expect(() => makeDemoFolder(other)).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
