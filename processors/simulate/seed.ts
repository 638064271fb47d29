/** One seed from beginning to end: publish, storm, heal, wait for lag zero and drift zero, and hand everything to the checkers. */
import { seededRandom } from '../adapters/system/random.ts'
import { asFault, Fault } from '../domain/fault.ts'
import { topicsOf as allTopicsOf, inputsOf } from '../flow/topology.ts'
import { type DriftReport, driftOf, reconcile } from '../index/reconcile.ts'
import { indexedTopics } from '../index/topics.ts'
import { groupOf } from '../runtime/supervise.ts'
import { topicsOf } from '../topology.ts'
import { openBrokers } from './broker/brokers.ts'
import { checkAll } from './checkers/all.ts'
import type { Evidence, Violation } from './checkers/evidence.ts'
import { freshness_bound_ms } from './checkers/freshness.ts'
import { openCrew } from './crew.ts'
import { sim_dims } from './encoder.ts'
import { openFates, type Script } from './fates.ts'
import { openNetwork } from './network.ts'
import { openLogOn, type World } from './process.ts'
import { behind, waitingIn } from './progress.ts'
import { publish } from './publish.ts'
import { epoch_ms, limits, recovery_max_ms, riverOf, storm_ms } from './river.ts'
import { openScheduler } from './scheduler.ts'
import { openTrace, type TraceLine } from './trace.ts'
import { openSimIndex } from './vector-index.ts'
import { type FaultName, openWeather } from './weather.ts'
import { makeWorkload } from './workload.ts'
import { source_topics, type Workshop } from './workshop.ts'

export type SeedOptions = {
  /** Source events, about. */
  readonly events: number
  readonly keep_trace: boolean
  /** Only these faults, instead of the seed's own choice. */
  readonly only?: readonly FaultName[]
  /** What strikes and when, instead of the seed's own choice; nothing else does. */
  readonly script?: Script
  /** Resolves when all promise jobs that are ready have run. */
  readonly turn: () => Promise<void>
}

export type SeedResult = {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly trace_hash: string
  readonly trace: readonly TraceLine[]
  readonly faults: ReadonlyMap<FaultName, number>
  /** Points of calls that were reached, and at which a process was killed. */
  readonly reached: ReadonlyMap<string, number>
  readonly killed_at: ReadonlyMap<string, number>
  /** Things that happened at least once, by name; a nightly run in which one never does has not tested it. */
  readonly sometimes: ReadonlySet<string>
  readonly events: number
  readonly steps: number
  readonly virtual_ms: number
  /** From heal to lag zero. */
  readonly recovery_ms: number
  /** Of the click made after the storm, to its new list. */
  readonly freshness_ms: number | null
  /** Points that the repair after the storm found wrong. */
  readonly drift: number
  readonly exits: ReadonlyMap<string, number>
}

