/**
 * Measures what int8 storage with rescoring, inverted lists and HNSW lose: recall of each adapter of the index against a plain loop
 * over the same float32 vectors, with the time of a search and the bytes of a point.
 *
 *   node scripts/bench/vector-recall.ts [--points 8000,36000] [--queries 300]
 *
 * Points are real titles of ../shared/data (the vectors are kept in .cache). Queries are titles that are not among them, and sums as a
 * shopper's profile is one: two to eight items of the index, each older one counting 0.8 of the next. Qdrant takes part where
 * QDRANT_URL is set or `qdrant` is on PATH, once its optimizer is done.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { QdrantClient } from '@qdrant/js-client-rest'
import { openEmbeddedVectorIndex } from '../../processors/adapters/embedded/vector-index.ts'
import { openMemoryVectorIndex } from '../../processors/adapters/memory/vector-index.ts'
import { openQdrantIndex } from '../../processors/adapters/qdrant/vector-index.ts'
import { unit, type Vector } from '../../processors/domain/vector.ts'
import type { VectorIndex } from '../../processors/ports/vector-index.ts'
import { argumentsOf } from '../arguments.ts'
import { startQdrant } from '../servers/qdrant.ts'
import { about, load, table } from './about.ts'
import { type TitleVectors, titlesAreHere, titleVectors } from './title-vectors.ts'

const { values: args } = argumentsOf(
  `Measures recall, latency and bytes a point of every index adapter against exact float32 search.

  --points 8000,36000   sizes
  --queries 300         queries of each kind
  --adapters memory,embedded,qdrant
`,
  {
    options: {
      points: { type: 'string', default: '8000,36000' },
      queries: { type: 'string', default: '300' },
      adapters: { type: 'string', default: 'memory,embedded,qdrant' },
      resident: { type: 'string' },
      dims: { type: 'string', default: '384' },
    },
  },
)
const queries_each = Number(args.queries)
const limits = [10, 100] as const
const model_digest = 'bec411'.padEnd(64, '0')

/** `scores` are the exact cosines of every point; `best` the greatest of them, in order. */
type Question = { readonly vector: Vector; readonly scores: Float64Array; readonly best: Float64Array }
type Measured = {
  readonly index: VectorIndex
  readonly engine: string
  /** Called once all is written: waits until the index has its final form, and says what that is. */
  settle(): Promise<string>
  /** Bytes on disk and in memory, all points together; null where it cannot be told. */
  bytes(): { readonly disk: number | null; readonly memory: number | null }
  close(): Promise<void>
}

const idOf = (i: number): string => `item:${i}`
const numberOf = (id: string): number => Number(id.slice('item:'.length))

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

/** Two cosines nearer than this are one: titles that shops have copied from each other lie on top of each other. */
const tie = 1e-6

/** The exact answer: float32 vectors, products and sums in float64, one after the other, every point. */
const exact = (matrix: Float32Array, points: number, dims: number, vector: Vector): Question => {
  const scores = new Float64Array(points)
  for (let i = 0, at = 0; i < points; i++) {
    let score = 0
    for (let d = 0; d < dims; d++, at++) score += vector[d]! * matrix[at]!
    scores[i] = score
  }
  return {
    vector,
    scores,
    best: Float64Array.from(scores)
      .sort()
      .reverse()
      .slice(0, Math.max(...limits)),
  }
}

/** The share of the `limit` nearest points that was found; of points that tie with the last of them any will do. */
const recallOf = ({ scores, best }: Question, ids: readonly string[], limit: number): number => {
  const least = best[limit - 1]! - tie
  return ids.filter((id) => scores[numberOf(id)]! >= least).length / limit
}

/** Bytes on disk. `du` walks on where a server deletes files under its feet. */
const bytesOf = (folder: string): number =>
  1024 * Number.parseInt(spawnSync('du', ['-sk', folder], { encoding: 'utf8' }).stdout, 10)

/** Bytes a process holds that no file backs. */
const residentOf = (pid: number): number =>
  Number(/RssAnon:\s+(\d+) kB/u.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) * 1024

