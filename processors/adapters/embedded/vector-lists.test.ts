/** Inverted lists: what learning may change (how much is scanned) and what it may not (what is found). */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Vector } from '../../domain/vector.ts'
import { dot, unit } from '../../domain/vector.ts'
import type { Neighbour, VectorLists } from './vector-lists.ts'
import { openVectorLists } from './vector-lists.ts'
import { scanMemory, scanOver } from './vector-scan.ts'

const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const dims = 40
const count = 2_000

/** Products of 60 kinds, with a few exact doubles. */
const corpus = (): Vector[] => {
  const random = seeded(5)
  const normal = () => random() + random() + random() + random() - 2
  const kinds = Array.from({ length: 60 }, () => Float32Array.from({ length: dims }, normal))
  const vectors = Array.from({ length: count }, (_, i) => unit(kinds[i % kinds.length]!.map((x) => x + 0.5 * normal())))
  for (let i = 0; i < 20; i++) vectors[count - 1 - i] = vectors[i % 4]!
  return vectors
}

const exact = (vectors: readonly (Vector | undefined)[], query: Vector, limit: number): Neighbour[] =>
  vectors
    .flatMap((vector, slot) => (vector === undefined ? [] : [{ slot, similarity: dot(vector, query) }]))
    .sort((a, b) => b.similarity - a.similarity || a.slot - b.slot)
    .slice(0, limit)

const recall = (
  lists: VectorLists,
  vectors: readonly (Vector | undefined)[],
  queries: readonly Vector[],
  limit: number,
): number => {
  let found = 0
  for (const query of queries) {
    const wanted = new Set(exact(vectors, query, limit).map(({ slot }) => slot))
    found += lists.search(query, limit).filter(({ slot }) => wanted.has(slot)).length
  }
  return found / (limit * queries.length)
}

const newLists = () => openVectorLists({ dims, before: (a, b) => a < b, exact_rows_max: 1_000 })
const finish = (steps: Generator<void, void>): void => {
  for (const _ of steps);
}

describe('the scan in WebAssembly', () => {
  test('equals the plain loop, at the ends of its range too', async () => {
    const memory = scanMemory(8)
    const dots = await scanOver(memory)
    const random = seeded(1)
    const query = new Int16Array(memory.buffer, 0, 2_048)
    const rows = new Int8Array(memory.buffer, 8_192, 3 * 2_048)
    const scales = new Float32Array(memory.buffer, 65_536, 3)
    const out = new Float32Array(memory.buffer, 65_600, 3)
    for (const width of [32, 64, 384, 2_048]) {
      query.fill(32_767)
      rows.fill(-128)
      for (let i = 0; i < width; i++) {
        rows[i] = Math.floor(random() * 256) - 128
        rows[width + i] = 127
      }
      scales.set([1, 0.5, 2])
      dots(0, 8_192, 65_536, 3, width, 65_600)
      for (let row = 0; row < 3; row++) {
        let sum = 0
        for (let i = 0; i < width; i++) sum += query[i]! * rows[row * width + i]!
        expect(Math.abs(out[row]! - sum * scales[row]!)).toBeLessThanOrEqual(1e-6 * Math.abs(sum) + 1_000)
      }
    }
  })
})

