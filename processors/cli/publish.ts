/** Publishes as a platform does: picks the source topic, serialises by its schema, appends. */
import { openSourceEncoder } from '../adapters/registry/source-encoder.ts'
import type { PlatformSource } from '../canonicalize/platform.ts'
import { nearest } from '../config/nearest.ts'
import { Fault } from '../domain/fault.ts'
import type { Header, TopicPartition } from '../domain/record.ts'
import type { World } from './world.ts'

export type ToPublish = {
  readonly platform: string
  readonly kind: string
  readonly key: string | null
  /** Plain data; null is a tombstone. */
  readonly value: unknown
  readonly headers?: readonly Header[]
  /** Damage done to the bytes after serialisation. */
  readonly damage?: (bytes: Buffer) => Buffer
  readonly timestamp_ms: number
}

/**
 * The source of a platform by its kind (its map's name, or `items` and `interactions` for what it emits); the only one without a
 * kind. Throws `config.invalid` naming what there is.
 */
export const sourceOf = (platforms: World['platforms'], platform: string, kind: string | undefined): PlatformSource => {
  const found = platforms.find(({ name }) => name === platform)
  if (found === undefined) {
    const names = platforms.map(({ name }) => name)
    const meant = nearest(platform, names)
    throw new Fault(
      'config.invalid',
      `There is no platform ${platform}${meant === undefined ? `: there are ${names.join(', ')}.` : `; did you mean ${meant}?`}`,
    )
  }
  const named = found.sources.filter((source) => kind === undefined || source.kind === kind)
  const chosen = named.length > 0 ? named : found.sources.filter((source) => source.emits === kind)
  if (chosen.length === 1) return chosen[0]!
  const kinds = found.sources.map((source) => source.kind).join(', ')
  throw new Fault(
    'config.invalid',
    kind === undefined
      ? `${platform} has several topics: say which one with --kind ${kinds.replaceAll(', ', '|')}.`
      : `${platform} has ${chosen.length === 0 ? 'no' : 'more than one'} topic for ${kind}: there are ${kinds}.`,
  )
}

export interface Publisher {
  /** Serialises and appends, in order; returns where each landed. Throws `map.type` for a value that does not fit its schema. */
  publish(events: readonly ToPublish[]): Promise<readonly (TopicPartition & { readonly offset: number })[]>
  /** The bytes of one event as its platform writes them, undamaged; null for a tombstone. */
  encode(source: PlatformSource, value: unknown): Promise<Buffer | null>
}

export const openPublisher = async (world: World): Promise<Publisher> => {
  const encoder = openSourceEncoder(await world.registry())
  const log = await world.log()
  const sources = new Map<string, PlatformSource>()
  const encode = async (source: PlatformSource, value: unknown): Promise<Buffer | null> =>
    value === null ? null : encoder.encode(source.topic, source.format, value)
  return {
    encode,
    publish: async (events) => {
      const records = await Promise.all(
        events.map(async ({ platform, kind, key, value, headers, damage, timestamp_ms }) => {
          const name = `${platform}/${kind}`
          let source = sources.get(name)
          if (source === undefined) {
            source = sourceOf(world.platforms, platform, kind)
            sources.set(name, source)
          }
          const bytes = await encode(source, value)
          return {
            topic: source.topic,
            key: key === null ? null : Buffer.from(key, 'utf8'),
            value: bytes === null || damage === undefined ? bytes : damage(bytes),
            timestamp_ms,
            ...(headers === undefined ? {} : { headers }),
          }
        }),
      )
      return log.append(records)
    },
  }
}
