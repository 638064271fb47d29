/** Starts a topology's stages, one task per owned partition, restarts what may be restarted, and ends loudly when it must. */
import { asFault, Fault } from '../domain/fault.ts'
import { placeName, type TopicPartition } from '../domain/record.ts'
import type { ReadPorts } from '../flow/processor.ts'
import { groupPrefix, inputsOf, type Stage, type Topology } from '../flow/topology.ts'
import type { Clock } from '../ports/clock.ts'
import type { EventLog, LogTask, Subscription } from '../ports/event-log.ts'
import type { Random } from '../ports/random.ts'
import type { Serdes } from '../ports/schema-registry.ts'
import type { VectorIndex } from '../ports/vector-index.ts'
import type { Observer } from './events.ts'
import { backOff, InFlightBudget, type RuntimeLimits } from './limits.ts'
import { runTask, type StageContext } from './task.ts'

export type SuperviseOptions = {
  readonly topology: Topology
  /** Names of the stages to run here; the others run elsewhere. */
  readonly stages: readonly string[]
  readonly log: EventLog
  readonly serdes: Serdes
  readonly index: VectorIndex
  readonly reads: ReadPorts
  readonly limits: RuntimeLimits
  readonly clock: Clock
  readonly random: Random
  readonly observe: Observer
  /** Partitions on which the operator accepts that records were deleted unread. */
  readonly accept_gaps?: readonly TopicPartition[]
  /**
   * When the engine that a stage waits for, such as the encoder, last finished a part of its work, in the clock's monotonic ms. A stage
   * whose batch waits its turn there is slow and not stalled, however long the queue; with the engine at a standstill it is stalled.
   */
  readonly moved_ms?: (stage: string) => number
}

/** What one partition is doing, for readiness and for people. */
export type TaskStatus = {
  readonly stage: string
  readonly input: TopicPartition
  readonly state: 'running' | 'paused' | 'restoring'
  readonly reason?: string
}

export interface Supervisor {
  /** Resolves when everything has stopped: with nothing after `stop`, with the fault that ended it otherwise. */
  readonly ended: Promise<Fault | undefined>
  status(): readonly TaskStatus[]
  /** Stops polling, finishes batches in flight for at most drain_ms, leaves the groups. */
  stop(): Promise<void>
}

export const groupOf = (topology: Topology, stage: Stage): string =>
  `${groupPrefix(topology.name, stage.lane)}.${stage.processor.name}`

type Running = {
  readonly stage: Stage
  readonly input: TopicPartition
  readonly abort: AbortController
  done: Promise<void>
  progressed_ms: number
}

