/**
 * Measures the text encoder in its threads beside bare session.run of ready tensors in the same run: titles per second, texts per
 * CPU-second, delay of the event loop; and how often a title's vector is the same to the bit in another company.
 *
 *   node scripts/bench/embed.ts [--texts 128] [--rounds 2] [--workers 1,2] [--same 100]
 *
 * Titles are real ones from ../shared/data (four computer shops); without that folder it says so and stops.
 */
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Tokenizer } from 'tokenizers'
import { planBatches } from '../../processors/adapters/onnx/batches.ts'
import { openOnnxEmbedder } from '../../processors/adapters/onnx/embedder.ts'
import { sessionOptions } from '../../processors/adapters/onnx/engine.ts'
import { withOutput } from '../../processors/adapters/onnx/onnx-file.ts'
import { readPinned, shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { seededRandom } from '../../processors/adapters/system/random.ts'
import { Fault } from '../../processors/domain/fault.ts'
import { toBytes } from '../../processors/domain/vector.ts'

const { values: args } = parseArgs({
  options: {
    texts: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '2' },
    workers: { type: 'string', default: '1,2' },
    same: { type: 'string', default: '100' },
  },
})

const shops = fileURLToPath(new URL('../../../shared/data/lspc-computers-4shops/', import.meta.url))
if (!existsSync(shops)) {
  process.stdout.write('Skipped: ../shared/data/lspc-computers-4shops is absent, and made-up titles would measure nothing.\n')
  process.exit(0)
}

const random = seededRandom(1)
const titles = ['harddrivesdirect', 'sillworks', 'tweakers', 'usapartsdirect']
  .flatMap((shop) =>
    gunzipSync(readFileSync(join(shops, `${shop}.csv.gz`)))
      .toString('utf8')
      .split('\n')
      .slice(1),
  )
  // id, cluster, title: quoted when it holds a comma.
  .map((line) => /^\d+,\d+,(?:"((?:[^"]|"")*)"|([^,]*)),/u.exec(line))
  .map((found) => (found?.[1] ?? found?.[2] ?? '').trim())
  .filter((title) => title !== '')
  .map((title) => ({ title, at: random.next() }))
  .sort((a, b) => a.at - b.at)
  .map(({ title }) => title)

const texts = titles.slice(0, Number(args.texts))
const rounds = Number(args.rounds)
const batch_tokens_max = 768
const length_bucket = 4

const pinned = await readPinned(shipped_model.folder, shipped_model.digest)
const { card } = pinned
const tokenizer = Tokenizer.fromString(pinned.tokenizer)
tokenizer.setTruncation(card.tokens_max)
const ids = (await tokenizer.encodeBatch([...texts])).map((encoding) => encoding.getIds())
const tokens = ids.reduce((sum, list) => sum + list.length, 0)

/** Wall and CPU seconds of the whole process, and the longest and the 99th percentile delay of its event loop. */
const measured = async (run: () => Promise<void>) => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const cpu = process.cpuUsage()
  const began = performance.now()
  await run()
  const wall_s = (performance.now() - began) / 1e3
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  return { wall_s, cpu_s: (user + system) / 1e6, delay_p99_ms: delay.percentile(99) / 1e6, delay_max_ms: delay.max / 1e6 }
}
type Measure = Awaited<ReturnType<typeof measured>>

const session = await InferenceSession.create(withOutput(pinned.model, card.output), sessionOptions(card, 'cpu', 1))
const batches = planBatches(
  ids.map((list) => list.length),
  { length_bucket, tokens_max: card.tokens_max, batch_tokens_max },
)
const ready = batches.map(({ width, members }) => {
  const input_ids = new BigInt64Array(members.length * width)
  const attention_mask = new BigInt64Array(members.length * width)
  for (const [row, member] of members.entries())
    for (const [i, id] of ids[member]!.entries()) {
      input_ids[row * width + i] = BigInt(id)
      attention_mask[row * width + i] = 1n
    }
  const shape = [members.length, width]
  return { input_ids: new Tensor('int64', input_ids, shape), attention_mask: new Tensor('int64', attention_mask, shape) }
})
const bare = async (): Promise<void> => {
  for (const feeds of ready) await session.run(feeds, [card.output])
}

