/**
 * Measures the text encoder: against sentence-transformers, against bare session.run, by threads, alone, under load, on mixed lengths, on
 * a catalogue that comes again, against float32, and in memory. Everything is interleaved, the best of some rounds.
 *
 *   npm run bench:embed -- [--texts 512] [--rounds 5] [--titles 2000] [--items 6000] [--no-peer]
 *
 * Titles are real ones from ../shared/data; without that folder it says so and stops. The peer needs Python and about 6 GB of packages
 * (.cache/python); float32 weights are made by scripts/model on first use. Rows that cannot be measured say why.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Tokenizer } from 'tokenizers'
import { planBatches } from '../../processors/adapters/onnx/batches.ts'
import { openOnnxEmbedder } from '../../processors/adapters/onnx/embedder.ts'
import { light_model, readPinned, shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { rowsOf } from '../../processors/cli/rows.ts'
import { Fault } from '../../processors/domain/fault.ts'
import { dot, toBytes, type Vector } from '../../processors/domain/vector.ts'
import type { Embedder } from '../../processors/ports/embedder.ts'
import { argumentsOf } from '../arguments.ts'
import { about, cpuSeconds, load, table } from './about.ts'
import { type BareBatch, openBare } from './embed/bare.ts'
import { openPeer, type Peer } from './peers/sentence-transformers.ts'
import { titles as allTitles, titlesAreHere } from './title-vectors.ts'

const { values: args } = argumentsOf(
  'npm run bench:embed -- [--texts 512] [--rounds 5] [--titles 2000] [--items 6000] [--no-peer]\n',
  {
    options: {
      texts: { type: 'string', default: '512' },
      rounds: { type: 'string', default: '5' },
      titles: { type: 'string', default: '2000' },
      items: { type: 'string', default: '6000' },
      'no-peer': { type: 'boolean', default: false },
    },
  },
)
if (!titlesAreHere()) {
  process.stdout.write('Skipped: ../shared/data is absent, and made-up titles would measure nothing.\n')
  process.exit(0)
}
const root = join(import.meta.dirname, '../..')
const rounds = Number(args.rounds)
const load_before = load()
const say = (text: string): void => void process.stderr.write(`${text}\n`)
const fixed = (value: number, digits = 2): string => value.toFixed(digits)
const least = (values: readonly number[]): number => Math.min(...values)
const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!
const vectorsOf = async (embedder: Embedder, texts: readonly string[]): Promise<readonly Vector[]> =>
  (await embedder.embed(texts)).map((result) => {
    if (result instanceof Fault) throw result
    return result
  })

/** Runs a script of the project with this runtime. */
const script = (path: string, ...given: string[]): string =>
  execFileSync(process.execPath, [join(root, path), ...given], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: root,
  })

/** A folder that scripts/model makes, made where it is absent; or why it cannot be. */
const madeModel = (name: string, ...given: string[]): { readonly folder: string } | { readonly missing: string } => {
  const folder = join(root, '.cache/model', name)
  try {
    if (!existsSync(join(folder, 'config.json'))) script('scripts/model/make.ts', ...given)
    return { folder }
  } catch (error) {
    return { missing: `${name} could not be made: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}` }
  }
}

type Measured = { readonly wall_s: number; readonly cpu_s: number }
const measured = async (run: () => Promise<unknown>): Promise<Measured> => {
  const cpu = process.cpuUsage()
  const began = performance.now()
  await run()
  return { wall_s: (performance.now() - began) / 1e3, cpu_s: cpuSeconds(cpu) }
}
/** Each of them `rounds` times in turn; the least wall and CPU seconds of each. */
const interleaved = async (
  runs: Readonly<Record<string, () => Promise<Measured>>>,
): Promise<Readonly<Record<string, Measured>>> => {
  const all = new Map<string, Measured[]>(Object.keys(runs).map((name) => [name, []]))
  for (const run of Object.values(runs)) await run()
  for (let round = 0; round < rounds; round++) for (const [name, run] of Object.entries(runs)) all.get(name)!.push(await run())
  return Object.fromEntries(
    [...all].map(([name, some]) => [
      name,
      { wall_s: least(some.map(({ wall_s }) => wall_s)), cpu_s: least(some.map(({ cpu_s }) => cpu_s)) },
    ]),
  )
}

const rows: string[][] = []
const add = (what: string, against: string, goal: string, found: string, ok: boolean | null): void => {
  rows.push([what, against, goal, found, ok === null ? 'not measured' : ok ? 'reached' : 'missed'])
  say(`${what}: ${found}`)
}

const every_title = await allTitles()
const { card, tokenizer: tokenizer_json } = await readPinned(shipped_model.folder, shipped_model.digest)
const tokenizer = Tokenizer.fromString(tokenizer_json)
tokenizer.setTruncation(card.tokens_max)
const idsOf = async (texts: readonly string[]): Promise<readonly (readonly number[])[]> =>
  (await tokenizer.encodeBatch(texts.map((text) => card.prefix + text))).map((encoding) => encoding.getIds())

