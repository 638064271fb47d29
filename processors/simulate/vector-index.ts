/**
 * The vector index as a server far away: what it acknowledged may be gone after a restart, a write may be half done, late, or done
 * without an answer. Its meaning of points, guards and hits is the reference adapter's own.
 */
import { type MemoryVectorStore, memoryVectorStore, openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import { Fault } from '../domain/fault.ts'
import type { Space, StoredPoint, VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import type { Network, Serve } from './network.ts'
import type { Machine, Scheduler } from './scheduler.ts'
import type { Weather } from './weather.ts'

export type SimIndex = {
  readonly store: MemoryVectorStore
  /** How often acknowledged points were lost. */
  losses(): number
  /** The index as one machine reaches it. */
  from(machine: Machine): VectorIndex & VectorIndexAdmin
  /** A restart that loses the last acknowledged writes (the class of qdrant/qdrant#10577). Returns how many points. */
  forget(): number
  /** A restore from an old snapshot. */
  takeSnapshot(): void
  rollBack(): boolean
}

const timeout_ms = 800
const spaces: readonly Space[] = ['items', 'users', 'images']
/** Acknowledged writes that a restart may lose. */
const unsettled_max = 12

type Change = { readonly space: Space; readonly id: string; readonly before: StoredPoint | undefined }

export const openSimIndex = (scheduler: Scheduler, network: Network, weather: Weather, dims: number): SimIndex => {
  const store = memoryVectorStore()
  const { index, admin } = openMemoryVectorIndex({ dims, store })
  let unsettled: Change[][] = []
  let snapshot: Record<Space, Map<string, StoredPoint>> | null = null
  let losses = 0

  const unavailable = (what: string) => () => new Fault('index.unavailable', `The simulated index: ${what}.`)
  const ask = <T>(machine: Machine, point: string, serve: Serve<T>): Promise<T> =>
    network.call(machine, point, timeout_ms, unavailable('timed out'), serve)

  const write: VectorIndex['write'] = async (points, version) => {
    const changes = points.map(({ space, id }): Change => ({ space, id, before: store.points[space].get(id) }))
    await index.write(points, version)
    unsettled.push(changes)
    if (unsettled.length > unsettled_max) unsettled.shift()
  }

  const read =
    <A extends unknown[], T>(machine: Machine, point: string, run: (...args: A) => Promise<T>) =>
    (...args: A): Promise<T> =>
      ask<T>(machine, point, (reply, refuse) => {
        if (weather.strikes('index_refused')) return refuse(unavailable('refused')())
        run(...args).then(reply, refuse)
      })

  return {
    store,
    losses: () => losses,
    from: (machine) => ({
      search: read(machine, 'index_search', index.search),
      points: read(machine, 'index_points', index.points),
      write: (points, version) =>
        ask<void>(machine, 'index_write', (reply, refuse) => {
          if (weather.strikes('index_refused')) return refuse(unavailable('refused')())
          if (weather.strikes('index_throttled')) return refuse(unavailable('answered 429')())
          if (weather.strikes('index_partial')) {
            const some = points.slice(0, weather.below(points.length))
            write(some, version).then(() => refuse(unavailable('did a part')()), refuse)
            return
          }
          if (weather.strikes('index_unknown')) {
            // Done, and nobody hears of it.
            void write(points, version)
            return
          }
          if (weather.strikes('index_late')) {
            scheduler.after(timeout_ms * (0.5 + 2 * weather.uniform()), null, () => void write(points, version))
            return
          }
          write(points, version).then(reply, refuse)
        }),
      ...admin,
      ensure: admin.ensure,
      describe: read(machine, 'index_describe', admin.describe),
      versions: async function* (space) {
        const all = await ask<{ id: string; version: number; deleted: boolean }[]>(machine, 'index_versions', (reply) =>
          reply([...store.points[space].values()].map(({ id, version, deleted }) => ({ id, version, deleted }))),
        )
        yield* all
      },
      correct: (points) => ask<void>(machine, 'index_correct', (reply, refuse) => void admin.correct(points).then(reply, refuse)),
      purge: read(machine, 'index_purge', admin.purge),
      close: async () => undefined,
    }),
    forget: () => {
      const gone = unsettled.slice(weather.below(unsettled.length + 1))
      unsettled = []
      let points = 0
      for (const changes of gone.reverse())
        for (const { space, id, before } of changes) {
          points++
          if (before === undefined) store.points[space].delete(id)
          else store.points[space].set(id, before)
        }
      losses += points
      return points
    },
    takeSnapshot: () => {
      const { items, users, images } = store.points
      snapshot = { items: new Map(items), users: new Map(users), images: new Map(images) }
    },
    rollBack: () => {
      if (snapshot === null) return false
      for (const space of spaces) {
        store.points[space].clear()
        for (const [id, point] of snapshot[space]) store.points[space].set(id, point)
      }
      unsettled = []
      losses++
      return true
    },
  }
}
