/** The compacted topics that the index is a view of, and what it holds of each of their records. */
import type { ImageVector, ItemVector } from '../domain/catalog.ts'
import type { Profile } from '../domain/profile.ts'
import type { Topic } from '../flow/topic.ts'
import type { PointWrite, Space } from '../ports/vector-index.ts'
import { imagePoint, indexImages, indexUsers, itemPoint, userPoint } from './processor.ts'

/** One topic and its space: which group writes it, and the point that the newest record of a key stands for. */
export type IndexedTopic = {
  readonly space: Space
  readonly topic: string
  readonly schema: string
  /** The consumer group whose position tells what the index has acknowledged. */
  readonly group: string
  readonly pointOf: (key: string, value: unknown) => PointWrite
}

/** The topics of the index, that of images where there is one; `name` is what the groups of its lane begin with. */
export const indexedTopics = (
  name: string,
  topics: {
    readonly vectors: Topic<ItemVector>
    readonly profiles: Topic<Profile>
    readonly images?: { readonly lane: string; readonly vectors: Topic<ImageVector> }
  },
): readonly IndexedTopic[] => [
  {
    space: 'items',
    topic: topics.vectors.name,
    schema: topics.vectors.schema,
    group: `${name}.index`,
    pointOf: (key, value) => itemPoint(key, value as ItemVector | null),
  },
  {
    space: 'users',
    topic: topics.profiles.name,
    schema: topics.profiles.schema,
    group: `${name}.${indexUsers().name}`,
    pointOf: (key, value) => userPoint(key, value as Profile | null),
  },
  ...(topics.images === undefined
    ? []
    : [
        {
          space: 'images' as const,
          topic: topics.images.vectors.name,
          schema: topics.images.vectors.schema,
          group: `${name}.${topics.images.lane}.${indexImages().name}`,
          pointOf: (key: string, value: unknown) => imagePoint(key, value as ImageVector | null),
        },
      ]),
]
