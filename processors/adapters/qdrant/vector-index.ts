/**
 * VectorIndex on Qdrant 1.16 or newer, where conditional updates exist: one collection per model behind an alias,
 * named vectors `items` and `users` (and `images_<first 8 of the image model’s digest>` where images are embedded), every upsert guarded by `version < v`, acknowledged and completed before it returns.
 *
 * Readers and writers of a model name an alias of its own, `<collection>-<first 8 of the digest>`, so that a rebuild in another process
 * takes all of them to the new collection in one step. The alias `<collection>` is for those who know no model.
 */
import type { QdrantClient, Schemas } from '@qdrant/js-client-rest'
import { asFault, Fault } from '../../domain/fault.ts'
import type {
  Correction,
  Hit,
  ImageSpace,
  IndexDescription,
  PointVersion,
  PointWrite,
  Query,
  Space,
  StoredPoint,
  VectorIndex,
  VectorIndexAdmin,
} from '../../ports/vector-index.ts'
import { byRank, dimsOf, lastOfEach, usableVector } from '../../ports/vector-semantics.ts'
import type { ConnectionOptions } from './connection.ts'
import { connectQdrant, statusOf } from './connection.ts'
import { filterOf, liveIn } from './filter.ts'
import { pointId, toHit, toPoint, toStored, toVersion } from './point.ts'

/** `update_filter` came with 1.16.0; older servers ignore it, and would let an old version replace a newer one. */
const version_min = [1, 16, 0] as const

/** Part of the collection's name: changed when points of an older Entrepot cannot be read any more. */
const schema_version = 'v1'

/**
 * Points that a walk through HNSW keeps in view. With Qdrant's own 100 the sums of a shopper's tastes, which lie between all that is
 * there, find 0.91 of the ten nearest of 36,000 titles and sometimes none; with 512 0.98 (docs/benchmarks/vector-recall.md).
 */
const hnsw_ef = 512

/** A server takes 32 MB a request unless told otherwise; half of it leaves room for our estimate to be wrong. */
const request_bytes_max = 16 * 1024 * 1024
/** A float32 as JSON has up to 20 digits and a comma. */
const number_bytes = 21

const queries_per_call = 100
/** Each correction has a condition of its own. */
const corrections_per_call = 50
const points_per_read = 500

/** Fields of ItemCard that filters name, indexed before anything is loaded. Numbers as float, which finds whole ones too. */
const indexed_fields: Readonly<Record<string, 'keyword' | 'float'>> = {
  platform: 'keyword',
  market: 'keyword',
  language: 'keyword',
  category_id: 'keyword',
  availability: 'keyword',
  price_ref_minor: 'float',
}

export type QdrantOptions = ConnectionOptions & {
  /** Prefix of the collection and name of the alias. */
  readonly collection: string
  readonly dims: number
  /** SHA-256 of the model's weights, hex; its first 8 digits are part of the collection's name. */
  readonly model_digest: string
  /** A space of images beside items and users; without it there is none. */
  readonly images?: ImageSpace
  /** Most points in one request; 500 unless told. */
  readonly batch_points_max?: number
  /** Copies of each shard; 1 unless told. With more, a majority must take a write and answer a read. */
  readonly replication_factor?: number
}

export type QdrantAdmin = VectorIndexAdmin & {
  /** What stands at the other end: its version, and what an operator should know. Faults: index.unavailable, index.version. */
  probe(): Promise<{ readonly version: string; readonly warnings: readonly string[] }>
  /** Points the alias at this model's collection, for readers that know only the alias. */
  promote(): Promise<void>
}

const olderThan = (version: string, least: readonly number[]): boolean => {
  const parts = version.split(/[.+-]/).map(Number)
  for (const [at, wanted] of least.entries()) {
    const part = parts[at] ?? 0
    if (part !== wanted) return !(part > wanted)
  }
  return false
}

/** Points that fit one request: by count, and by bytes as far as they can be told before they are written out. */
export const batchesOf = <P extends PointWrite>(points: readonly P[], points_max: number): readonly (readonly P[])[] => {
  const batches: P[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const point of points) {
    const own = 200 + 3 * point.id.length + (point.vector?.length ?? 0) * number_bytes + 3 * JSON.stringify(point.payload).length
    if (bytes + own > request_bytes_max || batches.at(-1)!.length >= points_max) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)!.push(point)
    bytes += own
  }
  return batches
}