/** Runs a seed. Deterministic: the same seed and options give the same trace hash. */
export const runSeed = async (workshop: Workshop, seed: number, options: SeedOptions): Promise<SeedResult> => {
  const random = seededRandom(seed)
  const draw = (n: number): number => Math.floor(random.next() * n)
  const weather = openWeather(seededRandom(seed ^ 0x2545f491), options.script === undefined ? (options.only ?? null) : [])
  const scheduler = openScheduler(options.turn, epoch_ms)
  const trace = openTrace(scheduler.now_ms, options.keep_trace)
  const network = openNetwork(scheduler, weather, trace)
  const brokers = openBrokers(scheduler, weather)
  const index = openSimIndex(scheduler, network, weather, sim_dims)
  const partitions = 1 + draw(2)
  const processes_wanted = 1 + draw(2)
  const river = riverOf(workshop, partitions, [5, 20, 100][draw(3)]!, [0, 5, 20][draw(3)]!)
  const world: World = {
    workshop,
    topology: river,
    brokers,
    network,
    weather,
    index,
    trace,
    limits,
    observed: { tasks: 0, polled: [], committed: [], fenced: [] },
  }
  const sometimes = new Set<string>()
  const violations: Violation[] = []

  for (const { name, keep } of allTopicsOf(river)) brokers.createTopic(name, partitions, keep === 'latest')
  for (const name of Object.values(source_topics)) brokers.createTopic(name, partitions, false)

  // An operator creates changelogs ahead, or the first owner does.
  if (draw(8) > 0)
    for (const stage of river.stages)
      for (const topic of inputsOf(stage)) brokers.createTopic(`${groupOf(river, stage)}.${topic}.changelog`, partitions, true)

  const crew = openCrew(world, scheduler, seed, processes_wanted, { sometimes, violations })
  const { running, exits, accepted_gaps } = crew
  for (let slot = 0; slot < processes_wanted; slot++) crew.start(slot)

  // --- publications ---
  const workload = makeWorkload(workshop, weather, random, {
    events: options.events,
    duration_ms: storm_ms,
    partitions,
    epoch_ms,
  })
  const unpublished = publish(scheduler, brokers, workload)

  const fates = openFates(world, scheduler, crew, random, partitions, options.script ?? null, { sometimes, violations })

  // --- the storm, then calm ---
  await scheduler.until(storm_ms)
  weather.heal()
  trace.note('heal')
  for (const { machine } of running.values()) {
    if (machine.frozen()) machine.thaw()
    machine.skew(0)
  }
  const healed_ms = scheduler.now_ms()

  const untilCalm = async (deadline_ms: number): Promise<boolean> => {
    const end_ms = scheduler.now_ms() + deadline_ms
    while (scheduler.now_ms() < end_ms) {
      await scheduler.until(scheduler.now_ms() + 50)
      if (unpublished() === 0 && fates.settled() && behind(brokers, river, partitions).length === 0) return true
    }
    return false
  }
  let calm = await untilCalm(recovery_max_ms)
  const recovery_ms = scheduler.now_ms() - healed_ms
  if (!calm)
    violations.push({
      checker: 'liveness',
      anomaly: 'lag',
      detail: `${recovery_max_ms} virtual ms after the storm: ${unpublished()} unpublished; ${behind(brokers, river, partitions).join('; ')}`,
    })

  // --- what the index has lost is found in the log ---
  let drift = 0
  if (calm) {
    const operator = scheduler.machine('operator')
    const { profiles, vectors } = topicsOf({ prefix: '', partitions })
    let report: DriftReport | Fault | undefined
    reconcile(
      {
        log: openLogOn(world, operator, seed),
        serdes: workshop.serdes,
        index: index.from(operator),
        admin: index.from(operator),
        clock: operator.clock,
      },
      indexedTopics('storm', { vectors, profiles }),
      { dry_run: false, deep: true },
    ).then(
      (answer) => {
        report = answer
      },
      (error: unknown) => {
        report = asFault(error)
      },
    )
    await scheduler.until(scheduler.now_ms() + 30_000, () => report !== undefined)
    if (report === undefined || report instanceof Fault || report.remaining > 0)
      violations.push({
        checker: 'liveness',
        anomaly: 'drift',
        detail:
          report === undefined
            ? 'the repair did not end'
            : report instanceof Fault
              ? report.message
              : `${report.remaining} points still differ`,
      })
    else {
      drift = driftOf(report)
      if (drift > 0) sometimes.add('drift was found and repaired')
      if (drift > 0 && index.losses() === 0)
        violations.push({
          checker: 'index-equals-log',
          anomaly: 'unexplained drift',
          detail: `${drift} points differ, and the index has lost none: ${report.examples.map(({ id, kind }) => `${kind} ${id}`).join(', ')}`,
        })
    }
    // Interactions that waited for a point are applied now.
    calm = await untilCalm(recovery_max_ms)
    const waiting = () =>
      Array.from({ length: partitions }, (_, partition) => waitingIn(brokers, partition)).reduce((sum, n) => sum + n, 0)
    await scheduler.until(scheduler.now_ms() + 10_000, () => waiting() === 0)
    if (waiting() > 0 && accepted_gaps.length === 0)
      violations.push({
        checker: 'liveness',
        anomaly: 'unapplied',
        detail: `${waiting()} interactions still wait for an item that is indexed`,
      })
    calm = calm && (await untilCalm(recovery_max_ms))
  }

  // --- a click after the storm ---
  let freshness_ms: number | null = null
  let fenced_before: number | null = null
  if (calm) {
    // Members that died in the storm are still waited for by their groups.
    const alive = (member_id: string) => [...running.values()].some(({ machine }) => member_id.startsWith(`${machine.name}-`))
    const standing = () => running.size === processes_wanted && [...running.values()].every((of) => of.supervisor() !== undefined)
    await scheduler.until(scheduler.now_ms() + 12_000, () => standing() && brokers.groups.settled(alive))
    await scheduler.until(scheduler.now_ms() + 600)
    fenced_before = world.observed.fenced.length
    const south = brokers.partition({ topic: source_topics.south, partition: 0 })!
    const lists = brokers.topics.get('recommendations.v1')!
    const click = async (id: string, at: number): Promise<number | null> => {
      const clicked_ms = scheduler.now_ms()
      const before = lists.partitions.map((of) => of.committed().length)
      const value = workshop.encode.south({ id, user: 'shopper-0', type: 'CLICK', item: 'own-0', at })
      south.put([{ key: Buffer.from('shopper-0'), value, headers: [], timestamp_ms: Math.floor(epoch_ms + clicked_ms) }])
      south.replicateTo(Number.MAX_SAFE_INTEGER)
      const listed = () => lists.partitions.some((of, i) => of.committed().length > before[i]!)
      while (!listed() && scheduler.now_ms() < clicked_ms + 10_000) await scheduler.until(scheduler.now_ms() + 10)
      return listed() ? scheduler.now_ms() - clicked_ms : null
    }
    freshness_ms = await click('probe', epoch_ms - 2)
    // A request to join that a dead process left in the network makes its group rebalance once more: then the next click counts.
    if (freshness_ms !== null && freshness_ms > freshness_bound_ms) freshness_ms = await click('probe again', epoch_ms - 1)
    calm = await untilCalm(recovery_max_ms)
  }
  // Once is the end of a transaction that ran out while its process slept; twice is a partition that is fought over.
  const fenced = fenced_before === null ? [] : world.observed.fenced.slice(fenced_before)
  const fought_over = fenced.find((task, i) => fenced.indexOf(task) < i)
  if (fought_over !== undefined)
    violations.push({
      checker: 'liveness',
      anomaly: 'fenced in the calm',
      detail: `${fought_over} was taken over again and again although nobody came or went`,
    })
  crew.stop()
  if ([...brokers.topics.values()].some((topic) => topic.partitions.some((of) => of.truncated.length > 0)))
    sometimes.add('a leader took unacknowledged records with it')
  const evidence: Evidence = {
    brokers,
    observed: world.observed,
    index: index.store,
    calm,
    freshness_ms: accepted_gaps.length > 0 && freshness_ms === null ? 0 : freshness_ms,
    sometimes,
    gaps_accepted: accepted_gaps,
  }
  violations.push(...checkAll(evidence))
  for (const { machine } of running.values()) machine.kill()
  return {
    seed,
    violations,
    trace_hash: trace.hash(),
    trace: trace.lines,
    faults: weather.counts,
    reached: weather.reached,
    killed_at: weather.killed_at,
    sometimes,
    events: workload.length,
    steps: scheduler.steps(),
    virtual_ms: scheduler.now_ms(),
    recovery_ms,
    freshness_ms,
    drift,
    exits,
  }
}
