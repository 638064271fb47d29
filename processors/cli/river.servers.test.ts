/** The whole river on real servers: every record accounted for, restarted, shared, and killed at work. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { loadSettings } from '../config/load.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import type { Profile } from '../domain/profile.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { rebuild } from '../index/rebuild.ts'
import { reconcile } from '../index/reconcile.ts'
import { indexedTopics } from '../index/topics.ts'
import type { Embedder } from '../ports/embedder.ts'
import { balanceOf } from './balance.ts'
import { openWorld } from './compose.ts'
import { type DeadLetter, deadLetters } from './dead-letters.ts'
import { platformsWithOwnTopics } from './own-topics.fixture.ts'
import { openPublisher, type ToPublish } from './publish.ts'
import { all_stages, underWay, waitUntil } from './quiet.ts'
import { openTally, type Tally } from './tally.ts'
import type { RunningStages, World } from './world.ts'

const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, QDRANT_URL } = process.env
const missing = [
  ...(KAFKA_BROKERS === undefined ? ['KAFKA_BROKERS'] : []),
  ...(SCHEMA_REGISTRY_URL === undefined ? ['SCHEMA_REGISTRY_URL'] : []),
]
const not_checked = (what: string, why: string): void => void process.stderr.write(`NOT CHECKED ${what}: ${why}\n`)

const launcher = fileURLToPath(new URL('./entrepot.js', import.meta.url))
const platforms = ['abt', 'segment', 'woocommerce']
const items = 60
const shoppers = 24

type Latest = ReadonlyMap<string, Buffer>

/** The newest value of each key of a compacted topic; deleted keys are absent. */
const latest = async (world: World, topic: string): Promise<Latest> => {
  const log = await world.log()
  const values = new Map<string, Buffer>()
  for (const { partition, start } of await log.offsets(topic))
    for await (const { key, value } of log.scan({ topic, partition }, start)) {
      if (value === null) values.delete(key!.toString())
      else values.set(key!.toString(), value)
    }
  return values
}

const allOf = async <V>(world: World, topic: { readonly name: string; readonly schema: string }): Promise<readonly V[]> => {
  const log = await world.log()
  const serde = await (await world.serdes()).of<V>(topic.name, topic.schema)
  const bytes: Buffer[] = []
  for (const { partition, start } of await log.offsets(topic.name))
    for await (const { value } of log.scan({ topic: topic.name, partition }, start)) if (value !== null) bytes.push(value)
  return (await serde.deserialize(bytes)).map((value) => {
    if (value instanceof Fault) throw value
    return value
  })
}

