/** Every topic and processor, in the order an event meets them. Start reading here. */

import type { Platform } from './canonicalize/platform.ts'
import { type CanonicalizeSettings, canonicalize } from './canonicalize/processor.ts'
import type { ImageVector, Indexed, ItemVector } from './domain/catalog.ts'
import type { Interaction } from './domain/interaction.ts'
import type { Item } from './domain/item.ts'
import type { Profile } from './domain/profile.ts'
import type { Recommendation } from './domain/recommendation.ts'
import { type EmbedImagesSettings, embedImages } from './embed/images.ts'
import { type EmbedSettings, embed } from './embed/processor.ts'
import { type SourceTopic, topic } from './flow/topic.ts'
import { type BatchBounds, define, from, fromSources, type Stage, type Topology } from './flow/topology.ts'
import { indexImages, indexItems, indexUsers } from './index/processor.ts'
import type { LearnSettings } from './learn/fold.ts'
import { learn } from './learn/processor.ts'
import { type RecommendSettings, recommend } from './recommend/processor.ts'

export type TopologySettings = {
  /** Name of the whole: prefix of every consumer group. */
  readonly name: string
  /** Prefix of our topics' names. */
  readonly prefix: string
  readonly partitions: number
  /**
   * The generation of vectors that the stages from embed on work with: '' is the first, others are named by the model's digest. What holds
   * vectors, or was learnt from them, has topics and groups of its own in each, so that two models never meet.
   */
  readonly lane?: string
  readonly platforms: readonly Platform[]
  readonly canonicalize: CanonicalizeSettings
  readonly embed: EmbedSettings
  /** Only where an image model is configured: `lane` is the first 8 digits of its digest, so that two image models never meet. */
  readonly images?: EmbedImagesSettings & { readonly lane: string }
  readonly learn: LearnSettings
  readonly recommend: RecommendSettings
  readonly bounds: Readonly<Record<'canonicalize' | 'embed' | 'index' | 'learn' | 'recommend', BatchBounds>>
}

export const topicsOf = ({ prefix, partitions, lane = '' }: Pick<TopologySettings, 'prefix' | 'partitions' | 'lane'>) => {
  const named = <V>(name: string, schema: string, key: string, keep: 'latest' | { days: number }, holds: string) =>
    topic<V>(`${prefix}${name}`, { schema, key, partitions, keep, holds })
  const of_lane = (name: string): string => (lane === '' ? name : `${name}.${lane}`)
  return {
    //                            name                        value schema      key         keeps          holds
    items: named<Item>(
      'catalog.items.v1',
      'item',
      'item_id',
      'latest',
      'one offer: a platform’s listing of one variant, canonical',
    ),
    vectors: named<ItemVector>(
      of_lane('catalog.vectors.v1'),
      'vector',
      'item_id',
      'latest',
      'its text embedding, content hash and model digest',
    ),
    indexed: named<Indexed>(
      of_lane('catalog.indexed.v1'),
      'indexed',
      'item_id',
      { days: 7 },
      'the item is searchable from here on',
    ),
    interactions: named<Interaction>(
      'behavior.interactions.v1',
      'interaction',
      'user_key',
      { days: 30 },
      'one action of one user on one item',
    ),
    profiles: named<Profile>(
      of_lane('users.profiles.v1'),
      'profile',
      'user_key',
      'latest',
      'a user’s vectors and recent interactions',
    ),
    recommendations: named<Recommendation>(
      'recommendations.v1',
      'recommendation',
      'user_key',
      { days: 7 },
      'a ranked list with scores and reasons',
    ),
    dead_letters: named<unknown>(
      'dead-letters.v1',
      'none',
      'theirs',
      { days: 30 },
      'refused records: original bytes, reason, place',
    ),
  }
}

/** The topic of image vectors and its lane, where an image model is configured. */
export const imageTopicsOf = ({
  prefix,
  partitions,
  images,
}: Pick<TopologySettings, 'prefix' | 'partitions'> & { readonly images?: { readonly lane: string } | undefined }) =>
  images === undefined
    ? undefined
    : {
        lane: images.lane,
        vectors: topic<ImageVector>(`${prefix}catalog.image-vectors.v1.${images.lane}`, {
          schema: 'image-vector',
          key: 'item_id',
          partitions,
          keep: 'latest',
          holds: 'the embedding of its first image',
        }),
      }

/** The topics that platforms publish to, as their maps name them. */
export const sourcesOf = (platforms: readonly Platform[]): readonly SourceTopic[] =>
  platforms.flatMap((platform) => platform.sources.map(({ topic: name, kind }) => ({ name, platform: platform.name, kind })))

/** Images are megabytes, and their servers slow: a batch of them is fetched, embedded and committed within a minute. */
const images_batch_max = 32

export const topology = (settings: TopologySettings): Topology => {
  const t = topicsOf(settings)
  const { bounds, platforms, lane = '' } = settings
  /** What is seen of items: stages of their own, so that a slow image server holds up nothing that is found by words. */
  const imageStages = (): readonly Stage[] => {
    const image_topics = imageTopicsOf(settings)
    if (settings.images === undefined || image_topics === undefined) return []
    const { lane: images_lane, vectors } = image_topics
    const stage = from(t.items)
      .run(embedImages(vectors, settings.images), {
        ...bounds.embed,
        records_max: Math.min(bounds.embed.records_max, images_batch_max),
      })
      .to(vectors)
    return [
      { ...stage, lane: images_lane },
      { ...from(vectors).run(indexImages(), bounds.index).to(), lane: lane === '' ? images_lane : `${lane}.${images_lane}` },
    ]
  }
  const inLane = (stage: Stage): Stage => (lane === '' ? stage : { ...stage, lane })
  return define(
    settings.name,
    [
      // Many platforms' words, one vocabulary.
      fromSources(sourcesOf(platforms))
        .run(canonicalize(platforms, t, settings.canonicalize), bounds.canonicalize)
        .to(t.items, t.interactions),
      // Text to a unit vector, once per text and model.
      inLane(from(t.items).run(embed(t.vectors, settings.embed), bounds.embed).to(t.vectors)),
      // Searchable from here on.
      inLane(from(t.vectors).run(indexItems(t.indexed), bounds.index).to(t.indexed)),
      ...imageStages(),
      // `match` reads catalog.indexed.v1 and `cluster` its links: one product of many shops gets one entity id here.
      // A click moves its user's vectors.
      inLane(from(t.interactions).run(learn(t.profiles, settings.learn), bounds.learn).to(t.profiles)),
      inLane(from(t.profiles).run(indexUsers(), bounds.index).to()),
      // `relate` reads learn's pairs: what is bought together joins the candidates here.
      // A moved profile gets a new list.
      inLane(from(t.profiles).run(recommend(t.recommendations, settings.recommend), bounds.recommend).to(t.recommendations)),
    ],
    t.dead_letters,
  )
}
