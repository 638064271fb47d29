/** What the processor promises whatever the platform: nothing lost, nothing twice, nothing out of order, the same bytes on every replay. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { nearest } from '../config/nearest.ts'
import { documentOf } from '../config/yaml.ts'
import { digest128 } from '../domain/digest.ts'
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import type { Header } from '../domain/record.ts'
import type { Outcome } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { SourceDecoder, SourceValue } from '../ports/schema-registry.ts'
import type { StateChange, StateReader } from '../ports/state-store.ts'
import { compilePlatform } from './compile.ts'
import type { Platform } from './platform.ts'
import { type CanonicalizeSettings, canonicalize } from './processor.ts'
import { seenIndex } from './seen.ts'
import { default_settings } from './settings.ts'
import { forget_after_days } from './shelf.ts'

const day_ms = 86_400_000
const start_ms = Date.UTC(2026, 9, 1)
const topic = <V>(name: string): Topic<V> => ({ name, key: '', schema: '', partitions: 1, keep: 'latest', holds: '' })
const topics = { items: topic<Item>('items'), interactions: topic<Interaction>('interactions') }

const platformOf = (name: string, maps: Record<string, string>): Platform => {
  const { platform, findings } = compilePlatform(
    {
      name,
      common: null,
      cases: [],
      maps: Object.entries(maps).map(([kind, text]) => {
        const { document } = documentOf(text, `${kind}.yaml`)
        if (document?.kind !== 'map') throw new Error('no map')
        return { kind, document, text, schema: null }
      }),
    },
    { nearest },
  )
  if (platform === null) throw new Error(JSON.stringify(findings))
  return platform
}

const corner = platformOf('corner', {
  items: `
emits: items
format: PLAIN_JSON
fields: { source_variant_id: id, title: name, price_minor: price, currency: currency, source_updated_at: at | time('ms') }
`,
  clicks: `
emits: interactions
format: PLAIN_JSON
user: { login: user }
fields: { event_id: id, type: "VIEW", item: item, query: query, occurred_at: at | time('ms') }
`,
})

const settings: CanonicalizeSettings = { ...default_settings, user_secret: Buffer.alloc(32, 7), user_key_version: 'k1' }

/** Values stand in the bytes as JSON; a value that is a fault is answered as such. */
const sources: SourceDecoder = {
  decode: async (_topic, _format, values) =>
    values.map((value) => {
      const text = value.toString()
      return text === 'bad' ? new Fault('json.syntax', 'Not JSON.') : { value: JSON.parse(text) as SourceValue, schema_id: null }
    }),
}

type In = { readonly value: unknown; readonly time?: number; readonly key?: string; readonly headers?: readonly Header[] }

/** A partition that is run in batches, with the state a store would hold. */
const partition = (of: CanonicalizeSettings = settings, name = 'source.corner.clicks') => {
  const processor = canonicalize([corner], topics, of)
  const entries = new Map<string, Buffer>()
  const state: StateReader = {
    get: (key) => entries.get(key),
    entries: (prefix, limit) =>
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit),
  }
  let reads = processor.reads({ sources } as never, state)
  let offset = 0
  const apply = (changes: readonly StateChange[]): void => {
    for (const { key, value } of changes)
      if (value === null) entries.delete(key)
      else entries.set(key, value)
  }
  const run = async (records: readonly In[], commit = true): Promise<Outcome> => {
    const first = offset
    const outcome = await processor.run(
      {
        topic: name,
        partition: 0,
        now_ms: 4_000_000_000_000,
        records: records.map(({ value, time, key, headers }, i) => ({
          offset: first + i,
          key: key ?? 'k',
          value: { bytes: value === null ? null : Buffer.from(value === 'bad' ? 'bad' : JSON.stringify(value)) },
          bytes: null,
          timestamp_ms: time ?? start_ms,
          headers: headers ?? [],
        })),
      },
      reads,
    )
    if (commit) {
      apply(outcome.state ?? [])
      offset += records.length
    }
    return outcome
  }
  const restart = () => {
    reads = processor.reads({ sources } as never, state)
  }
  return { run, restart, entries, processor }
}

const fates = (outcome: Outcome): string[] =>
  [
    ...outcome.emit.map(({ causes }) => `${causes[0]} emitted`),
    ...(outcome.dropped ?? []).map((drop) => `${drop.at} ${'fault' in drop ? drop.fault.code : drop.reason}`),
  ].sort()

