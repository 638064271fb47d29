/**
 * VectorIndex in one process and one file: points are durable in `vectors.db`, a quantised copy is searched in memory.
 * A write is on disk and searchable when it returns; points become so by the hundred, in one turn of the event loop.
 */
import { setImmediate } from 'node:timers/promises'
import { Fault } from '../../domain/fault.ts'
import type {
  Correction,
  Filter,
  Hit,
  ImageSpace,
  IndexDescription,
  Payload,
  PointVersion,
  PointWrite,
  Query,
  Space,
  StoredPoint,
  VectorIndex,
  VectorIndexAdmin,
} from '../../ports/vector-index.ts'
import { dimsOf, lastOfEach, usableVector } from '../../ports/vector-semantics.ts'
import type { OpenDatabase } from './database.ts'
import { openVectorFile, type VectorTable } from './vector-file.ts'
import type { Layout, Neighbour } from './vector-lists.ts'
import { openVectorLists } from './vector-lists.ts'
import { openPayloads } from './vector-payloads.ts'

/** Searching and learning yield to the event loop after this long, so that nothing else waits behind a large call. */
const slice_ms = 5

/** Slots looked at to estimate what share of the points a filter lets through. */
const share_sample = 256

/** Nanoseconds a row of 384 dimensions costs when lists are scanned, when it is picked alone, and when a filter is tested on it. */
const cost_ns = { scanned: 50, picked: 300, tested: 15 }

/** Points of one transaction. One of 500 holds the event loop for 50 ms; four more syncs cost less than that waiting does. */
const transaction_points = 100

const versions_page = 1_000

/** Points kept as they were last read: what many users are shown is looked up for each of them. About 3 KiB each. */
const points_kept_max = 16_384

/** What a filter lets through, apart from excluded ids. `slots` is filled when it pays to know them all. */
type Passing = { readonly accepts: (slot: number) => boolean; readonly share: number; slots: Int32Array | undefined }

/** The searchable copy of one space. Points have slots; a deleted point's slot is used again. */
const openSpace = async (dims: number, exact_rows_max: number | undefined) => {
  const ids: string[] = []
  const slot_of = new Map<string, number>()
  const free: number[] = []
  const payloads = openPayloads()
  const lists = await openVectorLists({
    dims,
    before: (a, b) => ids[a]! < ids[b]!,
    ...(exact_rows_max === undefined ? {} : { exact_rows_max }),
  })

  const passing = (filter: Filter): Passing => {
    const accepts = payloads.accepts(filter)
    let live = 0
    let accepted = 0
    // Steps of the golden ratio reach all parts of the slots and no period of the data can follow them.
    for (let i = 0, at = 0; i < Math.min(ids.length, share_sample); i++) {
      at = (at + 0.618_033_988_749_895) % 1
      const slot = Math.floor(at * ids.length)
      if (!lists.has(slot)) continue
      live += 1
      if (accepts(slot)) accepted += 1
    }
    return { accepts, share: Math.max(accepted, 0.5) / Math.max(live, 1), slots: undefined }
  }

  const slotsOf = ({ accepts }: Passing): Int32Array => {
    const slots: number[] = []
    for (let slot = 0; slot < ids.length; slot++) if (lists.has(slot) && accepts(slot)) slots.push(slot)
    return Int32Array.from(slots)
  }

  return {
    lists,
    /** A point that was not there, at start. */
    load(id: string, vector: Float32Array, payload: Payload): void {
      const slot = ids.push(id) - 1
      slot_of.set(id, slot)
      lists.load(slot, vector)
      payloads.set(slot, payload)
    },
    put(id: string, vector: Float32Array, payload: Payload): void {
      let slot = slot_of.get(id)
      if (slot === undefined) {
        slot = free.pop() ?? ids.length
        ids[slot] = id
        slot_of.set(id, slot)
      }
      lists.put(slot, vector)
      payloads.set(slot, payload)
    },
    drop(id: string): void {
      const slot = slot_of.get(id)
      if (slot === undefined) return
      lists.drop(slot)
      payloads.clear(slot)
      slot_of.delete(id)
      free.push(slot)
    },
    /** `known` keeps what was found out about filters for the other queries of the same call and moment. */
    search(query: Query, known: Map<string, Passing>): readonly Hit[] {
      const { limit, filter = {} } = query
      const vector = usableVector(query.vector, dims)
      const excluded = new Set<number>()
      for (const id of filter.exclude ?? []) {
        const slot = slot_of.get(id)
        if (slot !== undefined) excluded.add(slot)
      }
      let found: Neighbour[]
      if ((filter.must?.length ?? 0) + (filter.must_not?.length ?? 0) === 0) {
        const share = limit / (limit + excluded.size)
        found =
          excluded.size === 0
            ? lists.search(vector, limit)
            : lists.search(vector, limit, { accepts: (slot) => !excluded.has(slot), share })
      } else {
        const key = JSON.stringify([query.space, filter.must, filter.must_not])
        let pass = known.get(key)
        if (pass === undefined) {
          pass = passing(filter)
          known.set(key, pass)
        }
        const { accepts } = pass
        const share = (pass.share * limit) / (limit + excluded.size)
        const picking = (pass.slots === undefined ? cost_ns.tested : 0) + pass.share * cost_ns.picked
        const allowed = excluded.size === 0 ? accepts : (slot: number) => accepts(slot) && !excluded.has(slot)
        if (picking < lists.scanned(limit, share) * (cost_ns.scanned + cost_ns.tested)) {
          pass.slots ??= slotsOf(pass)
          found = lists.searchAmong(vector, limit, pass.slots, allowed)
        } else found = lists.search(vector, limit, { accepts: allowed, share })
      }
      return found.map(({ slot, similarity }) => ({ id: ids[slot]!, similarity, payload: payloads.get(slot) }))
    },
  }
}

