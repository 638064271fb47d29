/** The processes of a seed: started, killed, started again as a supervisor would, and the operator's decisions in between. */
import type { TopicPartition } from '../domain/record.ts'
import type { Violation } from './checkers/evidence.ts'
import { type SimProcess, startProcess, type World } from './process.ts'
import type { Scheduler } from './scheduler.ts'

export type Crew = {
  /** By slot. Those below the wanted number are started again when they end. */
  readonly running: ReadonlyMap<number, SimProcess>
  start(slot: number): void
  /** SIGKILL. */
  kill(slot: number, of: SimProcess): void
  /** Nobody is started any more. */
  stop(): void
  /** How processes ended by themselves, by fault code. */
  readonly exits: ReadonlyMap<string, number>
  /** Partitions on which the operator has accepted a gap, because a process stopped for it. */
  readonly accepted_gaps: readonly TopicPartition[]
}

export const openCrew = (
  world: World,
  scheduler: Scheduler,
  seed: number,
  processes_wanted: number,
  told: { readonly sometimes: Set<string>; readonly violations: Violation[] },
): Crew => {
  const { trace, weather, topology } = world
  const { sometimes, violations } = told
  const stages = topology.stages.map((stage) => stage.processor.name)
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
  return {
    running,
    start,
    kill,
    stop: () => {
      stopping = true
    },
    exits,
    accepted_gaps,
  }
}