const click = (id: number | string, more: Record<string, unknown> = {}) => ({
  value: { id: String(id), user: 'u', item: 'i', at: start_ms, ...more },
})

describe('interactions', () => {
  test('every record has one end, and one bad record takes nobody along', async () => {
    const outcome = await partition().run([
      click(1),
      { value: 'bad' },
      click(1),
      click(2, { user: '' }),
      { value: null },
      click(3),
    ])
    expect(fates(outcome)).toEqual(['0 emitted', '1 json.syntax', '2 duplicate', '3 semantics.user', '4 tombstone', '5 emitted'])
  })

  test('users leave as pseudonyms: nothing of the id is in the output, and realms are kept apart', async () => {
    const id = 'jane.doe@example.com'
    const a = await partition().run([click(1, { user: id })])
    const b = await partition({ ...settings, shops: { corner: { user_realm: 'market' } } }).run([click(1, { user: id })])
    const c = await partition({ ...settings, user_key_version: 'k2', user_secret: Buffer.alloc(32, 8) }).run([
      click(1, { user: id }),
    ])
    const keys = [a, b, c].map(({ emit }) => emit[0]!.key)
    expect(new Set(keys).size).toBe(3)
    expect(keys[0]).toMatch(/^k1\.[\w-]{22}$/u)
    expect(keys[2]).toMatch(/^k2\./u)
    expect(JSON.stringify([a.emit, a.state])).not.toContain('jane')
  })

  test('an address in a free field is refused without being named', async () => {
    const outcome = await partition().run([click(1, { query: 'write to jane.doe@example.com' })])
    const [drop] = outcome.dropped!
    expect(fates(outcome)).toEqual(['0 privacy.raw_id'])
    expect('fault' in drop! && `${drop.fault.message}${JSON.stringify(drop.fault.detail)}`).not.toContain('jane')
  })

  test('a repeated id with other content is a conflict that names both fingerprints; the first stands', async () => {
    const p = partition()
    await p.run([click(1)])
    const outcome = await p.run([click(1, { item: 'other' }), click(1)])
    expect(fates(outcome)).toEqual(['1 id.conflict', '2 duplicate'])
    const [drop] = outcome.dropped!
    expect('fault' in drop! && drop.fault.detail).toEqual({
      first: expect.stringMatching(/^[0-9a-f]{8}$/u),
      now: expect.stringMatching(/^[0-9a-f]{8}$/u),
    })
  })

  test('ids are forgotten after the horizon by record time, and the oldest first beyond the bound', async () => {
    const p = partition({ ...settings, late_after_ms: null })
    await p.run([{ ...click(1), time: start_ms }])
    expect(fates(await p.run([{ ...click(1), time: start_ms + 6 * day_ms }]))).toEqual(['1 duplicate'])
    expect(fates(await p.run([{ ...click(1), time: start_ms + 8 * day_ms }]))).toEqual(['2 emitted'])

    const small = partition({ ...settings, dedupe_ids_max: 100 })
    await small.run(Array.from({ length: 150 }, (_, i) => click(i)))
    expect(fates(await small.run([click(149), click(60), click(10)]))).toEqual(['150 duplicate', '151 duplicate', '152 emitted'])
  })

  test('a batch that was run but never committed leaves no trace; a restart finds what was committed', async () => {
    const p = partition()
    await p.run([click(1)])
    await p.run([click(2)], false)
    expect(fates(await p.run([click(2), click(1)]))).toEqual(['1 emitted', '2 duplicate'])
    p.restart()
    expect(fates(await p.run([click(1), click(2), click(3)]))).toEqual(['3 duplicate', '4 duplicate', '5 emitted'])
  })

  test('late events: told after five minutes, dropped after the bound, kept when history is replayed', async () => {
    const at = (behind_ms: number) => ({ ...click(behind_ms), time: start_ms + behind_ms })
    const outcome = await partition().run([at(0), at(299_000), at(3_600_000), at(31 * day_ms)])
    expect(outcome.emit.map(({ value }) => (value as Interaction).late_by_ms)).toEqual([0, 0, 3_600_000])
    expect(fates(outcome)).toContain('3 late')
    for (const late_after_ms of [null, 0])
      expect((await partition({ ...settings, late_after_ms }).run([at(31 * day_ms)])).emit.length).toBe(1)
  })

  test.each([
    ['missing', -1],
    ['in the year 9999', 253_370_764_800_000],
  ])('a record whose own time is %s gets the batch’s, and says so', async (_what, time) => {
    const outcome = await partition().run([{ ...click(1, { at: null }), time }])
    const event = outcome.emit[0]!.value as Interaction
    expect(event.received_at).toBe(4_000_000_000_000)
    expect(event.provenance.rewrites).toContainEqual({
      field: 'ingested_at',
      from: String(time),
      to: '4000000000000',
      rule: 'time.append',
    })
  })
})

