/** VectorIndex in memory: an exact scan over a map, the reference that the other adapters are compared with. */
import { Fault } from '../../domain/fault.ts'
import { dot } from '../../domain/vector.ts'
import type {
  Correction,
  Hit,
  ImageSpace,
  IndexDescription,
  PointWrite,
  Query,
  Space,
  StoredPoint,
  VectorIndex,
  VectorIndexAdmin,
} from '../../ports/vector-index.ts'
import { byRank, dimsOf, filterHolds, lastOfEach, usableVector } from '../../ports/vector-semantics.ts'

/** What outlives a restart of its reader, as a server's disk would. */
export type MemoryVectorStore = {
  dims: number | undefined
  images: ImageSpace | undefined
  /** Another object after a rebuild. */
  points: Points
}

type Points = Readonly<Record<Space, Map<string, StoredPoint>>>

const noPoints = (): Points => ({ items: new Map(), users: new Map(), images: new Map() })

export const memoryVectorStore = (): MemoryVectorStore => ({ dims: undefined, images: undefined, points: noPoints() })

/** Opens an index of vectors [dims] over `store`; a store that is passed in can be opened again. */
export const openMemoryVectorIndex = (options: {
  readonly dims: number
  readonly images?: ImageSpace
  readonly store?: MemoryVectorStore
}): { readonly index: VectorIndex; readonly admin: VectorIndexAdmin } => {
  const { dims, images, store = memoryVectorStore() } = options
  const known = { dims, image_dims: images?.dims ?? null }

  /** What a reader and writer of these points may do; `points` is asked for at each call, as a rebuild replaces them. */
  const over = (points: () => Points) => {
    const search = (query: Query): readonly Hit[] => {
      const vector = usableVector(query.vector, dimsOf(query.space, known))
      const hits: Hit[] = []
      for (const point of points()[query.space].values()) {
        if (point.vector === null || !filterHolds(query.filter ?? {}, point.id, point.payload)) continue
        hits.push({ id: point.id, similarity: dot(vector, point.vector), payload: point.payload })
      }
      return hits.sort(byRank).slice(0, Math.max(0, query.limit))
    }

    const put = (
      list: readonly (PointWrite & { readonly version: number })[],
      may: (stored: StoredPoint, at: number) => boolean,
    ) => {
      const usable = list.map(({ space, id, vector, payload, version }) => {
        const wanted = dimsOf(space, known)
        return {
          space,
          point: {
            id,
            version,
            deleted: vector === null,
            vector: vector === null ? null : usableVector(vector, wanted),
            payload: { ...payload },
          },
        }
      })
      usable.forEach(({ space, point }, at) => {
        const stored = points()[space].get(point.id)
        if (stored === undefined || may(stored, at)) points()[space].set(point.id, point)
      })
    }

    const live = (space: Space): number => {
      let count = 0
      for (const point of points()[space].values()) if (!point.deleted) count += 1
      return count
    }

    return {
      search: async (queries: readonly Query[]) => queries.map(search),
      points: async (space: Space, ids: readonly string[]) => {
        dimsOf(space, known)
        const found = new Map<string, StoredPoint>()
        for (const id of ids) {
          const point = points()[space].get(id)
          if (point !== undefined) found.set(id, { ...point, vector: point.vector && Float32Array.from(point.vector) })
        }
        return found
      },
      write: async (list: readonly PointWrite[], version: number) =>
        put(
          lastOfEach(list).map((point) => ({ ...point, version })),
          (stored) => stored.version < version,
        ),
      correct: async (list: readonly Correction[]) => put(list, (stored, at) => stored.version === list[at]!.seen),
      async *versions(space: Space) {
        dimsOf(space, known)
        for (const { id, version, deleted } of [...points()[space].values()]) yield { id, version, deleted }
      },
      describe: async (): Promise<IndexDescription> => ({
        collection: 'memory',
        ...known,
        points: { items: live('items'), users: live('users'), ...(images === undefined ? {} : { images: live('images') }) },
        engine: 'memory, exact scan',
      }),
    }
  }

  const { versions, describe, correct, ...index } = over(() => store.points)

  const admin: VectorIndexAdmin = {
    async ensure() {
      store.dims ??= dims
      if (store.dims !== dims)
        throw new Fault('index.dimension', `The index holds vectors of ${store.dims} dimensions, the model makes ${dims}.`, {
          dims,
          dims_stored: store.dims,
        })
      if (images === undefined) return
      if (store.images?.dims !== images.dims || store.images.model_digest !== images.model_digest) store.points.images.clear()
      store.images = images
    },
    versions,
    describe,
    correct,
    async stage() {
      const points = noPoints()
      return {
        ...over(() => points),
        async promote() {
          store.points = points
        },
        async discard() {},
      }
    },
    async purge(space, version) {
      dimsOf(space, known)
      const gone = [...store.points[space].values()].filter((point) => point.deleted && point.version < version)
      for (const { id } of gone) store.points[space].delete(id)
      return gone.length
    },
    async close() {},
  }

  return { index, admin }
}
