/** What all seeds share because it never changes: compiled maps, canonical schemas, the schemas of the platforms and how to write with them. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import avsc from 'avsc'
import { openEmbeddedRegistry } from '../adapters/registry/embedded-registry.ts'
import { openSerdes, registerCanonical } from '../adapters/registry/serdes.ts'
import type { Platform } from '../canonicalize/platform.ts'
import type { CanonicalizeSettings } from '../canonicalize/settings.ts'
import { loadPlatforms } from '../config/platforms.ts'
import type { Serdes } from '../ports/schema-registry.ts'
import { topicsOf } from '../topology.ts'
import type { SimSchema } from './registry.ts'

const protobuf = createRequire(import.meta.url)('protobufjs') as typeof import('protobufjs')

export type Listing = {
  readonly id: string
  readonly title: string
  readonly brand: string
  readonly price_cents: number
  readonly gone: boolean
  readonly updated_ms: number
}
export type Click = {
  readonly id: string
  readonly user: string
  readonly type: string
  readonly item: string
  readonly at: number
}

export const source_topics = { items: 'source.north.items', south: 'source.south.events', west: 'source.west.events' } as const
/** Ids in the simulated registry. */
export const schema_ids = { north: 1, south: 2, west: 3, north_newer: 4, hostile: 5, unknown: 404 } as const

export type Workshop = {
  readonly platforms: readonly Platform[]
  readonly canonicalize: CanonicalizeSettings
  readonly serdes: Serdes
  readonly schemas: ReadonlyMap<number, SimSchema>
  readonly encode: {
    readonly listing: (listing: Listing, newer: boolean) => Buffer
    readonly south: (click: Click) => Buffer
    readonly west: (click: Click) => Buffer
    /** Any bytes under the header of a schema id. */
    readonly framed: (id: number, body: Buffer) => Buffer
  }
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const text = (path: string): string => readFileSync(here(path), 'utf8')

const framed = (id: number, body: Buffer): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  return Buffer.concat([head, body])
}

/** Deeper than the lint lets a schema be. */
const hostileText = (): string => {
  let type: unknown = 'string'
  for (let i = 0; i < 80; i++) type = { type: 'array', items: type }
  return JSON.stringify({ type: 'record', name: 'Deep', fields: [{ name: 'x', type }] })
}

export const openWorkshop = async (): Promise<Workshop> => {
  const canonicalize: CanonicalizeSettings = {
    user_secret: Buffer.alloc(32, 7),
    user_key_version: 's1',
    rates: null,
    dedupe_horizon_ms: 7 * 86_400_000,
    dedupe_ids_max: 100_000,
    late_after_ms: null,
    shops: {},
    detect_language: null,
  }
  const platforms = await loadPlatforms({ folder: here('platforms/'), enabled: ['north', 'south', 'west'] }, canonicalize)
  const registry = await openEmbeddedRegistry(null)
  const t = topicsOf({ prefix: '', partitions: 1 })
  const canonical = Object.values(t)
    .filter((topic) => topic !== t.dead_letters)
    .map(({ name, schema }) => ({ topic: name, schema }))
  const folder = here('../../schemas/canonical/')
  await registerCanonical(registry, canonical, folder)
  const serdes = openSerdes(registry, { schemas_folder: folder })
  // Read now: within a seed nothing may depend on a real disk.
  for (const { topic, schema } of canonical) await serdes.of(topic, schema)

  const listing_schema = JSON.parse(text('platforms/north/items.avsc')) as { fields: object[] }
  const newer_schema = {
    ...listing_schema,
    fields: [...listing_schema.fields, { name: 'note', type: ['null', 'string'], default: null }],
  }
  const listing_type = avsc.Type.forSchema(listing_schema as never)
  const newer_type = avsc.Type.forSchema(newer_schema as never)
  const event = protobuf.parse(text('platforms/west/events.proto'), { keepCase: true }).root.lookupType('storm.west.Event')

  const schemas = new Map<number, SimSchema>(
    (
      [
        [schema_ids.north, 'AVRO', JSON.stringify(listing_schema), source_topics.items],
        [schema_ids.south, 'JSON', text('platforms/south/events.json'), source_topics.south],
        [schema_ids.west, 'PROTOBUF', text('platforms/west/events.proto'), source_topics.west],
        [schema_ids.north_newer, 'AVRO', JSON.stringify(newer_schema), source_topics.items],
        [schema_ids.hostile, 'AVRO', hostileText(), source_topics.items],
      ] as const
    ).map(([id, format, schema, topic]) => [id, { id, format, text: schema, subjects: [`${topic}-value`] }]),
  )
  return {
    platforms,
    canonicalize,
    serdes,
    schemas,
    encode: {
      framed,
      listing: (listing, newer) =>
        newer
          ? framed(schema_ids.north_newer, newer_type.toBuffer({ ...listing, note: 'newer' }))
          : framed(schema_ids.north, listing_type.toBuffer(listing)),
      south: (click) => framed(schema_ids.south, Buffer.from(JSON.stringify(click), 'utf8')),
      // The message index of the first message is written as one zero byte.
      west: (click) => framed(schema_ids.west, Buffer.concat([Buffer.from([0]), event.encode(event.fromObject(click)).finish()])),
    },
  }
}