const variants: { name: string; run: () => Promise<void>; close: () => Promise<void>; measures: Measure[] }[] = [
  { name: 'bare session.run, main thread', run: bare, close: () => session.release(), measures: [] },
]
for (const workers of args.workers.split(',').map(Number)) {
  const embedder = await openOnnxEmbedder({ clock: systemClock, workers, batch_tokens_max, length_bucket })
  variants.push({
    name: `embedder, ${workers} worker${workers === 1 ? '' : 's'}`,
    run: async () => {
      await embedder.embed(texts)
    },
    close: () => embedder.close(),
    measures: [],
  })
}

const load_before = loadavg()
for (const { run } of variants) await run()
for (let round = 0; round < rounds; round++) for (const { run, measures } of variants) measures.push(await measured(run))

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const least = (measures: readonly Measure[], of: (measure: Measure) => number): number => Math.min(...measures.map(of))
say(
  `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores`,
)
say(
  `load average of the machine before and after: ${load_before[0]!.toFixed(1)}, ${loadavg()[0]!.toFixed(1)} (other work runs beside this)`,
)
say(
  `${texts.length} titles, ${(tokens / texts.length).toFixed(1)} tokens each, ${batches.length} batches of at most ${batch_tokens_max} tokens, best of ${rounds} interleaved rounds`,
)
const bare_cpu = least(variants[0]!.measures, ({ cpu_s }) => cpu_s)
say('| | titles/s (wall) | texts per CPU-second | of bare | loop delay p99, max ms |')
say('|---|---|---|---|---|')
for (const { name, measures } of variants) {
  const wall = least(measures, ({ wall_s }) => wall_s)
  const cpu = least(measures, ({ cpu_s }) => cpu_s)
  const p99 = least(measures, ({ delay_p99_ms }) => delay_p99_ms)
  const max = least(measures, ({ delay_max_ms }) => delay_max_ms)
  say(
    `| ${name} | ${(texts.length / wall).toFixed(0)} | ${(texts.length / cpu).toFixed(0)} | ${(bare_cpu / cpu).toFixed(2)} | ${p99.toFixed(1)}, ${max.toFixed(1)} |`,
  )
}
for (const { close } of variants) await close()

// The same titles in other companies: shuffled, by other batch budgets, in calls of other sizes.
const watched = titles.slice(0, Number(args.same))
const bytesOf = (result: Float32Array | Fault | undefined): string =>
  result instanceof Fault || result === undefined ? '' : toBytes(result).toString('latin1')
const reference = new Map<string, string>()
let same = 0
let compared = 0
for (const [budget, size] of [
  [768, watched.length],
  [64, 7],
  [1_024, 33],
] as const) {
  const embedder = await openOnnxEmbedder({ clock: systemClock, workers: 1, batch_tokens_max: budget, length_bucket })
  const order =
    reference.size === 0
      ? watched
      : watched
          .map((title) => ({ title, at: random.next() }))
          .sort((a, b) => a.at - b.at)
          .map(({ title }) => title)
  for (let at = 0; at < order.length; at += size) {
    const part = order.slice(at, at + size)
    for (const [index, result] of (await embedder.embed(part)).entries()) {
      const bytes = bytesOf(result)
      const before = reference.get(part[index]!)
      if (before === undefined) reference.set(part[index]!, bytes)
      else {
        compared++
        if (before === bytes && bytes !== '') same++
      }
    }
  }
  await embedder.close()
}
say(`${same} of ${compared} vectors the same to the bit in another order, batch size and call size`)
