/**
 * The river of a replay in a process of its own, so that it can be killed: runs every stage until nothing is left to do, tells its
 * parent what it counted, and ends. `node scripts/replay/pipeline.ts <settings file> <embedding cache>`.
 */
import { fileURLToPath } from 'node:url'
import { encoderDigest } from '../../processors/adapters/onnx/card.ts'
import { openOnnxEmbedder } from '../../processors/adapters/onnx/embedder.ts'
import { readCard, shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { openWorld } from '../../processors/cli/compose.ts'
import { faultText } from '../../processors/cli/frame.ts'
import { all_stages } from '../../processors/cli/quiet.ts'
import { openTally, type StageFigures } from '../../processors/cli/tally.ts'
import { openTerminal } from '../../processors/cli/terminal.ts'
import type { World } from '../../processors/cli/world.ts'
import { loadSettings } from '../../processors/config/load.ts'
import { asFault } from '../../processors/domain/fault.ts'
import { inputsOf } from '../../processors/flow/topology.ts'
import type { RuntimeEvent } from '../../processors/runtime/events.ts'
import { cachedEmbedder } from './embedding-cache.ts'

/** What the child tells: totals now and then, and once more at the end. */
export type PipelineReport = { readonly done: boolean; readonly stages: readonly PlainStage[]; readonly computed: number }
/** StageFigures as plain data. */
export type PlainStage = {
  readonly stage: string
  readonly topics: readonly (readonly [
    string,
    {
      records: number
      dropped: Record<string, number>
      dead: Record<string, number>
      emitted: Record<string, number>
      kept: number
    },
  ])[]
  readonly records: number
  readonly out: number
  readonly lag: number
  readonly latencies_s: readonly number[]
  readonly seconds: Readonly<Record<string, number>>
}

const plain = (figures: StageFigures): PlainStage => ({
  stage: figures.stage,
  topics: [...figures.topics].map(([name, { topic: _, ...rest }]) => [name, rest]),
  records: figures.records,
  out: figures.out,
  lag: figures.lag,
  latencies_s: [],
  seconds: figures.seconds,
})

/** A world of the settings file, with vectors from the cache. */
export const openReplayWorld = async (file: string, cache: string): Promise<{ world: World; computed: () => number }> => {
  const { settings } = loadSettings({ file, env: process.env })
  const card = await readCard(shipped_model.folder)
  const model = { name: card.name, digest: encoderDigest(card), dims: card.dims, tokens_max: card.tokens_max }
  const embedder = cachedEmbedder(model, `${cache}-${model.digest.slice(0, 12)}.bin`, () =>
    openOnnxEmbedder({
      model_folder: null,
      workers: settings.model.workers,
      batch_tokens_max: settings.model.batch_tokens_max,
      providers: ['cpu'],
      clock: systemClock,
    }),
  )
  return { world: await openWorld(settings, { embedder }), computed: embedder.computed }
}

/** Idle polls are a second apart; after this long without a commit each partition has been seen at its end. */
const quiet_ms = 3_000

const run = async (file: string, cache: string): Promise<void> => {
  const { world, computed } = await openReplayWorld(file, cache)
  const clock = world.clock
  const tally = openTally(all_stages, () => clock.monotonic_ms())
  const lags = new Map<string, { records: number; at_ms: number }>()
  let active_ms = clock.monotonic_ms()
  const observe = (event: RuntimeEvent): void => {
    tally.observe(event)
    if (event.event === 'committed' && event.records > 0) active_ms = clock.monotonic_ms()
    if (event.event === 'paused' || event.event === 'restoring') {
      active_ms = clock.monotonic_ms()
      if (event.event === 'paused') console.error(`  ${event.stage}: ${event.fault.code} ${event.fault.message}`)
    }
    if (event.event === 'lag')
      lags.set(`${event.stage} ${event.input.topic}/${event.input.partition}`, {
        records: event.records,
        at_ms: clock.monotonic_ms(),
      })
  }
  const log = await world.log()
  let places = 0
  for (const stage of world.topology.stages) for (const topic of inputsOf(stage)) places += (await log.offsets(topic)).length

  const running = await world.start(all_stages, observe)
  const tell = (done: boolean) =>
    process.send?.({ done, stages: tally.stages.map(plain), computed: computed() } satisfies PipelineReport)
  let over = false
  const ended = running.ended.then((fault) => {
    over = true
    return fault
  })
  const isQuiet = (): boolean =>
    clock.monotonic_ms() - active_ms > quiet_ms &&
    lags.size === places &&
    [...lags.values()].every(({ records, at_ms }) => records === 0 && at_ms > active_ms)
  for (let beat = 0; !over && !isQuiet(); beat++) {
    await clock.sleep(100)
    if (beat % 10 === 0) tell(false)
  }
  if (!over) await running.stop()
  const fault = await ended
  await world.close()
  if (fault !== undefined) throw fault
  tell(true)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, cache] = process.argv.slice(2)
  // When the parent is gone nobody reads the outcome, and the folder must be free.
  process.on('disconnect', () => process.exit(75))
  run(file!, cache!).then(
    () => process.exit(0),
    (error: unknown) => {
      const err = openTerminal(process.stderr, process.env)
      err.line(faultText(err, asFault(error)))
      process.exit(70)
    },
  )
}
