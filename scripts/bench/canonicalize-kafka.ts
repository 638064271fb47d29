/**
 * Measures the canonicalize stage on real Kafka: Shopify products are fetched, decoded by their registered schema, mapped, encoded and
 * committed in transactions, by the real runtime in one process; beside it, in the same run, a bare kafkajs consumer and producer that
 * moves the same bytes from topic to topic without looking at them. Prints a markdown report.
 *
 *   node scripts/with-servers.ts node scripts/bench/canonicalize-kafka.ts [--records 50000] [--rounds 2] [--partitions 2]
 */
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { openPublisher } from '../../processors/cli/publish.ts'
import { waitUntil } from '../../processors/cli/quiet.ts'
import { openTally, quantile } from '../../processors/cli/tally.ts'
import { about, cpuSeconds, load, table } from './about.ts'
import { openRiver, type River } from './river.ts'
import { product } from './shop.ts'

const { values: args } = parseArgs({
  options: {
    records: { type: 'string', default: '50000' },
    rounds: { type: 'string', default: '2' },
    partitions: { type: 'string', default: '2' },
    folder: { type: 'string', default: tmpdir() },
    set: { type: 'string', multiple: true, default: [] },
  },
})
const records = Number(args.records)
const partitions = Number(args.partitions)
const stages = ['canonicalize']
const never = new AbortController().signal

type Figure = { readonly records: number; readonly bytes: number; readonly wall_s: number; readonly cpu_s: number }

/** Fetches all of `from` and sends it on, a batch a request, acks all, no transaction; nothing is looked at. */
const bare = async (brokers: readonly string[], from: string, to: string, total: number): Promise<Figure> => {
  const kafka = new Kafka({ clientId: 'bench-bare', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `${to}.bare`, maxWaitTimeInMs: 250 })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await Promise.all([consumer.connect(), producer.connect()])
  await consumer.subscribe({ topic: from, fromBeginning: true })
  let moved = 0
  let bytes = 0
  // Counted from the first batch: joining a group takes seconds and is not the subject.
  let began: { readonly at: number; readonly cpu: NodeJS.CpuUsage } | undefined
  const done = new Promise<Figure>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        partitionsConsumedConcurrently: partitions,
        eachBatch: async ({ batch }) => {
          began ??= { at: performance.now(), cpu: process.cpuUsage() }
          for (let at = 0; at < batch.messages.length; at += 500) {
            const part = batch.messages.slice(at, at + 500)
            const messages = part.map(({ key, value }) => ({ key, value, partition: batch.partition }))
            await producer.send({ topic: to, acks: -1, messages })
            for (const { value } of part) bytes += value?.length ?? 0
            moved += part.length
          }
          if (moved >= total)
            resolve({ records: moved, bytes, wall_s: (performance.now() - began.at) / 1_000, cpu_s: cpuSeconds(began.cpu) })
        },
      })
      .catch(reject)
  })
  const figure = await done
  await Promise.all([consumer.disconnect(), producer.disconnect()])
  return figure
}

const load_before = load()
const openOne = (sources_of?: string): Promise<River> =>
  openRiver({
    mode: 'servers',
    under: args.folder,
    partitions,
    stages,
    set: args.set,
    ...(sources_of === undefined ? {} : { sources_of }),
  })
const { world, prefix, close } = await openOne()
const lines: string[] = []
try {
  const log = await world.log()
  const { brokers } = world.settings.kafka
  const source = world.platforms.find(({ name }) => name === 'shopify')!.sources.find(({ kind }) => kind === 'items')!
  const publisher = await openPublisher(world)
  process.stderr.write(`${records} products to ${source.topic}\n`)
  for (let from = 0; from < records; from += 1_000) {
    const at_ms = Date.now()
    await publisher.publish(Array.from({ length: Math.min(1_000, records - from) }, (_, at) => product(from + at + 1, at_ms)))
  }

  const ours: Figure[] = []
  const theirs: Figure[] = []
  const seconds: Record<string, number> = {}
  for (let round = 0; round < Number(args.rounds); round++) {
    const to = `${source.topic}.bare-${round}`
    await log.createTopics([{ name: to, partitions, keep: { days: 1 } }])
    process.stderr.write(`round ${round + 1}: bare\n`)
    theirs.push(await bare(brokers, source.topic, to, records))

    process.stderr.write(`round ${round + 1}: canonicalize\n`)
    // A group of its own each round, so that each reads from the start; state and outputs are new as well.
    const { world: fresh, close: closeFresh } = await openOne(prefix)
    const tally = openTally(stages, () => performance.now())
    let began: { readonly at: number; readonly cpu: NodeJS.CpuUsage } | undefined
    let bytes = 0
    let seen = 0
    const running = await fresh.start(stages, (event) => {
      if (event.event === 'committed' && event.records > 0) {
        seen += event.records
        // Counted from the first commit, whose records are left out.
        if (began === undefined) {
          began = { at: performance.now(), cpu: process.cpuUsage() }
          return
        }
        bytes += event.bytes
      }
      tally.observe(event)
    })
    await waitUntil(fresh.clock, running, never, () => seen >= records)
    const figures = tally.stage('canonicalize')
    ours.push({
      records: figures.records,
      bytes,
      wall_s: (performance.now() - began!.at) / 1_000,
      cpu_s: cpuSeconds(began!.cpu),
    })
    if (figures.dead > 0 || figures.out !== figures.records)
      throw new Error(`${figures.dead} records were refused, ${figures.out} of ${figures.records} became items.`)
    for (const [step, spent] of Object.entries(figures.seconds)) seconds[step] = (seconds[step] ?? 0) + spent
    await running.stop()
    await closeFresh()
    await sleep(500)
  }

  const rate = ({ records: moved, wall_s }: Figure): number => moved / wall_s
  const best = (figures: readonly Figure[]): Figure => figures.toSorted((a, b) => rate(b) - rate(a))[0]!
  const row = (what: string, figures: readonly Figure[]): readonly string[] => {
    const one = best(figures)
    return [
      what,
      `${Math.round(rate(one)).toLocaleString('en')}/s`,
      `${Math.round(quantile(figures.map(rate), 0.5)).toLocaleString('en')}/s`,
      `${(one.bytes / one.wall_s / 2 ** 20).toFixed(1)} MiB/s`,
      `${one.cpu_s.toFixed(1)} of ${one.wall_s.toFixed(1)} s`,
      `${((one.cpu_s / one.records) * 1e6).toFixed(0)} µs`,
    ]
  }
  lines.push(
    `## Canonicalize on Kafka, ${records.toLocaleString('en')} Shopify products`,
    '',
    ...about(load_before),
    `- ${partitions} partitions, one process, best of ${args.rounds} rounds; brokers on the same machine`,
    '',
    ...table(
      ['what', 'records/s, best', 'median', 'read', 'CPU of wall', 'CPU a record'],
      [row('bare kafkajs, consume and produce', theirs), row('canonicalize: decode, map, encode, transact', ours)],
    ),
    '',
    `Share of the bare rate: ${(rate(best(ours)) / rate(best(theirs))).toFixed(2)} (goal: 0.6).`,
    '',
    `Seconds by step over all rounds and partitions: ${Object.entries(seconds)
      .map(([step, spent]) => `${step} ${spent.toFixed(1)}`)
      .join(', ')}.`,
  )
} finally {
  await close()
}
process.stdout.write(`${lines.join('\n')}\n`)
