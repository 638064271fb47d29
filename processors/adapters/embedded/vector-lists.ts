/**
 * Rows of quantised vectors in inverted lists (IVF), searched by cosine: each row lies in the list of its nearest centroid,
 * a search scans the lists nearest to its query, and the best of what it saw are scored again with twice the bits.
 *
 * Below `exact_rows_max` there are no centroids and every search scans everything. Above it `train()` learns the centroids
 * (spherical k-means) and measures how many lists a search must scan for a recall of `recall_goal` at several depths.
 */
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import { dims_step, scan_dims_max, scanMemory, scanOver } from './vector-scan.ts'

const rows_per_block = 32
const lists_max = 4_096
const page_bytes = 65_536

/** A row is 16 bits a number, scaled by its largest: the high bytes are scanned, high and low together score again. */
const steps = 32_512

/**
 * Lists for so many rows: 1.8 times the root. On 36,000 real titles a recall of 0.99 scans 17 % of the rows at 1.2, 11 % at 2.4;
 * learning and each write cost in proportion.
 */
const listCount = (rows: number): number => Math.min(lists_max, rows, Math.max(16, Math.round(1.8 * Math.sqrt(rows))))

/** Rows to learn from, per list, and how often they are gone through; more moves the centroids little. */
const sample_per_list = 30
const rounds = 5

/**
 * What the number of lists to scan is measured for, with how many queries of each kind: items, and the sum of two items,
 * as the profile of a shopper of two tastes is. Goal and margin are above the promised 0.98: misses come together, nine of ten
 * in one query when a list is passed over, so that the mean of a sample of queries is a coarse measure.
 */
const depths = [10, 40, 160, 640, 2_560] as const
const calibration_queries = { items: 128, sums: 128 } as const
const recall_goal = 0.99
const lists_margin = 1.25

export type Neighbour = { readonly slot: number; readonly similarity: number }

/** What a search may return: the slots `accepts` says yes to, `share` of all by estimate. */
export type Allowed = { readonly accepts: (slot: number) => boolean; readonly share: number }

/** The learned part, to be stored and given back at the next start. */
export type Layout = {
  /** float32 [lists, dims], unit rows. */
  readonly centroids: Float32Array
  /** Lists to scan for each of `depths`, as far as it was measured. */
  readonly probes: readonly number[]
  readonly rows_at_training: number
}

export type VectorLists = {
  /** Makes room for `rows` more rows, or throws before anything is changed. */
  reserve(rows: number): void
  /** Puts a unit vector into a slot, or replaces the one that is there. */
  put(slot: number, vector: Vector): void
  /** The same without choosing a list, quicker; searches scan such rows until `sort()` has moved them. */
  load(slot: number, vector: Vector): void
  drop(slot: number): void
  has(slot: number): boolean
  size(): number
  /** The nearest rows, best first; equal ones in the order of `before`. Without `allowed` every row may come. */
  search(vector: Vector, limit: number, allowed?: Allowed): Neighbour[]
  /** The nearest of these slots alone, of those that `accepts` says yes to. */
  searchAmong(vector: Vector, limit: number, slots: Int32Array, accepts?: (slot: number) => boolean): Neighbour[]
  /** The share of all rows that a search for `limit` rows of `share` would scan. */
  scanned(limit: number, share: number): number
  /** Whether the rows have outgrown the lists. */
  trainingDue(): boolean
  /** Learns the lists anew in steps of a millisecond or so; searches and writes may happen between steps. */
  train(): Generator<void, void>
  /** Moves loaded rows to their lists, likewise in steps. */
  sort(): Generator<void, void>
  layout(): Layout | undefined
  /** Takes a stored layout over; only while empty. */
  restore(layout: Layout): void
}

/** The best `capacity` of what is offered, by score, then by `before`. A binary heap with the worst at the root. */
const best = (capacity: number, before: (a: number, b: number) => boolean) => {
  const scores = new Float64Array(capacity)
  const slots = new Int32Array(capacity)
  let size = 0
  const worse = (score: number, slot: number, at: number): boolean =>
    score < scores[at]! || (score === scores[at] && before(slots[at]!, slot))

  const sift = (score: number, slot: number): void => {
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && worse(scores[child + 1]!, slots[child + 1]!, child)) child += 1
      if (worse(score, slot, child)) break
      scores[at] = scores[child]!
      slots[at] = slots[child]!
      at = child
    }
    scores[at] = score
    slots[at] = slot
  }

  return {
    /** What a score must reach to be taken: at this score `before` decides. */
    bar: (): number => (size < capacity ? Number.NEGATIVE_INFINITY : scores[0]!),
    offer(score: number, slot: number): void {
      if (size < capacity) {
        let at = size++
        while (at > 0) {
          const parent = (at - 1) >> 1
          if (!worse(score, slot, parent)) break
          scores[at] = scores[parent]!
          slots[at] = slots[parent]!
          at = parent
        }
        scores[at] = score
        slots[at] = slot
      } else if (!worse(score, slot, 0)) sift(score, slot)
    },
    size: (): number => size,
    slots: (): Int32Array => slots.subarray(0, size),
  }
}