const openers: Readonly<Record<string, (dims: number) => Promise<Measured | string>>> = {
  memory: async (dims) => {
    const { index } = openMemoryVectorIndex({ dims })
    return {
      index,
      engine: 'memory, float32',
      settle: async () => 'every point',
      bytes: () => ({ disk: null, memory: null }),
      close: async () => undefined,
    }
  },
  embedded: async (dims) => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-recall-'))
    const first = await openEmbeddedVectorIndex({ folder, dims, model_digest })
    let open = first
    let memory = 0
    return {
      index: {
        write: (points, version) => open.index.write(points, version),
        search: (queries) => open.index.search(queries),
        points: (space, ids) => open.index.points(space, ids),
      },
      engine: (await first.admin.describe()).engine,
      settle: async () => {
        await first.settled()
        await first.admin.close()
        // What a process holds that has only read it, without what its writing left behind.
        memory = Number(
          execFileSync(process.execPath, [import.meta.filename, '--resident', folder, '--dims', String(dims)], {
            encoding: 'utf8',
          }),
        )
        open = await openEmbeddedVectorIndex({ folder, dims, model_digest })
        await open.settled()
        return 'opened again'
      },
      bytes: () => ({ disk: bytesOf(folder), memory }),
      close: async () => {
        await open.admin.close()
        rmSync(folder, { recursive: true })
      },
    }
  },
  qdrant: async (dims) => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-recall-qdrant-'))
    const given = process.env['QDRANT_URL']
    const started = given ? undefined : await startQdrant({ folder })
    const url = given ?? started?.url
    if (url === undefined) return 'neither QDRANT_URL is set nor is `qdrant` on PATH: not measured'
    const before = started === undefined ? 0 : residentOf(started.pid)
    const api_key = process.env['QDRANT_API_KEY'] ?? null
    const { index, admin } = openQdrantIndex({
      url,
      api_key,
      collection: 'entrepot-recall',
      model_digest,
      dims,
      timeout_ms: 60_000,
    })
    await admin.ensure()
    const { engine, collection } = await admin.describe()
    const client = new QdrantClient({
      url,
      checkCompatibility: false,
      ...(api_key === null ? {} : { headers: { 'api-key': api_key } }),
    })
    return {
      index,
      engine,
      settle: async () => {
        for (let quiet = 0; ; ) {
          const { status, indexed_vectors_count } = await client.getCollection(collection)
          quiet = status === 'green' ? quiet + 1 : 0
          if (quiet >= 8) return `${indexed_vectors_count} vectors in HNSW`
          await sleep(500)
        }
      },
      bytes: () => ({
        disk: started === undefined ? null : bytesOf(join(folder, 'storage/collections')),
        memory: started === undefined ? null : residentOf(started.pid) - before,
      }),
      close: async () => {
        await client.deleteCollection(collection)
        await admin.close()
        await started?.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

const percentile = (sorted: readonly number[], of: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(of * sorted.length))]!

const questionsOf = (
  titles: TitleVectors,
  matrix: Float32Array,
  points: number,
): Readonly<Record<string, readonly Question[]>> => {
  const random = seeded(11)
  const { dims } = titles
  const asked = (vector: Vector): Question => exact(matrix, points, dims, vector)
  const profile = (): Vector => {
    const sum = new Float64Array(dims)
    const items = 2 + Math.floor(random() * 7)
    for (let n = 0, weight = 1; n < items; n++, weight *= 0.8) {
      const item = titles.at(Math.floor(random() * points))
      for (let d = 0; d < dims; d++) sum[d]! += weight * item[d]!
    }
    return unit(Float32Array.from(sum))
  }
  return {
    title: Array.from({ length: queries_each }, (_, i) => asked(titles.at(titles.count - 1 - i))),
    profile: Array.from({ length: queries_each }, () => asked(profile())),
  }
}

const measure = async (titles: TitleVectors, points: number): Promise<readonly (readonly string[])[]> => {
  const { dims } = titles
  const matrix = new Float32Array(points * dims)
  for (let i = 0; i < points; i++) matrix.set(titles.at(i), i * dims)
  const questions = questionsOf(titles, matrix, points)
  const rows: string[][] = []
  for (const name of args.adapters.split(',')) {
    const opened = await openers[name]?.(dims)
    if (opened === undefined || typeof opened === 'string') {
      console.log(`${name}: ${opened ?? 'there is no such adapter'}.`)
      continue
    }
    const { index, engine } = opened
    try {
      for (let from = 0; from < points; from += 500) {
        const batch = Array.from({ length: Math.min(500, points - from) }, (_, i) => from + i)
        await index.write(
          batch.map((i) => ({
            space: 'items' as const,
            id: idOf(i),
            vector: matrix.slice(i * dims, (i + 1) * dims),
            payload: { platform: `p${i % 9}` },
          })),
          from,
        )
      }
      const state = await opened.settle()
      for (const [kind, list] of Object.entries(questions)) {
        const found: Record<number, number[]> = {}
        const took: Record<number, number[]> = {}
        for (const limit of limits) {
          const recalls: number[] = []
          const times: number[] = []
          for (const { vector } of list.slice(0, 20)) await index.search([{ space: 'items', vector, limit }])
          for (const question of list) {
            const start = performance.now()
            const [hits] = await index.search([{ space: 'items', vector: question.vector, limit }])
            times.push(performance.now() - start)
            recalls.push(
              recallOf(
                question,
                hits!.map(({ id }) => id),
                limit,
              ),
            )
          }
          found[limit] = recalls
          took[limit] = times.sort((a, b) => a - b)
        }
        const mean = (list: readonly number[]): string => (list.reduce((a, b) => a + b, 0) / list.length).toFixed(4)
        const ms = (limit: number): string =>
          `${percentile(took[limit]!, 0.5).toFixed(1)} / ${percentile(took[limit]!, 0.99).toFixed(1)}`
        const per_point = (bytes: number | null): string => (bytes === null ? '–' : String(Math.round(bytes / points)))
        // After the searches: an optimizer deletes what it has replaced a while later.
        const { disk, memory } = opened.bytes()
        rows.push([
          String(points),
          `${engine}; ${state}`,
          kind,
          mean(found[10]!),
          Math.min(...found[10]!).toFixed(1),
          mean(found[100]!),
          Math.min(...found[100]!).toFixed(2),
          ms(10),
          ms(100),
          per_point(disk),
          per_point(memory),
        ])
      }
    } finally {
      await opened.close()
    }
  }
  return rows
}

if (args.resident !== undefined) {
  // The code of an index that holds nothing is no part of what a point costs.
  const empty = mkdtempSync(join(tmpdir(), 'entrepot-recall-'))
  const nothing = await openEmbeddedVectorIndex({ folder: empty, dims: Number(args.dims), model_digest })
  const before = process.memoryUsage().rss
  const { admin, settled } = await openEmbeddedVectorIndex({ folder: args.resident, dims: Number(args.dims), model_digest })
  await settled()
  console.log(process.memoryUsage().rss - before)
  await admin.close()
  await nothing.admin.close()
  rmSync(empty, { recursive: true })
} else if (!titlesAreHere()) console.log('../shared/data is not here: recall on real titles was not measured.')
else {
  const load_before = load()
  const sizes = args.points.split(',').map(Number)
  const titles = await titleVectors(Math.max(...sizes) + queries_each)
  const rows: (readonly string[])[] = []
  for (const points of sizes) {
    if (points + queries_each > titles.count)
      console.log(`${points} points: there are ${titles.count} titles only; not measured.`)
    else rows.push(...(await measure(titles, points)))
  }
  const head = [
    'points',
    'index',
    'query',
    'recall@10',
    'worst',
    'recall@100',
    'worst',
    'p50 / p99 ms, 10',
    'p50 / p99 ms, 100',
    'disk bytes a point',
    'memory bytes a point',
  ]
  const lines = [
    `- vectors: ${titles.count} titles by ${titles.model}, ${titles.dims} float32 (${titles.dims * 4} bytes)`,
    ...about(load_before),
  ]
  console.log([...lines, '', ...table(head, rows)].join('\n'))
}