/** One digest over every user's profile, without the registry's id of the schema. */
const digestOfProfiles = (profiles: Latest): string => {
  const hash = createHash('sha256')
  for (const [user, value] of [...profiles].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${user} `).update(value.subarray(5))
  return hash.digest('hex')
}

const product = (number: number, at_ms: number): ToPublish =>
  number % 3 === 0
    ? {
        platform: 'abt',
        kind: 'items',
        key: String(number),
        value: {
          id: String(number),
          name: `Turntable ${number}`,
          description: `belt drive, series ${number % 7}`,
          price: '38.99',
        },
        timestamp_ms: at_ms,
      }
    : {
        platform: 'woocommerce',
        kind: 'items',
        key: String(number),
        value: {
          id: number,
          name: `Becher ${number}`,
          type: 'simple',
          status: 'publish',
          description: `<p>Becher aus Steingut, Serie ${number % 7}</p>`,
          price: '12.90',
          stock_status: 'instock',
          date_modified_gmt: '2026-10-01T10:00:00',
        },
        timestamp_ms: at_ms,
      }

/** View `number` of a catalogue item that WooCommerce lists. */
const view = (number: number, at_ms: number): ToPublish => {
  const user = `user-${number % shoppers}`
  const item = 1 + ((number * 7) % (items - 1))
  return {
    platform: 'segment',
    kind: 'events',
    key: user,
    value: {
      type: 'track',
      event: number % 5 === 0 ? 'Product Added' : 'Product Viewed',
      messageId: `message-${number}`,
      anonymousId: `device-${user}`,
      userId: user,
      timestamp: new Date(at_ms).toISOString(),
      properties: { product_id: String(item % 3 === 0 ? item + 1 : item), currency: 'EUR', price: 12.9 },
    },
    timestamp_ms: at_ms,
  }
}

type Started = { readonly world: World; readonly running: RunningStages; readonly tally: Tally }

const describeOnServers = missing.length === 0 ? describe : describe.skip
if (missing.length > 0)
  not_checked('the river on real servers (all laws)', `${missing.join(' and ')} not set; \`npm run test:servers\` starts them.`)
else if (QDRANT_URL === undefined)
  not_checked('sharing of index, learn and recommend between processes', 'QDRANT_URL is not set; the embedded index is used.')

describeOnServers('the river on real servers', () => {
  const run = `test-${randomBytes(4).toString('hex')}.`
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-river-'))
  const never = new AbortController().signal
  const open: World[] = []
  let embedder: Embedder

  /** Settings of processes that read the run's source topics as a group `name` of their own. */
  const settingsFile = (name: string, more: Record<string, unknown> = {}): string => {
    const file = join(folder, `${name}.yaml`)
    writeFileSync(
      file,
      JSON.stringify({
        mode: 'servers',
        data: { folder: join(folder, 'data') },
        kafka: { brokers: KAFKA_BROKERS!.split(','), group_prefix: `${run}${name}`, session_timeout_ms: 6_000 },
        registry: { url: SCHEMA_REGISTRY_URL },
        ...(QDRANT_URL === undefined ? {} : { qdrant: { url: QDRANT_URL, collection: run.replaceAll('.', '') } }),
        identity: { secret_file: join(folder, 'identity.key') },
        topics: { prefix: `${run}${name}.`, partitions: 2 },
        platforms: {
          folder: join(folder, 'platforms'),
          enabled: platforms,
          shops: {
            woocommerce: { currency: 'EUR', market: 'DE', language: 'de', merchant_id: 'hafenladen' },
            segment: { currency: 'EUR', market: 'DE', catalog_platform: 'woocommerce', catalog_merchant_id: 'hafenladen' },
          },
        },
        http: { enabled: false },
        ...more,
      }),
    )
    return file
  }
  const openOne = async (file: string, set: readonly string[] = []): Promise<World> => {
    const world = await openWorld(loadSettings({ file, env: {}, set }).settings, { embedder })
    open.push(world)
    return world
  }
  const start = async (world: World, stages: readonly string[] = all_stages): Promise<Started> => {
    const tally = openTally(all_stages, () => performance.now())
    return { world, tally, running: await world.start(stages, tally.observe) }
  }
  const close = async ({ world, running }: Started): Promise<void> => {
    await running.stop()
    expect(await running.ended).toBeUndefined()
    await world.close()
    open.splice(open.indexOf(world), 1)
  }
  const settled = ({ world, running, tally }: Started, published: number): Promise<void> =>
    waitUntil(world.clock, running, never, () => underWay(tally, world.topics, published) === 0)

  /** Lag zero as the broker tells it: every group's position is at the end of everything it reads. */
  const lagOf = async (world: World, stages: readonly string[] = all_stages): Promise<number> => {
    const log = await world.log()
    let lag = 0
    for (const stage of world.topology.stages) {
      const { name } = stage.processor
      if (!stages.includes(name)) continue
      for (const topic of 'topic' in stage.from ? [stage.from.topic.name] : stage.from.sources.map((source) => source.name)) {
        const positions = await log.positions(`${world.topology.name}.${name}`, topic)
        // Transaction markers stand after the last record; a position beyond the last record is at the end.
        for (const [at, { end, start: from }] of (await log.offsets(topic)).entries())
          for await (const record of log.scan({ topic, partition: at }, Math.max(from, positions[at]!.position)))
            if (record.offset < end) lag++
      }
    }
    return lag
  }
  const eventsOf = async (world: World): Promise<readonly (readonly [string, number])[]> => {
    const serde = await (await world.serdes()).of<Profile>(world.topics.profiles.name, world.topics.profiles.schema)
    const profiles = await serde.deserialize([...(await latest(world, world.topics.profiles.name)).values()])
    return profiles.map((profile) => {
      if (profile instanceof Fault) throw profile
      return [profile.user_key, profile.events] as const
    })
  }

  const file = settingsFile('main')
  let views = 0
  const someViews = (count: number): readonly ToPublish[] => {
    const at_ms = Date.now() - count
    return Array.from({ length: count }, (_, at) => view(views++, at_ms + at))
  }
  /** Each shopper's share of all views published so far. */
  const expectedEvents = (): readonly number[] =>
    Array.from({ length: shoppers }, (_, user) => Math.floor((views - user + shoppers - 1) / shoppers)).sort((a, b) => a - b)
  const heldEvents = async (world: World): Promise<readonly number[]> =>
    (await eventsOf(world)).map(([, events]) => events).sort((a, b) => a - b)

  beforeAll(async () => {
    platformsWithOwnTopics(join(folder, 'platforms'), platforms, run)
    writeFileSync(join(folder, 'identity.key'), randomBytes(32).toString('hex'), { mode: 0o600 })
    // Under the shipped model's card, so that a process started by the command line finds the same index.
    const probe = await openWorld(loadSettings({ file: settingsFile('main'), env: {} }).settings, { stages: ['learn'] })
    embedder = { ...memoryEmbedder(probe.model.dims), model: probe.model }
    await probe.close()
  })
  afterEach(async () => {
    // What a failed test left open would be in the next one's way.
    for (const world of open.splice(0)) await world.close()
  })
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  test('topics, schemas and index are made once', async () => {
    const world = await openOne(file)
    const first = await world.prepare()
    expect(first.topics).toHaveLength(7 + 4)
    expect(first.schemas).toBe(6 + 1)
    expect(await world.prepare()).toEqual({ topics: [], schemas: first.schemas })
    await world.close()
    open.splice(open.indexOf(world), 1)
  }, 120_000)

  const broken: readonly (ToPublish & { readonly code: string })[] = [
    { ...view(1_000_000, 1_790_000_000_000), damage: () => Buffer.from('{"type": "track", '), code: 'json.syntax' },
    { ...product(3, 1_790_000_000_000), damage: (bytes) => bytes.subarray(0, 9), code: 'decode.truncated' },
    { ...product(3, 1_790_000_000_000), damage: (bytes) => Buffer.concat([Buffer.from([7]), bytes]), code: 'decode.magic' },
    { ...product(6, 1_790_000_000_000), value: { id: '6', name: '', description: 'x', price: '1' }, code: 'map.missing' },
  ]

  test('every record is accounted for, and all that should come of it is there', async () => {
    const started = await start(await openOne(file))
    const { world, tally } = started
    const publisher = await openPublisher(world)
    const at_ms = Date.now()
    let published = items
    await publisher.publish(Array.from({ length: items }, (_, at) => product(at + 1, at_ms)))
    await settled(started, published)

    const some = someViews(240)
    const again = some.slice(0, 10)
    const other = { ...view(2_000_000, at_ms), value: { type: 'page', messageId: 'page-1', userId: 'user-0' } }
    const bad = broken.map((event) => ({ ...event, timestamp_ms: at_ms }))
    await publisher.publish([...some, ...again, other, ...bad])
    published += some.length + again.length + 1 + bad.length
    await settled(started, published)
    expect(await lagOf(world)).toBe(0)

    // Conservation: what each source topic holds is canonical, dropped for a reason, or dead, and the topics say the same as the runtime.
    const balances = await balanceOf(world, tally)
    expect(balances.map(({ topic, holds }) => [topic.slice(run.length), holds]).sort()).toEqual([
      ['source.abt.items', true],
      ['source.segment.events', true],
      ['source.woocommerce.items', true],
      ['source.woocommerce.orders', true],
    ])
    expect(balances.reduce((sum, { records }) => sum + records, 0)).toBe(published)
    expect(tally.stage('canonicalize').topics.get(`${run}source.segment.events`)?.dropped).toEqual({
      duplicate: 10,
      other_event: 1,
    })

    // The catalogue is what can be searched.
    const catalogue = await latest(world, world.topics.items.name)
    expect(catalogue.size).toBe(items)
    const index = await world.index()
    const points = await index.points('items', [...catalogue.keys()])
    expect([...points.values()].filter(({ deleted }) => !deleted)).toHaveLength(items)
    expect((await index.describe()).points.items).toBe(items)
    expect((await allOf<Item>(world, world.topics.items)).every((item) => item.item_id !== '')).toBe(true)

    // Profiles hold each event once; every list has items, and reasons with evidence.
    expect(await heldEvents(world)).toEqual(expectedEvents())
    expect((await index.describe()).points.users).toBe(shoppers)
    const lists = await allOf<Recommendation>(world, world.topics.recommendations)
    expect(new Set(lists.map((list) => list.user_key)).size).toBe(shoppers)
    for (const list of lists) expect(list.items.length).toBeGreaterThan(0)
    const reasons = lists.flatMap((list) => list.items.flatMap((item) => item.reasons))
    expect(reasons.length).toBeGreaterThan(0)
    for (const reason of reasons) expect(reason.evidence.length).toBeGreaterThan(0)

    // Dead letters carry their reason and the bytes as they were.
    const letters: DeadLetter[] = []
    for await (const letter of deadLetters(await world.log(), world.topology.dead_letters.name, {})) letters.push(letter)
    const originals = await Promise.all(
      bad.map(async ({ platform, kind, value, damage, code }) => {
        const source = world.platforms.find(({ name }) => name === platform)!.sources.find((each) => each.kind === kind)!
        const bytes = await publisher.encode(source, value)
        return `${code} ${(damage === undefined ? bytes! : damage(bytes!)).toString('hex')}`
      }),
    )
    expect(letters.map(({ reason, value }) => `${reason} ${value!.toString('hex')}`).sort()).toEqual(originals.sort())
    await close(started)
  }, 180_000)

  test('a restart goes on exactly where the last process ended, and two processes share the work', async () => {
    const started = await start(await openOne(file))
    const { world, tally } = started
    const publisher = await openPublisher(world)
    await publisher.publish(someViews(48))
    await settled(started, 48)
    expect(tally.stage('canonicalize').records).toBe(48)
    expect(tally.stage('embed').records).toBe(0)
    expect(tally.stage('index').records).toBe(0)
    expect(await heldEvents(world)).toEqual(expectedEvents())

    // Where the index is a file, the stages that read it stay with one process.
    const shared = QDRANT_URL === undefined ? ['canonicalize', 'embed'] : [...all_stages]
    const coming = openOne(file, [`data.folder=${join(folder, 'data-2')}`]).then((other) => start(other, shared))
    for (let round = 0; round < 6; round++) {
      await publisher.publish(someViews(24))
      await sleep(200)
    }
    const other = await coming
    await publisher.publish(someViews(48))
    const both = (topic: string): number => tally.stage(topic).records + other.tally.stage(topic).records
    await waitUntil(
      world.clock,
      started.running,
      never,
      async () => both('canonicalize') >= 48 + 144 + 48 && (await lagOf(world)) === 0,
    )
    await close(other)
    await publisher.publish(someViews(24))
    await waitUntil(world.clock, started.running, never, async () => (await lagOf(world)) === 0)

    expect(await heldEvents(world)).toEqual(expectedEvents())
    for (const balance of await balanceOf(world, null)) expect(balance).toMatchObject({ holds: true, both: 0 })
    const segment = (await balanceOf(world, null)).find(({ topic }) => topic.endsWith('source.segment.events'))!
    expect(segment.outputs).toBe(views)
    await close(started)
  }, 180_000)

  test('the index agrees with the topics, gets back what it lost, and is rebuilt while the stages are at work', async () => {
    const started = await start(await openOne(file))
    const { world } = started
    const [log, serdes, index] = [await world.log(), await world.serdes(), await world.index()]
    const ports = { log, serdes, index, admin: index, clock: world.clock }
    const topics = indexedTopics(world.topology.name, world.topics)
    const clean = await reconcile(ports, topics, { dry_run: true, deep: true })
    expect(clean).toMatchObject({ complete: true, remaining: 0, pending: 0, points: { users: shoppers } })

    const ids: string[] = []
    for await (const { id, deleted } of index.versions('users')) if (!deleted) ids.push(id)
    const lost = [...(await index.points('users', ids.slice(0, 5))).values()]
    await index.correct(
      lost.map(({ id, version }) => ({ space: 'users' as const, id, vector: null, payload: {}, version, seen: version })),
    )
    const repair = await reconcile(ports, topics, { dry_run: false })
    expect(repair).toMatchObject({ drift: { users: { missing: 5 } }, repaired: 5, remaining: 0 })

    const publisher = await openPublisher(world)
    let over = false
    const publishing = (async () => {
      while (!over) {
        await publisher.publish(someViews(4))
        await sleep(50)
      }
    })()
    const report = await rebuild(ports, topics).finally(() => {
      over = true
    })
    await publishing
    expect(report).toMatchObject({ unreadable: 0, drift: { remaining: 0 } })
    await waitUntil(world.clock, started.running, never, async () => (await lagOf(world)) === 0)
    expect(await heldEvents(world)).toEqual(expectedEvents())
    expect(await reconcile(ports, topics, { dry_run: true, deep: true })).toMatchObject({ remaining: 0, pending: 0 })
    await close(started)
  }, 180_000)

  test('killed three times at work, it ends with the profiles of a run that was never killed', async () => {
    const reading = await openOne(file)
    const uninterrupted = digestOfProfiles(await latest(reading, reading.topics.profiles.name))
    expect(await heldEvents(reading)).toEqual(expectedEvents())

    // Small batches: many commits, so that kills fall between and into them.
    const bounds = { records_max: 8, linger_ms: 0 }
    const killed = settingsFile('killed', { stages: { canonicalize: bounds, learn: bounds }, log: { level: 'warn' } })
    const log_file = join(folder, 'killed.log')
    const entrepot = (...args: readonly string[]): ChildProcess => {
      const output = openSync(log_file, 'a')
      const child = spawn(process.execPath, [launcher, ...args, '--config', killed], { stdio: ['ignore', output, output] })
      closeSync(output)
      return child
    }
    const exit = (child: ChildProcess): Promise<number | string | null> =>
      new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))
    const created = exit(entrepot('topics', 'create'))
    expect([await created, readFileSync(log_file, 'utf8').split('\n').at(-1)]).toEqual([0, ''])

    const world = await openOne(killed)
    const log = await world.log()
    const committed = async (): Promise<number> => {
      const positions = await log.positions(`${world.topology.name}.learn`, world.topics.interactions.name)
      return positions.reduce((sum, { position }) => sum + position, 0)
    }
    for (const share of [0.2, 0.45, 0.7]) {
      const child = entrepot('run', '--stages', 'canonicalize,learn')
      const ended = exit(child)
      let gone = false
      void ended.then(() => {
        gone = true
      })
      while (!gone && (await committed()) < share * views) await sleep(20)
      // It did not end by itself before.
      expect(gone ? readFileSync(log_file, 'utf8') : '').toBe('')
      child.kill('SIGKILL')
      expect(await ended).toBe('SIGKILL')
    }
    const last = entrepot('run', '--stages', 'canonicalize,learn')
    const ended = exit(last)
    const patience = AbortSignal.timeout(90_000)
    while (!patience.aborted && ((await committed()) < views || (await lagOf(world, ['canonicalize', 'learn'])) > 0))
      await sleep(250)
    last.kill('SIGTERM')
    expect(await ended).toBe(0)

    expect(await heldEvents(world)).toEqual(expectedEvents())
    expect(digestOfProfiles(await latest(world, world.topics.profiles.name))).toBe(uninterrupted)
    for (const balance of await balanceOf(world, null)) expect(balance).toMatchObject({ holds: true, both: 0 })
  }, 240_000)
})
