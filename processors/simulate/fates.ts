/** What happens to processes, brokers and the index from outside: now and then, or as a script says. */
import type { TopicPartition } from '../domain/record.ts'
import type { Random } from '../ports/random.ts'
import { groupOf } from '../runtime/supervise.ts'
import type { Violation } from './checkers/evidence.ts'
import type { Crew } from './crew.ts'
import { kafka_times, type SimProcess, type World } from './process.ts'
import { positionIn } from './progress.ts'
import type { Scheduler } from './scheduler.ts'
import type { FaultName } from './weather.ts'
import { source_topics } from './workshop.ts'

/** What strikes and when. */
export type Script = readonly { readonly at_ms: number; readonly fault: FaultName }[]

export const openFates = (
  world: World,
  scheduler: Scheduler,
  crew: Crew,
  random: Random,
  partitions: number,
  script: Script | null,
  told: { readonly sometimes: Set<string>; readonly violations: Violation[] },
): {
  /** Whether nothing is under way that has to end before there can be calm. */
  readonly settled: () => boolean
} => {
  const { brokers, index, limits, topology: river, trace, weather } = world
  const { running, kill, start } = crew
  const { sometimes, violations } = told
  const draw = (n: number): number => Math.floor(random.next() * n)
  const victim = (): [number, SimProcess] | undefined =>
    [...running].filter(([, of]) => of.machine.alive())[draw(Math.max(1, running.size))]
  const places = (): TopicPartition[] =>
    [...brokers.topics.values()].flatMap(({ name, partitions: all }) => all.map((_, partition) => ({ topic: name, partition })))
  const points = (): string[] => [...weather.reached.keys()]
  let extra = 100
  /** Topics that are being made anew. */
  let absent = 0
  const strikes: Readonly<Partial<Record<FaultName, () => void>>> = {
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
  const kinds = (Object.keys(strikes) as FaultName[]).filter((kind) => weather.brings(kind))
  const strike = (): void => {
    if (!weather.storming() || kinds.length === 0) return
    const kind = kinds[draw(kinds.length)]!
    if (weather.strikes(kind)) {
      trace.note(`fate.${kind}`)
      strikes[kind]!()
    }
    scheduler.after(60 + 500 * random.next(), null, strike)
  }
  if (script === null) scheduler.after(200 + 400 * random.next(), null, strike)
  else
    for (const { at_ms, fault } of script)
      scheduler.after(at_ms, null, () => {
        weather.struck(fault)
        trace.note(`fate.${fault}`)
        strikes[fault]?.()
      })
  return { settled: () => absent === 0 }
}