/** Joins the groups of the chosen stages and returns once every subscription stands. Throws misconfigured faults. */
export const supervise = async (options: SuperviseOptions): Promise<Supervisor> => {
  const { topology, limits, clock, random, observe } = options
  const budget = new InFlightBudget(limits)
  const running = new Map<string, Running>()
  const statuses = new Map<string, TaskStatus>()
  const subscriptions = new Map<string, Subscription>()
  const stopping = new AbortController()
  const restarts = new Map<string, number>()

  const chosen = topology.stages.filter((stage) => options.stages.includes(stage.processor.name))
  for (const name of options.stages)
    if (!topology.stages.some((stage) => stage.processor.name === name))
      throw new Fault(
        'config.invalid',
        `There is no stage ${name}; there are ${topology.stages.map((stage) => stage.processor.name).join(', ')}.`,
      )

  let finish: (fault: Fault | undefined) => void = () => undefined
  const ended = new Promise<Fault | undefined>((resolve) => {
    finish = resolve
  })
  let ending: Promise<void> | undefined
  /** The one way out: stop all tasks, leave the groups, then say why. */
  const end = (fault: Fault | undefined): Promise<void> => {
    ending ??= (async () => {
      stopping.abort()
      for (const task of running.values()) task.abort.abort()
      const enough = new AbortController()
      const drained = Promise.all([...running.values()].map((task) => task.done)).then(() => enough.abort())
      await Promise.race([drained, clock.sleep(limits.drain_ms, enough.signal)])
      const left = await Promise.allSettled([...subscriptions.values()].map((subscription) => subscription.close()))
      const failed = left.find((result) => result.status === 'rejected')
      finish(fault ?? (failed === undefined ? undefined : asFault(failed.reason)))
    })()
    return ending
  }
  const fatal = (stage: string, fault: Fault, input?: TopicPartition) => {
    observe({ event: 'stopped', stage, fault, ...(input === undefined ? {} : { input }) })
    void end(fault)
  }

  const begin = async (stage: Stage, context: StageContext, task: LogTask): Promise<void> => {
    const name = stage.processor.name
    const id = `${name} ${placeName(task.input)}`
    const previous = running.get(id)
    if (previous !== undefined) {
      previous.abort.abort()
      await previous.done
    }
    if (stopping.signal.aborted) return task.release()
    const abort = new AbortController()
    const entry: Running = { stage, input: task.input, abort, done: Promise.resolve(), progressed_ms: clock.monotonic_ms() }
    running.set(id, entry)
    observe({ event: 'assigned', stage: name, input: task.input })
    statuses.set(id, { stage: name, input: task.input, state: 'running' })
    entry.done = (async () => {
      const outcome = await runTask(task, context, abort.signal)
      if (running.get(id) === entry) {
        running.delete(id)
        statuses.delete(id)
      }
      await task.release()
      // Told to end, it has a successor or none here: what else it ran into is not its business any more.
      if (outcome.how === 'stopped' || (abort.signal.aborted && outcome.how !== 'fatal')) return
      if (outcome.how === 'fatal') return fatal(name, outcome.fault, task.input)
      if (outcome.how === 'fenced') observe({ event: 'fenced', stage: name, input: task.input })
      else {
        observe({ event: 'paused', stage: name, input: task.input, fault: outcome.fault, retry_in_ms: 0 })
        statuses.set(id, { stage: name, input: task.input, state: 'restoring', reason: outcome.fault.code })
      }
      const attempt = restarts.get(id) ?? 0
      restarts.set(id, attempt + 1)
      await backOff(clock, limits, attempt, random.next(), stopping.signal)
      // A rebalance may have brought the partition back meanwhile: taking it again would fence that task, which would take it again.
      if (stopping.signal.aborted || running.has(id)) return
      observe({ event: 'restoring', stage: name, input: task.input })
      await subscriptions.get(name)?.reacquire(task.input)
    })().catch((error: unknown) => fatal(name, asFault(error), task.input))
  }

  for (const stage of chosen) {
    const name = stage.processor.name
    const group = groupOf(topology, stage)
    const outputs = new Map(
      await Promise.all(
        stage.to.map(async (topic) => [topic.name, await options.serdes.of<unknown>(topic.name, topic.schema)] as const),
      ),
    )
    const input = 'topic' in stage.from ? await options.serdes.of<unknown>(stage.from.topic.name, stage.from.topic.schema) : null
    const context: StageContext = {
      stage,
      group,
      dead_letters: topology.dead_letters,
      reads: options.reads,
      index: options.index,
      input,
      outputs,
      limits,
      budget,
      clock,
      random,
      observe: (event) => {
        if ((event.event === 'paused' || event.event === 'resumed') && event.input !== undefined) {
          const id = `${name} ${placeName(event.input)}`
          const at = { stage: name, input: event.input }
          statuses.set(
            id,
            event.event === 'paused' ? { ...at, state: 'paused', reason: event.fault.code } : { ...at, state: 'running' },
          )
        }
        if (event.event === 'committed') restarts.delete(`${name} ${placeName(event.input)}`)
        observe(event)
      },
      alive: (at) => {
        const entry = running.get(`${name} ${placeName(at)}`)
        if (entry !== undefined) entry.progressed_ms = clock.monotonic_ms()
      },
    }
    subscriptions.set(
      name,
      await options.log.subscribe(
        group,
        inputsOf(stage),
        {
          assigned: (task) => {
            begin(stage, context, task).catch((error: unknown) => fatal(name, asFault(error), task.input))
          },
          revoked: async (at) => {
            const entry = running.get(`${name} ${placeName(at)}`)
            if (entry === undefined) return
            observe({ event: 'revoked', stage: name, input: at })
            entry.abort.abort()
            await entry.done
          },
          failed: (error) => fatal(name, asFault(error)),
        },
        options.accept_gaps,
      ),
    )
  }

  /** Independent of all events: a process in which records wait and nothing moves must die, not look healthy (dYdX, 14 days). */
  const watch = async () => {
    while (!stopping.signal.aborted) {
      await clock.sleep(Math.min(1_000, limits.progress_timeout_ms / 4), stopping.signal)
      for (const task of running.values()) {
        const moved_ms = options.moved_ms?.(task.stage.processor.name) ?? Number.NEGATIVE_INFINITY
        const still_ms = clock.monotonic_ms() - Math.max(task.progressed_ms, moved_ms)
        if (stopping.signal.aborted || still_ms <= limits.progress_timeout_ms) continue
        const where = `${task.stage.processor.name} on ${placeName(task.input)}`
        const fault = new Fault(
          'progress.stalled',
          `${where}: nothing moved for ${Math.round(still_ms / 1000)} s although records wait.`,
        )
        fatal(task.stage.processor.name, fault, task.input)
      }
    }
  }
  watch().catch((error: unknown) => fatal('runtime', asFault(error)))

  return { ended, status: () => [...statuses.values()], stop: () => end(undefined) }
}
