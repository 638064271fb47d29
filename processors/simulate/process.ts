/** One process of Entrepot: the real runtime, topology and Kafka adapter on a simulated machine, with what it read and committed noted. */
import { kafkaLogOver } from '../adapters/kafka/event-log.ts'
import { kafkaSettings } from '../adapters/kafka/options.ts'
import { openSourceDecoder } from '../adapters/registry/source-decoder.ts'
import { seededRandom } from '../adapters/system/random.ts'
import { asFault, type Fault } from '../domain/fault.ts'
import { placeName, type TopicPartition } from '../domain/record.ts'
import type { Topology } from '../flow/topology.ts'
import type { EventLog, EventLogAdmin, LogTask } from '../ports/event-log.ts'
import type { RuntimeLimits } from '../runtime/limits.ts'
import { type Supervisor, supervise } from '../runtime/supervise.ts'
import type { Brokers } from './broker/brokers.ts'
import { openSimKafka } from './broker/client.ts'
import { simEncoder } from './encoder.ts'
import type { Network } from './network.ts'
import { simRegistry } from './registry.ts'
import type { Machine } from './scheduler.ts'
import type { Trace } from './trace.ts'
import type { SimIndex } from './vector-index.ts'
import type { Weather } from './weather.ts'
import type { Workshop } from './workshop.ts'

/** A record as a task was given it: which log, where, and its bytes. */
export type Polled = {
  readonly task: number
  readonly group: string
  readonly place: string
  readonly offset: number
  readonly value: Buffer | null
}
/** A commit that was answered with success. */
export type Committed = {
  readonly group: string
  readonly input: TopicPartition
  readonly position: number
  readonly task: number
}

export type Observations = {
  /** Tasks that were handed out so far; each has the number it came at. */
  tasks: number
  readonly polled: Polled[]
  readonly committed: Committed[]
  /** Each time a task was told that it has a newer owner: which. */
  readonly fenced: string[]
}

export type World = {
  readonly workshop: Workshop
  readonly topology: Topology
  readonly brokers: Brokers
  readonly network: Network
  readonly weather: Weather
  readonly index: SimIndex
  readonly trace: Trace
  readonly limits: RuntimeLimits
  readonly observed: Observations
}

export type SimProcess = {
  readonly machine: Machine
  /** Undefined until every subscription stands. */
  supervisor(): Supervisor | undefined
}

/** Times short enough that a storm of seconds holds sessions that end, transactions that expire and members that come back. */
export const kafka_times = {
  request_timeout_ms: 800,
  session_timeout_ms: 2_500,
  heartbeat_ms: 400,
  rebalance_timeout_ms: 3_000,
  transaction_timeout_ms: 3_000,
} as const

/** A client of the log on a machine. */
export const openLogOn = (world: World, machine: Machine, seed: number): EventLog & EventLogAdmin => {
  const { brokers, network, weather, trace } = world
  const inside = openSimKafka({ machine, brokers, network, weather, request_timeout_ms: kafka_times.request_timeout_ms })
  const settings = kafkaSettings({
    brokers: ['simulated:9092'],
    client_id: machine.name,
    ...kafka_times,
    clock: machine.clock,
    random: seededRandom(seed),
    append_linger_ms: 1,
    on_event: (event) => trace.note(`kafka.${event.event}`, machine.name, event),
  })
  return kafkaLogOver(inside, settings, () => undefined)
}

/** Notes what each task is given and what it commits. */
const observing = (log: EventLog, world: World): EventLog => {
  const { observed } = world
  const watched = (group: string, task: LogTask): LogTask => {
    const id = observed.tasks++
    const place = placeName(task.input)
    return {
      input: task.input,
      state: task.state,
      position: () => task.position(),
      poll: async (bounds, signal) => {
        const polled = await task.poll(bounds, signal)
        for (const { offset, value } of polled.records) observed.polled.push({ task: id, group, place, offset, value })
        return polled
      },
      commit: async (commit) => {
        await task.commit(commit)
        observed.committed.push({ group, input: task.input, position: commit.position, task: id })
      },
      rewind: () => task.rewind(),
      release: () => task.release(),
    }
  }
  return {
    append: (records) => log.append(records),
    scan: (at, from) => log.scan(at, from),
    close: () => log.close(),
    subscribe: (group, topics, handler, accept_gaps) =>
      log.subscribe(
        group,
        topics,
        {
          assigned: (task) => handler.assigned(watched(group, task)),
          revoked: (at) => handler.revoked(at),
          failed: (error) => handler.failed(error),
        },
        accept_gaps,
      ),
  }
}

/** Starts a process; `exited` is told when it ends by itself, with the fault that ended it. */
export const startProcess = (
  world: World,
  machine: Machine,
  seed: number,
  stages: readonly string[],
  accept_gaps: readonly TopicPartition[],
  exited: (fault: Fault | undefined) => void,
): SimProcess => {
  const { workshop, topology, network, weather, trace } = world
  const log = openLogOn(world, machine, seed)
  const index = world.index.from(machine)
  let supervisor: Supervisor | undefined
  const run = async () => {
    supervisor = await supervise({
      topology,
      stages,
      log: observing(log, world),
      serdes: workshop.serdes,
      index,
      reads: {
        index,
        embedder: simEncoder(machine, network, weather),
        sources: openSourceDecoder(simRegistry(machine, network, weather, workshop.schemas)),
      },
      limits: world.limits,
      clock: machine.clock,
      random: seededRandom(seed ^ 0x5bd1e995),
      observe: (event) => {
        if (event.event === 'lag' || event.event === 'in_flight') return
        if (event.event === 'fenced') world.observed.fenced.push(`${event.stage} on ${placeName(event.input)}`)
        trace.note(`runtime.${event.event}`, machine.name, 'fault' in event ? { ...event, fault: event.fault.code } : event)
      },
      accept_gaps,
    })
    return supervisor.ended
  }
  run().then(
    (fault) => exited(fault),
    (error: unknown) => exited(asFault(error)),
  )
  return { machine, supervisor: () => supervisor }
}