const batch_tokens_max = 768
const length_bucket = 4
const batchesOf = (ids: readonly (readonly number[])[]): readonly BareBatch[] =>
  planBatches(
    ids.map((list) => list.length),
    { length_bucket, tokens_max: card.tokens_max, batch_tokens_max },
  ).map(({ width, members }) => ({ width, ids: members.map((member) => ids[member]!) }))

/** Real titles of 18 to 22 tokens. */
const few = every_title.slice(0, Math.max(4_000, Number(args.texts) * 12))
const few_ids = await idsOf(few)
const twenty = few.filter((_, i) => few_ids[i]!.length >= 18 && few_ids[i]!.length <= 22).slice(0, Number(args.texts))
const twenty_ids = await idsOf(twenty)

const one = await openOnnxEmbedder({ clock: systemClock, workers: 1 })
const two = await openOnnxEmbedder({ clock: systemClock, workers: 2 })

// 1. sentence-transformers
const peers: { readonly name: string; readonly peer: Peer; readonly ours: Embedder }[] = []
const light = await openOnnxEmbedder({
  clock: systemClock,
  workers: 1,
  model_folder: light_model.folder,
  digest: light_model.digest,
})
let no_peer = args['no-peer'] ? 'left out by --no-peer' : ''
if (no_peer === '') {
  const checkpoint = madeModel('multilingual-e5-small-pruned-checkpoint', 'e5-small', '--precision', 'checkpoint')
  for (const [name, ours, options] of [
    [shipped_model.name, one, 'missing' in checkpoint ? null : { folder: checkpoint.folder, prefix: card.prefix }],
    [light_model.name, light, {}],
  ] as const) {
    const peer = options === null ? { missing: 'missing' in checkpoint ? checkpoint.missing : '' } : await openPeer(options)
    if ('missing' in peer) no_peer = peer.missing
    else peers.push({ name, peer, ours })
  }
}
for (const { name, peer, ours } of peers) {
  const found = await interleaved({
    ours: () => measured(() => ours.embed(twenty)),
    theirs: () => peer.run(twenty, 32),
  })
  const ratio = found['theirs']!.cpu_s / found['ours']!.cpu_s
  add(
    `titles of 20 tokens per CPU second, ${name}`,
    `sentence-transformers fp32, ${fixed(twenty.length / found['theirs']!.cpu_s, 0)}/s`,
    '>= 2.5x',
    `${fixed(twenty.length / found['ours']!.cpu_s, 0)}/s = ${fixed(ratio)}x`,
    ratio >= 2.5,
  )
  say(peer.versions)
}
for (const { peer } of peers) await peer.close()
await light.close()
if (no_peer !== '') add('titles of 20 tokens per CPU second', 'sentence-transformers fp32', '>= 2.5x', no_peer, null)

// 2. and 3. bare session.run, one thread and two
const bare = await openBare(shipped_model.folder)
const beside = await openBare(shipped_model.folder)
const ready = batchesOf(twenty_ids)
await bare.load(ready)
await beside.load(ready)
const half = Math.ceil(ready.length / 2)
const speed = await interleaved({
  'bare, one thread': () => measured(() => bare.run()),
  'bare, two threads': () => measured(() => Promise.all([bare.run(0, half), beside.run(half)])),
  'engine, one thread': () => measured(() => one.embed(twenty)),
  'engine, two threads': () => measured(() => two.embed(twenty)),
})
const per = (name: string): Measured => speed[name]!
const whole = per('bare, one thread').wall_s / per('engine, one thread').wall_s
add(
  'whole engine',
  `bare session.run, ${fixed(twenty.length / per('bare, one thread').wall_s, 0)}/s`,
  '>= 0.92',
  `${fixed(twenty.length / per('engine, one thread').wall_s, 0)}/s = ${fixed(whole)} (CPU ${fixed(per('bare, one thread').cpu_s / per('engine, one thread').cpu_s)})`,
  whole >= 0.92,
)
const scaling = per('engine, one thread').wall_s / per('engine, two threads').wall_s
const limit = per('bare, one thread').wall_s / per('bare, two threads').wall_s
add('two workers', `one worker; two bare threads here: ${fixed(limit)}`, '>= 1.8', fixed(scaling), scaling >= 1.8)

// 4. a lone text
await bare.load(
  twenty_ids.slice(0, 100).map((ids) => ({ width: Math.ceil(ids.length / length_bucket) * length_bucket, ids: [ids] })),
)
const alone: number[] = []
const alone_bare: number[] = []
for (let i = 0; i < Math.min(200, 2 * Math.min(100, twenty.length)); i++) {
  const at = i % Math.min(100, twenty.length)
  alone_bare.push(...(await bare.run(at, at + 1)))
  const began = performance.now()
  await two.embed([twenty[at]!])
  alone.push(performance.now() - began)
}
const wait_ms = 2
const p99 = quantile(alone, 0.99)
const bound = wait_ms + 1.3 * quantile(alone_bare, 0.99)
add(
  'a lone text, submit to vector, p99',
  `bare run of batch 1, p99 ${fixed(quantile(alone_bare, 0.99))} ms`,
  `<= ${wait_ms} ms + 1.3x = ${fixed(bound)} ms`,
  `${fixed(p99)} ms (p50 ${fixed(quantile(alone, 0.5))}, bare ${fixed(quantile(alone_bare, 0.5))})`,
  p99 <= bound,
)