const chunksOf = <T>(list: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size))

/**
 * Nothing is sent before the first call. Its first collection is `<collection>-<first 8 of the digest>-v1`, those of rebuilds have
 * `-g2`, `-g3` … behind it.
 */
export const openQdrantIndex = (options: QdrantOptions): { readonly index: VectorIndex; readonly admin: QdrantAdmin } => {
  const { dims, images, batch_points_max = 500, replication_factor = 1 } = options
  const known_dims = { dims, image_dims: images?.dims ?? null }
  /** Vectors of two image models stand under two names: what a search of one asks for, the other's points do not have. */
  const image_vectors = images === undefined ? undefined : `images_${images.model_digest.slice(0, 8)}`
  const nameOf = (space: Space): string => {
    dimsOf(space, known_dims)
    return space === 'images' ? image_vectors! : space
  }
  const spaces: readonly Space[] = images === undefined ? ['items', 'users'] : ['items', 'users', 'images']
  const alias = options.collection
  const model_alias = `${alias}-${options.model_digest.slice(0, 8)}`
  const first_collection = `${model_alias}-${schema_version}`
  const { call, address, close } = connectQdrant(options)
  const replicated = replication_factor > 1
  const consistency = replicated ? { consistency: 'majority' as const } : {}

  const completed = (what: string, result: { readonly status?: string } | boolean): void => {
    if (result === true || (typeof result === 'object' && result.status === 'completed')) return
    const status = typeof result === 'object' ? String(result.status) : String(result)
    throw new Fault('index.unavailable', `Qdrant at ${address} did not complete ${what} (${status}); it is sent again.`, {
      operation: what,
    })
  }

  const toRequest = (query: Query, vector: readonly number[], limit: number): Schemas['QueryRequest'] => ({
    query: [...vector],
    using: nameOf(query.space),
    filter: filterOf(query.space, query.filter),
    limit,
    with_payload: ['id', 'version', 'payload'],
    params: { hnsw_ef, quantization: { rescore: true, oversampling: 2 } },
  })

  /** Qdrant returns equal similarities in no order of ours: what ties with the last wanted hit must be seen whole to be cut by id. */
  const ties_first = 16
  const ties_most = 4_096
  const cutsATie = (hits: readonly Hit[], limit: number, asked: number): boolean =>
    hits.length === asked && hits[limit - 1]!.similarity === hits.at(-1)!.similarity

  const searchSome = async (collection: string, queries: readonly Query[]): Promise<readonly (readonly Hit[])[]> => {
    const vectors = queries.map((query) => Array.from(usableVector(query.vector, dimsOf(query.space, known_dims))))
    const answers: (readonly Hit[])[] = queries.map(() => [])
    let open = queries.map((query, at) => ({ at, asked: query.limit + ties_first })).filter(({ at }) => queries[at]!.limit > 0)
    while (open.length > 0) {
      const searches = open.map(({ at, asked }) => toRequest(queries[at]!, vectors[at]!, asked))
      const results = await call('a search', (qdrant) => qdrant.queryBatch(collection, { searches, ...consistency }))
      const again: typeof open = []
      open.forEach(({ at, asked }, i) => {
        const { limit } = queries[at]!
        const hits = results[i]!.points.map(toHit).sort(byRank)
        if (cutsATie(hits, limit, asked) && asked < limit + ties_most) again.push({ at, asked: limit + 8 * (asked - limit) })
        answers[at] = hits.slice(0, limit)
      })
      open = again
    }
    return answers
  }

  const usable = <P extends PointWrite>(point: P): P => {
    const wanted = dimsOf(point.space, known_dims)
    return point.vector === null ? point : { ...point, vector: usableVector(point.vector, wanted) }
  }

  /** Reads and writes of one collection, by its name or an alias. */
  const over = (collection: string) => ({
    async search(queries: readonly Query[]): Promise<readonly (readonly Hit[])[]> {
      const answers: (readonly Hit[])[] = []
      for (const some of chunksOf(queries, queries_per_call)) answers.push(...(await searchSome(collection, some)))
      return answers
    },
    async points(space: Space, ids: readonly string[]): Promise<ReadonlyMap<string, StoredPoint>> {
      const found = new Map<string, StoredPoint>()
      const vector_name = nameOf(space)
      for (const some of chunksOf([...new Set(ids)], points_per_read)) {
        const points = await call('a read of points', (qdrant) =>
          qdrant.retrieve(collection, {
            ids: some.map((id) => pointId(space, id)),
            with_payload: true,
            with_vector: [vector_name],
            ...consistency,
          }),
        )
        for (const point of points) {
          const stored = toStored(vector_name, point)
          found.set(stored.id, stored)
        }
      }
      return found
    },
    async write(points: readonly PointWrite[], version: number): Promise<void> {
      for (const batch of batchesOf(lastOfEach(points).map(usable), batch_points_max))
        await call('an upsert', async (qdrant) => {
          const result = await qdrant.upsert(collection, {
            wait: true,
            points: batch.map(({ space, id, vector, payload }) => toPoint(space, id, version, vector, payload, nameOf(space))),
            update_filter: { must: [{ key: 'version', range: { lt: version } }] },
          })
          completed('an upsert', result)
        })
    },
    async correct(points: readonly Correction[]): Promise<void> {
      for (const batch of batchesOf(points.map(usable), corrections_per_call))
        await call('a correction', async (qdrant) => {
          const result = await qdrant.upsert(collection, {
            wait: true,
            points: batch.map(({ space, id, version, vector, payload }) =>
              toPoint(space, id, version, vector, payload, nameOf(space)),
            ),
            update_filter: asSeen(batch),
          })
          completed('a correction', result)
        })
    },
    async describe(): Promise<IndexDescription> {
      const version = await versionOf()
      const count = async (space: Space): Promise<number> => {
        // Images of another model are no longer there for anybody.
        const must = [...liveIn(space), ...(space === 'images' ? [{ has_vector: nameOf(space) }] : [])]
        return (await call('a count', (qdrant) => qdrant.count(collection, { filter: { must }, exact: true }))).count
      }
      return {
        collection: collection === model_alias ? ((await targetOf(model_alias)) ?? first_collection) : collection,
        ...known_dims,
        points: {
          items: await count('items'),
          users: await count('users'),
          ...(images === undefined ? {} : { images: await count('images') }),
        },
        engine: `qdrant ${version}`,
      }
    },
    async *versions(space: Space): AsyncGenerator<PointVersion> {
      dimsOf(space, known_dims)
      let offset: Schemas['ScrollResult']['next_page_offset']
      do {
        const from = offset
        const page = await call('a scroll', (qdrant) =>
          qdrant.scroll(collection, {
            filter: { must: [{ key: 'space', match: { value: space } }] },
            limit: 1_000,
            with_payload: ['id', 'version', 'deleted'],
            with_vector: false,
            ...(from === undefined || from === null ? {} : { offset: from }),
            ...consistency,
          }),
        )
        for (const point of page.points) yield toVersion(point)
        offset = page.next_page_offset
      } while (offset !== undefined && offset !== null)
    },
  })

  /** Lets an upsert touch a point only where its stored version is the one that was seen. */
  const asSeen = (points: readonly Correction[]): Schemas['Filter'] => {
    const seen = points.flatMap(({ space, id, seen }) =>
      seen === null ? [] : [{ must: [{ has_id: [pointId(space, id)] }, { key: 'version', range: { gte: seen, lte: seen } }] }],
    )
    return seen.length === 0 ? { must: [{ has_id: [] }] } : { should: seen }
  }

  const versionOf = async (): Promise<string> => {
    const { title, version } = await call('a greeting', (qdrant) => qdrant.versionInfo())
    if (!/qdrant/i.test(title)) throw new Fault('index.version', `What answers at ${address} is not Qdrant.`)
    if (olderThan(version, version_min))
      throw new Fault(
        'index.version',
        `Qdrant at ${address} is ${version}; Entrepot needs ${version_min.join('.')} or newer, for conditional updates.`,
        { version },
      )
    return version
  }

  const createCollection = async (qdrant: QdrantClient, collection: string): Promise<void> => {
    try {
      await qdrant.createCollection(collection, {
        vectors: Object.fromEntries(
          spaces.map((space) => [nameOf(space), { size: dimsOf(space, known_dims), distance: 'Cosine' as const }]),
        ),
        // Without clipping (quantile 1.0) int8 keeps a recall@10 of 0.992, with rescoring of twice as many 0.999.
        quantization_config: { scalar: { type: 'int8', quantile: 1, always_ram: true } },
        ...(replicated ? { replication_factor, write_consistency_factor: Math.floor(replication_factor / 2) + 1 } : {}),
      })
    } catch (error) {
      // Another process was quicker.
      if (statusOf(error) !== 409) throw error
    }
  }

  /** Images that come to a collection which was made without them, or for another image model; true when vectors were added. */
  const addImages = async (collection: string, info: Schemas['CollectionInfo']): Promise<boolean> => {
    const vectors = info.config.params.vectors as Readonly<Record<string, unknown>> | undefined
    if (images === undefined || vectors?.[image_vectors!] !== undefined) return false
    await call('the addition of image vectors', async (qdrant) => {
      try {
        const config = { dense: { size: images.dims, distance: 'Cosine' as const } }
        completed(
          'the addition of image vectors',
          await qdrant.createVectorName(collection, image_vectors!, config, { wait: true }),
        )
      } catch (error) {
        const status = statusOf(error)
        // Another process was quicker.
        if (status === 409) return
        if (status !== 404 && status !== 405) throw error
        throw new Fault(
          'index.version',
          `Qdrant at ${address} cannot add image vectors to ${collection}: update it to 1.19, or run \`entrepot rebuild\`, which makes a new collection.`,
        )
      }
    })
    return true
  }

  const assertDimensions = (collection: string, info: Schemas['CollectionInfo']): void => {
    const vectors = info.config.params.vectors as Readonly<Record<string, { readonly size?: number } | undefined>> | undefined
    for (const space of spaces) {
      const stored = vectors?.[nameOf(space)]?.size
      const wanted = dimsOf(space, known_dims)
      if (stored !== wanted)
        throw new Fault(
          'index.dimension',
          `Collection ${collection} at ${address} holds ${space} of ${stored ?? 'no'} dimensions; the model makes ${wanted}.`,
          { dims: wanted, dims_stored: stored ?? 0 },
        )
    }
  }

  const createIndexes = async (collection: string, info: Schemas['CollectionInfo']): Promise<void> => {
    const fields: readonly (readonly [string, Schemas['PayloadFieldSchema']])[] = [
      ['version', { type: 'integer', lookup: false, range: true }],
      ['deleted', 'bool'],
      ['space', 'keyword'],
      ...Object.entries(indexed_fields).map(([field, type]) => [`payload.${field}`, type] as const),
    ]
    for (const [field_name, field_schema] of fields) {
      if (info.payload_schema[field_name] !== undefined) continue
      await call('the creation of a payload index', async (qdrant) =>
        completed(
          'the creation of a payload index',
          await qdrant.createPayloadIndex(collection, { field_name, field_schema, wait: true }),
        ),
      )
    }
  }

  const aliases = async (): Promise<readonly Schemas['AliasDescription'][]> =>
    (await call('a look at aliases', (qdrant) => qdrant.getAliases())).aliases

  /** The collection behind an alias. */
  const targetOf = async (name: string): Promise<string | undefined> =>
    (await aliases()).find(({ alias_name }) => alias_name === name)?.collection_name

  /** Points some aliases at a collection, in one step. */
  const pointAt = async (collection: string, names: readonly string[], replaced: readonly string[]): Promise<void> => {
    await call('a change of aliases', async (qdrant) =>
      completed(
        'a change of aliases',
        await qdrant.updateCollectionAliases({
          actions: [
            ...replaced.map((alias_name) => ({ delete_alias: { alias_name } })),
            ...names.map((alias_name) => ({ create_alias: { collection_name: collection, alias_name } })),
          ],
        }),
      ),
    )
  }

  const removeCollection = async (collection: string): Promise<void> => {
    await call('the removal of a collection', (qdrant) => qdrant.deleteCollection(collection))
  }

  const prepare = async (collection: string): Promise<void> => {
    const look = () => call('a look at the collection', (qdrant) => qdrant.getCollection(collection))
    let info = await look()
    if (await addImages(collection, info)) info = await look()
    assertDimensions(collection, info)
    await createIndexes(collection, info)
  }

  const generationOf = (collection: string): number =>
    Number(/-g(?<generation>\d+)$/u.exec(collection)?.groups?.['generation'] ?? 1)

  const { versions, describe, correct, ...index } = over(model_alias)

  const admin: QdrantAdmin = {
    async ensure() {
      await versionOf()
      const target = await targetOf(model_alias)
      const live = target ?? first_collection
      if (target === undefined) {
        const { exists } = await call('a look for the collection', (qdrant) => qdrant.collectionExists(live))
        if (!exists) await call('the creation of the collection', (qdrant) => createCollection(qdrant, live))
      }
      // A key may be limited to the names that are read and written, which are the aliases.
      await prepare(target === undefined ? live : model_alias)
      const names = new Set((await aliases()).map(({ alias_name }) => alias_name))
      const wanting = [model_alias, alias].filter((name) => !names.has(name))
      if (wanting.length > 0) await pointAt(live, wanting, [])
    },
    describe,
    versions,
    correct,
    async stage() {
      const live = (await targetOf(model_alias)) ?? first_collection
      const collection = `${first_collection}-g${generationOf(live) + 1}`
      const { collections } = await call('a list of collections', (qdrant) => qdrant.getCollections())
      const left_behind = collections.filter(
        ({ name }) => name !== live && (name === first_collection || name.startsWith(`${first_collection}-g`)),
      )
      for (const { name } of left_behind) await removeCollection(name)
      await call('the creation of the collection', (qdrant) => createCollection(qdrant, collection))
      await prepare(collection)
      return {
        ...over(collection),
        async promote() {
          const before = await aliases()
          const replaced = before.find(({ alias_name }) => alias_name === model_alias)?.collection_name
          if (replaced === collection) return
          // The alias of those who know no model follows where it led to this model.
          const moved = before
            .filter(
              ({ alias_name, collection_name }) =>
                alias_name === model_alias || (alias_name === alias && collection_name === replaced),
            )
            .map(({ alias_name }) => alias_name)
          await pointAt(collection, [...new Set([model_alias, ...moved])], moved)
          if (replaced === undefined) return
          try {
            await removeCollection(replaced)
          } catch (error) {
            // The switch is done, and nobody reads the old one: the next stage() deletes it.
            if (asFault(error).kind !== 'transient') throw error
          }
        },
        async discard() {
          // A promotion whose answer was lost may have succeeded: then this is the live one.
          if ((await targetOf(model_alias)) !== collection) await removeCollection(collection)
        },
      }
    },
    async purge(space, version) {
      dimsOf(space, known_dims)
      const filter = {
        must: [
          { key: 'space', match: { value: space } },
          { key: 'deleted', match: { value: true } },
          { key: 'version', range: { lt: version } },
        ],
      }
      const { count } = await call('a count', (qdrant) => qdrant.count(model_alias, { filter, exact: true }))
      if (count > 0)
        await call('a purge', async (qdrant) => completed('a purge', await qdrant.delete(model_alias, { wait: true, filter })))
      return count
    },
    async probe() {
      const version = await versionOf()
      const warnings: string[] = []
      if (options.api_key) {
        const { hostname, protocol } = new URL(options.url)
        if (protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname))
          warnings.push(`The API key travels in clear text to ${address}; use https.`)
        const anonymous = connectQdrant({ ...options, api_key: null, tries_max: 1 })
        try {
          await anonymous.call('an anonymous list', (qdrant) => qdrant.getCollections())
          warnings.push(`Qdrant at ${address} answers without a key as well: set service.api_key there.`)
        } catch (error) {
          if (!(error instanceof Fault) || error.code !== 'index.version') throw error
        } finally {
          anonymous.close()
        }
      }
      return { version, warnings }
    },
    async promote() {
      const all = await aliases()
      const target = (name: string) => all.find(({ alias_name }) => alias_name === name)?.collection_name
      const live = target(model_alias) ?? first_collection
      if (target(alias) !== live) await pointAt(live, [alias], target(alias) === undefined ? [] : [alias])
    },
    async close() {
      close()
    },
  }
  return { index, admin }
}
