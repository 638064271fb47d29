/** VectorIndex in memory: an exact scan over a map, the reference that the other adapters are compared with. */
import { Fault } from '../../domain/fault.ts'
import { dot } from '../../domain/vector.ts'
import type { Hit, Query, Space, StoredPoint, VectorIndex, VectorIndexAdmin } from '../../ports/vector-index.ts'
import { byRank, filterHolds, lastOfEach, usableVector } from '../../ports/vector-semantics.ts'

/** What outlives a restart of its reader, as a server's disk would. */
export type MemoryVectorStore = {
  dims: number | undefined
  readonly points: Readonly<Record<Space, Map<string, StoredPoint>>>
}

export const memoryVectorStore = (): MemoryVectorStore => ({
  dims: undefined,
  points: { items: new Map(), users: new Map() },
})

/** Opens an index of vectors [dims] over `store`; a store that is passed in can be opened again. */
export const openMemoryVectorIndex = (options: {
  readonly dims: number
  readonly store?: MemoryVectorStore
}): { readonly index: VectorIndex; readonly admin: VectorIndexAdmin } => {
  const { dims, store = memoryVectorStore() } = options

  const search = (query: Query): readonly Hit[] => {
    const vector = usableVector(query.vector, dims)
    const hits: Hit[] = []
    for (const point of store.points[query.space].values()) {
      if (point.vector === null || !filterHolds(query.filter ?? {}, point.id, point.payload)) continue
      hits.push({ id: point.id, similarity: dot(vector, point.vector), payload: point.payload })
    }
    return hits.sort(byRank).slice(0, Math.max(0, query.limit))
  }

  const index: VectorIndex = {
    async search(queries) {
      return queries.map(search)
    },
    async points(space, ids) {
      const found = new Map<string, StoredPoint>()
      for (const id of ids) {
        const point = store.points[space].get(id)
        if (point !== undefined) found.set(id, { ...point, vector: point.vector && Float32Array.from(point.vector) })
      }
      return found
    },
    async write(points, version) {
      const usable = lastOfEach(points).map((point) => ({
        space: point.space,
        id: point.id,
        version,
        deleted: point.vector === null,
        vector: point.vector === null ? null : usableVector(point.vector, dims),
        payload: { ...point.payload },
      }))
      for (const { space, ...point } of usable) {
        const stored = store.points[space].get(point.id)
        if (stored === undefined || stored.version < version) store.points[space].set(point.id, point)
      }
    },
  }

  const live = (space: Space): number => {
    let count = 0
    for (const point of store.points[space].values()) if (!point.deleted) count += 1
    return count
  }

  const admin: VectorIndexAdmin = {
    async ensure() {
      store.dims ??= dims
      if (store.dims !== dims)
        throw new Fault('index.dimension', `The index holds vectors of ${store.dims} dimensions, the model makes ${dims}.`, {
          dims,
          dims_stored: store.dims,
        })
    },
    async describe() {
      return { collection: 'memory', dims, points: { items: live('items'), users: live('users') }, engine: 'memory, exact scan' }
    },
    async *versions(space) {
      for (const { id, version, deleted } of [...store.points[space].values()]) yield { id, version, deleted }
    },
    async purge(space, version) {
      const gone = [...store.points[space].values()].filter((point) => point.deleted && point.version < version)
      for (const { id } of gone) store.points[space].delete(id)
      return gone.length
    },
    async close() {},
  }

  return { index, admin }
}
