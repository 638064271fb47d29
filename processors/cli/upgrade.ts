/**
 * Fills the lane of a new model beside the live one, and lets it take over: the same stages over the same topics, in groups and topics of
 * their own, so that what is done is committed as everything is, and a kill goes on where it was.
 *
 * (1) embed and index of the new lane read the catalogue from its beginning. (2) When they have caught up, learn and index-users read the
 * interactions that are still there: profiles are sums of item vectors, so they are folded anew and never carried over. (3) When these have
 * caught up as well, the new index is compared with its topics, contents and all, and its items with those of the live lane. (4) One record
 * says that the new lane is live. All stages go on meanwhile, in both lanes, so nothing has to be caught up after it.
 */
import { Fault } from '../domain/fault.ts'
import type { TopicPartition } from '../domain/record.ts'
import { inputsOf, type Stage } from '../flow/topology.ts'
import { type NewestOffsets, openNewestOffsets } from '../index/newest.ts'
import { driftOf, idOf, reconcile } from '../index/reconcile.ts'
import { indexedTopics } from '../index/topics.ts'
import type { Observer } from '../runtime/events.ts'
import { groupOf } from '../runtime/supervise.ts'
import { type Live, laneText, readLanes, writeLanes } from './lanes.ts'
import type { RunningStages, World } from './world.ts'

export type UpgradeStep = 'items' | 'users' | 'compare'
/** `left`: records of the catalogue, or interactions, that the new lane has still to see. */
export type UpgradeProgress = { readonly step: UpgradeStep; readonly left: number }

export type FillOptions = {
  readonly live: World
  /** Opened with `lane: 'next'`. */
  readonly next: World
  readonly signal: AbortSignal
  readonly observe: Observer
  readonly on_progress: (progress: UpgradeProgress) => void
  /** How often positions are looked at. */
  readonly look_ms?: number
}

/** Items of the live lane that may be missing in the new one: what came in the last moment, or this share that its model refuses. */
const missing_max = 10
const missing_share = 0.001

/** When a stage begins in a new lane: null for lists, which only the live one makes. */
const stepOf = (stage: string): 'items' | 'users' | null =>
  stage === 'recommend' ? null : stage === 'learn' || stage === 'index-users' ? 'users' : 'items'

const namesOf = (stages: readonly Stage[]): readonly string[] => stages.map(({ processor }) => processor.name)

/** The ends of a topic's partitions. */
const endsOf = async (world: World, topic: string): Promise<readonly number[]> =>
  (await (await world.log()).offsets(topic)).map(({ end }) => end)

/** Offsets that a group has still to read below these ends. They may be sparse: an end is reached when no record lies before it. */
const leftOf = async (world: World, group: string, topic: string, ends: readonly number[]): Promise<number> => {
  const log = await world.log()
  let left = 0
  for (const { partition, position } of await log.positions(group, topic)) {
    const end = ends[partition] ?? 0
    if (position >= end) continue
    for await (const record of log.scan({ topic, partition }, position)) {
      if (record.offset < end) left += end - record.offset
      break
    }
  }
  return left
}

/** How many keys are live in a topic, and how many of them the same partition of another lacks. */
const missingOf = async (
  world: World,
  topic: string,
  other: string,
): Promise<{ readonly live: number; readonly missing: number }> => {
  const log = await world.log()
  const starts = await log.offsets(other)
  const newestOf = async (at: TopicPartition, from: number): Promise<NewestOffsets> => {
    const newest = openNewestOffsets()
    for await (const record of log.scan(at, from)) {
      const id = idOf(record)
      if (id !== null) newest.set(id, record.offset, record.value !== null)
    }
    return newest
  }
  let live = 0
  let missing = 0
  for (const { partition, start } of await log.offsets(topic)) {
    const there = await newestOf({ topic: other, partition }, starts[partition]?.start ?? 0)
    const here = await newestOf({ topic, partition }, start)
    for await (const record of log.scan({ topic, partition }, start)) {
      const id = idOf(record)
      if (id === null || record.value === null || here.get(id)?.offset !== record.offset) continue
      live += 1
      if (there.get(id)?.live !== true) missing += 1
    }
  }
  return { live, missing }
}

/**
 * Works until the new lane agrees with its topics and holds what the live one holds; true then, false when the signal aborted. Its stages
 * are stopped when it returns; what they have done stays. Faults: what ended a stage; `index.unavailable` when the lanes do not agree.
 */
