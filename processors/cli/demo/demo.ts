/** The demo: a seeded market through the whole embedded river, live on the terminal, then what became of it. */
import { userKey } from '../../domain/ids.ts'
import type { Recommendation } from '../../domain/recommendation.ts'
import type { Embedder } from '../../ports/embedder.ts'
import { no_telemetry, type Telemetry } from '../../telemetry/metrics.ts'
import { balanceOf, type TopicBalance } from '../balance.ts'
import { openWorld, userSecret } from '../compose.ts'
import { type DeadLetterGroup, deadLetters, groupDeadLetters } from '../dead-letters.ts'
import { openLists } from '../lists.ts'
import { openPublisher } from '../publish.ts'
import { all_stages, underWay, waitUntil } from '../quiet.ts'
import { openTally, type Tally } from '../tally.ts'
import type { Terminal } from '../terminal.ts'
import type { World } from '../world.ts'
import { type Market, type MarketEvent, openMarket } from './market.ts'
import { type Frame, openScreen } from './screen.ts'
import { makeDemoFolder } from './settings.ts'
import { market_shops } from './shops.ts'

export type DemoOptions = {
  readonly seed: number
  /** How long the whole may take; what is published is fitted to it. */
  readonly seconds: number
  readonly folder: string
  readonly products?: number
  /** Share of broken events; 0.02 when left out. */
  readonly broken?: number
  /** Market events a second while shoppers are at work. */
  readonly rate?: number
  readonly signal: AbortSignal
  /** In place of the encoder that ships, for tests of everything else. */
  readonly embedder?: Embedder
}

export type DemoResult = {
  readonly world_settings: World['settings']
  readonly user: { readonly name: string; readonly login: string; readonly key: string; readonly likes: readonly string[] }
  readonly before: Recommendation | undefined
  readonly after: Recommendation | undefined
  /** What the followed shopper did between the two. */
  readonly did: string
  readonly market: Market
  /** How often each fate was meant, by drop reason or dead-letter code. */
  readonly meant: { readonly dropped: Readonly<Record<string, number>>; readonly dead: Readonly<Record<string, number>> }
  readonly tally: Tally
  readonly balances: readonly TopicBalance[]
  readonly dead: readonly DeadLetterGroup[]
  readonly embeddings: { readonly computed: number; readonly known: number }
  readonly published: number
  /** Listings left out because the machine was too slow for them. */
  readonly unpublished: number
  readonly elapsed_s: number
  /** Ended by the signal before its time. */
  readonly stopped: boolean
}

/** What the followed shopper does with something new. */
const follow_up = [
  ['view', 4],
  ['click', 2],
  ['wish', 2],
  ['cart', 2],
] as const
const catalogue_batch = 32
/** Texts on their way to the encoder at once, so that the catalogue can end when its time is over. */
const backlog_max = 96
/** Share of the time that the first load may take; on a slow machine the shops then open with fewer goods. */
const catalogue_share = 0.4
const catalogue_least = 120
/** Time kept for the clicks, the last settling and the report. */
const reserved_ms = 6_000
const orphan_patience_ms = 10_000
const live_least_ms = 2_000

/** Counts what the encoder had to compute; all other telemetry is let go. */
const embeddingCounts = (): { readonly telemetry: Telemetry; readonly counts: { computed: number; known: number } } => {
  const counts = { computed: 0, known: 0 }
  const telemetry: Telemetry = {
    ...no_telemetry,
    count: (name, labels, n = 1) => {
      if (name !== 'entrepot_embeddings_total') return
      if ((labels as { cache: string }).cache === 'miss') counts.computed += n
      else counts.known += n
    },
  }
  return { telemetry, counts }
}