// 5. the main thread meanwhile
const delayed = async (run: () => Promise<unknown>): Promise<number> => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await run()
  delay.disable()
  return delay.percentile(99) / 1e6
}
const idle_ms = await delayed(() => systemClock.sleep(2_000))
const busy_ms = await delayed(async () => {
  for (let i = 0; i < rounds; i++) await two.embed(twenty)
})
add('event-loop delay of the main thread, p99', `idle ${fixed(idle_ms)} ms`, '< 15 ms', `${fixed(busy_ms)} ms`, busy_ms < 15)

// 6. titles and descriptions, as they come
const mixed: string[] = []
for await (const { row } of rowsOf(join(root, '../shared/data/abt-buy-full/abt.csv.gz'))) {
  if (row instanceof Fault) continue
  const { name, description } = row as { name?: string; description?: string }
  if (name) mixed.push(name)
  if (description) mixed.push(`${name ?? ''} ${description}`)
  if (mixed.length >= twenty.length) break
}
const mixed_ids = await idsOf(mixed)
const naive = Array.from({ length: Math.ceil(mixed.length / 32) }, (_, i) => {
  const ids = mixed_ids.slice(i * 32, i * 32 + 32)
  return { width: Math.max(...ids.map((list) => list.length)), ids }
})
await bare.load(naive)
const lengths = await interleaved({
  naive: () => measured(() => bare.run()),
  engine: () => measured(() => one.embed(mixed)),
})
const mix = lengths['naive']!.wall_s / lengths['engine']!.wall_s
add(
  `mixed lengths (${mixed.length} titles and descriptions)`,
  `arrival order, 32 a batch: ${fixed(mixed.length / lengths['naive']!.wall_s, 0)}/s`,
  '>= 1.6x',
  `${fixed(mixed.length / lengths['engine']!.wall_s, 0)}/s = ${fixed(mix)}x`,
  mix >= 1.6,
)
await bare.close()
await beside.close()

// 7. against float32, and against itself in another company
const watched = every_title.slice(0, Number(args.titles))
const mine = await vectorsOf(two, watched)
const order = watched.map((_, i) => (i * 7_919) % watched.length)
const again = new Map<number, Vector>()
for (let at = 0; at < order.length; at += 33) {
  const part = order.slice(at, at + 33)
  for (const [i, vector] of (
    await vectorsOf(
      one,
      part.map((n) => watched[n]!),
    )
  ).entries())
    again.set(part[i]!, vector)
}
const selves = [...again].map(([n, vector]) => ({
  same: toBytes(vector).equals(toBytes(mine[n]!)),
  cosine: dot(vector, mine[n]!),
}))
await one.close()
await two.close()
const oracle = madeModel('multilingual-e5-small-pruned-float32', 'e5-small', '--precision', 'float32')
if ('missing' in oracle) add('cosine to float32, mean / min', '1', '>= .997 / .990', oracle.missing, null)
else {
  const exact = await openOnnxEmbedder({ clock: systemClock, workers: 1, model_folder: oracle.folder })
  const truth = await vectorsOf(exact, watched)
  await exact.close()
  const cosines = mine.map((vector, i) => dot(vector, truth[i]!))
  const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length
  add(
    `cosine to float32, mean / min, ${watched.length} real titles`,
    '1',
    '>= .997 / .990',
    `${fixed(mean, 5)} / ${fixed(least(cosines), 5)}`,
    mean >= 0.997 && least(cosines) >= 0.99,
  )
}
const self = least(selves.map(({ cosine }) => cosine))
add(
  'self-cosine across batches',
  '1',
  '>= .999999',
  `${fixed(self, 7)}; ${selves.filter(({ same }) => same).length} of ${selves.length} the same to the bit`,
  self >= 0.999999,
)

// 8. a catalogue that comes again
const replay = script('scripts/bench/replay-embed.ts', '--items', args.items)
const found = /Full run against the replay: ([\d.]+)x in wall time, ([\d.]+)x in CPU time/u.exec(replay)
add(
  `replay of ${args.items} items with 1 % changed text`,
  'full run',
  '>= 50x',
  found === null ? replay.trim() : `${found[1]}x wall, ${found[2]}x CPU`,
  found === null ? null : Number(found[1]) >= 50,
)

// 9. memory
const rss = Number(script('scripts/bench/embed/memory.ts')) / 1e6
add('RSS with two workers, default model', '', '< 700 MB', `${fixed(rss, 0)} MB`, rss < 700)

process.stdout.write(
  `${[
    ...about(load_before),
    `- model: ${card.name}; ${twenty.length} real titles of 18 to 22 tokens, batches of at most ${batch_tokens_max} tokens, best of ${rounds} interleaved rounds`,
    '',
    ...table(['what', 'limit or peer in the same run', 'goal', 'found', ''], rows),
  ].join('\n')}\n`,
)