export const fillLane = async (options: FillOptions): Promise<boolean> => {
  const { live, next, signal, on_progress, look_ms = 1_000 } = options
  const { clock } = next
  await next.prepare()
  const opened = await next.log()
  const known = await readLanes(opened, next.lanes_topic)
  if (!known.lanes.some(({ lane, state }) => lane === next.lane.lane && state !== 'dropped'))
    await writeLanes(opened, next.lanes_topic, { lanes: [{ ...next.lane, state: 'filling' }] }, clock.now_ms())

  const of_both = new Set(live.topology.stages.map((stage) => groupOf(live.topology, stage)))
  // The lane's own, in the order of the topology, so that each is caught up with what the one before it wrote.
  const stagesOf = (step: 'items' | 'users'): readonly Stage[] =>
    next.topology.stages.filter((stage) => stepOf(stage.processor.name) === step && !of_both.has(groupOf(next.topology, stage)))
  const running: RunningStages[] = []
  let ended: Fault | undefined

  const start = async (stages: readonly string[]): Promise<void> => {
    const supervisor = await next.start(stages, options.observe)
    running.push(supervisor)
    void supervisor.ended.then((fault) => {
      ended ??= fault
    })
    const [refused] = supervisor.refused()
    if (refused !== undefined) throw refused
  }

  /** Until both groups have read what was there when they were looked at: input that goes on coming is no reason to wait for ever. */
  const caughtUp = async (step: 'items' | 'users'): Promise<boolean> => {
    const pairs = stagesOf(step).flatMap((stage) =>
      inputsOf(stage).map((topic) => [groupOf(next.topology, stage), topic] as const),
    )
    for (const [group, topic] of pairs) {
      const ends = await endsOf(next, topic)
      for (;;) {
        if (ended !== undefined) throw ended
        if (signal.aborted) return false
        const left = await leftOf(next, group, topic, ends)
        on_progress({ step, left })
        if (left === 0) break
        await clock.sleep(look_ms, signal)
      }
    }
    return true
  }
  /** Of several processes one compares and decides: the group sees to it that there is one. */
  const decides = (): boolean =>
    running.some((supervisor) => supervisor.status().some(({ stage, input }) => stage === 'index' && input.partition === 0))

  try {
    await start(namesOf(stagesOf('items')))
    if (!(await caughtUp('items'))) return false
    await start(namesOf(stagesOf('users')))
    if (!(await caughtUp('users')) || !(await caughtUp('items'))) return false

    while (!decides()) {
      if (ended !== undefined) throw ended
      if (signal.aborted) return false
      await clock.sleep(look_ms, signal)
    }
    on_progress({ step: 'compare', left: 0 })
    const index = await next.index()
    const compared = await reconcile(
      { log: opened, serdes: await next.serdes(), index, admin: index, clock },
      indexedTopics(next.group_prefix, next.topics),
      { dry_run: false, deep: true, signal },
    )
    if (ended !== undefined) throw ended
    if (!compared.complete || signal.aborted) return false
    if (compared.remaining > 0)
      throw new Fault(
        'index.unavailable',
        `The index of lane ${laneText(next.lane.lane)} differs from its topics in ${compared.remaining} of ${driftOf(compared)} points after a repair: it does not take over.`,
      )
    const { live: count, missing } = await missingOf(next, live.topics.vectors.name, next.topics.vectors.name)
    if (missing > Math.max(missing_max, count * missing_share))
      throw new Fault(
        'index.unavailable',
        `Lane ${laneText(next.lane.lane)} lacks ${missing} of the ${count} items that are live: it does not take over. Look at the dead letters of embed.`,
        { missing, live: count },
      )
    return true
  } finally {
    await Promise.all(running.map((supervisor) => supervisor.stop()))
  }
}

/**
 * Says in the log that this lane is live. False when another lane became live meanwhile. Processes at work follow within seconds, and point
 * what is named in the index for those who know no model at it.
 */
export const takeOver = async (live: World, next: World): Promise<boolean> => {
  const log = await next.log()
  const found = await readLanes(log, next.lanes_topic)
  if (found.live?.lane !== live.lane.lane) return false
  const now_ms = next.clock.now_ms()
  const { lane } = next.lane
  const { digest, name: model } = next.model
  await writeLanes(
    log,
    next.lanes_topic,
    { lanes: [{ ...next.lane, state: 'used' }], live: { lane, digest, model, since_ms: now_ms, previous: live.lane.lane } },
    now_ms,
  )
  return true
}

/**
 * Makes the lane live again that was live before; once more goes forward again. Its stages go on where they stopped. Faults with
 * `config.invalid` where there is none to go back to.
 */
export const rollBack = async (world: Pick<World, 'log' | 'lanes_topic' | 'clock'>): Promise<Live> => {
  const log = await world.log()
  const { live, lanes } = await readLanes(log, world.lanes_topic)
  const previous = lanes.find(({ lane }) => lane === live?.previous)
  if (live === undefined || previous === undefined || previous.state === 'dropped')
    throw new Fault('config.invalid', 'There is no lane to go back to: none was live before, or it was dropped.')
  const { lane, digest, model } = previous
  const now_ms = world.clock.now_ms()
  const back: Live = { lane, digest, model, since_ms: now_ms, previous: live.lane }
  await writeLanes(log, world.lanes_topic, { live: back }, now_ms)
  return back
}