describe('lists', () => {
  const vectors = corpus()
  const random = seeded(77)
  const any = () => vectors[Math.floor(random() * count)]!
  const sum = (a: Vector, b: Vector): Vector => unit(a.map((x, d) => x + b[d]!))
  const queries = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? any() : sum(any(), any())))
  let lists: VectorLists

  beforeAll(async () => {
    lists = await newLists()
    vectors.forEach((vector, slot) => {
      lists.put(slot, vector)
    })
  })

  test('without centroids nothing is missed, and similarity is right to some hundred thousandths', () => {
    expect(lists.size()).toBe(count)
    expect(lists.scanned(10, 1)).toBe(1)
    for (const query of queries) {
      const wanted = exact(vectors, query, 10)
      const found = lists.search(query, 10)
      expect(found.map(({ similarity }) => similarity)).toEqual(wanted.map(({ similarity }) => expect.closeTo(similarity, 4)))
    }
    expect(recall(lists, vectors, queries, 10)).toBeGreaterThan(0.995)
  })

  test('equal vectors come in the order of their slots', () => {
    const same = Array.from({ length: 20 }, (_, i) => ({ slot: count - 1 - i, of: i % 4 })).filter(({ of }) => of === 0)
    const slots = [0, ...same.map(({ slot }) => slot).sort((a, b) => a - b)]
    expect(lists.search(vectors[0]!, slots.length).map(({ slot }) => slot)).toEqual(slots)
    expect(lists.search(vectors[0]!, 3).map(({ slot }) => slot)).toEqual(slots.slice(0, 3))
  })

  test('while lists are learned every search is as good, and writes in between are not lost', () => {
    expect(lists.trainingDue()).toBe(true)
    const now: (Vector | undefined)[] = [...vectors]
    let step = 0
    for (const _ of lists.train()) {
      if (step % 7 === 0) {
        const slot = (step * 131) % count
        if (step % 2 === 0) {
          lists.drop(slot)
          now[slot] = undefined
        } else {
          const moved = vectors[(slot + 1) % count]!
          lists.put(slot, moved)
          now[slot] = moved
        }
      }
      if (step % 40 === 0) expect(recall(lists, now, queries.slice(0, 4), 10)).toBeGreaterThan(0.97)
      step += 1
    }
    expect(step).toBeGreaterThan(100)
    expect(lists.size()).toBe(now.filter((vector) => vector !== undefined).length)
    expect(lists.trainingDue()).toBe(false)
    expect(lists.scanned(10, 1)).toBeLessThan(0.35)
    expect(recall(lists, now, queries, 10)).toBeGreaterThanOrEqual(0.98)
    expect(recall(lists, now, queries, 100)).toBeGreaterThanOrEqual(0.98)
    const everywhere = lists.search(queries[0]!, count)
    expect(new Set(everywhere.map(({ slot }) => slot)).size).toBe(lists.size())
    vectors.forEach((vector, slot) => {
      lists.put(slot, vector)
    })
  })

  test('a filter finds its rows however few they are', () => {
    for (const every of [2, 30, 700]) {
      const accepts = (slot: number): boolean => slot % every === 1
      const allowed = vectors.map((vector, slot) => (accepts(slot) ? vector : undefined))
      let found = 0
      let wanted = 0
      for (const query of queries.slice(0, 30)) {
        const truth = new Set(exact(allowed, query, 5).map(({ slot }) => slot))
        const hits = lists.search(query, 5, { accepts, share: 1 / every })
        expect(hits.every(({ slot }) => accepts(slot))).toBe(true)
        wanted += truth.size
        found += hits.filter(({ slot }) => truth.has(slot)).length
        const among = lists.searchAmong(
          query,
          5,
          Int32Array.from(allowed.flatMap((vector, slot) => (vector === undefined ? [] : [slot]))),
        )
        expect(among.map(({ slot }) => slot).sort()).toEqual([...truth].sort())
      }
      expect(found / wanted).toBeGreaterThanOrEqual(0.97)
    }
  })

  test('the same rows learn the same lists', async () => {
    const layouts = await Promise.all(
      [1, 2].map(async () => {
        const own = await newLists()
        vectors.slice(0, 500).forEach((vector, slot) => {
          own.put(slot, vector)
        })
        finish(own.train())
        return own.layout()!
      }),
    )
    expect(layouts[0]).toEqual(layouts[1])
  })

  test('a stored layout is taken over, and loaded rows are sorted into it step by step', async () => {
    const again = await newLists()
    again.restore(lists.layout()!)
    vectors.forEach((vector, slot) => {
      again.load(slot, vector)
    })
    expect(again.trainingDue()).toBe(false)
    for (const _ of again.sort()) expect(again.size()).toBe(count)
    expect(again.scanned(10, 1)).toBe(lists.scanned(10, 1))
    expect(recall(again, vectors, queries, 10)).toBeGreaterThanOrEqual(0.98)
  })

  test('rows come and go without leaving a trace', async () => {
    const own = await newLists()
    const here = new Map<number, Vector>()
    const chance = seeded(3)
    for (let step = 0; step < 6_000; step++) {
      const slot = Math.floor(chance() * 400)
      if (chance() < 0.4) {
        own.drop(slot)
        here.delete(slot)
      } else {
        const vector = vectors[Math.floor(chance() * count)]!
        own.put(slot, vector)
        here.set(slot, vector)
      }
    }
    expect(own.size()).toBe(here.size)
    for (let slot = 0; slot < 400; slot++) expect(own.has(slot)).toBe(here.has(slot))
    const found = own.search(queries[0]!, 1_000)
    expect(found.map(({ slot }) => slot).sort((a, b) => a - b)).toEqual([...here.keys()].sort((a, b) => a - b))
    for (const { slot, similarity } of found) expect(similarity).toBeCloseTo(dot(here.get(slot)!, queries[0]!), 4)
  })

  test('more dimensions than the scan can add are refused', async () => {
    await expect(openVectorLists({ dims: 2_049, before: () => true })).rejects.toMatchObject({ code: 'config.invalid' })
  })
})
