/** The stages of a process, in whichever lane is live: follows a take-over without a pause, and fills the lane of model.next beside it. */
import type { Settings } from '../config/spec.ts'
import { asFault, type Fault, fault_codes } from '../domain/fault.ts'
import type { Observer } from '../runtime/events.ts'
import type { Log } from '../telemetry/log.ts'
import type { Telemetry } from '../telemetry/metrics.ts'
import { openWorld, type WorldOptions } from './compose.ts'
import { laneText, readLanes } from './lanes.ts'
import { fillLane, takeOver, type UpgradeProgress } from './upgrade.ts'
import type { RunningStages, World } from './world.ts'

export type River = RunningStages & {
  /** The world of the lane that is live here. */
  world(): World
}

export type RiverOptions = {
  readonly settings: Settings
  /** What worlds are opened with; the first one was opened with the same. */
  readonly opening: WorldOptions
  readonly stages: readonly string[]
  readonly observe: Observer
  readonly telemetry: Telemetry
  readonly log: Log
  /** Something that goes with a lane, such as the comparison of its index: called for each lane, and what it returns before the next. */
  readonly beside?: (world: World) => Promise<() => Promise<void>>
  /** How often it is looked which lane is live, and how a lane that is being filled gets on. */
  readonly look_ms?: number
}

/** A new model's lane that failed is tried again after this long. */
const again_ms = 300_000
/** How often a lane that is being filled says in the log how far it is. */
const tell_ms = 60_000

/**
 * Starts the stages in the world that is given, which stays open until the caller closes it. A fault of the lane that is being filled never
 * ends the live one.
 */
export const openRiver = async (root: World, options: RiverOptions): Promise<River> => {
  const { settings, opening, observe, telemetry, log, look_ms = 5_000 } = options
  const { clock } = root
  const laned = options.stages.filter((stage) => stage !== 'canonicalize')
  const front = options.stages.filter((stage) => stage === 'canonicalize')
  const stopping = new AbortController()
  const running = new Set<RunningStages>()

  let finish: (fault: Fault | undefined) => void = () => undefined
  const ended = new Promise<Fault | undefined>((resolve) => {
    finish = resolve
  })
  let ending: Promise<void> | undefined
  let following: Promise<void> = Promise.resolve()
  const end = (fault: Fault | undefined): Promise<void> => {
    ending ??= (async () => {
      stopping.abort()
      await Promise.all([...running].map((supervisor) => supervisor.stop()))
      await following
      await stopFilling()
      await leave()
      if (live !== root) await live.close()
      finish(fault)
    })()
    return ending
  }

  const begin = async (world: World, stages: readonly string[]): Promise<void> => {
    if (stages.length === 0) return
    const supervisor = await world.start(stages, observe)
    running.add(supervisor)
    // One that was stopped for another to take its place is not there any more.
    void supervisor.ended.then((fault) => (running.has(supervisor) ? end(fault) : undefined))
  }

  let live = root
  let leave: () => Promise<void> = async () => undefined
  let filling: { readonly abort: AbortController; readonly done: Promise<void> } | undefined
  let fill_after_ms = 0

  const fill = async (signal: AbortSignal): Promise<void> => {
    const next = await openWorld(settings, { ...opening, lane: 'next', shared: root })
    let told_ms = Number.NEGATIVE_INFINITY
    let told = ''
    const tell = ({ step, left }: UpgradeProgress): void => {
      if (step !== 'compare') telemetry.set('entrepot_model_upgrade_left_records', { step }, left)
      if (step === told && clock.monotonic_ms() - told_ms < tell_ms) return
      told = step
      told_ms = clock.monotonic_ms()
      log.info('upgrade.progress', `Prepares ${next.model.name} beside the live model: ${step}, ${left} records left.`, {
        lane: laneText(next.lane.lane),
        step,
        left,
      })
    }
    try {
      // A lane that was live once was left on purpose: it takes over when it is told to.
      if (next.lane.state !== 'filling' || next.lane.lane === live.lane.lane) {
        fill_after_ms = Number.POSITIVE_INFINITY
        return
      }
      const full = await fillLane({
        live,
        next,
        signal,
        observe: faultsOnly(log),
        on_progress: tell,
        look_ms: Math.min(look_ms, 1_000),
      })
      if (full && (await takeOver(live, next)))
        log.info(
          'upgrade.live',
          `${next.model.name} is live; ${live.model.name} is kept: \`entrepot model rollback\` goes back.`,
          {
            lane: laneText(next.lane.lane),
          },
        )
    } finally {
      for (const step of ['items', 'users'] as const) telemetry.forget('entrepot_model_upgrade_left_records', { step })
      await next.close()
    }
  }

  const stopFilling = async (): Promise<void> => {
    filling?.abort.abort()
    await filling?.done
  }

  const follow = async (): Promise<void> => {
    const before = live
    // The index of one lane is open once.
    await stopFilling()
    const next = await openWorld(settings, { ...opening, shared: root })
    const old = [...running]
    const leave_old = leave
    try {
      leave = (await options.beside?.(next)) ?? (async () => undefined)
      await begin(next, laned)
    } catch (error) {
      await leave_old()
      await next.close()
      throw error
    }
    live = next
    for (const supervisor of old) running.delete(supervisor)
    await Promise.all(old.map((supervisor) => supervisor.stop()))
    await begin(next, front)
    await leave_old()
    await (before === root ? before.leaveLane() : before.close())
    log.info('lane.live', `Works in lane ${laneText(next.lane.lane)}, with ${next.model.name}.`, {
      lane: laneText(next.lane.lane),
    })
  }

  const watch = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(look_ms, stopping.signal)
      if (stopping.signal.aborted) break
      try {
        const lanes = await readLanes(await root.log(), root.lanes_topic)
        if (lanes.live !== undefined && lanes.live.lane !== live.lane.lane) await follow()
      } catch (error) {
        const fault = asFault(error)
        log.fault(fault, { stage: 'embed', remedy: fault_codes[fault.code].remedy })
        // What is live cannot be worked with here: better none than the wrong one.
        if (fault.kind !== 'transient') return void end(fault)
      }
      const wanted = settings.model.next !== null || opening.next_embedder !== undefined
      if (!wanted || !laned.includes('embed') || filling !== undefined || clock.monotonic_ms() < fill_after_ms) continue
      const abort = new AbortController()
      filling = {
        abort,
        done: fill(abort.signal)
          .catch((error: unknown) => {
            const fault = asFault(error)
            log.warn('upgrade.failed', `${fault.message} What is live goes on; it is tried again in five minutes.`, {
              reason: fault.code,
            })
            fill_after_ms = clock.monotonic_ms() + again_ms
          })
          .finally(() => {
            filling = undefined
          }),
      }
    }
    await stopFilling()
  }

  leave = (await options.beside?.(root)) ?? leave
  await begin(root, options.stages)
  if (laned.length > 0) following = watch()

  return {
    ended,
    status: () => [...running].flatMap((supervisor) => supervisor.status()),
    refused: () => [...running].flatMap((supervisor) => supervisor.refused()),
    stop: () => end(undefined),
    world: () => live,
  }
}

/** Of a lane that nobody reads yet only what went wrong is told. */
const faultsOnly =
  (log: Log): Observer =>
  (event) => {
    if (event.event === 'paused' || event.event === 'stopped')
      log.warn(`upgrade.${event.event}`, event.fault.message, { stage: event.stage, reason: event.fault.code })
    if (event.event === 'committed' && event.first_dead !== undefined)
      log.warn('upgrade.dead_letter', event.first_dead.message, { stage: event.stage, reason: event.first_dead.code })
  }
