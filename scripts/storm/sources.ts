/** Sites that read shops' item topics as bytes: what scenarios of bad input and of the registry have in common. */
import { openSourceEncoder } from '../../processors/adapters/registry/source-encoder.ts'
import { sourceOf } from '../../processors/cli/publish.ts'
import { type Malformed, type Material, malformedRecords } from '../malformed.ts'
import { openDecoder, type PlainRecord, readAll } from './read.ts'
import { type Check, zero } from './scenario.ts'
import type { Site } from './site.ts'

const purchase = { ts: 1_259_653_500, user_id: '1', item_id: '85048', qty: 1, price: '6.95', country: 'X' }

/** What `malformedRecords` and good records are made of, on a site with abt, buy, google_products, harddrivesdirect, online_retail. */
export const materialOf = async (site: Site): Promise<Material> => {
  const registry = await site.world.registry()
  const encoder = openSourceEncoder(registry)
  const topic = (platform: string, kind: string) => sourceOf(site.world.platforms, platform, kind).topic
  return {
    topic,
    schemaId: async (platform, kind) => {
      const found = await registry.latest(`${topic(platform, kind)}-value`)
      if (found === undefined) throw new Error(`No schema of ${platform} ${kind} is registered.`)
      return found.id
    },
    good: async (platform, kind, n, change = {}) => {
      const source = sourceOf(site.world.platforms, platform, kind)
      const row =
        kind === 'interactions'
          ? { ...purchase, invoice: `m${n}` }
          : platform === 'google_products' || platform === 'buy' || platform === 'abt'
            ? {
                id: `m${n}`,
                ...(platform === 'google_products' ? { title: 'A good row' } : { name: 'A good row' }),
                description: 'made bad',
                price: '3',
              }
            : { id: `m${n}`, title: 'A good row' }
      return encoder.encode(source.topic, source.format, { ...row, ...change })
    },
  }
}

export const malformedOf = async (site: Site, count: number): Promise<readonly Malformed[]> =>
  malformedRecords(await materialOf(site), count, Date.now())

export type Disposed = {
  readonly source: number
  readonly canonical: number
  readonly dead: readonly PlainRecord[]
  /** Records with neither a canonical record nor a dead letter, by place. */
  readonly neither: readonly string[]
  readonly both: number
  readonly twice: number
  readonly records: readonly PlainRecord[]
}

/** What became of every record of the site's source topics. */
export const disposed = async (site: Site): Promise<Disposed> => {
  const sources = site.world.platforms.flatMap((platform) => platform.sources.map(({ topic }) => topic))
  const { items, interactions } = site.world.topics
  const read = await readAll(site.options.brokers, [...sources, items.name, interactions.name, site.dead_letters])
  const decode = openDecoder(site.options.registry)
  const canonical = new Map<string, number>()
  for (const { value } of [...read.get(items.name)!, ...read.get(interactions.name)!]) {
    if (value === null) continue
    const { provenance } = await decode<{ provenance: { topic: string; partition: number; offset: number } }>(value)
    const place = `${provenance.topic}/${provenance.partition}/${provenance.offset}`
    canonical.set(place, (canonical.get(place) ?? 0) + 1)
  }
  const dead = new Map<string, number>()
  for (const { headers } of read.get(site.dead_letters)!) {
    const place = `${headers['__connect.errors.topic']}/${headers['__connect.errors.partition']}/${headers['__connect.errors.offset']}`
    dead.set(place, (dead.get(place) ?? 0) + 1)
  }
  const records = sources.flatMap((topic) => read.get(topic)!)
  const places = records.map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`)
  return {
    source: records.length,
    canonical: canonical.size,
    dead: read.get(site.dead_letters)!,
    neither: places.filter((place) => !canonical.has(place) && !dead.has(place)),
    both: places.filter((place) => canonical.has(place) && dead.has(place)).length,
    twice: [...canonical.values(), ...dead.values()].filter((n) => n > 1).length,
    records,
  }
}

/** Records in = canonical + dead, each once; `dropped`: how many are expected to be dropped for a declared reason. */
export const conserved = (found: Disposed, dropped = 0): readonly Check[] => [
  zero('records without a disposition', Math.abs(found.neither.length - dropped), found.source),
  zero('records both canonical and dead', found.both, found.source),
  zero('disposed of twice', found.twice, found.source),
]

/** Dead letters that do not hold the bytes, key and place of the record they stand for. */
export const alteredDead = (found: Disposed): number => {
  const by_place = new Map(found.records.map((record) => [`${record.topic}/${record.partition}/${record.offset}`, record]))
  return found.dead.filter(({ key, value, headers }) => {
    const place = `${headers['__connect.errors.topic']}/${headers['__connect.errors.partition']}/${headers['__connect.errors.offset']}`
    const original = by_place.get(place)
    if (original === undefined || original.key !== key) return true
    return original.value === null ? value !== null : value === null || !original.value.equals(value)
  }).length
}
