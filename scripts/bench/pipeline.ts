/**
 * Measures the whole river, all stages in this one process, publisher included: products a second until searchable, interactions a
 * second flat out, and from event to recommendation at a steady rate. With --soak also memory over many interactions. Vectors come
 * from seeded noise unless --embedder onnx: everything but inference is as in production. Prints a markdown report.
 *
 *   node scripts/bench/pipeline.ts [--items 5000] [--events 20000] [--rate 500] [--seconds 30] [--users 20000]
 *   node scripts/bench/pipeline.ts --items 100000 --soak [--soak-events 1000000]
 *   node scripts/with-servers.ts node scripts/bench/pipeline.ts --mode servers
 */
import { tmpdir } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openPublisher, type Publisher, type ToPublish } from '../../processors/cli/publish.ts'
import { all_stages, underWay, waitUntil } from '../../processors/cli/quiet.ts'
import { openTally, quantile, type Tally } from '../../processors/cli/tally.ts'
import type { RunningStages, World } from '../../processors/cli/world.ts'
import { about, cpuSeconds, load, table } from './about.ts'
import { openRiver } from './river.ts'
import { product, syntheticEmbedder, uniform, view } from './shop.ts'

const { values: args } = parseArgs({
  options: {
    mode: { type: 'string', default: 'embedded' },
    embedder: { type: 'string', default: 'synthetic' },
    items: { type: 'string', default: '5000' },
    users: { type: 'string', default: '20000' },
    events: { type: 'string', default: '20000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '30' },
    soak: { type: 'boolean', default: false },
    'soak-events': { type: 'string', default: '1000000' },
    /** Where the run's folder is made; on the disk to be measured. */
    folder: { type: 'string', default: tmpdir() },
    partitions: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
  },
})
const servers = args.mode === 'servers'
const items = Number(args.items)
const users = Number(args.users)
const rate = Number(args.rate)
const chunk = 500
/** Records under way beyond which the flat-out publisher waits; enough that no stage idles. */
const under_way_max = 10_000

const ms = (seconds: number): string =>
  Number.isNaN(seconds) ? '-' : `${(seconds * 1_000).toFixed(seconds < 0.0995 ? 1 : 0)} ms`
const count = (value: number): string => Math.round(value).toLocaleString('en')
const mib = (bytes: number): number => bytes / 2 ** 20
const note = (text: string): void => void process.stderr.write(`${text}\n`)

type Run = {
  readonly world: World
  readonly running: RunningStages
  readonly publisher: Publisher
  readonly tally: Tally
  published: number
}

const never = new AbortController().signal
const settled = async (run: Run, most = 0): Promise<void> =>
  waitUntil(run.world.clock, run.running, never, () => underWay(run.tally, run.world.topics, run.published) <= most)

const publish = async (run: Run, events: readonly ToPublish[]): Promise<void> => {
  run.published += events.length
  await run.publisher.publish(events)
}

/** As fast as the stages take it; resolves when the last one is through. */
const flatOut = async (run: Run, total: number, make: (number: number) => ToPublish, each?: (done: number) => void) => {
  for (let done = 0; done < total; done += chunk) {
    await publish(
      run,
      Array.from({ length: Math.min(chunk, total - done) }, (_, at) => make(done + at)),
    )
    each?.(done)
    await settled(run, under_way_max)
  }
  await settled(run)
}

const measured = async <T>(what: () => Promise<T>) => {
  const cpu = process.cpuUsage()
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const started = performance.now()
  const value = await what()
  const wall_s = (performance.now() - started) / 1_000
  delay.disable()
  return { value, wall_s, cpu_s: cpuSeconds(cpu), late_ms: delay.percentile(99) / 1e6, late_most_ms: delay.max / 1e6 }
}

/** At a fixed rate whatever happens: an event's time is when it was due, so that waiting behind others counts. */
const paced = async (run: Run, seconds: number, make: (number: number, due_ms: number) => ToPublish): Promise<number> => {
  const total = Math.round(rate * seconds)
  const began_ms = Date.now()
  const sending: Promise<void>[] = []
  let sent = 0
  while (sent < total) {
    const due = Math.min(total, Math.floor(((Date.now() - began_ms) / 1_000) * rate))
    if (due > sent) {
      const from = sent
      sending.push(
        publish(
          run,
          Array.from({ length: due - from }, (_, at) => make(from + at, Math.round(began_ms + ((from + at) / rate) * 1_000))),
        ),
      )
      sent = due
    }
    await sleep(10)
  }
  await Promise.all(sending)
  await settled(run)
  return total
}

const stageRows = (tally: Tally): readonly (readonly string[])[] =>
  tally.stages.map(({ stage, records, out, seconds }) => [
    stage,
    count(records),
    count(out),
    ...['poll', 'decode', 'run', 'index', 'encode', 'commit'].map((step) => (seconds[step] ?? 0).toFixed(1)),
  ])
const stage_head = ['stage', 'records', 'out', 'poll s', 'decode s', 'run s', 'index s', 'encode s', 'commit s']

const load_before = load()
const { world, close } = await openRiver({
  mode: servers ? 'servers' : 'embedded',
  under: args.folder,
  partitions: Number(args.partitions ?? (servers ? 2 : 1)),
  ...(args.embedder === 'synthetic' ? { embedder: syntheticEmbedder() } : {}),
  set: args.set,
})
const lines: string[] = []
try {
  let tally = openTally(all_stages, () => performance.now())
  const latencies: Record<string, number[]> = {}
  const running = await world.start(all_stages, (event) => {
    tally.observe(event)
    if (event.event !== 'committed') return
    const list = latencies[event.stage] ?? []
    for (const seconds of event.latencies_s) list.push(seconds)
    latencies[event.stage] = list
  })
  const publisher = await openPublisher(world)
  const fresh = (): Run => {
    tally = openTally(all_stages, () => performance.now())
    for (const list of Object.values(latencies)) list.length = 0
    return {
      world,
      running,
      publisher,
      get tally() {
        return tally
      },
      published: 0,
    }
  }
  const next = uniform(7)
  let number = 0
  const someView = (at_ms: number): ToPublish => view(next, number++, users, items, at_ms)
  const summary: string[][] = []

  note(`${count(items)} products`)
  const loading = await measured(() => flatOut(fresh(), items, (at) => product(at + 1, Date.now())))
  summary.push([
    'products, published to searchable',
    `${count(items / loading.wall_s)}/s`,
    `${loading.cpu_s.toFixed(1)} of ${loading.wall_s.toFixed(1)} s`,
    ms(loading.late_ms / 1_000),
  ])
  const load_stages = stageRows(tally)

  note(`${args.events} interactions flat out`)
  const events = Number(args.events)
  const flat = await measured(() => flatOut(fresh(), events, () => someView(Date.now())))
  summary.push([
    'interactions flat out, to recommendation',
    `${count(events / flat.wall_s)}/s (${count(tally.stage('recommend').out)} lists)`,
    `${flat.cpu_s.toFixed(1)} of ${flat.wall_s.toFixed(1)} s`,
    ms(flat.late_ms / 1_000),
  ])
  const flat_stages = stageRows(tally)

  note(`${rate}/s for ${args.seconds} s`)
  // What is compiled, cached and joined in the first second is not the steady state.
  await paced(fresh(), Math.min(3, Number(args.seconds)), (_, due_ms) => someView(due_ms))
  const steady = await measured(() => paced(fresh(), Number(args.seconds), (_, due_ms) => someView(due_ms)))
  const to_list = latencies['recommend'] ?? []
  const p = (stage: string, q: number): string => ms(quantile(latencies[stage] ?? [], q))
  summary.push([
    `interactions at ${rate}/s, to recommendation`,
    `p50 ${p('recommend', 0.5)}, p99 ${p('recommend', 0.99)}, most ${p('recommend', 1)} (${count(to_list.length)} lists of ${count(steady.value)} events)`,
    `${steady.cpu_s.toFixed(1)} of ${steady.wall_s.toFixed(1)} s`,
    ms(steady.late_ms / 1_000),
  ])
  summary.push([
    '… of that, to canonical, to profile',
    `p50 ${p('canonicalize', 0.5)}, p99 ${p('canonicalize', 0.99)}; p50 ${p('learn', 0.5)}, p99 ${p('learn', 0.99)}`,
    '',
    '',
  ])
  const steady_stages = stageRows(tally)

  if (args.soak) {
    const total = Number(args['soak-events'])
    note(`${count(total)} interactions, memory watched`)
    const rss: { readonly done: number; readonly bytes: number }[] = []
    let told = 0
    const run = fresh()
    const soaked = await measured(() =>
      flatOut(
        run,
        total,
        () => someView(Date.now()),
        (done) => {
          rss.push({ done, bytes: process.memoryUsage.rss() })
          latencies['recommend']!.length = 0
          if (done - told >= 50_000) {
            told = done
            note(`  ${count(done)}: ${mib(rss.at(-1)!.bytes).toFixed(0)} MiB`)
          }
        },
      ),
    )
    const middle = (from: number, to: number): number => {
      const part = rss.filter(({ done }) => done >= from * total && done < to * total).map(({ bytes }) => bytes)
      return quantile(part, 0.5)
    }
    const half = middle(0.45, 0.55)
    const end = middle(0.9, 1)
    summary.push([
      `memory over ${count(total)} interactions`,
      `at most ${mib(Math.max(...rss.map(({ bytes }) => bytes))).toFixed(0)} MiB; ${mib(half).toFixed(0)} MiB at the middle, ${mib(end).toFixed(0)} MiB at the end (${(((end - half) / half) * 100).toFixed(1)} %); ${count(total / soaked.wall_s)}/s`,
      `${soaked.cpu_s.toFixed(1)} of ${soaked.wall_s.toFixed(1)} s`,
      ms(soaked.late_ms / 1_000),
    ])
  }

  lines.push(
    `## The river, ${world.settings.mode}, ${count(items)} products, ${count(users)} users`,
    '',
    ...about(load_before),
    `- embedder: ${world.model.name}; index: ${servers && world.settings.qdrant.url !== null ? 'Qdrant' : 'embedded'}; ${world.settings.topics.partitions} partitions; publisher in the same process`,
    `- memory now ${mib(process.memoryUsage.rss()).toFixed(0)} MiB`,
    '',
    ...table(['what', 'figure', 'CPU of wall', 'event loop late, p99'], summary),
    '',
    'Seconds by stage and step. Stages run side by side, and a step counts while others use the CPU.',
  )
  for (const [title, rows] of [
    ['Products', load_stages],
    ['Interactions flat out', flat_stages],
    [`Interactions at ${rate}/s`, steady_stages],
  ] as const)
    lines.push('', `${title}:`, '', ...table(stage_head, rows))
  await running.stop()
} finally {
  await close()
}
process.stdout.write(`${lines.join('\n')}\n`)
