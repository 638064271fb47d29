/** What the source topics, as they stand, have to become: a naive reading of them, one record after the other. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import avsc from 'avsc'
import type { Brokers } from '../broker/brokers.ts'
import type { Entry } from '../broker/partition.ts'
import { bad_header } from '../workload.ts'
import type { Click, Listing } from '../workshop.ts'
import { headerOf } from './canonical.ts'

const protobuf = createRequire(import.meta.url)('protobufjs') as typeof import('protobufjs')
const text = (path: string): string => readFileSync(new URL(`../platforms/${path}`, import.meta.url), 'utf8')
const listing = avsc.Type.forSchema(JSON.parse(text('north/items.avsc')))
const event = protobuf.parse(text('west/events.proto'), { keepCase: true }).root.lookupType('storm.west.Event')

const listingOf = (value: Buffer): Listing => {
  // A newer writer appends fields; what stands before them is unchanged.
  const { value: read } = listing.decode(value, 5) as { value: Listing }
  return read
}
const clickOf = (topic: string, value: Buffer): Click =>
  topic.includes('south')
    ? (JSON.parse(value.subarray(5).toString('utf8')) as Click)
    : (event.toObject(event.decode(value.subarray(6)), { longs: Number }) as Click)

export type ExpectedItem = {
  readonly place: string
  readonly id: string
  readonly op: 'UPSERT' | 'DELETE'
  readonly version: number
}
export type Expected = {
  readonly items: readonly ExpectedItem[]
  /** In the order of each source partition. */
  readonly clicks: readonly (Click & { readonly platform: string; readonly place: string })[]
  readonly refused: readonly { readonly place: string; readonly offset: number; readonly code: string }[]
}

/** Folds the source topics, with all that they ever held. */
export const expectedOf = (brokers: Brokers): Expected => {
  const items: ExpectedItem[] = []
  const clicks: (Click & { platform: string; place: string })[] = []
  const refused: { place: string; offset: number; code: string }[] = []
  const knowledge = new Map<
    string,
    { known: Map<string, { version: number; gone: boolean; content: string }>; seen: Set<string> }
  >()
  // What a topic of the same name held before it was made anew comes first.
  for (const topic of [...brokers.deleted, ...brokers.topics.values()]) {
    if (!topic.name.startsWith('source.')) continue
    for (const [partition, of] of topic.partitions.entries()) {
      const place = `${topic.name}/${partition}`
      const { known, seen } = knowledge.get(place) ?? { known: new Map(), seen: new Set() }
      knowledge.set(place, { known, seen })
      for (const entry of of.committed() as readonly Entry[]) {
        const code = headerOf(entry, bad_header)
        if (code !== undefined) {
          refused.push({ place, offset: entry.offset, code })
          continue
        }
        if (!topic.name.endsWith('.items')) {
          const click = clickOf(topic.name, entry.value!)
          if (seen.has(click.id)) continue
          seen.add(click.id)
          clicks.push({ ...click, platform: topic.name.split('.')[1]!, place })
          continue
        }
        const one = listingOf(entry.value!)
        const before = known.get(one.id)
        const content = `${one.title} ${one.price_cents}`
        if (before !== undefined && one.updated_ms < before.version) continue
        if (before !== undefined && before.gone === one.gone && (one.gone || before.content === content)) {
          known.set(one.id, { ...before, version: one.updated_ms })
          continue
        }
        known.set(one.id, { version: one.updated_ms, gone: one.gone, content })
        // A listing that was never there cannot go.
        if (one.gone && before === undefined) continue
        items.push({ place, id: one.id, op: one.gone ? 'DELETE' : 'UPSERT', version: one.updated_ms })
      }
    }
  }
  return { items, clicks, refused }
}
