/** What every VectorIndex must do. An adapter's test file is one call of vectorIndexContract. */
import { afterEach, describe, expect, test } from '@jest/globals'
import type { FaultCode } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'
import type {
  Condition,
  Filter,
  Hit,
  ImageSpace,
  Payload,
  PayloadValue,
  PointWrite,
  Query,
  Space,
  VectorIndex,
  VectorIndexAdmin,
} from './vector-index.ts'

/** An index over storage of its own, empty when `open` returns it. */
export type OpenedIndex = {
  readonly index: VectorIndex
  readonly admin: VectorIndexAdmin
  /** Closes the adapter and removes its storage. */
  close(): Promise<void>
  /** Closes the adapter and opens the same storage again, for vectors [dims]; the result takes over `close`. */
  reopen(dims: number, images?: ImageSpace): Promise<OpenedIndex>
}

export type ContractOptions = {
  /** Laws that this adapter does not keep, or that cannot be checked here, by name, with the reason; they are shown as skipped. */
  readonly known?: Readonly<Record<string, string>>
  /** The least recall@10 against an exact scan of 2,000 clustered points [32]; 0.98 unless told. */
  readonly recall_min?: number
  /** Longest one law may take; 30 s unless told. */
  readonly law_ms_max?: number
}

/** Uniform numbers in [0, 1) from a seed (mulberry32), so that every run and every recording sees the same points. */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const v = (...values: number[]): Vector => Float32Array.from(values)
const item = (id: string, vector: Vector | null, payload: Payload = {}): PointWrite => ({ space: 'items', id, vector, payload })
const user = (id: string, vector: Vector | null, payload: Payload = {}): PointWrite => ({ space: 'users', id, vector, payload })
const image = (id: string, vector: Vector | null, payload: Payload = {}): PointWrite => ({ space: 'images', id, vector, payload })
/** Image encoders of six numbers and of three. */
const image_model: ImageSpace = { dims: 6, model_digest: '1a9e'.padEnd(64, '0') }
const other_image_model: ImageSpace = { dims: 3, model_digest: '07e4'.padEnd(64, '0') }
const near = (vector: Vector, limit = 10, filter?: Filter, space: Space = 'items'): Query =>
  filter === undefined ? { space, vector, limit } : { space, vector, limit, filter }
const ids = (hits: readonly Hit[] | undefined): string[] => (hits ?? []).map((hit) => hit.id)

/** The naive readings that the laws compare with; they share no code with the adapters on purpose. */
const cosine = (a: Vector, b: Vector): number => {
  let ab = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return ab / Math.sqrt(aa * bb)
}
const satisfies = (condition: Condition, payload: Payload): boolean => {
  const value = payload[condition.field] ?? null
  if ('equals' in condition) return value !== null && value === condition.equals
  if ('any_of' in condition) return condition.any_of.some((one) => one === value)
  return (
    typeof value === 'number' &&
    !(condition.at_least !== undefined && value < condition.at_least) &&
    !(condition.at_most !== undefined && value > condition.at_most)
  )
}
const naive = (points: readonly PointWrite[], query: Query): readonly { readonly id: string; readonly similarity: number }[] => {
  const { must = [], must_not = [], exclude = [] } = query.filter ?? {}
  return points
    .filter((point) => point.space === query.space && point.vector !== null && !exclude.includes(point.id))
    .filter((point) => must.every((c) => satisfies(c, point.payload)) && !must_not.some((c) => satisfies(c, point.payload)))
    .map((point) => ({ id: point.id, similarity: cosine(query.vector, point.vector!) }))
    .sort((a, b) => b.similarity - a.similarity || (a.id < b.id ? -1 : 1))
    .slice(0, query.limit)
}

/** Clustered points: `count` vectors [dims] around `centres` random directions, as texts of like products lie. */
const clustered = (random: () => number, count: number, dims: number, centres: number): Vector[] => {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const middles = Array.from({ length: centres }, () => Float32Array.from({ length: dims }, normal))
  return Array.from({ length: count }, () => {
    const middle = middles[Math.floor(random() * centres)]!
    return middle.map((x) => x + 0.4 * normal())
  })
}

const platforms = ['shopify', 'amazon', 'taobao', '淘宝 "quoted"'] as const

const somePayload = (random: () => number): Payload => {
  const payload: Record<string, PayloadValue> = {}
  if (random() < 0.85) payload['platform'] = random() < 0.1 ? null : platforms[Math.floor(random() * platforms.length)]!
  if (random() < 0.85) payload['price'] = random() < 0.1 ? null : Math.floor(random() * 6)
  if (random() < 0.85) payload['rating'] = Math.floor(random() * 9) / 8
  if (random() < 0.85) payload['stock'] = random() < 0.5
  return payload
}

const someCondition = (random: () => number): Condition => {
  switch (Math.floor(random() * 8)) {
    case 0:
      return { field: 'platform', equals: platforms[Math.floor(random() * platforms.length)]! }
    case 1:
      return { field: 'platform', any_of: platforms.filter(() => random() < 0.5) }
    case 2:
      return { field: 'price', equals: Math.floor(random() * 7) }
    case 3:
      return { field: 'price', any_of: [0, 1, 2.5, 3, 5].filter(() => random() < 0.6) }
    case 4:
      return { field: 'price', at_least: Math.floor(random() * 6) }
    case 5:
      return { field: 'rating', at_least: random() * 0.5, at_most: 0.5 + random() * 0.5 }
    case 6:
      return { field: 'rating', equals: Math.floor(random() * 9) / 8 }
    default:
      return { field: 'stock', equals: random() < 0.5 }
  }
}

