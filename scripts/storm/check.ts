/** What must hold after a storm, told from the topics alone: nothing lost, nothing twice, in order, and every profile its user's. */
import { cleanProfiles, digestOf, latestOf } from './clean.ts'
import { openDecoder, type PlainRecord, readAll } from './read.ts'
import { type Check, says, zero } from './scenario.ts'
import type { Site } from './site.ts'

export type SourceEvent = { readonly number: number; readonly user: string; readonly record: PlainRecord }
/** An interaction as its own schema decodes it; only what is looked at. */
export type SeenInteraction = {
  readonly record: PlainRecord
  readonly event_id: string
  readonly user_key: string
  readonly price_minor: number
  readonly source: string
}

export type Seen = {
  /** Of the source topic what is a shopper's event, at its first offset. */
  readonly events: ReadonlyMap<number, SourceEvent>
  /** Copies of events that the producer sent again. */
  readonly sent_again: number
  readonly source: readonly PlainRecord[]
  readonly interactions: readonly PlainRecord[]
  readonly decoded: readonly SeenInteraction[]
  readonly profiles: readonly PlainRecord[]
  readonly dead: readonly PlainRecord[]
}

type RawInteraction = {
  readonly event_id: string
  readonly user_key: string
  readonly price_minor: { long: number } | number | null
  readonly provenance: { readonly topic: string; readonly partition: number; readonly offset: number }
}

const placeOf = (topic: string, partition: number, offset: number): string => `${topic}/${partition}/${offset}`

/** Reads everything once. */
export const look = async (site: Site): Promise<Seen> => {
  const { brokers, registry } = site.options
  const read = await readAll(brokers, [site.events, site.interactions, site.profiles, site.dead_letters])
  const source = read.get(site.events)!
  const interactions = read.get(site.interactions)!
  const decode = openDecoder(registry)
  const events = new Map<number, SourceEvent>()
  let sent_again = 0
  for (const record of source) {
    let parsed: { messageId?: string; userId?: string } | undefined
    try {
      parsed = JSON.parse((record.value ?? Buffer.alloc(0)).toString('utf8')) as { messageId?: string; userId?: string }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      continue
    }
    const number = Number(/^message-(\d+)$/.exec(parsed?.messageId ?? '')?.[1])
    if (!Number.isInteger(number) || record.headers['x-malformed'] !== undefined) continue
    if (events.has(number)) sent_again++
    else events.set(number, { number, user: parsed.userId ?? '', record })
  }
  const decoded: SeenInteraction[] = []
  for (const record of interactions) {
    const value = await decode<RawInteraction>(record.value!)
    const price = value.price_minor
    const { topic, partition, offset } = value.provenance
    decoded.push({
      record,
      event_id: value.event_id,
      user_key: value.user_key,
      price_minor: typeof price === 'number' ? price : (price?.long ?? Number.NaN),
      source: placeOf(topic, partition, offset),
    })
  }
  return {
    events,
    sent_again,
    source,
    interactions,
    decoded,
    profiles: read.get(site.profiles)!,
    dead: read.get(site.dead_letters)!,
  }
}

/** Each source event in the sequenced topic once, as it was, and in the order of its key. `published`: what the brokers acknowledged. */
export const exactlyOnce = (seen: Seen, published: number): readonly Check[] => {
  const numbers = new Map<string, number>()
  for (const record of seen.source) {
    const number = /"messageId":"message-(\d+)"/.exec(record.value?.toString('utf8') ?? '')?.[1]
    if (number !== undefined) numbers.set(placeOf(record.topic, record.partition, record.offset), Number(number))
  }
  const times = new Map<number, number>()
  let altered = 0
  let unexplained = 0
  for (const one of seen.decoded) {
    const number = numbers.get(one.source)
    if (number === undefined || !seen.events.has(number)) {
      unexplained++
      continue
    }
    times.set(number, (times.get(number) ?? 0) + 1)
    if (one.price_minor !== number || one.record.key !== one.user_key) altered++
  }
  const lost = [...seen.events.keys()].filter((number) => !times.has(number)).length
  const duplicated = [...times.values()].reduce((sum, n) => sum + n - 1, 0)

  // Order of a key: the offsets of its source records never go back along the sequenced topic.
  let disordered = 0
  const newest = new Map<string, number>()
  const user_of = new Map<string, string>()
  let shared_keys = 0
  for (const one of seen.decoded) {
    const offset = Number(one.source.slice(one.source.lastIndexOf('/') + 1))
    if (offset <= (newest.get(one.user_key) ?? -1)) disordered++
    newest.set(one.user_key, Math.max(offset, newest.get(one.user_key) ?? -1))
    const user = seen.events.get(numbers.get(one.source) ?? -1)?.user
    if (user === undefined) continue
    const first = user_of.get(one.user_key)
    if (first === undefined) user_of.set(one.user_key, user)
    else if (first !== user) shared_keys++
  }
  const missing = Math.max(0, published - seen.events.size)
  return [
    zero('acknowledged to the producer but not in the source topic', missing, published),
    zero('lost', lost, seen.events.size),
    zero('duplicated', duplicated, seen.events.size),
    zero('altered or unexplained', altered + unexplained, seen.decoded.length),
    zero('order violations', disordered, seen.decoded.length),
    zero('two users under one key', shared_keys),
  ]
}

/** Profiles hold their own user's events, each once, and are those of an undisturbed run over the same sequenced records. */
export const profilesAsClean = async (site: Site, seen: Seen): Promise<readonly Check[]> => {
  const decode = openDecoder(site.options.registry)
  const owner = new Map<string, string>()
  const expected = new Map<string, number>()
  for (const one of seen.decoded) {
    owner.set(one.event_id, one.user_key)
    expected.set(one.user_key, (expected.get(one.user_key) ?? 0) + 1)
  }
  const newest = new Map<string, Buffer>()
  for (const { key, value } of seen.profiles) if (key !== null && value !== null) newest.set(key, value)
  let foreign = 0
  let lost = 0
  let twice = 0
  for (const [user_key, value] of newest) {
    const profile = await decode<{ user_key: string; events: number; recent: readonly { event_id: string }[] }>(value)
    if (profile.user_key !== user_key) foreign++
    for (const { event_id } of profile.recent) if (owner.get(event_id) !== user_key) foreign++
    const ids = profile.recent.map(({ event_id }) => event_id)
    const most = expected.get(user_key) ?? 0
    twice += Math.max(0, profile.events - most, ids.length - new Set(ids).size)
    lost += Math.max(0, most - profile.events)
  }
  for (const [user_key, count] of expected) if (!newest.has(user_key)) lost += count
  const mine = digestOf(latestOf(seen.profiles))
  const clean = digestOf(await cleanProfiles(site, seen.interactions))
  return [
    zero('events missing in profiles', lost, seen.decoded.length),
    zero('events applied twice', twice, seen.decoded.length),
    zero('events in another user’s profile', foreign),
    says(
      `sha256 of ${newest.size} profiles as in the clean run`,
      mine === clean,
      mine === clean ? mine.slice(0, 12) : `${mine.slice(0, 12)} but ${clean.slice(0, 12)}`,
    ),
  ]
}