/** Uniform numbers in [0, 1) from a seed (mulberry32): the same rows give the same lists. */
const seeded = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const grown = (array: Int32Array<ArrayBuffer>, length: number, fill: number): Int32Array<ArrayBuffer> => {
  if (array.length >= length) return array
  const larger = new Int32Array(Math.max(length, Math.ceil(array.length * 1.5), 1_024)).fill(fill)
  larger.set(array)
  return larger
}

/**
 * Empty lists for vectors [dims]. `before(a, b)` orders slots of equal similarity.
 * Memory: 2 bytes a number, 6 bytes a row and about a tenth in partly filled blocks.
 */
export const openVectorLists = async (options: {
  readonly dims: number
  readonly before: (a: number, b: number) => boolean
  readonly exact_rows_max?: number
  readonly seed?: number
}): Promise<VectorLists> => {
  const { dims, before, exact_rows_max = 20_000, seed = 1 } = options
  if (dims > scan_dims_max)
    throw new Fault(
      'config.invalid',
      `The embedded index holds vectors of at most ${scan_dims_max} dimensions; the model makes ${dims}.`,
      {
        dims,
      },
    )

  const width = Math.ceil(dims / dims_step) * dims_step
  const low_at = rows_per_block * width
  const scale_at = 2 * low_at
  const block_bytes = scale_at + 4 * rows_per_block
  const query_at = 0
  const out_at = 2 * width
  const blocks_at = out_at + 4 * lists_max

  const memory = scanMemory(Math.ceil((blocks_at + block_bytes) / page_bytes))
  const dots = await scanOver(memory)
  let bytes = new Int8Array(memory.buffer)
  let words = new Int16Array(memory.buffer)
  let floats = new Float32Array(memory.buffer)

  /** Blocks are numbered; of each, how many rows it holds. Free ones are used again. */
  let blocks = 0
  let used = new Int32Array(0)
  const free: number[] = []
  /** The slot of each place; a place is block * rows_per_block + row. */
  let slot_at = new Int32Array(0)
  /** The place and the list of each slot, -1 where there is none. List -1 is `unsorted`. */
  let place_of = new Int32Array(0)
  let list_of = new Int32Array(0)
  let rows = 0

  let lists: number[][] = []
  const unsorted: number[] = []
  let centroid_blocks: number[] = []
  let centroids = new Float32Array(0)
  let probes: readonly number[] | undefined
  let rows_at_training = 0

  const blocksThatFit = (): number => Math.floor((memory.buffer.byteLength - blocks_at) / block_bytes)

  const growTo = (wanted: number): void => {
    if (wanted <= blocksThatFit()) return
    const missing = blocks_at + wanted * block_bytes - memory.buffer.byteLength
    try {
      memory.grow(Math.max(Math.ceil(missing / page_bytes), Math.min(512, memory.buffer.byteLength / page_bytes / 8)))
    } catch (cause) {
      throw new Fault(
        'index.unavailable',
        `The embedded index has no memory for more than ${rows} vectors; give the process more, or use Qdrant.`,
        { rows },
        cause,
      )
    }
    bytes = new Int8Array(memory.buffer)
    words = new Int16Array(memory.buffer)
    floats = new Float32Array(memory.buffer)
  }

  const newBlock = (): number => {
    const reused = free.pop()
    if (reused !== undefined) return reused
    growTo(blocks + 1)
    used = grown(used, blocks + 1, 0)
    slot_at = grown(slot_at, (blocks + 1) * rows_per_block, -1)
    return blocks++
  }

  const highOf = (place: number): number =>
    blocks_at + Math.floor(place / rows_per_block) * block_bytes + (place % rows_per_block) * width
  const scaleOf = (place: number): number =>
    blocks_at + Math.floor(place / rows_per_block) * block_bytes + scale_at + 4 * (place % rows_per_block)

  /** Puts a vector into the query's place as int16; returns what one step is worth. */
  const loadVector = (vector: Float32Array, from = 0): number => {
    const into = words
    let largest = 0
    for (let i = 0; i < dims; i++) {
      const size = Math.abs(vector[from + i]!)
      if (size > largest) largest = size
    }
    const inverse = steps / largest
    // The half is added before the fraction is cut off: rounding that compiles to two instructions.
    for (let i = 0; i < dims; i++) {
      const x = vector[from + i]! * inverse
      into[query_at + i] = x < 0 ? x - 0.5 : x + 0.5
    }
    return largest / steps
  }

  /** Puts a stored row back into the query's place; returns what one step is worth. */
  const loadRow = (place: number): number => {
    const into = words
    const from = bytes
    const high = highOf(place)
    for (let i = 0; i < dims; i++) into[query_at + i] = (from[high + i]! << 8) + from[high + low_at + i]!
    return floats[scaleOf(place) / 4]!
  }

  const storeRow = (place: number, worth: number): void => {
    const from = words
    const into = bytes
    const high = highOf(place)
    for (let i = 0; i < dims; i++) {
      const word = from[query_at + i]!
      const upper = (word + 128) >> 8
      into[high + i] = upper
      into[high + low_at + i] = word - (upper << 8)
    }
    floats[scaleOf(place) / 4] = worth
  }

  const scoreCentroids = (of: readonly number[], count: number): void => {
    for (let i = 0; i < of.length; i++) {
      const block = blocks_at + of[i]! * block_bytes
      const here = Math.min(rows_per_block, count - i * rows_per_block)
      dots(query_at, block, block + scale_at, here, width, out_at + 4 * i * rows_per_block)
    }
  }

  /** The list of the vector in the query's place. */
  const nearestList = (of: readonly number[], count: number): number => {
    scoreCentroids(of, count)
    const out = out_at / 4
    let nearest = 0
    for (let i = 1; i < count; i++) if (floats[out + i]! > floats[out + nearest]!) nearest = i
    return nearest
  }

  const writeCentroids = (into: readonly number[], values: Float32Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const worth = loadVector(values, i * dims)
      storeRow(into[Math.floor(i / rows_per_block)]! * rows_per_block + (i % rows_per_block), worth)
    }
  }

  const blocksOf = (list: number): number[] => (list < 0 ? unsorted : lists[list]!)

  /** Appends the vector in the query's place to a list. */
  const append = (slot: number, list: number, worth: number): void => {
    const own = blocksOf(list)
    let block = own.at(-1)
    if (block === undefined || used[block] === rows_per_block) {
      block = newBlock()
      used[block] = 0
      own.push(block)
    }
    const place = block * rows_per_block + used[block]!
    used[block]! += 1
    storeRow(place, worth)
    slot_at[place] = slot
    place_of[slot] = place
    list_of[slot] = list
    rows += 1
  }

  /** Takes a slot's row out; the last row of its list moves into the gap. */
  const remove = (slot: number): void => {
    const place = place_of[slot] ?? -1
    if (place < 0) return
    const own = blocksOf(list_of[slot]!)
    const block = own.at(-1)!
    const last = block * rows_per_block + used[block]! - 1
    if (last !== place) {
      const from = highOf(last)
      const to = highOf(place)
      bytes.copyWithin(to, from, from + width)
      bytes.copyWithin(to + low_at, from + low_at, from + low_at + width)
      floats[scaleOf(place) / 4] = floats[scaleOf(last) / 4]!
      const moved = slot_at[last]!
      slot_at[place] = moved
      place_of[moved] = place
    }
    used[block]! -= 1
    if (used[block] === 0) {
      own.pop()
      free.push(block)
    }
    place_of[slot] = -1
    rows -= 1
  }

  /** Scores the best of the coarse pass with all 16 bits, and orders them. */
  const rescored = (coarse: ReturnType<typeof best>, limit: number, worth: number): Neighbour[] => {
    const out = out_at / 4
    const found: Neighbour[] = []
    for (const slot of coarse.slots()) {
      const place = place_of[slot]!
      const high = highOf(place)
      dots(query_at, high, scaleOf(place), 1, width, out_at)
      const upper = floats[out]!
      dots(query_at, high + low_at, scaleOf(place), 1, width, out_at)
      const similarity = (256 * upper + floats[out]!) * worth
      found.push({ slot, similarity: Math.min(1, Math.max(-1, similarity)) })
    }
    found.sort((a, b) => b.similarity - a.similarity || (before(a.slot, b.slot) ? -1 : 1))
    return found.length > limit ? found.slice(0, limit) : found
  }

  const coarseFor = (limit: number) => best(Math.min(rows, limit + Math.max(16, limit)), before)

  const scanBlocks = (own: readonly number[], coarse: ReturnType<typeof best>): void => {
    const out = out_at / 4
    for (let b = 0; b < own.length; b++) {
      const block = own[b]!
      const address = blocks_at + block * block_bytes
      const count = used[block]!
      dots(query_at, address, address + scale_at, count, width, out_at)
      let bar = coarse.bar()
      for (let r = 0; r < count; r++) {
        const score = floats[out + r]!
        if (score < bar) continue
        coarse.offer(score, slot_at[block * rows_per_block + r]!)
        bar = coarse.bar()
      }
    }
  }

  /** The same for the slots that `accepts` says yes to, asked only where a row would be taken. */
  const scanFor = (own: readonly number[], coarse: ReturnType<typeof best>, accepts: (slot: number) => boolean): void => {
    const out = out_at / 4
    for (const block of own) {
      const address = blocks_at + block * block_bytes
      const count = used[block]!
      dots(query_at, address, address + scale_at, count, width, out_at)
      let bar = coarse.bar()
      for (let r = 0; r < count; r++) {
        const score = floats[out + r]!
        if (score < bar) continue
        const slot = slot_at[block * rows_per_block + r]!
        if (!accepts(slot)) continue
        coarse.offer(score, slot)
        bar = coarse.bar()
      }
    }
  }

  /** The same, asked of every row: returns how many were accepted. */
  const scanAllowed = (own: readonly number[], coarse: ReturnType<typeof best>, accepts: (slot: number) => boolean): number => {
    const out = out_at / 4
    let accepted = 0
    for (let b = 0; b < own.length; b++) {
      const block = own[b]!
      const address = blocks_at + block * block_bytes
      const count = used[block]!
      dots(query_at, address, address + scale_at, count, width, out_at)
      let bar = coarse.bar()
      for (let r = 0; r < count; r++) {
        const slot = slot_at[block * rows_per_block + r]!
        if (!accepts(slot)) continue
        accepted += 1
        const score = floats[out + r]!
        if (score < bar) continue
        coarse.offer(score, slot)
        bar = coarse.bar()
      }
    }
    return accepted
  }

  /** How many lists to scan so that the `limit` best of a share of the rows are among them. */
  const listsFor = (limit: number, share: number): number => {
    if (probes === undefined) return lists.length
    const depth = limit / Math.max(share, 1e-9)
    const at = depths.findIndex((measured) => depth <= measured)
    return Math.min(lists.length, probes[at] ?? lists.length)
  }

  /** All lists in the order of their centroids' nearness to the vector in the query's place. */
  const nearestFirst = (): Int32Array => {
    scoreCentroids(centroid_blocks, lists.length)
    const scores = floats.slice(out_at / 4, out_at / 4 + lists.length)
    return Int32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b)
  }

  const search = (vector: Vector, limit: number): Neighbour[] => {
    const worth = loadVector(vector)
    const coarse = coarseFor(limit)
    const wanted = listsFor(limit, 1)
    if (wanted < lists.length) {
      scoreCentroids(centroid_blocks, lists.length)
      const chosen = best(wanted, (a, b) => a < b)
      for (let list = 0; list < lists.length; list++) chosen.offer(floats[out_at / 4 + list]!, list)
      for (const list of chosen.slots()) scanBlocks(lists[list]!, coarse)
    } else for (const own of lists) scanBlocks(own, coarse)
    scanBlocks(unsorted, coarse)
    return rescored(coarse, limit, worth)
  }

  /**
   * Lists are scanned, nearest first, until as large a part of the allowed rows was seen as of all rows would have to be.
   * Where the filter shuns what is near (a shopper of one category asks for another), the nearest allowed rows lie
   * scattered, and lists tell nothing: then all are scanned.
   */
  const searchAllowed = (vector: Vector, limit: number, { accepts, share }: Allowed): Neighbour[] => {
    const worth = loadVector(vector)
    const coarse = coarseFor(limit)
    scanFor(unsorted, coarse, accepts)
    const wanted = listsFor(limit, share)
    if (wanted >= lists.length) {
      for (const list of nearestFirst()) scanFor(lists[list]!, coarse, accepts)
      return rescored(coarse, limit, worth)
    }
    const nearest = Math.ceil(wanted / 5)
    let enough = (wanted / lists.length) * share * rows
    let scanned = 0
    let accepted = 0
    for (const [at, list] of nearestFirst().entries()) {
      if (at === nearest && accepted < (share * scanned) / 2) enough = rows
      if (at >= wanted && accepted >= enough && coarse.size() >= limit) break
      accepted += scanAllowed(lists[list]!, coarse, accepts)
      for (const block of lists[list]!) scanned += used[block]!
    }
    return rescored(coarse, limit, worth)
  }

  /** Lists that hold the true nearest rows of a query, by how near their centroid is: the ranks of the `depth` best rows. */
  const ranksOfTruth = (vector: Vector, depth: number): Int32Array => {
    loadVector(vector)
    const coarse = best(Math.min(rows, depth), before)
    for (const own of lists) scanBlocks(own, coarse)
    scanBlocks(unsorted, coarse)
    const rank = new Int32Array(lists.length)
    nearestFirst().forEach((list, at) => {
      rank[list] = at
    })
    const truth = [...coarse.slots()].map((slot) => {
      const place = place_of[slot]!
      dots(query_at, highOf(place), scaleOf(place), 1, width, out_at)
      return { score: floats[out_at / 4]!, rank: list_of[slot]! < 0 ? 0 : rank[list_of[slot]!]! }
    })
    return Int32Array.from(truth.sort((a, b) => b.score - a.score).map((one) => one.rank))
  }

  function* calibrated(random: () => number): Generator<void, readonly number[]> {
    const live: number[] = []
    for (let slot = 0; slot < place_of.length; slot++) if (place_of[slot]! >= 0) live.push(slot)
    const any = (): number => live[Math.floor(random() * live.length)]!
    const rowOf = (slot: number): Float32Array => {
      const worth = loadRow(place_of[slot]!)
      return Float32Array.from({ length: dims }, (_, i) => words[query_at + i]! * worth)
    }
    // Deeper than a quarter of the rows there is nothing to be saved.
    const measured = depths.filter((depth) => depth <= rows / 4)
    const deepest = measured.at(-1) ?? 0
    const probed: number[] = measured.map(() => 1)
    for (const kind of ['items', 'sums'] as const) {
      const ranks: Int32Array[] = []
      for (let q = 0; q < calibration_queries[kind]; q++) {
        const [a, b] = [any(), any()]
        if (place_of[a]! >= 0 && place_of[b]! >= 0) {
          const vector = rowOf(a)
          if (kind === 'sums') {
            const other = rowOf(b)
            for (let i = 0; i < dims; i++) vector[i]! += other[i]!
          }
          ranks.push(ranksOfTruth(vector, deepest))
        }
        yield
      }
      measured.forEach((depth, at) => {
        const counts = new Int32Array(lists.length)
        let total = 0
        for (const one of ranks)
          for (const rank of one.subarray(0, depth)) {
            counts[rank]! += 1
            total += 1
          }
        let seen = 0
        let enough = 0
        while (enough < lists.length && seen < recall_goal * total) seen += counts[enough++]!
        probed[at] = Math.max(probed[at]!, Math.ceil(lists_margin * enough) + 1)
      })
    }
    return probed
  }

  function* sort(): Generator<void, void> {
    while (unsorted.length > 0 && lists.length > 0) {
      const block = unsorted.at(-1)!
      while (unsorted.at(-1) === block) {
        const slot = slot_at[block * rows_per_block + used[block]! - 1]!
        const worth = loadRow(place_of[slot]!)
        const list = nearestList(centroid_blocks, lists.length)
        remove(slot)
        append(slot, list, worth)
      }
      yield
    }
  }

  function* train(): Generator<void, void> {
    const random = seeded(seed)
    const live: number[] = []
    for (let slot = 0; slot < place_of.length; slot++) if (place_of[slot]! >= 0) live.push(slot)
    const count = listCount(live.length)
    if (count === 0) return
    const trained_on = live.length
    const sample = live
    const sampled = Math.min(live.length, sample_per_list * count)
    for (let i = 0; i < sampled; i++) {
      const j = i + Math.floor(random() * (sample.length - i))
      const swapped = sample[i]!
      sample[i] = sample[j]!
      sample[j] = swapped
    }
    sample.length = sampled
    yield

    const learned = new Float32Array(count * dims)
    const seedFrom = (list: number, slot: number): void => {
      const worth = place_of[slot]! < 0 ? 0 : loadRow(place_of[slot]!)
      for (let i = 0; i < dims; i++) learned[list * dims + i] = worth === 0 ? random() - 0.5 : words[query_at + i]! * worth
    }
    for (let list = 0; list < count; list++) seedFrom(list, sample[list]!)
    const into = Array.from({ length: Math.ceil(count / rows_per_block) }, newBlock)
    const members = new Int32Array(count)
    for (let round = 0; round < rounds; round++) {
      writeCentroids(into, learned, count)
      learned.fill(0)
      members.fill(0)
      for (let s = 0; s < sample.length; s++) {
        if (s % 64 === 0) yield
        const place = place_of[sample[s]!]!
        if (place < 0) continue
        const worth = loadRow(place)
        const list = nearestList(into, count)
        members[list]! += 1
        const at = list * dims
        for (let i = 0; i < dims; i++) learned[at + i]! += words[query_at + i]! * worth
      }
      for (let list = 0; list < count; list++) {
        if (members[list] === 0) seedFrom(list, sample[Math.floor(random() * sample.length)]!)
        // Of unit length always: by its plain sum a list of many members would seem near to everything.
        const at = list * dims
        let squared = 0
        for (let i = 0; i < dims; i++) squared += learned[at + i]! ** 2
        const scale = 1 / Math.sqrt(squared)
        for (let i = 0; i < dims; i++) learned[at + i]! *= scale
      }
    }
    writeCentroids(into, learned, count)

    // From here on new rows go to the new lists, old rows follow block by block, and searches scan what has not moved yet.
    for (const own of lists)
      for (const block of own) {
        for (let r = 0; r < used[block]!; r++) list_of[slot_at[block * rows_per_block + r]!] = -1
        unsorted.push(block)
      }
    free.push(...centroid_blocks)
    centroid_blocks = into
    centroids = learned
    lists = Array.from({ length: count }, () => [])
    probes = undefined
    rows_at_training = trained_on
    yield* sort()
    probes = yield* calibrated(random)
  }

  return {
    reserve(more) {
      growTo(blocks - free.length + Math.ceil(more / rows_per_block) + Math.min(more, lists.length + 1))
    },
    put(slot, vector) {
      place_of = grown(place_of, slot + 1, -1)
      list_of = grown(list_of, slot + 1, -1)
      remove(slot)
      const worth = loadVector(vector)
      append(slot, lists.length === 0 ? -1 : nearestList(centroid_blocks, lists.length), worth)
    },
    load(slot, vector) {
      place_of = grown(place_of, slot + 1, -1)
      list_of = grown(list_of, slot + 1, -1)
      append(slot, -1, loadVector(vector))
    },
    sort,
    drop: remove,
    has: (slot) => (place_of[slot] ?? -1) >= 0,
    size: () => rows,
    search(vector, limit, allowed) {
      if (rows === 0 || limit <= 0) return []
      return allowed === undefined ? search(vector, limit) : searchAllowed(vector, limit, allowed)
    },
    searchAmong(vector, limit, slots, accepts) {
      if (limit <= 0 || slots.length === 0 || rows === 0) return []
      const worth = loadVector(vector)
      const coarse = coarseFor(limit)
      const out = out_at / 4
      for (const slot of slots) {
        const place = place_of[slot]!
        if (place < 0 || (accepts !== undefined && !accepts(slot))) continue
        dots(query_at, highOf(place), scaleOf(place), 1, width, out_at)
        coarse.offer(floats[out]!, slot)
      }
      return rescored(coarse, limit, worth)
    },
    scanned: (limit, share) => (lists.length === 0 ? 1 : listsFor(limit, share) / lists.length),
    trainingDue: () => rows >= exact_rows_max && rows >= 2 * rows_at_training,
    train,
    layout: () => (probes === undefined ? undefined : { centroids, probes, rows_at_training }),
    restore(layout) {
      const count = layout.centroids.length / dims
      centroids = Float32Array.from(layout.centroids)
      centroid_blocks = Array.from({ length: Math.ceil(count / rows_per_block) }, newBlock)
      writeCentroids(centroid_blocks, centroids, count)
      lists = Array.from({ length: count }, () => [])
      probes = layout.probes
      rows_at_training = layout.rows_at_training
    },
  }
}
