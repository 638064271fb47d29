/** users.profiles.v1 -> recommendations.v1: a moved profile gets a new list; moves within one batch window get one. */
import { namespace_entrepot, uuid5 } from '../domain/ids.ts'
import type { Profile } from '../domain/profile.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { dot, norm, type Vector } from '../domain/vector.ts'
import type { Dropped, Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { Hit, Query, StoredPoint } from '../ports/vector-index.ts'
import { type RankSettings, rank, shortlist } from './rank.ts'

export type RecommendSettings = RankSettings & {
  readonly placement: string
  /** Nearest neighbours fetched for each of the two vectors. */
  readonly candidates: number
  readonly expires_ms: number
  /** Recent and bought items looked up as evidence, each at most. */
  readonly evidence_max: number
}

export const recommend_drops = ['superseded', 'forgotten', 'no_vector', 'no_candidates'] as const

type Reads = {
  readonly search: (queries: readonly Query[]) => Promise<readonly (readonly Hit[])[]>
  readonly points: (ids: readonly string[]) => Promise<ReadonlyMap<string, StoredPoint>>
}

/** Whether both ask for the same neighbours, as in a first session they do: one search is enough then. */
const parallel = (a: Vector, b: Vector): boolean => dot(a, b) > (1 - 1e-6) * norm(a) * norm(b)

/** Items scored exactly for each place of the list: enough to fill it after bought and repeated products are taken out. */
const shortlist_per_item = 3
const unavailable = ['OUT_OF_STOCK', 'DISCONTINUED']

export const recommend = (recommendations: Topic<Recommendation>, settings: RecommendSettings): Processor<Profile, Reads> => ({
  name: 'recommend',
  does: 'ranks what is near a moved profile, with reasons',
  drops: recommend_drops,
  entered_at: (emit) => {
    const list = emit.value as Recommendation | null
    return list === null ? null : list.generated_at - list.latency_ms
  },
  reads: (ports) => ({ search: (queries) => ports.index.search(queries), points: (ids) => ports.index.points('items', ids) }),
  run: async (batch, reads) => {
    const dropped: Dropped[] = []
    const newest = new Map<string, number>()
    for (const record of batch.records) newest.set(record.key, record.offset)

    const wanted = batch.records.flatMap((record) => {
      const drop = (reason: (typeof recommend_drops)[number]) => {
        dropped.push({ at: record.offset, reason })
        return []
      }
      const profile = record.value
      if (newest.get(record.key) !== record.offset) return drop('superseded')
      if (profile === null) return drop('forgotten')
      const vectors = [profile.preference, profile.session].filter(
        (vector): vector is Vector => vector?.some((x) => x !== 0) ?? false,
      )
      if (vectors.length === 0) return drop('no_vector')
      return [
        { record, profile, vectors: vectors.length === 2 && parallel(vectors[0]!, vectors[1]!) ? vectors.slice(0, 1) : vectors },
      ]
    })
    if (wanted.length === 0) return { emit: [], dropped }

    const queries = wanted.flatMap(({ profile, vectors }) =>
      vectors.map(
        (vector): Query => ({
          space: 'items',
          vector,
          limit: settings.candidates,
          filter: { must_not: [{ field: 'availability', any_of: unavailable }], exclude: profile.bought },
        }),
      ),
    )
    const answers = await reads.search(queries)
    let next = 0
    const found = wanted.map(({ vectors }) => {
      const hits = answers.slice(next, next + vectors.length)
      next += vectors.length
      const shares = vectors.length === 1 ? [1] : [1 - settings.session_share, settings.session_share]
      return shortlist(hits, shares, shortlist_per_item * settings.count)
    })
    const evidence = wanted.map(({ profile }) => [
      ...profile.recent.slice(0, settings.evidence_max).map((interaction) => interaction.item_id),
      ...profile.bought.slice(0, settings.evidence_max),
    ])
    const points = await reads.points([...new Set([...found, ...evidence].flat())])

    const emit: Emit[] = []
    wanted.forEach(({ record, profile }, at) => {
      const known = new Map(evidence[at]!.flatMap((id) => (points.has(id) ? [[id, points.get(id)!] as const] : [])))
      const candidates = found[at]!.flatMap((id) => points.get(id) ?? [])
      const { items, filtered_out } = rank(profile, candidates, known, settings)
      if (items.length === 0) {
        dropped.push({ at: record.offset, reason: 'no_candidates' })
        return
      }
      const list: Recommendation = {
        recommendation_id: uuid5(namespace_entrepot, `recommendation:${record.key}:${batch.partition}:${record.offset}`),
        user_key: record.key,
        placement: settings.placement,
        items,
        model_digest: profile.model_digest,
        profile_version: record.offset,
        generated_at: batch.now_ms,
        expires_at: batch.now_ms + settings.expires_ms,
        latency_ms: Math.max(0, batch.now_ms - profile.last_received_at),
        freshness_ms: Math.max(0, batch.now_ms - profile.last_occurred_at),
        filtered_out,
      }
      emit.push({ to: recommendations, key: record.key, value: list, causes: [record.offset] })
    })
    return { emit, dropped }
  },
})