describe('items', () => {
  const item = (version: number, more: Record<string, unknown> = {}) => ({
    value: { id: '1', name: 'Mug', price: '5.00', currency: 'EUR', at: start_ms + version, ...more },
  })
  const of = () => partition(settings, 'source.corner.items')

  test('the newest version wins in any order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 6 }),
        fc.integer({ min: 1, max: 6 }),
        async (versions, cut) => {
          const p = of()
          const records = versions.map((version) => item(version, { name: `Mug ${version}` }))
          const out = [...(await p.run(records.slice(0, cut))).emit, ...(await p.run(records.slice(cut))).emit]
          expect((out.at(-1)!.value as Item).title).toBe('Mug 6')
          const emitted = out.map(({ value }) => (value as Item).source_updated_at)
          expect(emitted).toEqual([...emitted].sort((a, b) => a - b))
        },
      ),
      { numRuns: 40 },
    )
  })

  test('an unchanged listing moves the version on, so that what is older than it stays out', async () => {
    const outcome = await of().run([item(10), item(30), item(20, { name: 'Old mug' })])
    expect(fates(outcome)).toEqual(['0 emitted', '1 unchanged', '2 stale'])
  })

  test('event ids are made of platform, id and version: the same on every replay, another for another version', async () => {
    const run = async () =>
      (await of().run([item(1), item(2, { name: 'Cup' })])).emit.map(({ value }) => (value as Item).event_id)
    const [a, b] = await run()
    expect(a).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/u)
    expect(b).not.toBe(a)
    expect(await run()).toEqual([a, b])
  })

  test('what was deleted is forgotten a month later, and its state is gone', async () => {
    const p = of()
    await p.run([item(1)])
    await p.run([{ value: null, key: '1', time: start_ms + day_ms }])
    expect([...p.entries.keys()].filter((key) => key.startsWith('o/')).length).toBe(1)
    for (const days of [forget_after_days + 2, forget_after_days + 3])
      await p.run([{ value: { id: `n${days}`, name: 'Cup', at: start_ms }, time: start_ms + days * day_ms }])
    expect([...p.entries.keys()].filter((key) => key.startsWith('o/')).length).toBe(2)
    expect([...p.entries.keys()].filter((key) => key.startsWith('x/')).length).toBe(0)
  })
})

test('outputs do not depend on how records are cut into batches, nor on restarts or lost commits', async () => {
  const event = fc.record({
    id: fc.integer({ min: 0, max: 30 }),
    item: fc.constantFrom('a', 'a', 'a', 'b'),
    day: fc.integer({ min: 0, max: 20 }),
    user: fc.constantFrom('u', 'v', ''),
  })
  const cut = fc.record({ size: fc.integer({ min: 1, max: 7 }), restart: fc.boolean(), lost: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 1, maxLength: 60 }),
      fc.array(cut, { minLength: 1, maxLength: 10 }),
      async (events, cuts) => {
        const of = { ...settings, late_after_ms: null, dedupe_ids_max: 20 }
        const records = events.map(({ id, item, day, user }) => ({ ...click(id, { item, user }), time: start_ms + day * day_ms }))
        const whole = await partition(of).run(records)
        const p = partition(of)
        const emit: unknown[] = []
        const dropped: unknown[] = []
        for (let at = 0, turn = 0; at < records.length; turn++) {
          const { size, restart, lost } = cuts[turn % cuts.length]!
          if (restart) p.restart()
          if (lost) await p.run(records.slice(at, at + 3), false)
          const outcome = await p.run(records.slice(at, at + size))
          emit.push(...outcome.emit)
          dropped.push(...(outcome.dropped ?? []))
          at += size
        }
        expect(emit).toEqual(whole.emit)
        expect(dropped.map(String)).toEqual((whole.dropped ?? []).map(String))
        expect(JSON.stringify(dropped)).toBe(JSON.stringify(whole.dropped ?? []))
      },
    ),
    { numRuns: 60 },
  )
})

