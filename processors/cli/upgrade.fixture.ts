/** The story of a model that takes over from another, told once for every kind of log and index. */
import { expect } from '@jest/globals'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import { systemClock } from '../adapters/system/clock.ts'
import type { Settings } from '../config/spec.ts'
import type { ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import type { Profile } from '../domain/profile.ts'
import { item } from '../embed/item.fixture.ts'
import type { Topic } from '../flow/topic.ts'
import type { Embedder } from '../ports/embedder.ts'
import { no_log } from '../telemetry/log.ts'
import { no_telemetry } from '../telemetry/metrics.ts'
import { openWorld } from './compose.ts'
import { readLanes } from './lanes.ts'
import { openRiver, type River } from './river.ts'
import { rollBack } from './upgrade.ts'
import type { World } from './world.ts'

/** Opened for each lane's world anew, as from its folder: closing one leaves the next alone. */
export const oldModel = (): Embedder => ({ ...memoryEmbedder(64), close: async () => undefined })
const words = ['steel', 'wooden', 'red', 'blue', 'large', 'small']
const things = ['kettle', 'spoon', 'lamp', 'chair', 'drill', 'scarf', 'ball', 'watch', 'bag', 'desk']
const titleOf = (n: number): string => `${words[n % words.length]} ${things[n % things.length]} number ${n}`

/** A model of other dimensions that counts what it is asked, and stops answering after so many texts until it is let go on. */
const newModel = (holds_after = Number.POSITIVE_INFINITY) => {
  const real = memoryEmbedder(32)
  const asked: string[] = []
  const gate = new AbortController()
  return {
    asked,
    letGo: () => gate.abort(),
    embedder: {
      ...real,
      close: async () => undefined,
      embed: async (texts) => {
        if (asked.length >= holds_after) {
          await systemClock.sleep(600_000, gate.signal)
          throw new Fault('embedder.unavailable', 'The test ends here.')
        }
        asked.push(...texts)
        return real.embed(texts)
      },
    } satisfies Embedder,
  }
}

const append = async <V>(world: World, topic: Topic<V>, values: readonly (readonly [key: string, value: V])[]): Promise<void> => {
  const serde = await (await world.serdes()).of<V>(topic.name, topic.schema)
  const now_ms = Date.now()
  const records = values.map(([key, value]) => ({
    topic: topic.name,
    key: Buffer.from(key),
    value: serde.serialize(value),
    timestamp_ms: now_ms,
  }))
  await (await world.log()).append(records)
}

export const publishItems = (world: World, from: number, to: number): Promise<void> =>
  append<Item>(
    world,
    world.topics.items,
    Array.from({ length: to - from }, (_, i) => {
      const item_id = `shop:1:${from + i}`
      return [item_id, item({ item_id, title: titleOf(from + i) })]
    }),
  )

const view = (user: string, n: number, event: number): readonly [string, Interaction] => [
  user,
  {
    event_id: `${user}-${event}`,
    type: 'CLICK',
    user_key: user,
    user_id_type: 'LOGIN',
    session_key: null,
    item_id: `shop:1:${n}`,
    quantity: 1,
    price_minor: null,
    currency: null,
    value_minor: null,
    rating: null,
    query: null,
    list_id: null,
    position: null,
    recommendation_id: null,
    order_id: null,
    coupon: null,
    device: null,
    market: 'DE',
    occurred_at: Date.now() - 60_000 + event,
    received_at: Date.now() - 60_000 + event,
    late_by_ms: 0,
    platform: 'shop',
    merchant_id: '1',
    provenance: { topic: 'source.shop.events', partition: 0, offset: event, schema_id: 1, map_version: '1', rewrites: [] },
  },
]

/** The newest value of each key. */
const latest = async <V>(world: World, topic: Topic<V>): Promise<Map<string, V>> => {
  const log = await world.log()
  const serde = await (await world.serdes()).of<V>(topic.name, topic.schema)
  const found = new Map<string, V>()
  for (const { partition, start } of await log.offsets(topic.name))
    for await (const { key, value } of log.scan({ topic: topic.name, partition }, start)) {
      if (value === null) continue
      const [decoded] = await serde.deserialize([value])
      if (!(decoded instanceof Fault) && decoded !== undefined) found.set(key!.toString(), decoded)
    }
  return found
}

export const until = async (what: string, holds: () => Promise<boolean> | boolean): Promise<void> => {
  const began_ms = performance.now()
  while (!(await holds())) {
    if (performance.now() - began_ms > 60_000) throw new Error(`Not within 60 s: ${what}`)
    await systemClock.sleep(20)
  }
}

type Running = { readonly world: World; readonly river: River; stop(): Promise<void> }

export const start = async (settings: Settings, old: Embedder, next?: Embedder): Promise<Running> => {
  const opening = { embedder: old, ...(next === undefined ? {} : { next_embedder: next }) }
  const world = await openWorld(settings, opening)
  await world.prepare()
  const stages = world.topology.stages.map((stage) => stage.processor.name)
  const river = await openRiver(world, {
    settings,
    opening,
    stages,
    observe: () => undefined,
    telemetry: no_telemetry,
    log: no_log,
    look_ms: 20,
  })
  return {
    world,
    river,
    stop: async () => {
      await river.stop()
      await world.close()
    },
  }
}

export const indexed = async (river: River): Promise<number> => (await (await river.world().index()).describe()).points.items

/**
 * Fills the lane of a new model, stops it at work, goes on, lets it take over while somebody searches, and takes it back; expects at every
 * step that nothing is done twice, lost or mixed. Returns the new lane.
 */
export const upgradeStory = async (settings: Settings): Promise<string> => {
  const count = 60
  const old = oldModel()

  // The old model alone: catalogue, users, lists.
  const first = await start(settings, old)
  await publishItems(first.world, 0, count)
  await until('the catalogue is searchable', async () => (await indexed(first.river)) === count)
  const users = ['u1', 'u2', 'u3']
  await append(
    first.world,
    first.world.topics.interactions,
    users.flatMap((user, u) => [0, 1, 2, 3].map((n) => view(user, (u * 7 + n * 6) % count, n))),
  )
  await until(
    'everybody has a list',
    async () => (await latest(first.world, first.world.topics.recommendations)).size === users.length,
  )
  const profiles_before = await latest(first.world, first.world.topics.profiles)
  await first.stop()

  // Stopped in the middle of the new model's work.
  const broken = newModel(24)
  const second = await start(settings, oldModel(), broken.embedder)
  await until('the new model is at work', () => broken.asked.length >= 24)
  await publishItems(second.world, count, count + 2)
  await until('what is live goes on', async () => (await indexed(second.river)) === count + 2)
  expect(second.river.world().model.digest).toBe(old.model.digest)
  broken.letGo()
  await second.stop()

  // Goes on where it was, and takes over; whoever searches meanwhile is answered, by one model or the other.
  const next = newModel()
  const third = await start(settings, oldModel(), next.embedder)
  const searching = new AbortController()
  const answers: string[] = []
  const searched = (async () => {
    while (!searching.signal.aborted) {
      const live = third.river.world()
      const embedder = live.model.digest === old.model.digest ? oldModel() : memoryEmbedder(32)
      const [vector] = await embedder.embed([titleOf(7)])
      const [hits] = await (await live.index()).search([{ space: 'items', vector: vector as Float32Array, limit: 3 }])
      answers.push(`${live.model.dims} ${hits![0]?.id}`)
      await systemClock.sleep(2)
    }
  })()
  await until('the new model is live', () => third.river.world().model.dims === 32)
  const lane = third.river.world().lane.lane
  await until('all of it is searchable', async () => (await indexed(third.river)) === count + 2)
  searching.abort()
  await searched
  expect(new Set(answers)).toEqual(new Set(['64 shop:1:7', '32 shop:1:7']))

  // No text twice, over the stop and the take-over: but for the call that the stop cut short.
  const texts = [...broken.asked, ...next.asked]
  expect(new Set(texts).size).toBe(count + 2)
  expect(texts.length - (count + 2)).toBeLessThanOrEqual(16)

  // One model a topic: items, profiles and lists of the new lane are all of the new model, those of the old one untouched.
  const live = third.river.world()
  const digestsOf = async (topic: Topic<ItemVector> | Topic<Profile>): Promise<ReadonlySet<string>> =>
    new Set(
      [...(await latest(live, topic as Topic<{ readonly model_digest: string }>)).values()].map(
        ({ model_digest }) => model_digest,
      ),
    )
  expect(await digestsOf(live.topics.vectors)).toEqual(new Set([next.embedder.model.digest]))
  expect(await digestsOf(third.world.topics.vectors)).toEqual(new Set([old.model.digest]))
  expect(await digestsOf(live.topics.profiles)).toEqual(new Set([next.embedder.model.digest]))
  const profiles = await latest(live, live.topics.profiles)
  for (const user of users) {
    expect(profiles.get(user)).toMatchObject({ events: 4, recent: profiles_before.get(user)!.recent })
    expect(profiles.get(user)!.preference).toHaveLength(32)
  }
  await until('everybody has a list of the new model', async () =>
    [...(await latest(live, live.topics.recommendations)).values()].every(
      (list) => list.model_digest === next.embedder.model.digest,
    ),
  )
  expect(live.topics.recommendations.name).toBe(third.world.topics.recommendations.name)

  // What comes now is embedded by the new model alone; what is learnt, in its space.
  await publishItems(third.world, count + 2, count + 3)
  await append(third.world, third.world.topics.interactions, [view('u1', count + 2, 9)])
  await until('the new item is searchable', async () => (await indexed(third.river)) === count + 3)
  await until('the click is learnt', async () => (await latest(live, live.topics.profiles)).get('u1')?.events === 5)
  expect((await latest(third.world, third.world.topics.vectors)).size).toBe(count + 2)

  // Back to the old one, which catches up; the new one is not filled again by itself.
  const asked = next.asked.length
  await rollBack(third.world)
  await until('the old model is live', () => third.river.world().model.dims === 64)
  await until('it has caught up', async () => (await indexed(third.river)) === count + 3)
  await until(
    'the click is learnt there too',
    async () => (await latest(third.world, third.world.topics.profiles)).get('u1')?.events === 5,
  )
  await systemClock.sleep(200)
  expect(third.river.world().lane.lane).toBe('')
  expect(next.asked).toHaveLength(asked)
  expect((await readLanes(await third.world.log(), third.world.lanes_topic)).live).toMatchObject({ lane: '', previous: lane })
  await third.stop()
  return lane
}