export type EmbeddedVectorIndex = {
  readonly index: VectorIndex
  readonly admin: VectorIndexAdmin
  /** Resolves when no lists are being learned; for benches and tests. */
  settled(): Promise<void>
}

/**
 * Opens `vectors.db` in `folder`, for vectors [dims] of the model with this digest, and loads it: about 2 s for 100,000 points.
 * Memory: about 1.2 KiB a point of 384 dimensions besides the texts of its payload.
 * Faults: log.locked, log.corrupt, index.unavailable; `ensure` faults with index.dimension for another model's file.
 */
export const openEmbeddedVectorIndex = async (options: {
  readonly folder: string
  readonly dims: number
  readonly model_digest: string
  /** A space of images beside items and users; without it there is none. */
  readonly images?: ImageSpace
  /** Up to this many points of a space a search looks at all of them; 20,000 unless told. */
  readonly exact_rows_max?: number
  /** Bytes the file may grow to; writes beyond fault with index.unavailable. */
  readonly file_bytes_max?: number
  readonly openDatabase?: OpenDatabase
}): Promise<EmbeddedVectorIndex> => {
  const { folder, dims, model_digest, images } = options
  const known_dims = { dims, image_dims: images?.dims ?? null }
  const names: readonly Space[] = images === undefined ? ['items', 'users'] : ['items', 'users', 'images']
  const file = openVectorFile(folder, dims, model_digest, options.file_bytes_max, options.openDatabase)
  /** The points of one collection: on disk, and their searchable copy. */
  const openCollection = async (table: VectorTable) => ({
    table,
    spaces: new Map(
      await Promise.all(
        names.map(async (space) => [space, await openSpace(dimsOf(space, known_dims), options.exact_rows_max)] as const),
      ),
    ),
    /** By space and id; the longest unread goes first. A point that is written or purged is read again. */
    kept: new Map<string, StoredPoint>(),
    /** Points of a write that failed: whether they are in the file is not known, so they are read again before anything else. */
    doubtful: [] as readonly { readonly space: Space; readonly id: string }[],
  })
  type Collection = Awaited<ReturnType<typeof openCollection>>
  /** Refuses a space that is not configured. */
  const within = ({ spaces }: Pick<Collection, 'spaces'>, space: Space) => {
    dimsOf(space, known_dims)
    return spaces.get(space)!
  }
  /** Another one after a rebuild. */
  let live = await openCollection(file)
  let closed = false
  let learning: Promise<void> | undefined
  /** What went wrong beside the calls, for the next write to throw. */
  let learning_failed: unknown

  const keptKey = (space: Space, id: string): string => `${space} ${id}`
  const pointOf = ({ kept, table }: Collection, space: Space, id: string): StoredPoint | undefined => {
    const key = keptKey(space, id)
    const known = kept.get(key)
    const point = known ?? table.get(space, id)
    if (point === undefined) return undefined
    if (known !== undefined) kept.delete(key)
    else if (kept.size >= points_kept_max) kept.delete(kept.keys().next().value!)
    kept.set(key, point)
    // What a caller does to its vector must not be seen by the next one.
    return { ...point, vector: point.vector?.slice() ?? null, payload: { ...point.payload } }
  }

  const assertOpened = (collection: Collection = live): void => {
    if (closed) throw new Fault('index.unavailable', 'The embedded index is closed.')
    if (file.dims !== dims || file.model_digest !== model_digest)
      throw new Fault(
        'index.dimension',
        `vectors.db holds vectors of ${file.dims} dimensions of model ${file.model_digest.slice(0, 8)}; the configured model ` +
          `${model_digest.slice(0, 8)} makes ${dims}. Configure that model again, or delete vectors.db and run \`entrepot repair\`.`,
        { dims, dims_stored: file.dims },
      )
    const { table, doubtful } = collection
    if (doubtful.length > 0) {
      for (const { space, id } of doubtful) {
        const point = table.get(space, id)
        if (point === undefined || point.vector === null) within(collection, space).drop(id)
        else within(collection, space).put(id, point.vector, point.payload)
      }
      collection.doubtful = []
    }
  }

  /** Works through the steps, giving the event loop a turn between slices; false when the index was closed meanwhile. */
  const inSlices = async (steps: Generator<void, void>): Promise<boolean> => {
    let since = performance.now()
    for (const _ of steps) {
      if (performance.now() - since < slice_ms) continue
      await setImmediate()
      if (closed) return false
      since = performance.now()
    }
    return true
  }

  const learnSpace = async (collection: Collection, space: Space): Promise<void> => {
    const { lists } = within(collection, space)
    await inSlices(lists.sort())
    while (!closed && lists.trainingDue()) {
      if (!(await inSlices(lists.train()))) return
      const layout = lists.layout()
      // Of a collection that is only staged, the layouts are written when it becomes the live one.
      if (layout !== undefined && collection === live) file.saveLayout(space, layout)
    }
  }

  /** Deletes what a rebuild has replaced, some rows in each turn. */
  const clearReplaced = async (): Promise<void> => {
    while (!closed && file.clearReplaced()) await setImmediate()
  }

  const learn = (): void => {
    learning ??= (async () => {
      try {
        await clearReplaced()
        for (const space of names) await learnSpace(live, space)
      } catch (error) {
        learning_failed = error
      } finally {
        learning = undefined
      }
    })()
  }

  if (file.dims === dims && file.model_digest === model_digest) {
    if (images !== undefined) file.claimImages(images)
    for (const [space, { lists, load }] of live.spaces) {
      const layout = file.layout(space)
      if (layout !== undefined) lists.restore(layout)
      for (const { id, vector, payload } of file.live(space)) load(id, vector, payload)
    }
  }
  learn()

  /** A write into one collection: `apply` says which points the file has taken. */
  const put = async <P extends PointWrite>(
    target: () => Collection,
    points: readonly P[],
    apply: (table: VectorTable, points: readonly (P & { readonly payload_json: string })[]) => readonly boolean[],
  ): Promise<void> => {
    assertOpened(target())
    if (learning_failed !== undefined) {
      const error = learning_failed
      learning_failed = undefined
      throw error
    }
    const usableIn = ({ space, vector }: P): Float32Array | null => {
      const wanted = dimsOf(space, known_dims)
      return vector === null ? null : usableVector(vector, wanted)
    }
    const usable = points.map((point) => ({
      ...point,
      vector: usableIn(point),
      payload_json: JSON.stringify(point.payload),
    }))
    for (const [space, { lists }] of target().spaces) lists.reserve(usable.filter((point) => point.space === space).length)
    for (let from = 0; from < usable.length; from += transaction_points) {
      if (from > 0) {
        await setImmediate()
        assertOpened(target())
      }
      // Asked for again after each turn: a rebuild may have put another collection in the place of this one.
      const collection = target()
      const { table, kept } = collection
      const points_now = usable.slice(from, from + transaction_points)
      collection.doubtful = points_now
      for (const { space, id } of points_now) kept.delete(keptKey(space, id))
      const applied = apply(table, points_now)
      collection.doubtful = []
      points_now.forEach(({ space, id, vector, payload_json }, i) => {
        if (!applied[i]) return
        // The payload is parsed again so that no text of it keeps a larger text alive that it was cut from.
        if (vector === null) within(collection, space).drop(id)
        else within(collection, space).put(id, vector, JSON.parse(payload_json) as Payload)
      })
    }
    if ([...live.spaces.values()].some(({ lists }) => lists.trainingDue())) learn()
  }
  const write = (target: () => Collection, points: readonly PointWrite[], version: number): Promise<void> =>
    put(target, lastOfEach(points), (table, some) => table.write(some, version))
  const correct = (target: () => Collection, points: readonly Correction[]): Promise<void> =>
    put(target, points, (table, some) => table.correct(some))

  const search = async (collection: () => Collection, queries: readonly Query[]): Promise<readonly (readonly Hit[])[]> => {
    assertOpened(collection())
    const answers: (readonly Hit[])[] = []
    let known = new Map<string, Passing>()
    let since = performance.now()
    for (const query of queries) {
      if (performance.now() - since > slice_ms) {
        await setImmediate()
        assertOpened(collection())
        // Points may have changed in between, and with them what a filter lets through.
        known = new Map()
        since = performance.now()
      }
      answers.push(within(collection(), query.space).search(query, known))
    }
    return answers
  }

  const pointsOf = async (collection: Collection, space: Space, ids: readonly string[]) => {
    assertOpened(collection)
    within(collection, space)
    const found = new Map<string, StoredPoint>()
    for (const id of ids) {
      const point = pointOf(collection, space, id)
      if (point !== undefined) found.set(id, point)
    }
    return found
  }

  const describe = async (collection: Collection): Promise<IndexDescription> => {
    assertOpened(collection)
    return {
      collection: 'vectors.db',
      ...known_dims,
      points: {
        items: within(collection, 'items').lists.size(),
        users: within(collection, 'users').lists.size(),
        ...(images === undefined ? {} : { images: within(collection, 'images').lists.size() }),
      },
      engine: 'embedded, int8 scan with IVF over SQLite',
    }
  }

  const versions = async function* (collection: () => Collection, space: Space): AsyncGenerator<PointVersion> {
    let after = 0
    within(collection(), space)
    for (;;) {
      assertOpened(collection())
      const page = collection().table.versions(space, after, versions_page)
      for (const { id, version, deleted } of page) yield { id, version, deleted }
      if (page.length < versions_page) return
      after = page.at(-1)!.row
    }
  }

  const layoutsOf = ({ spaces }: Collection): ReadonlyMap<Space, Layout> =>
    new Map(
      [...spaces].flatMap(([space, { lists }]) => {
        const layout = lists.layout()
        return layout === undefined ? [] : [[space, layout] as const]
      }),
    )

  let staged: Collection | undefined
  const assertStaged = (collection: Collection): void => {
    if (staged !== collection)
      throw new Fault('index.unavailable', 'This rebuild of the embedded index is over, or another one has begun.')
  }

  const index: VectorIndex = {
    search: (queries) => search(() => live, queries),
    points: (space, ids) => pointsOf(live, space, ids),
    write: (points, version) => write(() => live, points, version),
  }

  const admin: VectorIndexAdmin = {
    async ensure() {
      assertOpened()
    },
    describe: () => describe(live),
    versions: (space) => versions(() => live, space),
    correct: (points) => correct(() => live, points),
    async stage() {
      assertOpened()
      const own = await openCollection(file.stage())
      staged = own
      const checked = (): Collection => {
        assertStaged(own)
        return own
      }
      return {
        search: async (queries) => search(checked, queries),
        points: async (space, ids) => pointsOf(checked(), space, ids),
        write: async (points, version) => write(checked, points, version),
        correct: async (points) => correct(checked, points),
        describe: async () => describe(checked()),
        versions: (space) => versions(checked, space),
        async promote() {
          for (const space of names) await learnSpace(checked(), space)
          assertOpened(checked())
          // From here to the change of `live` nothing else runs: nobody sees one half of it.
          file.promote(layoutsOf(own))
          own.table = file
          live = own
          staged = undefined
          // What is being learned now is of the replaced one.
          await learning
          learn()
        },
        async discard() {
          if (staged !== own) return
          staged = undefined
          file.discard()
        },
      }
    },
    async purge(space, version) {
      assertOpened()
      within(live, space)
      live.kept.clear()
      return file.purge(space, version)
    },
    async close() {
      if (closed) return
      closed = true
      await learning
      file.close()
    },
  }

  return {
    index,
    admin,
    async settled() {
      while (learning !== undefined) await learning
    },
  }
}