test('the index of seen ids equals a plain map, through growth, expiry and bounds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 3 })), { maxLength: 600 }),
      fc.integer({ min: 1, max: 200 }),
      (steps, batch_size) => {
        const ids_max = 150
        const horizon_s = 40
        const entries = new Map<string, Buffer>()
        const state: StateReader = { get: (key) => entries.get(key), entries: () => [] }
        const index = seenIndex(state, { horizon_ms: horizon_s * 1000, ids_max })
        const model = new Map<number, { fingerprint: number; second: number; ordinal: number }>()
        let second = Math.floor(start_ms / 1000)
        let newest = 0
        let ordinal = 0
        for (let from = 0; from < steps.length; from += batch_size) {
          const batch = index.batch()
          for (const [id, step] of steps.slice(from, from + batch_size)) {
            second += step
            const digest = digest128(String(id))
            const known = model.get(id)
            const alive =
              known !== undefined && known.second >= Math.max(newest, second) - horizon_s && ordinal - known.ordinal <= ids_max
            expect(batch.find(digest, second * 1000)).toBe(alive ? known.fingerprint : undefined)
            if (alive) continue
            newest = Math.max(newest, second)
            batch.add(digest, id * 3, second * 1000)
            model.set(id, { fingerprint: id * 3, second: newest, ordinal: ordinal++ })
          }
          for (const { key, value } of batch.changes())
            if (value === null) entries.delete(key)
            else entries.set(key, value)
          expect([...entries.values()].reduce((sum, value) => sum + value.length, 0)).toBeLessThan(
            24 * (ids_max + 2 * batch_size + 4096),
          )
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a secret that is too short, and two maps of one topic, are refused', () => {
  expect(() => canonicalize([corner], topics, { ...settings, user_secret: Buffer.alloc(8) })).toThrow(/at least 16 bytes/u)
  expect(() => canonicalize([corner, corner], topics, settings)).toThrow(/read by two maps/u)
})

describe('one record cannot ask for work without end', () => {
  const shop = platformOf('mall', {
    items: `
emits: items
format: PLAIN_JSON
emit:
  - each: { variant: variants }
    fields:
      source_variant_id: variant.id
      title: record.title
      description: record.text | html
      url: record.images[id == variant.image].src
`,
  })
  const run = async (value: unknown) => {
    const processor = canonicalize([shop], topics, settings)
    const state: StateReader = { get: () => undefined, entries: () => [] }
    const record = { offset: 0, key: 'k', value: { bytes: Buffer.from(JSON.stringify(value)) }, bytes: null, headers: [] }
    const batch = { topic: 'source.mall.items', partition: 0, now_ms: start_ms, records: [{ ...record, timestamp_ms: start_ms }] }
    const { emit, dropped } = await processor.run(batch, processor.reads({ sources } as never, state))
    return emit.length > 0 ? emit.length : (dropped ?? []).map((drop) => ('fault' in drop ? drop.fault.code : drop.reason))
  }
  const variants = (count: number) => Array.from({ length: count }, (_, i) => ({ id: i + 1, image: i }))
  const images = (count: number) => Array.from({ length: count }, (_, id) => ({ id, src: 'https://example.com/a' }))

  test.each<[string, unknown, unknown]>([
    [
      'a product as large as shops have them',
      { title: 'T', text: '<p>word '.repeat(500), images: images(250), variants: variants(500) },
      500,
    ],
    ['a long text in each of many', { title: 'T', text: 'word '.repeat(4_000), variants: variants(2_000) }, ['emit.too_large']],
    ['more outputs than a record may have', { title: 'T', variants: variants(10_001) }, ['limits.items']],
  ])('%s', async (_, value, outcome) => expect(await run(value)).toEqual(outcome))
})

test('a payload cannot pass for what a function makes', async () => {
  const at = { epoch_ms: start_ms }
  const outcome = await partition().run([click(1, { at }), click(2, { at: [at] })])
  expect(fates(outcome)).toEqual(['0 map.type', '1 map.type'])
  const priced = await partition(settings, 'source.corner.items').run([
    { value: { id: '1', name: 'N', price: { minor_units: 5 }, currency: 'EUR', at: start_ms } },
  ])
  expect(fates(priced)).toEqual(['0 map.type'])
})
