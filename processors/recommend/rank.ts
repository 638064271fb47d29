/** From candidates to a list: scores by term, one place per product, the reason of each. Pure. */
import type { Profile, RecentInteraction } from '../domain/profile.ts'
import type { Offer, Reason, RecommendedItem } from '../domain/recommendation.ts'
import { dot, norm, type Vector } from '../domain/vector.ts'
import type { Hit, Payload, StoredPoint } from '../ports/vector-index.ts'

export type RankSettings = {
  /** Items in a list. */
  readonly count: number
  /** Share of the session vector in the score, 0 to 1; the preference vector has the rest. */
  readonly session_share: number
}

export type Ranked = { readonly items: readonly RecommendedItem[]; readonly filtered_out: Readonly<Record<string, number>> }

const text = (payload: Payload, field: string): string | null => {
  const value = payload[field]
  return typeof value === 'string' && value !== '' ? value : null
}
const number = (payload: Payload, field: string): number | null => {
  const value = payload[field]
  return typeof value === 'number' ? value : null
}

/**
 * What makes two listings one product before clusters exist: the same valid GTIN, the same parent listing, or word for word the same text.
 * A listing may have several of these names; sharing one is enough.
 */
export const productNames = (point: StoredPoint): readonly string[] => {
  const known = names_of.get(point)
  if (known !== undefined) return known
  const names = makeNames(point)
  names_of.set(point, names)
  return names
}

/** One batch ranks the same points for many users. */
const names_of = new WeakMap<StoredPoint, readonly string[]>()

const makeNames = (point: StoredPoint): readonly string[] => {
  const gtin = text(point.payload, 'gtin')
  const group = text(point.payload, 'item_group_id')
  const content = text(point.payload, 'content_hash')
  const platform = text(point.payload, 'platform') ?? ''
  const merchant = text(point.payload, 'merchant_id') ?? ''
  return [
    `item ${point.id}`,
    ...(gtin === null ? [] : [`gtin ${gtin}`]),
    ...(group === null ? [] : [`group ${platform} ${merchant} ${group}`]),
    ...(content === null ? [] : [`content ${content}`]),
  ]
}

const reasonFor = (
  point: StoredPoint,
  evidence: readonly { readonly interaction: RecentInteraction; readonly point: StoredPoint }[],
): Reason | null => {
  let best: { interaction: RecentInteraction; point: StoredPoint; similarity: number } | null = null
  let total = 0
  for (const entry of evidence) {
    const similarity = Math.max(0, dot(point.vector!, entry.point.vector!))
    total += similarity
    if (best === null || similarity > best.similarity) best = { ...entry, similarity }
  }
  if (best === null || best.similarity === 0) return null
  const bought = best.interaction.type === 'PURCHASE'
  const deed = bought ? 'bought' : 'looked at'
  const title = text(best.point.payload, 'title') ?? best.interaction.item_id
  return {
    code: bought ? 'SIMILAR_TO_BOUGHT' : 'SIMILAR_TO_VIEWED',
    weight: best.similarity / total,
    evidence: [{ event_id: best.interaction.event_id, item_id: best.interaction.item_id }],
    text: best.point.id === point.id ? `You ${deed} this.` : `Similar to “${title}”, which you ${deed}.`,
  }
}

/**
 * The ids worth an exact score: of each retrieved item the similarity is known in the searches that found it, and elsewhere it is at
 * most that search's last one. The `size` items of the greatest possible score, ties by id; their vectors alone need to be read.
 *
 * @param answers one list of hits a search, sorted by similarity.   @param shares the weight of each search in the score.
 */
export const shortlist = (answers: readonly (readonly Hit[])[], shares: readonly number[], size: number): readonly string[] => {
  const least = answers.map((hits, i) => shares[i]! * (hits.at(-1)?.similarity ?? 0))
  const floor = least.reduce((sum, part) => sum + part, 0)
  const bounds = new Map<string, number>()
  for (const [i, hits] of answers.entries())
    for (const { id, similarity } of hits) bounds.set(id, (bounds.get(id) ?? floor) - least[i]! + shares[i]! * similarity)
  return [...bounds]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, size)
    .map(([id]) => id)
}

/**
 * Ranks candidates for one user: `score = (1 - s) * cos(preference, item) + s * cos(session, item)`; a missing vector's share
 * goes to the other. Ties by item id. Bought products are taken out, and one product appears once, with its other offers.
 *
 * @param candidates points with unit vectors.   @param known the points of the user's recent and bought items.
 */
export const rank = (
  profile: Profile,
  candidates: readonly StoredPoint[],
  known: ReadonlyMap<string, StoredPoint>,
  settings: RankSettings,
): Ranked => {
  const filtered: Record<string, number> = {}
  const filter = (reason: string) => {
    filtered[reason] = (filtered[reason] ?? 0) + 1
  }
  const terms = [
    { name: 'preference', vector: profile.preference, share: 1 - settings.session_share },
    { name: 'session', vector: profile.session, share: settings.session_share },
  ].flatMap(({ name, vector, share }) => {
    const length = vector === null ? 0 : norm(vector)
    return vector === null || length === 0 || share === 0 ? [] : [{ name, vector: vector as Vector, length, share }]
  })
  const shares = terms.reduce((sum, term) => sum + term.share, 0)

  const scored = candidates
    .filter((point) => point.vector !== null && !point.deleted)
    .map((point) => {
      const scores: Record<string, number> = {}
      let score = 0
      for (const { name, vector, length, share } of terms) {
        const part = (share / shares) * (dot(vector, point.vector!) / length)
        scores[name] = part
        score += part
      }
      return { point, score, scores }
    })
    .sort((a, b) => b.score - a.score || (a.point.id < b.point.id ? -1 : 1))

  const bought = new Set(profile.bought.flatMap((id) => [`item ${id}`, ...(known.has(id) ? productNames(known.get(id)!) : [])]))
  const evidence = profile.recent.flatMap((interaction) => {
    const point = known.get(interaction.item_id)
    return interaction.weight > 0 && point !== undefined && point.vector !== null ? [{ interaction, point }] : []
  })

  const shown = new Map<string, number>()
  const items: (Omit<RecommendedItem, 'offers'> & { offers: Offer[] })[] = []
  for (const { point, score, scores } of scored) {
    const names = productNames(point)
    if (names.some((name) => bought.has(name))) {
      filter('bought')
      continue
    }
    const offer = {
      platform: text(point.payload, 'platform') ?? '',
      item_id: point.id,
      price_ref_minor: number(point.payload, 'price_ref_minor'),
    }
    const same = names.map((name) => shown.get(name)).find((at) => at !== undefined)
    if (same !== undefined) {
      items[same]!.offers.push(offer)
      for (const name of names) shown.set(name, same)
      filter('same_product')
      continue
    }
    if (items.length >= settings.count) continue
    for (const name of names) shown.set(name, items.length)
    const reason = reasonFor(point, evidence)
    items.push({
      rank: items.length + 1,
      item_id: point.id,
      title: text(point.payload, 'title') ?? point.id,
      score,
      scores,
      reasons: reason === null ? [] : [reason],
      offers: [offer],
    })
  }
  return { items, filtered_out: filtered }
}
