/** Reads canonical records as a stranger would: avsc over the schema files, nothing of ours. */
import { readFileSync } from 'node:fs'
import avsc from 'avsc'
import type { Brokers } from '../broker/brokers.ts'
import type { Entry } from '../broker/partition.ts'

/** Schemas name a logical type that only our code knows; the bytes under it are plain. */
const typeOf = (name: string) =>
  avsc.Type.forSchema(JSON.parse(readFileSync(new URL(`../../../schemas/canonical/${name}.avsc`, import.meta.url), 'utf8')))

const types = {
  item: typeOf('item'),
  interaction: typeOf('interaction'),
  vector: typeOf('vector'),
  indexed: typeOf('indexed'),
  profile: typeOf('profile'),
  recommendation: typeOf('recommendation'),
} as const

export type PlainItem = { item_id: string; op: string; title: string; price_minor: number | null; source_updated_at: number }
export type PlainInteraction = {
  event_id: string
  type: string
  user_key: string
  item_id: string
  occurred_at: number
  received_at: number
  platform: string
}
export type PlainVector = {
  item_id: string
  vector: Buffer
  content_hash: string
  source_updated_at: number
  card: { title: string; price_minor: number | null }
}
export type PlainIndexed = { item_id: string; op: string; version: number }
export type PlainProfile = {
  user_key: string
  preference: Buffer | null
  session: Buffer | null
  recent: { event_id: string; item_id: string; type: string; occurred_at: number; weight: number }[]
  bought: string[]
  events: number
  as_of: number
}
type Plain = {
  item: PlainItem
  interaction: PlainInteraction
  vector: PlainVector
  indexed: PlainIndexed
  profile: PlainProfile
  recommendation: { user_key: string; items: { item_id: string }[] }
}

export const decodePlain = <K extends keyof Plain>(name: K, value: Buffer): Plain[K] =>
  types[name].fromBuffer(value.subarray(5)) as Plain[K]

export const topic_names = {
  items: 'catalog.items.v1',
  vectors: 'catalog.vectors.v1',
  indexed: 'catalog.indexed.v1',
  interactions: 'behavior.interactions.v1',
  profiles: 'users.profiles.v1',
  recommendations: 'recommendations.v1',
  dead_letters: 'dead-letters.v1',
} as const

/** Every committed record of a topic, compacted ones included, partition by partition. */
export const committedOf = (brokers: Brokers, topic: string): readonly { readonly partition: number; readonly entry: Entry }[] =>
  (brokers.topics.get(topic)?.partitions ?? []).flatMap((of, partition) => of.committed().map((entry) => ({ partition, entry })))

export const keyText = (entry: Entry): string => entry.key?.toString('utf8') ?? ''
export const floatsOf = (bytes: Buffer): Float32Array => {
  const floats = new Float32Array(bytes.length / 4)
  for (let i = 0; i < floats.length; i++) floats[i] = bytes.readFloatLE(4 * i)
  return floats
}
export const headerOf = (entry: Entry, name: string): string | undefined =>
  entry.headers.find(([header]) => header === name)?.[1].toString('utf8')

/**
 * What two lists of names have too much or too little of: lost writes and duplicates. `optional` names may be missing: a record that
 * compaction hides before it is read need not be seen.
 */
export const difference = (
  expected: readonly string[],
  found: readonly string[],
  optional: readonly string[] = [],
): { readonly lost: readonly string[]; readonly duplicate: readonly string[]; readonly invented: readonly string[] } => {
  const left = new Map<string, number>()
  for (const name of expected) left.set(name, (left.get(name) ?? 0) + 1)
  const duplicate: string[] = []
  const invented: string[] = []
  const spare = new Map<string, number>()
  for (const name of optional) spare.set(name, (spare.get(name) ?? 0) + 1)
  const known = new Set([...expected, ...optional])
  for (const name of found) {
    const n = left.get(name) ?? 0
    const more = spare.get(name) ?? 0
    if (n > 0) left.set(name, n - 1)
    else if (more > 0) spare.set(name, more - 1)
    else if (known.has(name)) duplicate.push(name)
    else invented.push(name)
  }
  return { lost: [...left].flatMap(([name, n]) => (n > 0 ? [name] : [])), duplicate, invented }
}
