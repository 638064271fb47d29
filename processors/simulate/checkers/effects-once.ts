/** Effects once: each profile is, to the last bit, what a naive fold of the interactions topic makes of its user's events. */

import { simVector } from '../encoder.ts'
import {
  committedOf,
  decodePlain,
  floatsOf,
  keyText,
  type PlainInteraction,
  type PlainProfile,
  topic_names,
} from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'

const name = 'effects-once'

const weights: Readonly<Record<string, number>> = { VIEW: 1, CLICK: 1.5, ADD_TO_CART: 4, WISHLIST: 3, PURCHASE: 8, DISMISS: -4 }
const preference_half_life_ms = 3_600_000
const session_half_life_ms = 600_000
const session_gap_ms = 1_800_000

/** 2^(-age/half-life) by 64ths and a cubic remainder, as docs/adr/0001 fixes it for replays: only exactly rounded operations. */
const fading = (age_ms: number, half_life_ms: number): number => {
  if (age_ms <= 0) return 1
  const halvings = age_ms / half_life_ms
  if (halvings > 1000) return 0
  const scaled = (halvings - Math.floor(halvings)) * 64
  let step = 1
  for (let k = 1; k <= Math.floor(scaled); k++) step *= 0.9892280131939755
  const x = (scaled - Math.floor(scaled)) * 0.010830424696249145
  let value = step * (1 - x * (1 - (x / 2) * (1 - x / 3)))
  for (let i = 0; i < Math.floor(halvings); i++) value *= 0.5
  return value
}

type Naive = {
  preference: Float32Array
  session: Float32Array | null
  recent: { event_id: string; occurred_at: number }[]
  bought: Set<string>
  events: number
  as_of: number
}

const add = (sum: Float32Array | null, keep: number, item: Float32Array, pull: number): Float32Array => {
  const next = new Float32Array(item.length)
  for (let i = 0; i < item.length; i++) next[i] = (sum === null ? 0 : keep * sum[i]!) + pull * item[i]!
  return next
}

const foldOne = (before: Naive | undefined, click: PlainInteraction, item: Float32Array): Naive => {
  const weight = weights[click.type]!
  const as_of = before === undefined ? click.occurred_at : Math.max(before.as_of, click.occurred_at)
  const passed = before === undefined ? 0 : as_of - before.as_of
  const late = as_of - click.occurred_at
  let session = before?.session ?? null
  if (passed > session_gap_ms) session = null
  else if (session !== null && passed > 0) {
    const keep = fading(passed, session_half_life_ms)
    session = session.map((x) => keep * x)
  }
  if (late <= session_gap_ms) session = add(session, 1, item, weight * fading(late, session_half_life_ms))
  const bought = new Set(before?.bought ?? [])
  if (click.type === 'PURCHASE') bought.add(click.item_id)
  return {
    preference: add(
      before?.preference ?? null,
      fading(passed, preference_half_life_ms),
      item,
      weight * fading(late, preference_half_life_ms),
    ),
    session,
    recent: [...(before?.recent ?? []), { event_id: click.event_id, occurred_at: click.occurred_at }]
      .sort((a, b) => b.occurred_at - a.occurred_at)
      .slice(0, 50),
    bought,
    events: (before?.events ?? 0) + 1,
    as_of,
  }
}

const sameBits = (a: Float32Array | null, b: Buffer | null): boolean => {
  if (a === null || b === null) return a === null && b === null
  const other = floatsOf(b)
  return a.length === other.length && a.every((x, i) => Object.is(x, other[i]))
}
const nearly = (a: Float32Array, b: Buffer | null): boolean => {
  if (b === null) return false
  const other = floatsOf(b)
  return a.every((x, i) => Math.abs(x - other[i]!) <= 1e-3 * Math.max(1, Math.abs(x)))
}

export const effectsOnce: Checker = {
  name,
  check: ({ brokers, calm, sometimes }) => {
    if (!calm) return []
    const vectors = new Map<string, Float32Array>()
    const violations: Violation[] = []
    const say = (anomaly: string, detail: string) => void violations.push({ checker: name, anomaly, detail })
    for (const { entry } of committedOf(brokers, topic_names.vectors)) {
      if (entry.value === null) continue
      const { vector, card } = decodePlain('vector', entry.value)
      const floats = floatsOf(vector)
      vectors.set(keyText(entry), floats)
      // The recipe joins title and brand; the last bit may differ by batch.
      const of_text = simVector(`${card.title}. Storm`)
      const other = card.title.toLowerCase().includes('storm') ? simVector(card.title) : of_text
      if (floats.some((x, i) => Math.abs(x - of_text[i]!) > 1e-6) && floats.some((x, i) => Math.abs(x - other[i]!) > 1e-6)) {
        say('vector of another text', `${keyText(entry)} at ${entry.offset}`)
        break
      }
    }
    const naive = new Map<string, Naive>()
    for (const { entry } of committedOf(brokers, topic_names.interactions)) {
      const click = decodePlain('interaction', entry.value!)
      const item = vectors.get(click.item_id)
      if (weights[click.type] !== undefined && item !== undefined)
        naive.set(click.user_key, foldOne(naive.get(click.user_key), click, item))
    }
    // Who waited for an item was folded later than the log says; sums then differ in their last bits, and nothing else may.
    const waited = new Set<string>()
    for (const { entry } of committedOf(brokers, `storm.learn.${topic_names.interactions}.changelog`))
      if (keyText(entry).startsWith('sw/') && entry.value !== null)
        waited.add((JSON.parse(entry.value.toString('utf8')) as { interaction: PlainInteraction }).interaction.user_key)
    if (waited.size > 0) sometimes.add('an interaction waited for its item')

    const profiles = new Map<string, PlainProfile>()
    for (const { entry } of committedOf(brokers, topic_names.profiles))
      if (entry.value !== null) profiles.set(keyText(entry), decodePlain('profile', entry.value))

    for (const user of new Set([...naive.keys(), ...profiles.keys()])) {
      const wanted = naive.get(user)
      const found = profiles.get(user)
      if (wanted === undefined) say('invented write', `a profile of ${user}, of whom no event is known`)
      else if (found === undefined) say('lost write', `no profile of ${user}, of whom ${wanted.events} events are known`)
      else if (found.events !== wanted.events)
        say(
          found.events < wanted.events ? 'lost write' : 'duplicate',
          `${user}: ${found.events} events applied, ${wanted.events} known`,
        )
      else {
        const ids = (list: readonly { event_id: string }[]) => list.map(({ event_id }) => event_id).join()
        if (ids(found.recent) !== ids(wanted.recent)) say('inconsistent state', `${user}: recent interactions differ`)
        if ([...found.bought].sort().join() !== [...wanted.bought].sort().join())
          say('inconsistent state', `${user}: bought items differ`)
        if (found.as_of !== wanted.as_of) say('inconsistent state', `${user}: as_of differs`)
        const equal = waited.has(user)
          ? nearly(wanted.preference, found.preference)
          : sameBits(wanted.preference, found.preference) && sameBits(wanted.session, found.session)
        if (!equal) say('inconsistent state', `${user}: vectors differ from the fold of the log`)
      }
    }
    return violations
  },
}
