/** What platforms publish during a seed: listings that change and go, shoppers' actions, repeats, and records that nobody can read. */
import type { Header } from '../domain/record.ts'
import type { Random } from '../ports/random.ts'
import { canary_axes } from './encoder.ts'
import type { Weather } from './weather.ts'
import { type Click, type Listing, schema_ids, source_topics, type Workshop } from './workshop.ts'

export type Publication = {
  readonly at_ms: number
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly value: Buffer
  readonly headers: readonly Header[]
}

/** Says, on a record that cannot be read, the code it must be refused with. */
export const bad_header = 'storm-expects'

const click_types = ['VIEW', 'VIEW', 'VIEW', 'CLICK', 'ADD_TO_CART', 'PURCHASE', 'DISMISS', 'WISHLIST'] as const
const key_hash = (key: string): number => {
  let hash = 0
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) >>> 0
  return hash
}

/** About `events` publications over `duration_ms`, in order of time. */
export const makeWorkload = (
  workshop: Workshop,
  weather: Weather,
  random: Random,
  options: { readonly events: number; readonly duration_ms: number; readonly partitions: number; readonly epoch_ms: number },
): readonly Publication[] => {
  const { events, duration_ms, partitions, epoch_ms } = options
  const { encode } = workshop
  const out: Publication[] = []
  const below = (n: number): number => Math.floor(random.next() * n)
  const chosen = <T>(list: readonly T[]): T => list[below(list.length)]!
  const put = (at_ms: number, topic: string, key: string, value: Buffer, headers: readonly Header[] = []): void => {
    const publication = { at_ms, topic, partition: key_hash(key) % partitions, key, value, headers }
    out.push(publication)
    if (weather.brings('published_twice') && random.next() < 0.12) {
      weather.struck('published_twice')
      out.push({ ...publication, at_ms: at_ms + random.next() * duration_ms * 0.5 })
    }
  }
  const bad = (at_ms: number, topic: string, key: string, value: Buffer, code: string): void =>
    put(at_ms, topic, key, value, [[bad_header, Buffer.from(code, 'utf8')]])

  // Platforms publish in bursts, as their own queues and sweeps see to; some steadily.
  const steady = random.next() < 0.2
  const bursts = Array.from({ length: 5 + below(8) }, () => random.next() * duration_ms).sort((a, b) => a - b)
  const inBurst = (at_ms: number): number => {
    if (steady) return at_ms
    const next = bursts.find((burst) => burst >= at_ms) ?? at_ms
    return next + random.next() * 20
  }

  // --- listings ---
  const users = Array.from({ length: 3 + below(canary_axes - 3) }, (_, u) => ({
    id: `shopper-${u}`,
    axis: u,
    at: epoch_ms - 86_400_000 + u,
  }))
  const versions = new Map<string, number>()
  const listing = (id: string, title: string, gone = false): Listing => {
    const version = (versions.get(id) ?? epoch_ms - 3_600_000) + 1_000
    versions.set(id, version)
    return { id, title, brand: 'Storm', price_cents: 100 + below(100_000), gone, updated_ms: version }
  }
  const newer = weather.brings('newer_schema')
  const publishListing = (at_ms: number, one: Listing): void => {
    const with_newer = newer && at_ms > duration_ms / 2
    if (with_newer) weather.struck('newer_schema')
    put(at_ms, source_topics.items, one.id, encode.listing(one, with_newer))
  }
  const stable: { id: string; title: string; axis: number | null; at_ms: number }[] = []
  for (const { axis } of users) stable.push({ id: `own-${axis}`, title: `canary ${axis} lamp of one shopper`, axis, at_ms: 0 })
  for (let i = 0; i < 5; i++)
    stable.push({ id: `shared-${i}`, title: `Shared chair number ${i} of the storm`, axis: null, at_ms: 0 })
  for (const one of stable) {
    one.at_ms = random.next() * 200
    if (weather.brings('early_click') && random.next() < 0.3) one.at_ms = random.next() * duration_ms * 0.8
    publishListing(one.at_ms, listing(one.id, one.title))
  }
  const listing_events = Math.floor(events * 0.25)
  const churn = Array.from({ length: 6 }, (_, i) => `churn-${i}`)
  for (let i = stable.length; i < listing_events; i++) {
    const at_ms = random.next() * duration_ms
    if (random.next() < 0.3) {
      // Only the price moves: the text, and so the vector, stay.
      const one = chosen(stable)
      put(Math.max(at_ms, one.at_ms + 1), source_topics.items, one.id, Buffer.alloc(0))
      continue
    }
    put(at_ms, source_topics.items, chosen(churn), Buffer.alloc(0))
  }

  // --- actions ---
  const click_events = events - listing_events
  for (let i = 0; i < click_events; i++) {
    const user = chosen(users)
    // Each action of a user has its own time; some come late, none has the time of another.
    user.at += canary_axes * (1 + below(60_000))
    const item = random.next() < 0.4 ? stable[user.axis]! : chosen(stable.slice(users.length))
    const early = weather.brings('early_click') && random.next() < 0.2
    const at_ms = early ? random.next() * item.at_ms : item.at_ms + random.next() * (duration_ms - item.at_ms)
    if (early) weather.struck('early_click')
    const south = key_hash(user.id) % 2 === 0 || random.next() < 0.5
    const click: Click = { id: `e${i}`, user: user.id, type: chosen(click_types), item: item.id, at: user.at }
    put(at_ms, south ? source_topics.south : source_topics.west, user.id, south ? encode.south(click) : encode.west(click))
  }

  // --- what nobody can read ---
  const bads = (name: 'malformed' | 'hostile_schema' | 'unknown_schema', make: (at_ms: number) => void) => {
    if (!weather.brings(name)) return
    for (let i = 0, n = 1 + below(4); i < n; i++) {
      weather.struck(name)
      make(random.next() * duration_ms)
    }
  }
  bads('malformed', (at_ms) => {
    switch (below(4)) {
      case 0:
        return bad(at_ms, source_topics.items, chosen(churn), Buffer.from('{"id":"x"}'), 'decode.magic')
      case 1: {
        const whole = encode.listing(
          { id: 'cut', title: 'Cut', brand: '', price_cents: 1, gone: false, updated_ms: epoch_ms },
          false,
        )
        return bad(at_ms, source_topics.items, chosen(churn), whole.subarray(0, 9), 'decode.truncated')
      }
      case 2:
        return bad(
          at_ms,
          source_topics.south,
          chosen(users).id,
          encode.framed(schema_ids.south, Buffer.from('{"id":"x"}')),
          'schema.validation',
        )
      default:
        return bad(
          at_ms,
          source_topics.south,
          chosen(users).id,
          encode.framed(schema_ids.south, Buffer.from('{"id":')),
          'json.syntax',
        )
    }
  })
  bads('hostile_schema', (at_ms) =>
    bad(at_ms, source_topics.items, chosen(churn), encode.framed(schema_ids.hostile, Buffer.alloc(3)), 'schema.hostile'),
  )
  bads('unknown_schema', (at_ms) =>
    bad(at_ms, source_topics.items, chosen(churn), encode.framed(schema_ids.unknown, Buffer.alloc(3)), 'schema.unknown'),
  )

  const timed = out
    .map((publication) => ({ ...publication, at_ms: inBurst(publication.at_ms) }))
    .sort((a, b) => a.at_ms - b.at_ms)
  // Versions of a listing go up in the order in which they are published, so they are made now.
  const titles = new Map(stable.map((one) => [one.id, one.title]))
  return timed.map((publication) => {
    if (publication.value.length > 0) return publication
    const { key, at_ms } = publication
    const gone = !titles.has(key) && random.next() < 0.25
    const unembeddable = random.next() < 0.05 ? ' unembeddable' : ''
    const one = listing(key, titles.get(key) ?? `Churning table ${below(3)} of ${key}${unembeddable}`, gone)
    const with_newer = newer && at_ms > duration_ms / 2
    if (with_newer) weather.struck('newer_schema')
    return { ...publication, value: encode.listing(one, with_newer) }
  })
}
