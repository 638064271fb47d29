/** One seed from beginning to end: publish, storm, heal, wait for lag zero and drift zero, and hand everything to the checkers. */
import { seededRandom } from '../adapters/system/random.ts'
import { asFault, Fault } from '../domain/fault.ts'
import { placeName, type TopicPartition } from '../domain/record.ts'
import { topicsOf as allTopicsOf, inputsOf, type Topology } from '../flow/topology.ts'
import { type DriftReport, driftOf, reconcile } from '../index/reconcile.ts'
import { indexedTopics } from '../index/topics.ts'
import { default_limits, type RuntimeLimits } from '../runtime/limits.ts'
import { groupOf } from '../runtime/supervise.ts'
import { topicsOf, topology } from '../topology.ts'
import { type Brokers, openBrokers } from './broker/brokers.ts'
import { checkAll } from './checkers/all.ts'
import type { Evidence, Violation } from './checkers/evidence.ts'
import { freshness_bound_ms } from './checkers/freshness.ts'
import { sim_dims } from './encoder.ts'
import { openNetwork } from './network.ts'
import { kafka_times, openLogOn, type SimProcess, startProcess, type World } from './process.ts'
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
  readonly script?: readonly { readonly at_ms: number; readonly fault: FaultName }[]
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

const epoch_ms = Date.UTC(2026, 10, 23, 12)
const storm_ms = 6_000
const recovery_max_ms = 60_000

const limits: RuntimeLimits = {
  ...default_limits,
  progress_timeout_ms: 45_000,
  drain_ms: 2_000,
  backoff_first_ms: 40,
  backoff_max_ms: 800,
}

const settingsOf = (workshop: Workshop, partitions: number, records_max: number, linger_ms: number): Topology => {
  const bounds = { records_max, bytes_max: 1 << 20, linger_ms }
  return topology({
    name: 'storm',
    prefix: '',
    partitions,
    platforms: workshop.platforms,
    canonicalize: workshop.canonicalize,
    embed: {},
    learn: {
      half_life_ms: 3_600_000,
      session_half_life_ms: 600_000,
      session_gap_ms: 1_800_000,
      weights: { VIEW: 1, CLICK: 1.5, ADD_TO_CART: 4, WISHLIST: 3, PURCHASE: 8, DISMISS: -4 },
      join_wait_ms: 86_400_000,
      join_waiting_max: 10_000,
    },
    recommend: { count: 3, candidates: 6, session_share: 0.5, placement: 'home', expires_ms: 3_600_000, evidence_max: 3 },
    bounds: { canonicalize: bounds, embed: bounds, index: bounds, learn: bounds, recommend: bounds },
  })
}

/** Where a group's reading stands, as its changelog says: the last committed position record. */
export const positionIn = (brokers: Brokers, group: string, at: TopicPartition): number | null => {
  const changelog = brokers.partition({ topic: `${group}.${at.topic}.changelog`, partition: at.partition })
  if (changelog === undefined) return null
  for (let i = changelog.entries.length - 1; i >= 0; i--) {
    const entry = changelog.entries[i]!
    if (entry.outcome !== 'committed' || entry.marker !== null || entry.key?.toString() !== 'p') continue
    return (JSON.parse(entry.value!.toString('utf8')) as { position: number }).position
  }
  return null
}