/** Runs the demo to its end and leaves the folder closed. Throws what ended a stage. */
export const runDemo = async (out: Terminal, options: DemoOptions): Promise<DemoResult> => {
  const settings = makeDemoFolder(options.folder)
  const { telemetry, counts } = embeddingCounts()
  const world = await openWorld(settings, {
    telemetry,
    ...(options.embedder === undefined ? {} : { embedder: options.embedder }),
  })
  const { clock, topics } = world
  const { signal } = options
  try {
    const started_ms = clock.monotonic_ms()
    const elapsed = (): number => clock.monotonic_ms() - started_ms
    const market = openMarket({
      seed: options.seed,
      products: options.products ?? 240,
      shoppers: 40,
      now_ms: clock.now_ms(),
      broken: options.broken ?? 0.02,
    })
    const tally = openTally(all_stages, () => clock.monotonic_ms())
    const screen = openScreen(out, () => clock.monotonic_ms())
    let published = 0
    let phase = 'opens'
    let news = 'topics, schemas and index are made'
    const meant = { dropped: {} as Record<string, number>, dead: {} as Record<string, number> }
    const frame = (): Frame => ({
      title: `entrepot demo, seed ${options.seed}`,
      elapsed_s: elapsed() / 1_000,
      phase,
      stages: tally.stages,
      computed: counts.computed,
      known: counts.known,
      published,
      dead: tally.dead(),
      news,
    })
    const show = () => screen.show(frame())

    show()
    await world.prepare()
    const publisher = await openPublisher(world)
    const running = await world.start(all_stages, tally.observe)
    const publish = async (events: readonly MarketEvent[]): Promise<void> => {
      const timestamp_ms = clock.now_ms()
      await publisher.publish(events.map((event) => ({ ...event, timestamp_ms })))
      published += events.length
      for (const { fate, news: told } of events) {
        if (fate.end === 'dropped') meant.dropped[fate.reason] = (meant.dropped[fate.reason] ?? 0) + 1
        if (fate.end === 'dead') meant.dead[fate.code] = (meant.dead[fate.code] ?? 0) + 1
        if (told !== undefined) news = told
      }
    }
    const settled = () => waitUntil(clock, running, signal, () => underWay(tally, topics, published) === 0, show)

    phase = 'shops publish their catalogues'
    const catalogue = market.catalogue()
    let at = 0
    await waitUntil(clock, running, signal, async () => {
      show()
      const late = elapsed() > options.seconds * 1_000 * catalogue_share && at >= catalogue_least
      if (at >= catalogue.length || late) return true
      if (underWay(tally, topics, published) < backlog_max) {
        await publish(catalogue.slice(at, at + catalogue_batch))
        at += catalogue_batch
      }
      return false
    })
    const unpublished = catalogue.slice(at)
    market.close(unpublished.flatMap(({ listing }) => listing ?? []))
    phase = 'catalogues are embedded and indexed'
    await settled()

    phase = 'shoppers are at work'
    tally.forgetLatencies()
    const live_until = Math.max(elapsed() + live_least_ms, options.seconds * 1_000 - reserved_ms)
    const rate = options.rate ?? 60
    const live_from = elapsed()
    let steps = 0
    if (!signal.aborted) await publish(market.orphan(clock.now_ms()))
    const orphan_until = elapsed() + orphan_patience_ms
    await waitUntil(clock, running, signal, async () => {
      show()
      const due = ((elapsed() - live_from) / 1_000) * rate
      const batch: MarketEvent[] = []
      for (; steps < due && batch.length < 50; steps++) batch.push(...market.step(clock.now_ms()))
      if (batch.length > 0) await publish(batch)
      return elapsed() >= live_until
    })

    const shopper = market.shoppers[0]!
    const key = userKey(
      await userSecret(settings),
      settings.identity.key_version,
      market_shops['ga4']!['user_realm']!,
      'LOGIN',
      shopper.login,
    )
    const serde = await (await world.serdes()).of<Recommendation>(topics.recommendations.name, topics.recommendations.schema)
    const lists = openLists(await world.log(), topics.recommendations.name, serde)
    const latest = () => lists.latest(key, settings.recommend.placement)

    phase = `${shopper.name} looks at something new`
    await settled()
    const before = signal.aborted ? undefined : await latest()
    const fresh = market.unfamiliar()
    const clicks: MarketEvent[] = []
    if (!signal.aborted)
      for (const [at, [type, count]] of follow_up.entries())
        clicks.push(...market.follow(fresh, type, count, clock.now_ms() + at * 10))
    for (const click of clicks) {
      await publish([click])
      await clock.sleep(60, signal)
      show()
    }
    await settled()
    const after = signal.aborted ? undefined : await latest()
    // What waits for a product that never comes is given up in a moment; then everything has its end.
    await waitUntil(clock, running, signal, () => tally.stage('learn').dead > 0 || elapsed() > orphan_until, show)
    phase = signal.aborted ? 'stopped' : 'done'
    screen.end(frame())

    await running.stop()
    const fault = await running.ended
    if (fault !== undefined) throw fault
    const balances = await balanceOf(world, tally)
    const dead = await groupDeadLetters(deadLetters(await world.log(), world.topology.dead_letters.name, {}))
    return {
      world_settings: settings,
      user: { name: shopper.name, login: shopper.login, key, likes: shopper.tastes.map((taste) => taste.name.en) },
      before,
      after,
      did: `${clicks.length} clicks on ${fresh.name.en}`,
      market,
      meant,
      tally,
      balances,
      dead,
      embeddings: counts,
      published,
      unpublished: unpublished.length,
      elapsed_s: elapsed() / 1_000,
      stopped: signal.aborted,
    }
  } finally {
    await world.close()
  }
}
