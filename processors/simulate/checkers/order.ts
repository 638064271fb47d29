/** Order per key: what is one after the other in a source stays so in every topic after it, and no task reads backwards. */
import { placeName } from '../../domain/record.ts'
import { committedOf, decodePlain, keyText, topic_names } from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'
import { expectedOf } from './sources.ts'

const name = 'order'

export const order: Checker = {
  name,
  check: ({ brokers, observed, gaps_accepted }) => {
    const violations: Violation[] = []
    const rising = (anomaly: string, what: string, entries: Iterable<readonly [key: string, rank: number]>) => {
      const last = new Map<string, number>()
      for (const [key, rank] of entries) {
        const before = last.get(key)
        if (before !== undefined && rank < before) {
          violations.push({ checker: name, anomaly, detail: `${what}: ${key} goes from ${before} back to ${rank}` })
          return
        }
        last.set(key, rank)
      }
    }
    rising(
      'reordered write',
      'item versions',
      committedOf(brokers, topic_names.items).map(
        ({ entry }) => [keyText(entry), decodePlain('item', entry.value!).source_updated_at] as const,
      ),
    )
    rising(
      'reordered write',
      'vector versions',
      committedOf(brokers, topic_names.vectors).flatMap(({ entry }) =>
        entry.value === null ? [] : [[keyText(entry), decodePlain('vector', entry.value).source_updated_at] as const],
      ),
    )
    rising(
      'reordered write',
      'indexed versions',
      committedOf(brokers, topic_names.indexed).map(
        ({ entry }) => [keyText(entry), decodePlain('indexed', entry.value!).version] as const,
      ),
    )
    // A shopper's events of one source partition keep their order; between two sources there is none.
    // Where records were given up, a later copy of one may be the first that was read.
    const given_up = new Set(gaps_accepted.map(placeName))
    const ranks = new Map(
      expectedOf(brokers).clicks.flatMap(({ id, platform, place }, rank) =>
        given_up.has(place) ? [] : [[`${platform} ${id}`, rank] as const],
      ),
    )
    rising(
      'reordered write',
      'interactions of one source',
      committedOf(brokers, topic_names.interactions).flatMap(({ entry }) => {
        const { event_id, platform, user_key } = decodePlain('interaction', entry.value!)
        const rank = ranks.get(`${platform} ${event_id.split(':').at(-1)}`)
        return rank === undefined ? [] : [[`${platform} ${user_key}`, rank] as const]
      }),
    )
    rising(
      'nonmonotonic poll',
      'offsets given to one task',
      observed.polled.flatMap(({ task, place, offset }) => (given_up.has(place) ? [] : [[String(task), offset] as const])),
    )
    return violations
  },
}