/** How many interactions learn keeps waiting, as its changelog says. */
const waitingIn = (brokers: Brokers, partition: number): number => {
  const changelog = brokers.partition({ topic: 'storm.learn.behavior.interactions.v1.changelog', partition })
  const waiting = new Set<string>()
  for (const entry of changelog?.committed() ?? []) {
    const key = entry.key?.toString('utf8') ?? ''
    if (!key.startsWith('sw/')) continue
    if (entry.value === null) waiting.delete(key)
    else waiting.add(key)
  }
  return waiting.size
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
  const river = settingsOf(workshop, partitions, [5, 20, 100][draw(3)]!, [0, 5, 20][draw(3)]!)
  const world: World = {
    workshop,
    topology: river,
    brokers,
    network,
    weather,
    index,
    trace,
    limits,
    observed: { polled: [], committed: [], fenced: [] },
  }
  const stages = river.stages.map((stage) => stage.processor.name)
  const sometimes = new Set<string>()
  const violations: Violation[] = []

  for (const { name, keep } of allTopicsOf(river)) brokers.createTopic(name, partitions, keep === 'latest')
  for (const name of Object.values(source_topics)) brokers.createTopic(name, partitions, false)

  // An operator creates changelogs ahead, or the first owner does.
  if (draw(8) > 0)
    for (const stage of river.stages)
      for (const topic of inputsOf(stage)) brokers.createTopic(`${groupOf(river, stage)}.${topic}.changelog`, partitions, true)

  // --- processes ---
  const running = new Map<number, SimProcess>()
  const exits = new Map<string, number>()
  const accepted_gaps: TopicPartition[] = []
  let incarnations = 0
  let stopping = false
  const start = (slot: number): void => {
    if (stopping) return
    const machine = scheduler.machine(`m${slot}.${incarnations++}`)
    trace.note('start', machine.name)
    const started = startProcess(world, machine, seed + incarnations * 7919, stages, accepted_gaps, (fault) => {
      const how = fault === undefined ? 'clean' : fault.code
      trace.note('exit', machine.name, { fault: fault?.code, message: fault?.message })
      exits.set(how, (exits.get(how) ?? 0) + 1)
      if (fault?.kind === 'defect')
        violations.push({ checker: 'liveness', anomaly: fault.code, detail: `${machine.name}: ${fault.message}` })
      if (fault?.code === 'offset.gap') {
        sometimes.add('stopped at a gap')
        // The operator decides, as the message tells.
        const { topic, partition } = fault.detail
        accepted_gaps.push({ topic: String(topic), partition: Number(partition) })
      }
      machine.kill()
      again(slot, started)
    })
    running.set(slot, started)
  }
  const again = (slot: number, of: SimProcess): void => {
    if (running.get(slot) !== of) return
    running.delete(slot)
    if (slot < processes_wanted) scheduler.after(50 + 300 * weather.uniform(), null, () => start(slot))
  }
  const kill = (slot: number, of: SimProcess): void => {
    trace.note('kill', of.machine.name)
    if (of.machine.frozen()) sometimes.add('killed while frozen')
    of.machine.kill()
    again(slot, of)
  }
  weather.onKill((machine, point) => {
    for (const [slot, of] of running)
      if (of.machine === machine) {
        trace.note('kill', machine.name, { point })
        machine.kill()
        again(slot, of)
      }
  })
  for (let slot = 0; slot < processes_wanted; slot++) start(slot)

  // --- publications ---
  const workload = makeWorkload(workshop, weather, random, {
    events: options.events,
    duration_ms: storm_ms,
    partitions,
    epoch_ms,
  })
  let unpublished = workload.length
  const lanes = new Map<string, Promise<void>>()
  for (const publication of workload) {
    scheduler.after(publication.at_ms, null, () => {
      const place = placeName(publication)
      const { key, value, headers } = publication
      const record = { key: Buffer.from(key, 'utf8'), value, headers, timestamp_ms: Math.floor(epoch_ms + scheduler.now_ms()) }
      // A platform's client: one request after the other, and again until it is acknowledged.
      const send = (): Promise<void> =>
        new Promise((resolve) => {
          const attempt = () =>
            brokers.produce(publication, [record], null, (outcome) => {
              if ('refused' in outcome) scheduler.after(20, null, attempt)
              else {
                unpublished--
                resolve()
              }
            })
          attempt()
        })
      lanes.set(place, (lanes.get(place) ?? Promise.resolve()).then(send))
    })
  }

  // --- fate ---
  const victim = (): [number, SimProcess] | undefined =>
    [...running].filter(([, of]) => of.machine.alive())[draw(Math.max(1, running.size))]
  const places = (): TopicPartition[] =>
    [...brokers.topics.values()].flatMap(({ name, partitions: all }) => all.map((_, partition) => ({ topic: name, partition })))
  const points = (): string[] => [...weather.reached.keys()]
  let extra = 100
  /** Topics that are being made anew. */
  let absent = 0
  const fates: Readonly<Partial<Record<FaultName, () => void>>> = {
    killed: () => {
      const of = victim()
      if (of !== undefined) kill(...of)
    },
    killed_at_point: () => {
      const all = points()
      // Counted when it strikes.
      weather.counts.set('killed_at_point', (weather.counts.get('killed_at_point') ?? 1) - 1)
      if (all.length > 0) weather.aim(all[draw(all.length)]!, 1 + draw(6))
    },
    frozen: () => freeze(30 + 400 * random.next()),
    frozen_long: () => freeze(kafka_times.session_timeout_ms * (1.1 + random.next())),
    stopped: () => {
      const of = victim()
      const supervisor = of?.[1].supervisor()
      if (of === undefined || supervisor === undefined) return
      const began_ms = scheduler.now_ms()
      trace.note('terminate', of[1].machine.name)
      void supervisor.stop().then(() => {
        if (scheduler.now_ms() - began_ms > limits.drain_ms + 12_000)
          violations.push({
            checker: 'liveness',
            anomaly: 'slow stop',
            detail: `${of[1].machine.name} took ${scheduler.now_ms() - began_ms} ms`,
          })
        sometimes.add('stopped cleanly in a storm')
      })
    },
    joined: () => {
      const slot = extra++
      start(slot)
      scheduler.after(1_000 + 2_000 * random.next(), null, () => {
        const of = running.get(slot)
        if (of !== undefined) kill(slot, of)
      })
    },
    rebalanced: () => {
      const names = brokers.groups.names()
      if (names.length > 0) brokers.groups.unsettle(names[draw(names.length)]!)
    },
    leader_lost_tail: () => {
      const all = places()
      brokers.failLeader(all[draw(all.length)]!)
    },
    coordinator_moved: () => {
      const duration_ms = 20 + 300 * random.next()
      brokers.transactions.move(duration_ms)
      brokers.groups.move(duration_ms)
    },
    compacted: () => {
      for (const topic of brokers.topics.values())
        if (topic.compact)
          for (const partition of topic.partitions) if (partition.compact() > 0) sometimes.add('compaction hid records')
    },
    position_lost: () => {
      for (const name of brokers.groups.names()) brokers.groups.forget(name)
    },
    cut_off: () => {
      const of = victim()
      if (of === undefined) return
      weather.setCutOff(of[1].machine, 'all')
      scheduler.after(100 + 4_000 * random.next(), null, () => weather.setCutOff(of[1].machine, null))
    },
    // Its group goes on without it, and it works on: a zombie that is wide awake.
    deafened: () => {
      const of = victim()
      if (of === undefined) return
      weather.setCutOff(of[1].machine, 'groups')
      scheduler.after(kafka_times.session_timeout_ms * (1 + random.next()), null, () => weather.setCutOff(of[1].machine, null))
    },
    clock_off: () => victim()?.[1].machine.skew(Math.floor((random.next() - 0.5) * 12 * 3_600_000)),
    clock_back: () => victim()?.[1].machine.skew(-Math.floor(random.next() * 3_600_000)),
    records_expired: () => {
      // A group that never committed begins at the oldest record, whatever was there before.
      const all = places().filter(
        (at) => at.topic.startsWith('source.') && positionIn(brokers, groupOf(river, river.stages[0]!), at) !== null,
      )
      const at = all[draw(Math.max(1, all.length))]
      if (at === undefined) return
      const of = brokers.partition(at)!
      const from = of.start + Math.floor((of.high_watermark - of.start) * random.next())
      if (from > of.start) of.retain(from)
    },
    topic_recreated: () => {
      const name = Object.values(source_topics)[draw(3)]!
      const old = brokers.topics.get(name)
      if (old === undefined) return
      const group = groupOf(river, river.stages[0]!)
      // A group that never committed has nothing to tell it from.
      if (old.partitions.some((_, partition) => positionIn(brokers, group, { topic: name, partition }) === null)) return
      brokers.deleteTopic(name)
      absent++
      // Brokers take their time over it: whoever looks meanwhile is told that there is no such topic.
      scheduler.after(1_600 + 900 * random.next(), null, () => {
        brokers.createTopic(name, partitions, false)
        absent--
        sometimes.add('a topic was made anew')
      })
    },
    index_forgot: () => {
      if (index.forget() > 0) sometimes.add('the index forgot acknowledged points')
    },
    index_rolled_back: () => {
      if (index.rollBack()) sometimes.add('the index went back to a snapshot')
      else index.takeSnapshot()
    },
  }
  const freeze = (duration_ms: number): void => {
    const of = victim()
    if (of === undefined) return
    const [, { machine }] = of
    machine.freeze()
    trace.note('freeze', machine.name)
    scheduler.after(duration_ms, null, () => {
      if (!machine.alive()) return
      trace.note('thaw', machine.name)
      machine.thaw()
    })
  }
  const kinds = (Object.keys(fates) as FaultName[]).filter((kind) => weather.brings(kind))
  const strike = (): void => {
    if (!weather.storming() || kinds.length === 0) return
    const kind = kinds[draw(kinds.length)]!
    if (weather.strikes(kind)) {
      trace.note(`fate.${kind}`)
      fates[kind]!()
    }
    scheduler.after(60 + 500 * random.next(), null, strike)
  }
  if (options.script === undefined) scheduler.after(200 + 400 * random.next(), null, strike)
  else
    for (const { at_ms, fault } of options.script)
      scheduler.after(at_ms, null, () => {
        weather.struck(fault)
        trace.note(`fate.${fault}`)
        fates[fault]?.()
      })

  // --- the storm, then calm ---
  await scheduler.until(storm_ms)
  weather.heal()
  trace.note('heal')
  for (const { machine } of running.values()) {
    if (machine.frozen()) machine.thaw()
    machine.skew(0)
  }
  const healed_ms = scheduler.now_ms()

  const lagOf = (group: string, at: TopicPartition): number => {
    const of = brokers.partition(at)
    if (of === undefined) return 0
    const position = Math.max(positionIn(brokers, group, at) ?? 0, of.start)
    const last = of.entries.at(-1)
    if (last === undefined || last.offset < position) return 0
    let lag = 0
    for (let i = of.indexOf(position); i < of.entries.length; i++) {
      const { marker, outcome, compacted } = of.entries[i]!
      if (marker === null && outcome !== 'aborted' && !compacted) lag++
    }
    return lag
  }
  const behind = (): string[] => {
    const all: string[] = []
    for (const stage of river.stages) {
      const group = groupOf(river, stage)
      for (const topic of inputsOf(stage))
        for (let partition = 0; partition < partitions; partition++) {
          const lag = lagOf(group, { topic, partition })
          if (lag > 0) all.push(`${group} is ${lag} behind on ${topic}/${partition}`)
        }
    }
    return all
  }
  const untilCalm = async (deadline_ms: number): Promise<boolean> => {
    const end_ms = scheduler.now_ms() + deadline_ms
    while (scheduler.now_ms() < end_ms) {
      await scheduler.until(scheduler.now_ms() + 50)
      if (unpublished === 0 && absent === 0 && behind().length === 0) return true
    }
    return false
  }
  let calm = await untilCalm(recovery_max_ms)
  const recovery_ms = scheduler.now_ms() - healed_ms
  if (!calm)
    violations.push({
      checker: 'liveness',
      anomaly: 'lag',
      detail: `${recovery_max_ms} virtual ms after the storm: ${unpublished} unpublished; ${behind().join('; ')}`,
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
  stopping = true
  if (places().some((at) => brokers.partition(at)!.truncated.length > 0))
    sometimes.add('a leader took unacknowledged records with it')
  const evidence: Evidence = {
    brokers,
    partitions,
    river,
    observed: world.observed,
    index: index.store,
    calm,
    freshness_ms: accepted_gaps.length > 0 && freshness_ms === null ? 0 : freshness_ms,
    sometimes,
    gaps_accepted: accepted_gaps,
    noisy: weather.brings('encoder_noise'),
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
