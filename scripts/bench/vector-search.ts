/**
 * Measures the embedded vector index beside a plain Float32Array scan in the same run: latency, queries/s and recall.
 *
 *   node scripts/bench/vector-search.ts [--points 10000,100000] [--dims 384] [--queries 200] [--real]
 *
 * Points are clustered synthetic unit vectors (shops' categories, products in them, offers of them) from a fixed seed.
 * `--real` embeds all titles of ../shared/data with the shipped model instead (some minutes the first time; the vectors are kept
 * in .cache), and asks with 1,000 of them that are held out.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openEmbeddedVectorIndex } from '../../processors/adapters/embedded/vector-index.ts'
import type { Vector } from '../../processors/domain/vector.ts'
import { unit } from '../../processors/domain/vector.ts'
import type { Filter, Hit, PointWrite, Query } from '../../processors/ports/vector-index.ts'
import { titlesAreHere, titleVectors } from './title-vectors.ts'

const { values: args } = parseArgs({
  options: {
    points: { type: 'string', default: '10000,100000' },
    dims: { type: 'string', default: '384' },
    queries: { type: 'string', default: '200' },
    real: { type: 'boolean', default: false },
    write: { type: 'string' },
  },
})
const dims = Number(args.dims)
const query_count = Number(args.queries)

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

type Source = { readonly name: string; readonly at: (i: number) => Vector; readonly query: (i: number) => Vector }

/** Sums of four uniforms are near enough to normal, and quick. */
const noise = (random: () => number): number => (random() + random() + random() + random() - 2) * 1.73

const synthetic = (points: number): Source => {
  const random = seeded(1)
  const direction = (): Vector => unit(Float32Array.from({ length: dims }, () => noise(random)))
  const categories = Array.from({ length: 200 }, direction)
  const products = Math.ceil(points / 8)
  const scale = 1 / Math.sqrt(dims)
  const near = (middle: Vector, spread: number, from: () => number): Vector =>
    unit(middle.map((x) => x + spread * scale * noise(from)))
  const offer = (seed: number, product: number): Vector => {
    const own = seeded(1_000_003 * (product + 1))
    const middle = near(categories[Math.floor(own() * categories.length)]!, 0.9, own)
    return near(middle, 0.5, seeded(seed))
  }
  return {
    name: 'synthetic, clustered',
    at: (i) => offer(7 + i, i % products),
    query: (i) => offer(-7 - i, (i * 7_919) % products),
  }
}

const real = async (): Promise<Source & { readonly points: number }> => {
  const { count, at } = await titleVectors(Number.MAX_SAFE_INTEGER)
  return { name: 'titles of ../shared/data', points: count - 1_000, at, query: (i) => at(count - 1 - (i % 1_000)) }
}

const percentile = (sorted: readonly number[], of: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(of * sorted.length))]!

const timed = async (
  runs: number,
  run: (i: number) => unknown,
): Promise<{ p50: number; p99: number; sum: number; processor: number }> => {
  const took: number[] = []
  const cpu = process.cpuUsage()
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    await run(i)
    took.push(performance.now() - start)
  }
  const sum = took.reduce((a, b) => a + b, 0)
  took.sort((a, b) => a - b)
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99), sum, processor: process.cpuUsage(cpu).user / 1000 / runs }
}

const ms = (value: number): string => value.toFixed(2).padStart(8)

const payloadOf = (i: number) => ({
  title: `Offer ${i} of a product with a title of usual length, colour and size`,
  brand: `brand ${i % 500}`,
  platform: `platform-${i % 9}`,
  merchant_id: `m${i % 50}`,
  market: 'DE',
  language: 'en',
  category_id: `c${i % 200}`,
  price_minor: 100 + ((i * 7_919) % 100_000),
  currency: 'EUR',
  price_ref_minor: 100 + ((i * 7_919) % 100_000),
  availability: i % 5 === 0 ? 'OUT_OF_STOCK' : 'IN_STOCK',
  item_group_id: `group-${i >> 2}`,
  gtin: null,
  url: `https://shop-${i % 50}.example/products/offer-${i}`,
})

const sourceOf = async (points: number): Promise<Source> => (args.real ? real() : synthetic(points))

const write = async (folder: string, points: number): Promise<void> => {
  const source = await sourceOf(points)
  const { index, admin, settled } = await openEmbeddedVectorIndex({ folder, dims, model_digest: 'bench' })
  let writing = 0
  let longest = 0
  for (let from = 0; from < points; from += 500) {
    const batch: PointWrite[] = []
    for (let i = from; i < Math.min(points, from + 500); i++)
      batch.push({ space: 'items', id: `item:${i}`, vector: source.at(i), payload: payloadOf(i) })
    const start = performance.now()
    await index.write(batch, from)
    const took = performance.now() - start
    writing += took
    longest = Math.max(longest, took)
  }
  const start = performance.now()
  const cpu = process.cpuUsage()
  await settled()
  console.log(
    `write, batches of 500: ${Math.round((1000 * points) / writing)} points/s, longest ${longest.toFixed(0)} ms; lists learned ` +
      `${((performance.now() - start) / 1000).toFixed(1)} s after the last (${(process.cpuUsage(cpu).user / 1e6).toFixed(1)} s of processor)`,
  )
  await admin.close()
}