const someFilter = (random: () => number, all: readonly string[]): Filter => ({
  ...(random() < 0.7 ? { must: Array.from({ length: Math.floor(random() * 3) }, () => someCondition(random)) } : {}),
  ...(random() < 0.4 ? { must_not: Array.from({ length: 1 + Math.floor(random() * 2) }, () => someCondition(random)) } : {}),
  ...(random() < 0.3 ? { exclude: all.filter(() => random() < 0.2) } : {}),
})

/**
 * Registers the laws as tests. `open` is called once a law and returns an empty index for vectors [dims];
 * the laws call `admin.ensure()` before anything else, as the runtime does at start.
 */
export const vectorIndexContract = (
  name: string,
  open: (dims: number, images?: ImageSpace) => Promise<OpenedIndex>,
  options: ContractOptions = {},
): void => {
  describe(`VectorIndex: ${name}`, () => {
    const { law_ms_max = 30_000 } = options
    let opened: OpenedIndex | undefined

    const law = (
      title: string,
      dims: number,
      body: (index: VectorIndex, admin: VectorIndexAdmin) => Promise<void>,
      images?: ImageSpace,
    ): void => {
      const gap = options.known?.[title]
      if (gap !== undefined) {
        test.skip(`${title} # skipped: ${gap}`, () => {})
        return
      }
      test(
        title,
        async () => {
          opened = await open(dims, images)
          await opened.admin.ensure()
          await body(opened.index, opened.admin)
        },
        law_ms_max,
      )
    }

    const reopened = async (dims: number, images?: ImageSpace): Promise<OpenedIndex> => {
      opened = await opened!.reopen(dims, images)
      return opened
    }

    const refused = async (code: FaultCode, work: () => Promise<unknown>): Promise<void> => {
      await expect(work()).rejects.toMatchObject({ name: 'Fault', code })
    }

    const one = async (index: VectorIndex, query: Query): Promise<readonly Hit[]> => (await index.search([query]))[0]!

    const listed = async (admin: VectorIndexAdmin, space: Space): Promise<Map<string, { version: number; deleted: boolean }>> => {
      const found = new Map<string, { version: number; deleted: boolean }>()
      for await (const { id, version, deleted } of admin.versions(space)) {
        expect(found.has(id)).toBe(false)
        found.set(id, { version, deleted })
      }
      return found
    }

    afterEach(async () => {
      await opened?.close()
      opened = undefined
    }, law_ms_max)

    law('a written point is found and read at once', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0), { title: 'A' })], 7)
      expect(await one(index, near(v(1, 0, 0, 0)))).toEqual([
        { id: 'a', similarity: expect.closeTo(1, 4), payload: { title: 'A' } },
      ])
      const points = await index.points('items', ['a'])
      expect([...points.keys()]).toEqual(['a'])
      expect(points.get('a')).toMatchObject({ id: 'a', version: 7, deleted: false, payload: { title: 'A' } })
      expect([...points.get('a')!.vector!]).toEqual([1, 0, 0, 0])
    })

    law('an empty index answers', 4, async (index, admin) => {
      expect(await index.search([near(v(1, 0, 0, 0)), near(v(1, 0, 0, 0), 10, undefined, 'users')])).toEqual([[], []])
      expect(await index.search([])).toEqual([])
      expect((await index.points('items', ['a'])).size).toBe(0)
      expect((await index.points('items', [])).size).toBe(0)
      expect((await listed(admin, 'items')).size).toBe(0)
      await index.write([], 1)
      expect((await admin.describe()).points).toEqual({ items: 0, users: 0 })
    })

    law('the same write twice is the same as once', 4, async (index, admin) => {
      const points = [item('a', v(1, 0, 0, 0), { n: 1 }), item('b', v(0, 1, 0, 0), { n: 2 })]
      await index.write(points, 3)
      const before = await one(index, near(v(1, 1, 0, 0)))
      await index.write(points, 3)
      expect(await one(index, near(v(1, 1, 0, 0)))).toEqual(before)
      expect((await admin.describe()).points.items).toBe(2)
    })

    law('an older or equal version never replaces a newer one, in any order', 4, async (index) => {
      const orders = [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
      ]
      for (const order of orders) {
        const id = order.join('-')
        for (const version of order)
          await index.write(
            [item(id, v(version === 3 ? 1 : 0, version === 3 ? 0 : 1, 0, 0), { version_written: version })],
            version,
          )
        await index.write([item(id, v(0, 0, 1, 0), { version_written: 'equal' })], 3)
      }
      const points = await index.points(
        'items',
        orders.map((order) => order.join('-')),
      )
      expect(points.size).toBe(orders.length)
      for (const point of points.values()) {
        expect(point).toMatchObject({ version: 3, payload: { version_written: 3 } })
        expect([...point.vector!]).toEqual([1, 0, 0, 0])
      }
      for (const hit of await one(index, near(v(1, 0, 0, 0)))) expect(hit.similarity).toBeCloseTo(1, 4)
    })

    law('one guard serves a call: it replaces the points it is newer than, and no other', 4, async (index) => {
      await index.write([item('old', v(1, 0, 0, 0), { n: 1 })], 5)
      await index.write([item('young', v(1, 0, 0, 0), { n: 1 })], 9)
      await index.write([item('old', v(0, 1, 0, 0), { n: 2 }), item('young', v(0, 1, 0, 0), { n: 2 })], 7)
      const points = await index.points('items', ['old', 'young'])
      expect(points.get('old')).toMatchObject({ version: 7, payload: { n: 2 } })
      expect(points.get('young')).toMatchObject({ version: 9, payload: { n: 1 } })
    })

    law('a new point is inserted whatever the version of its batch', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0))], 1_000_000)
      await index.write([item('b', v(0, 1, 0, 0))], 0)
      expect((await index.points('items', ['a', 'b'])).get('b')).toMatchObject({ version: 0, deleted: false })
    })

    law('of an id that comes twice in one call the last point stands', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 }), item('b', null), item('a', v(0, 1, 0, 0), { n: 2 })], 4)
      await index.write([item('c', v(1, 0, 0, 0)), item('c', null), user('c', v(1, 0, 0, 0))], 4)
      expect((await index.points('items', ['a'])).get('a')).toMatchObject({ payload: { n: 2 }, version: 4 })
      expect((await admin.describe()).points).toEqual({ items: 1, users: 1 })
    })

    law('a written vector and payload are copies', 4, async (index) => {
      const vector = v(1, 0, 0, 0)
      const payload: Record<string, PayloadValue> = { n: 1 }
      await index.write([item('a', vector, payload)], 1)
      vector.set([0, 1, 0, 0])
      payload['n'] = 2
      ;(await index.points('items', ['a'])).get('a')!.vector!.fill(0)
      expect(await one(index, near(v(1, 0, 0, 0)))).toMatchObject([
        { id: 'a', similarity: expect.closeTo(1, 4), payload: { n: 1 } },
      ])
      expect([...(await index.points('items', ['a'])).get('a')!.vector!]).toEqual([1, 0, 0, 0])
    })

    law('a tombstone is in no search, but stays in points and versions', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 }), item('b', v(1, 0, 0, 0), { n: 1 })], 1)
      await index.write([item('a', null, { n: 2 })], 2)
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['b'])
      expect(ids(await one(index, near(v(1, 0, 0, 0), 10, { must: [{ field: 'n', any_of: [1, 2] }] })))).toEqual(['b'])
      expect((await index.points('items', ['a'])).get('a')).toEqual({
        id: 'a',
        version: 2,
        deleted: true,
        vector: null,
        payload: { n: 2 },
      })
      expect((await listed(admin, 'items')).get('a')).toEqual({ version: 2, deleted: true })
      expect((await admin.describe()).points.items).toBe(1)
    })

    law('an older or equal write never resurrects a tombstone; a newer one does', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 })], 1)
      await index.write([item('a', null)], 5)
      await index.write([item('a', v(1, 0, 0, 0), { n: 2 })], 4)
      await index.write([item('a', v(1, 0, 0, 0), { n: 3 })], 5)
      expect(await one(index, near(v(1, 0, 0, 0)))).toEqual([])
      await index.write([item('a', v(0, 1, 0, 0), { n: 4 })], 6)
      expect(await one(index, near(v(0, 1, 0, 0)))).toMatchObject([{ id: 'a', payload: { n: 4 } }])
      expect((await index.points('items', ['a'])).get('a')).toMatchObject({ version: 6, deleted: false })
    })

    law('a tombstone may be the first that is heard of an id', 4, async (index) => {
      await index.write([item('a', null)], 5)
      await index.write([item('a', v(1, 0, 0, 0))], 3)
      expect(await one(index, near(v(1, 0, 0, 0)))).toEqual([])
      expect((await index.points('items', ['a'])).get('a')).toMatchObject({ version: 5, deleted: true, vector: null })
    })

    law('an older tombstone deletes nothing', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0))], 5)
      await index.write([item('a', null)], 4)
      await index.write([item('a', null)], 5)
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['a'])
    })

    law('spaces do not mix, even with equal ids', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0), { of: 'item' }), user('a', v(0, 1, 0, 0), { of: 'user' })], 3)
      await index.write([user('b', v(1, 0, 0, 0)), user('a', v(0, 0, 1, 0), { of: 'older' })], 2)
      expect(await one(index, near(v(1, 0, 0, 0)))).toMatchObject([{ id: 'a', payload: { of: 'item' } }])
      expect(ids(await one(index, near(v(1, 0, 0, 0), 10, undefined, 'users')))).toEqual(['b', 'a'])
      await index.write([item('a', null)], 4)
      expect((await index.points('users', ['a', 'b'])).get('a')).toMatchObject({ version: 3, payload: { of: 'user' } })
      expect([...(await listed(admin, 'items')).keys()]).toEqual(['a'])
      expect([...(await listed(admin, 'users')).keys()].sort()).toEqual(['a', 'b'])
      expect((await admin.describe()).points).toEqual({ items: 0, users: 2 })
    })

    law('payloads come back as they were', 4, async (index) => {
      const payloads: Readonly<Record<string, Payload>> = {
        empty: {},
        scalars: { text: 'x', empty: '', zero: 0, minus: -17, half: 0.5, yes: true, no: false, nothing: null },
        numbers: { max: 2 ** 53, min: -(2 ** 53), safe: Number.MAX_SAFE_INTEGER, tiny: 5e-324, huge: 1.5e300 },
        unicode: { text: '電動 ⚡ café \u0000\n\t"\\ 👩‍🚀', emoji: '👍🏽', direction: '\u202eabc' },
        own_words: { id: 'mine', version: -1, deleted: true, space: 'users', payload: 'p', vector: null },
      }
      await index.write(
        Object.entries(payloads).map(([id, payload], i) => item(id, v(1, i, 0, 0), payload)),
        1,
      )
      const points = await index.points('items', Object.keys(payloads))
      for (const [id, payload] of Object.entries(payloads)) expect(points.get(id)!.payload).toEqual(payload)
      const hits = await one(index, near(v(1, 1, 0, 0)))
      expect(hits.length).toBe(Object.keys(payloads).length)
      for (const hit of hits) expect(hit.payload).toEqual(payloads[hit.id])
      await index.write([item('scalars', v(1, 0, 0, 0), { text: 'y' })], 2)
      expect((await index.points('items', ['scalars'])).get('scalars')!.payload).toEqual({ text: 'y' })
    })

    law('ids are bytes to us: any text is an id', 4, async (index) => {
      const odd = ['shopify:eu%3A1:42', 'a b', '"; --', '../x', '*', '商品', '👍🏽', 'x'.repeat(900), '0', 'null']
      await index.write(
        odd.map((id, i) => item(id, v(1, i, 0, 0))),
        1,
      )
      expect([...(await index.points('items', [...odd, ...odd, 'absent'])).keys()].sort()).toEqual([...odd].sort())
      expect(ids(await one(index, near(v(1, 1, 0, 0), 20, { exclude: odd.slice(1) })))).toEqual([odd[0]])
    })

    law('hits are sorted by similarity, ties by id', 4, async (index) => {
      const same = ['b', 'd', 'a', 'c', 'Z', 'ä']
      await index.write(
        [
          ...same.map((id) => item(id, v(1, 0, 0, 0))),
          item('first', v(1, 1, 0, 0)),
          item('last', v(-1, 0, 0, 0)),
          item('mid', v(0, 0, 1, 0)),
        ],
        1,
      )
      const hits = await one(index, near(v(2, 1, 0, 0)))
      expect(ids(hits)).toEqual(['first', 'Z', 'a', 'b', 'c', 'd', 'ä', 'mid', 'last'])
      expect(hits[0]!.similarity).toBeCloseTo(3 / Math.sqrt(10), 4)
      expect(hits[8]!.similarity).toBeCloseTo(-2 / Math.sqrt(5), 4)
    })

    law('the limit holds, and of a tie at the limit the smaller ids stay', 4, async (index) => {
      const same = Array.from({ length: 40 }, (_, i) => `t${String(99 - i)}`)
      await index.write([...same.map((id) => item(id, v(1, 0, 0, 0))), item('best', v(0, 1, 0, 0))], 1)
      expect(ids(await one(index, near(v(1, 3, 0, 0), 1)))).toEqual(['best'])
      expect(ids(await one(index, near(v(1, 3, 0, 0), 5)))).toEqual(['best', 't60', 't61', 't62', 't63'])
      expect((await one(index, near(v(1, 0, 0, 0), 1000))).length).toBe(41)
      expect(await one(index, near(v(1, 0, 0, 0), 0))).toEqual([])
    })

    law('vectors need not be normalised: similarity is the cosine, stored vectors have length 1', 4, async (index) => {
      await index.write([item('a', v(3, 4, 0, 0)), item('tiny', v(0, 1e-12, 0, 1e-12)), item('big', v(0, 0, 1e12, 0))], 1)
      const [large, small] = await index.search([near(v(30, 0, 0, 0)), near(v(1e-9, 0, 0, 0))])
      expect(large![0]).toMatchObject({ id: 'a', similarity: expect.closeTo(0.6, 4) })
      expect(small![0]).toMatchObject({ id: 'a', similarity: expect.closeTo(0.6, 4) })
      const points = await index.points('items', ['a', 'tiny', 'big'])
      for (const point of points.values()) expect(cosine(point.vector!, point.vector!)).toBeCloseTo(1, 5)
      expect(points.get('a')!.vector![1]).toBeCloseTo(0.8, 5)
      expect(points.get('tiny')!.vector![3]).toBeCloseTo(Math.SQRT1_2, 5)
    })

    law('one answer per query, in order', 4, async (index) => {
      await index.write([item('x', v(1, 0, 0, 0)), item('y', v(0, 1, 0, 0)), user('u', v(1, 0, 0, 0))], 1)
      const answers = await index.search([
        near(v(0, 1, 0, 0), 1),
        near(v(1, 0, 0, 0), 1),
        near(v(1, 0, 0, 0), 1, { exclude: ['x', 'y'] }),
        near(v(0, 1, 0, 0), 5, undefined, 'users'),
      ])
      expect(answers.map(ids)).toEqual([['y'], ['x'], [], ['u']])
    })

    law('filters agree with a naive reading of them', 6, async (index) => {
      const random = seeded(20_261)
      const names = Array.from({ length: 30 }, (_, i) => `p${i}`)
      const points = clustered(random, names.length, 6, 5).map((vector, i) => item(names[i]!, vector, somePayload(random)))
      await index.write(points, 1)
      const queries = Array.from({ length: 40 }, () => near(clustered(random, 1, 6, 1)[0]!, 6, someFilter(random, names)))
      const answers = await index.search(queries)
      expect(answers.length).toBe(queries.length)
      queries.forEach((query, i) => {
        const expected = naive(points, query)
        expect({ query: i, ids: ids(answers[i]) }).toEqual({ query: i, ids: expected.map((hit) => hit.id) })
        for (const [rank, hit] of answers[i]!.entries()) expect(hit.similarity).toBeCloseTo(expected[rank]!.similarity, 4)
      })
    })

    law('a field that is absent or null satisfies no condition', 4, async (index) => {
      await index.write(
        [item('absent', v(1, 0, 0, 0)), item('null', v(1, 0, 0, 0), { n: null }), item('n', v(1, 0, 0, 0), { n: 1 })],
        1,
      )
      const conditions: readonly Condition[] = [
        { field: 'n', equals: 1 },
        { field: 'n', any_of: [1, 'x'] },
        { field: 'n', at_most: 5 },
      ]
      for (const condition of conditions) {
        expect(ids(await one(index, near(v(1, 0, 0, 0), 9, { must: [condition] })))).toEqual(['n'])
        expect(ids(await one(index, near(v(1, 0, 0, 0), 9, { must_not: [condition] })))).toEqual(['absent', 'null'])
      }
      expect(await one(index, near(v(1, 0, 0, 0), 9, { must: [{ field: 'n', any_of: [] }] }))).toEqual([])
      expect((await one(index, near(v(1, 0, 0, 0), 9, { must_not: [{ field: 'n', any_of: [] }] }))).length).toBe(3)
      expect(ids(await one(index, near(v(1, 0, 0, 0), 9, { must: [{ field: 'n' } as Condition] })))).toEqual(['n'])
    })

    law('no type is converted in a filter', 4, async (index) => {
      const values: Readonly<Record<string, PayloadValue>> = {
        a_number: 1,
        b_text: '1',
        c_true: true,
        d_word: 'true',
        e_float: 1.5,
      }
      await index.write(
        Object.entries(values).map(([id, value]) => item(id, v(1, 0, 0, 0), { value })),
        1,
      )
      const found = async (condition: Condition) => ids(await one(index, near(v(1, 0, 0, 0), 9, { must: [condition] })))
      expect(await found({ field: 'value', equals: 1 })).toEqual(['a_number'])
      expect(await found({ field: 'value', equals: '1' })).toEqual(['b_text'])
      expect(await found({ field: 'value', equals: true })).toEqual(['c_true'])
      expect(await found({ field: 'value', equals: 1.5 })).toEqual(['e_float'])
      expect(await found({ field: 'value', any_of: ['true', 1, 1.5] })).toEqual(['a_number', 'd_word', 'e_float'])
      expect(await found({ field: 'value', at_least: 0, at_most: 1 })).toEqual(['a_number'])
    })

    law('a filter sees payloads as the last write left them', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0), { color: 'red', size: 1 })], 1)
      await index.write([item('a', v(1, 0, 0, 0), { color: 'blue' })], 2)
      const found = async (condition: Condition) => ids(await one(index, near(v(1, 0, 0, 0), 9, { must: [condition] })))
      expect(await found({ field: 'color', equals: 'red' })).toEqual([])
      expect(await found({ field: 'size', equals: 1 })).toEqual([])
      expect(await found({ field: 'color', equals: 'blue' })).toEqual(['a'])
    })

    law('a wrong dimension is refused with index.dimension, and nothing of the call is written', 4, async (index) => {
      await refused('index.dimension', () => index.search([near(v(1, 0, 0))]))
      await refused('index.dimension', () => index.write([item('a', v(1, 0, 0, 0)), item('b', v(1, 0, 0, 0, 0))], 1))
      expect((await index.points('items', ['a', 'b'])).size).toBe(0)
    })

    law('a zero or non-finite vector is refused as embed.degenerate, and nothing of the call is written', 4, async (index) => {
      for (const bad of [v(0, 0, 0, 0), v(Number.NaN, 0, 0, 1), v(Number.POSITIVE_INFINITY, 0, 0, 1)]) {
        await refused('embed.degenerate', () => index.write([item('a', v(1, 0, 0, 0)), user('b', bad)], 1))
        await refused('embed.degenerate', () => index.search([near(bad)]))
      }
      expect((await index.points('items', ['a'])).size).toBe(0)
    })

    law('a call of more than 500 points is written whole', 4, async (index, admin) => {
      const random = seeded(7)
      const points = clustered(random, 1_234, 4, 20).map((vector, i) => item(`p${i}`, vector, { n: i }))
      await index.write(points, 3)
      expect((await admin.describe()).points.items).toBe(points.length)
      const versions = await listed(admin, 'items')
      expect(versions.size).toBe(points.length)
      const found = await index.points(
        'items',
        points.map((point) => point.id),
      )
      for (const point of points) expect(found.get(point.id)!.payload).toEqual(point.payload)
      expect(ids(await one(index, near(v(1, 0, 0, 0), 3, { must: [{ field: 'n', at_least: 1_233 }] })))).toEqual(['p1233'])
    })

    law('of concurrent versions of one point the newest wins', 4, async (index) => {
      for (let round = 0; round < 25; round++) {
        const id = `r${round}`
        await Promise.all(
          Array.from({ length: 8 }, (_, i) => {
            const version = ((i * 5 + round) % 8) + 1
            return index.write([item(id, version === 8 ? v(1, 0, 0, 0) : v(0, 1, 0, 0), { n: version })], version)
          }),
        )
      }
      const names = Array.from({ length: 25 }, (_, round) => `r${round}`)
      const points = await index.points('items', names)
      for (const name of names) expect(points.get(name)).toMatchObject({ version: 8, payload: { n: 8 } })
      for (const hit of await one(index, near(v(1, 0, 0, 0), 25))) expect(hit.similarity).toBeCloseTo(1, 4)
    })

    law('a search beside a write sees each point as it was before it or after', 4, async (index) => {
      const direction = (version: number) => (version % 2 === 0 ? v(1, 0, 0, 0) : v(0, 1, 0, 0))
      const batch = (version: number) => Array.from({ length: 20 }, (_, i) => item(`p${i}`, direction(version), { n: version }))
      await index.write(batch(0), 0)
      for (let version = 1; version <= 10; version++) {
        const [, ...answers] = await Promise.all([
          index.write(batch(version), version),
          one(index, near(v(1, 0, 0, 0), 40)),
          one(index, near(v(1, 0, 0, 0), 40)),
        ])
        for (const hits of answers) {
          expect(hits.length).toBe(20)
          for (const hit of hits) {
            const n = hit.payload['n'] as number
            expect([version - 1, version]).toContain(n)
            expect(hit.similarity).toBeCloseTo(direction(n)[0]!, 4)
          }
        }
      }
    })

    law('ensure twice is ensure once', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0))], 1)
      await admin.ensure()
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['a'])
    })

    law('ensure refuses a collection of other dimensions with index.dimension', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0))], 1)
      const other = await reopened(6)
      await refused('index.dimension', () => other.admin.ensure())
      const same = await reopened(4)
      await same.admin.ensure()
      expect(ids(await one(same.index, near(v(1, 0, 0, 0))))).toEqual(['a'])
    })

    law('describe names the collection and counts live points by space', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0)), item('b', v(1, 0, 0, 0)), user('a', v(1, 0, 0, 0)), user('c', null)], 1)
      await index.write([item('b', null)], 2)
      const description = await admin.describe()
      expect(description).toMatchObject({ dims: 4, points: { items: 1, users: 1 } })
      expect(description.collection).not.toBe('')
      expect(description.engine).not.toBe('')
    })

    law('versions lists every point of its space, tombstones included', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0)), item('b', v(1, 0, 0, 0)), user('u', v(1, 0, 0, 0))], 1)
      await index.write([item('b', null), item('c', v(0, 1, 0, 0))], 5)
      expect(await listed(admin, 'items')).toEqual(
        new Map([
          ['a', { version: 1, deleted: false }],
          ['b', { version: 5, deleted: true }],
          ['c', { version: 5, deleted: false }],
        ]),
      )
      expect(await listed(admin, 'users')).toEqual(new Map([['u', { version: 1, deleted: false }]]))
    })

    law(
      'purge removes the tombstones of its space that are older than the version, and nothing else',
      4,
      async (index, admin) => {
        await index.write([item('live', v(1, 0, 0, 0)), item('old', null), user('old', null)], 1)
        await index.write([item('young', null)], 5)
        expect(await admin.purge('items', 5)).toBe(1)
        expect([...(await listed(admin, 'items')).keys()].sort()).toEqual(['live', 'young'])
        expect([...(await listed(admin, 'users')).keys()]).toEqual(['old'])
        expect(await admin.purge('items', 5)).toBe(0)
        await index.write([item('old', v(0, 1, 0, 0))], 0)
        expect(ids(await one(index, near(v(0, 1, 0, 0))))).toEqual(['old', 'live'])
      },
    )

    law('a correction replaces exactly what was seen, over an equal or a newer version too', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 }), item('b', v(1, 0, 0, 0), { n: 1 }), user('a', v(1, 0, 0, 0))], 5)
      await index.write([item('b', v(1, 0, 0, 0), { n: 2 })], 6)
      await admin.correct([
        { ...item('a', v(0, 1, 0, 0), { n: 3 }), seen: 5, version: 5 },
        { ...item('b', v(0, 1, 0, 0), { n: 3 }), seen: 5, version: 9 },
        { ...item('c', v(0, 1, 0, 0), { n: 3 }), seen: null, version: 3 },
      ])
      const points = await index.points('items', ['a', 'b', 'c'])
      expect(points.get('a')).toMatchObject({ version: 5, payload: { n: 3 } })
      expect(points.get('b')).toMatchObject({ version: 6, payload: { n: 2 } })
      expect(points.get('c')).toMatchObject({ version: 3, payload: { n: 3 } })
      expect(ids(await one(index, near(v(0, 1, 0, 0))))).toEqual(['a', 'c', 'b'])
      expect((await index.points('users', ['a'])).get('a')).toMatchObject({ version: 5, payload: {} })
      await admin.correct([
        { ...item('a', v(1, 0, 0, 0), { n: 4 }), seen: 5, version: 2 },
        { ...item('c', v(1, 0, 0, 0), { n: 4 }), seen: null, version: 8 },
      ])
      expect((await index.points('items', ['a'])).get('a')).toMatchObject({ version: 2, payload: { n: 4 } })
      expect((await index.points('items', ['c'])).get('c')).toMatchObject({ version: 3, payload: { n: 3 } })
      await index.write([item('a', v(0, 0, 1, 0), { n: 5 })], 3)
      expect(ids(await one(index, near(v(0, 0, 1, 0), 1)))).toEqual(['a'])
    })

    law('a correction makes and unmakes tombstones, and writes what is not there whatever was seen', 4, async (index, admin) => {
      await index.write([item('dead', null), item('live', v(1, 0, 0, 0))], 4)
      await admin.correct([
        { ...item('dead', v(0, 1, 0, 0), { n: 1 }), seen: 4, version: 4 },
        { ...item('live', null), seen: 4, version: 4 },
        { ...item('absent', v(0, 1, 0, 0), { n: 1 }), seen: 7, version: 4 },
      ])
      expect(await listed(admin, 'items')).toEqual(
        new Map([
          ['dead', { version: 4, deleted: false }],
          ['live', { version: 4, deleted: true }],
          ['absent', { version: 4, deleted: false }],
        ]),
      )
      expect(ids(await one(index, near(v(0, 1, 0, 0))))).toEqual(['absent', 'dead'])
      await index.write([item('live', v(1, 0, 0, 0))], 4)
      expect(ids(await one(index, near(v(1, 0, 0, 0), 1, { exclude: ['absent', 'dead'] })))).toEqual([])
      await admin.correct([])
    })

    law('a correction that cannot be written is refused as a write is', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0))], 1)
      await refused('index.dimension', () => admin.correct([{ ...item('a', v(1, 0, 0)), seen: 1, version: 2 }]))
      await refused('embed.degenerate', () => admin.correct([{ ...item('a', v(0, 0, 0, 0)), seen: 1, version: 2 }]))
      expect((await index.points('items', ['a'])).get('a')).toMatchObject({ version: 1 })
    })

    law('what is staged is seen by nobody until it is promoted, and then by all at once', 4, async (index, admin) => {
      await index.write([item('old', v(1, 0, 0, 0)), item('both', v(1, 0, 0, 0), { of: 'old' })], 5)
      const staged = await admin.stage()
      expect((await staged.describe()).points).toEqual({ items: 0, users: 0 })
      await staged.write([item('both', v(0, 1, 0, 0), { of: 'new' }), item('gone', null), user('u', v(1, 0, 0, 0))], 3)
      await staged.write([item('both', v(0, 0, 1, 0), { of: 'older' })], 2)
      await staged.correct([{ ...item('fixed', v(0, 0, 0, 1)), seen: null, version: 1 }])
      expect((await staged.points('items', ['both', 'old'])).size).toBe(1)
      const versions: string[] = []
      for await (const { id } of staged.versions('items')) versions.push(id)
      expect(versions.sort()).toEqual(['both', 'fixed', 'gone'])
      expect(ids((await staged.search([near(v(0, 1, 0, 0))]))[0]).sort()).toEqual(['both', 'fixed'])
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['both', 'old'])
      await index.write([item('late', v(1, 0, 0, 0))], 6)
      const before = (await admin.describe()).points
      expect(before).toEqual({ items: 3, users: 0 })

      await staged.promote()
      expect((await admin.describe()).points).toEqual({ items: 2, users: 1 })
      expect([...(await listed(admin, 'items')).keys()].sort()).toEqual(['both', 'fixed', 'gone'])
      expect((await index.points('items', ['both', 'old', 'late'])).size).toBe(1)
      expect(ids(await one(index, near(v(0, 1, 0, 0), 1)))).toEqual(['both'])
      await index.write([item('both', v(0, 0, 0, 1), { of: 'next' }), item('late', v(1, 0, 0, 0))], 6)
      expect((await index.points('items', ['both'])).get('both')).toMatchObject({ version: 6, payload: { of: 'next' } })
      expect(ids(await one(index, near(v(1, 0, 0, 0), 1)))).toEqual(['late'])

      const again = await reopened(4)
      await again.admin.ensure()
      expect((await again.admin.describe()).points).toEqual({ items: 3, users: 1 })
      expect((await again.index.points('items', ['both', 'old'])).get('both')).toMatchObject({ version: 6 })
      expect(ids(await one(again.index, near(v(1, 0, 0, 0), 1)))).toEqual(['late'])
    })

    law('staging again, after a promotion or a discarded attempt, begins empty', 4, async (index, admin) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 })], 1)
      const first = await admin.stage()
      await first.write([item('b', v(1, 0, 0, 0))], 1)
      await first.discard()
      const second = await admin.stage()
      expect((await second.describe()).points.items).toBe(0)
      await second.write([item('c', v(1, 0, 0, 0))], 1)
      await second.promote()
      const left_behind = await admin.stage()
      await left_behind.write([item('d', v(1, 0, 0, 0))], 1)
      const third = await admin.stage()
      expect((await third.points('items', ['a', 'b', 'c', 'd'])).size).toBe(0)
      await third.write([item('e', v(1, 0, 0, 0))], 1)
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['c'])
      await third.promote()
      expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['e'])
      const again = await reopened(4)
      await again.admin.ensure()
      expect(ids(await one(again.index, near(v(1, 0, 0, 0))))).toEqual(['e'])
    })

    law('searches beside a promotion are answered from one collection or the other', 4, async (index, admin) => {
      const some = (of: string) => Array.from({ length: 20 }, (_, i) => item(`p${i}`, v(1, i, 0, 0), { of }))
      await index.write(some('old'), 1)
      const staged = await admin.stage()
      await staged.write(some('new'), 1)
      let over = false
      const answers: string[] = []
      const reading = (async () => {
        while (!over) {
          const hits = await one(index, near(v(1, 0, 0, 0), 40))
          expect(hits.length).toBe(20)
          answers.push([...new Set(hits.map((hit) => hit.payload['of']))].join())
          await index.points('items', ['p1'])
          await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      await staged.promote()
      over = true
      await reading
      expect(answers.length).toBeGreaterThan(0)
      for (const each of answers) expect(['old', 'new']).toContain(each)
      expect((await one(index, near(v(1, 0, 0, 0), 1)))[0]!.payload).toEqual({ of: 'new' })
    })

    law('what was written survives a reopening', 4, async (index) => {
      await index.write(
        [item('a', v(3, 4, 0, 0), { title: 'Ä', n: 2 ** 53 }), item('b', v(1, 0, 0, 0)), user('a', v(0, 0, 1, 0))],
        4,
      )
      await index.write([item('b', null, { why: 'gone' })], 6)
      const before = await index.points('items', ['a', 'b'])
      const again = await reopened(4)
      await again.admin.ensure()
      expect(await again.index.points('items', ['a', 'b'])).toEqual(before)
      expect(await one(again.index, near(v(3, 4, 0, 0)))).toEqual([
        { id: 'a', similarity: expect.closeTo(1, 4), payload: { title: 'Ä', n: 2 ** 53 } },
      ])
      await again.index.write([item('b', v(1, 0, 0, 0)), item('a', v(1, 0, 0, 0), { n: 5 })], 5)
      expect((await again.index.points('items', ['b'])).get('b')).toMatchObject({ version: 6, deleted: true })
      expect((await again.index.points('items', ['a'])).get('a')).toMatchObject({ version: 5, payload: { n: 5 } })
      expect((await again.admin.describe()).points).toEqual({ items: 1, users: 1 })
    })

    law('without an image model there is no space of images', 4, async (index, admin) => {
      await refused('index.dimension', () => index.search([near(v(1, 0, 0, 0), 1, undefined, 'images')]))
      await refused('index.dimension', () => index.write([item('a', v(1, 0, 0, 0)), image('a', v(1, 0, 0, 0))], 1))
      await refused('index.dimension', () => index.write([item('a', v(1, 0, 0, 0)), image('a', null)], 1))
      await refused('index.dimension', () => index.points('images', ['a']))
      await refused('index.dimension', () => admin.purge('images', 9))
      await refused('index.dimension', () => listed(admin, 'images'))
      expect((await index.points('items', ['a'])).size).toBe(0)
      expect((await admin.describe()).image_dims).toBe(null)
      expect(Object.keys((await admin.describe()).points)).toEqual(['items', 'users'])
    })

    law(
      'images have dimensions, points and versions of their own, beside items of the same ids',
      4,
      async (index, admin) => {
        const red = v(1, 0, 0, 0, 0, 0)
        const blue = v(0, 0, 0, 0, 3, 4)
        await index.write([item('a', v(1, 0, 0, 0)), image('a', red, { platform: 'x' }), image('b', blue, { platform: 'y' })], 3)
        expect(ids(await one(index, near(blue, 5, undefined, 'images')))).toEqual(['b', 'a'])
        const filtered = near(blue, 5, { must: [{ field: 'platform', equals: 'x' }], exclude: ['b'] }, 'images')
        expect(await one(index, filtered)).toEqual([{ id: 'a', similarity: expect.closeTo(0, 4), payload: { platform: 'x' } }])
        expect(ids(await one(index, near(v(1, 0, 0, 0))))).toEqual(['a'])
        expect((await index.points('images', ['b'])).get('b')!.vector![5]).toBeCloseTo(0.8, 5)
        await refused('index.dimension', () => index.search([near(v(1, 0, 0, 0), 1, undefined, 'images')]))
        await refused('index.dimension', () => index.search([near(red)]))
        await refused('index.dimension', () => index.write([image('c', v(1, 0, 0, 0))], 9))
        await refused('embed.degenerate', () => index.write([image('c', v(0, 0, 0, 0, 0, Number.NaN))], 9))
        await refused('embed.degenerate', () => index.search([near(v(0, 0, 0, 0, 0, 0), 1, undefined, 'images')]))
        await index.write([image('a', blue)], 2)
        expect(ids(await one(index, near(red, 1, undefined, 'images')))).toEqual(['a'])
        await index.write([image('b', null), item('a', v(0, 1, 0, 0))], 7)
        expect(ids(await one(index, near(blue, 5, undefined, 'images')))).toEqual(['a'])
        expect(await admin.describe()).toMatchObject({ dims: 4, image_dims: 6, points: { items: 1, users: 0, images: 1 } })
        expect(await listed(admin, 'images')).toEqual(
          new Map([
            ['a', { version: 3, deleted: false }],
            ['b', { version: 7, deleted: true }],
          ]),
        )
        await admin.correct([{ ...image('b', blue), seen: 7, version: 7 }])
        expect(ids(await one(index, near(blue, 1, undefined, 'images')))).toEqual(['b'])
        await index.write([image('a', null)], 8)
        expect(await admin.purge('images', 9)).toBe(1)
        expect([...(await listed(admin, 'items')).keys()]).toEqual(['a'])
      },
      image_model,
    )

    law(
      'images are staged and promoted with the rest, and survive a reopening',
      4,
      async (index, admin) => {
        const red = v(1, 0, 0, 0, 0, 0)
        await index.write([image('old', red), item('old', v(1, 0, 0, 0))], 1)
        const staged = await admin.stage()
        await staged.write([image('new', red, { n: 1 })], 2)
        expect((await staged.describe()).points).toEqual({ items: 0, users: 0, images: 1 })
        await staged.promote()
        expect(ids(await one(index, near(red, 5, undefined, 'images')))).toEqual(['new'])
        const again = await reopened(4, image_model)
        await again.admin.ensure()
        expect(await one(again.index, near(red, 5, undefined, 'images'))).toEqual([
          { id: 'new', similarity: expect.closeTo(1, 4), payload: { n: 1 } },
        ])
      },
      image_model,
    )

    law('an image model that comes later gets its space, another one begins with nothing, items stay', 4, async (index) => {
      await index.write([item('a', v(1, 0, 0, 0), { n: 1 }), user('u', v(1, 0, 0, 0))], 1)
      const with_images = await reopened(4, image_model)
      await with_images.admin.ensure()
      expect(ids(await one(with_images.index, near(v(1, 0, 0, 0))))).toEqual(['a'])
      await with_images.index.write([image('a', v(1, 0, 0, 0, 0, 0))], 5)
      expect(ids(await one(with_images.index, near(v(1, 0, 0, 0, 0, 0), 5, undefined, 'images')))).toEqual(['a'])
      const other = await reopened(4, other_image_model)
      await other.admin.ensure()
      expect(await one(other.index, near(v(1, 0, 0), 5, undefined, 'images'))).toEqual([])
      expect(await other.admin.describe()).toMatchObject({ image_dims: 3, points: { items: 1, users: 1, images: 0 } })
      await other.index.write([image('a', v(0, 1, 0))], 9)
      expect(ids(await one(other.index, near(v(0, 1, 0), 5, undefined, 'images')))).toEqual(['a'])
      const without = await reopened(4)
      await without.admin.ensure()
      expect(ids(await one(without.index, near(v(1, 0, 0, 0))))).toEqual(['a'])
      await refused('index.dimension', () => without.index.points('images', ['a']))
    })

    law('recall against an exact scan', 32, async (index) => {
      const random = seeded(99)
      const vectors = clustered(random, 2_040, 32, 40)
      const points = vectors.slice(0, 2_000).map((vector, i) => item(`p${i}`, vector))
      await index.write(points, 1)
      const queries = vectors.slice(2_000).map((vector) => near(vector, 10))
      const answers = await index.search(queries)
      let found = 0
      queries.forEach((query, i) => {
        const expected = new Set(naive(points, query).map((hit) => hit.id))
        found += ids(answers[i]).filter((id) => expected.has(id)).length
      })
      expect(found / (10 * queries.length)).toBeGreaterThanOrEqual(options.recall_min ?? 0.98)
    })
  })
}