const measure = async (points: number): Promise<void> => {
  const source = await sourceOf(points)
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-bench-'))
  console.log(`\n## ${points} points x ${dims}, ${source.name}`)
  try {
    // Written by a process of its own, so that what this one holds in memory is what a restarted index holds.
    const own = args.real ? ['--real'] : []
    execFileSync(
      process.execPath,
      [import.meta.filename, '--write', folder, '--points', String(points), '--dims', args.dims, ...own],
      {
        stdio: 'inherit',
      },
    )
    const rss_before = process.memoryUsage().rss
    const start_open = performance.now()
    const { index, admin, settled } = await openEmbeddedVectorIndex({ folder, dims, model_digest: 'bench' })
    const opened = performance.now()
    await settled()
    console.log(
      `open: ${((opened - start_open) / 1000).toFixed(2)} s, lists in place ${((performance.now() - opened) / 1000).toFixed(2)} s later; ` +
        `resident ${Math.round(process.memoryUsage().rss / 1e6)} MB, before ${Math.round(rss_before / 1e6)} MB`,
    )

    const matrix = new Float32Array(points * dims)
    for (let i = 0; i < points; i++) matrix.set(source.at(i), i * dims)
    const passes = (i: number, filter: Filter): boolean =>
      (filter.must ?? []).every((condition) => {
        const value = (payloadOf(i) as Record<string, unknown>)[condition.field]
        if ('equals' in condition) return value === condition.equals
        if ('any_of' in condition) return condition.any_of.includes(value as string)
        return typeof value === 'number' && value <= (condition.at_most ?? Number.POSITIVE_INFINITY)
      })
    const scores = new Float64Array(points)
    const plain = (query: Query): readonly string[] => {
      const { vector } = query
      for (let i = 0; i < points; i++) {
        let sum = 0
        const at = i * dims
        for (let d = 0; d < dims; d++) sum += vector[d]! * matrix[at + d]!
        scores[i] = sum
      }
      // A bounded insertion keeps the best; sorting 100,000 scores would be timed instead of the scan.
      const top: number[] = []
      for (let i = 0; i < points; i++) {
        if (top.length === query.limit && scores[i]! <= scores[top.at(-1)!]!) continue
        if (query.filter !== undefined && !passes(i, query.filter)) continue
        let at = top.length
        while (at > 0 && scores[top[at - 1]!]! < scores[i]!) at -= 1
        top.splice(at, 0, i)
        if (top.length > query.limit) top.pop()
      }
      return top.map((i) => `item:${i}`)
    }

    const items = (i: number): Vector => source.query(i)
    const between = (i: number): Vector => {
      const other = source.query(i + 500)
      return unit(source.query(i).map((x, d) => x + other[d]!))
    }
    const cases: readonly {
      readonly name: string
      readonly vector: (i: number) => Vector
      readonly limit: number
      readonly filter?: Filter
    }[] = [
      { name: 'items, limit 10', vector: items, limit: 10 },
      { name: 'between two items, limit 10', vector: between, limit: 10 },
      { name: 'between two items, limit 100', vector: between, limit: 100 },
      {
        name: 'filter of 80 %, limit 10',
        vector: between,
        limit: 10,
        filter: { must: [{ field: 'availability', equals: 'IN_STOCK' }] },
      },
      {
        name: 'filter of 11 %, limit 10',
        vector: between,
        limit: 10,
        filter: { must: [{ field: 'platform', equals: 'platform-3' }] },
      },
      {
        name: 'filter of 0.5 %, limit 10',
        vector: between,
        limit: 10,
        filter: { must: [{ field: 'category_id', equals: 'c17' }] },
      },
    ]
    console.log(
      'case                            p50 ms   p99 ms   recall | in calls of 100: queries/s  processor ms | plain scan: p50 ms   p99 ms  processor ms',
    )
    for (const { name, vector, limit, filter } of cases) {
      const queries = Array.from(
        { length: query_count },
        (_, i): Query => ({ space: 'items', vector: vector(i), limit, ...(filter === undefined ? {} : { filter }) }),
      )
      const answers: (readonly Hit[])[] = []
      for (let i = 0; i < query_count; i++) await index.search([queries[i]!])
      const single = await timed(query_count, async (i) => {
        answers[i] = (await index.search([queries[i]!]))[0]!
      })
      const calls = Array.from({ length: Math.floor(query_count / 100) }, (_, i) => queries.slice(100 * i, 100 * i + 100))
      const many = await timed(calls.length, (i) => index.search(calls[i]!))
      const checked = Math.min(query_count, 200)
      const truth: (readonly string[])[] = []
      const scan = await timed(checked, (i) => {
        truth[i] = plain(queries[i]!)
      })
      let found = 0
      let expected = 0
      for (let i = 0; i < checked; i++) {
        const ids = new Set(answers[i]!.map((hit) => hit.id))
        expected += truth[i]!.length
        found += truth[i]!.filter((id) => ids.has(id)).length
      }
      const rate = String(Math.round((100_000 * calls.length) / many.sum)).padStart(26)
      console.log(
        `${name.padEnd(29)} ${ms(single.p50)} ${ms(single.p99)} ${(found / expected).toFixed(4).padStart(8)} ` +
          `|${rate} ${ms(many.processor / 100).padStart(13)} |${ms(scan.p50).padStart(18)} ${ms(scan.p99)} ${ms(scan.processor).padStart(13)}`,
      )
    }
    await admin.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (args.write !== undefined) await write(args.write, Number(args.points))
else if (args.real && !titlesAreHere()) console.log('../shared/data is not here: real titles were not measured.')
else if (args.real) await measure((await real()).points)
else for (const points of args.points.split(',')) await measure(Number(points))
