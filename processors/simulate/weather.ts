/** Which faults a seed brings and when they strike: a random subset each (swarm testing), storms first, then calm. */
import type { Random } from '../ports/random.ts'
import type { Machine } from './scheduler.ts'

/** Every kind of fault, with the greatest chance a seed gives it each time it could happen. */
export const fault_chances = {
  // The network between processes and servers.
  request_lost: 0.02,
  reply_lost: 0.02,
  request_late: 0.02,
  slow: 0.03,
  cut_off: 0.5,
  deafened: 0.9,
  // Brokers.
  leader_moved: 0.02,
  leader_lost_tail: 0.7,
  coordinator_moved: 0.7,
  markers_late: 0.4,
  fencing_slow: 0.5,
  fetch_cut_short: 0.2,
  fetch_reordered: 0.4,
  position_lost: 0.3,
  offsets_refused: 0.5,
  compacted: 0.8,
  records_expired: 0.3,
  topic_recreated: 0.3,
  disk_full: 0.01,
  // Processes.
  killed: 0.9,
  killed_at_point: 0.9,
  frozen: 0.9,
  frozen_long: 0.9,
  stopped: 0.6,
  joined: 0.6,
  rebalanced: 0.6,
  clock_off: 0.9,
  clock_back: 0.5,
  // The vector index.
  index_refused: 0.05,
  index_throttled: 0.05,
  index_partial: 0.05,
  index_unknown: 0.05,
  index_late: 0.05,
  index_forgot: 0.9,
  index_rolled_back: 0.5,
  // The registry.
  registry_down: 0.1,
  registry_slow: 0.2,
  // The encoder.
  encoder_down: 0.1,
  encoder_slow: 0.2,
  encoder_noise: 1,
  // Those who publish.
  published_twice: 0.15,
  malformed: 0.1,
  hostile_schema: 0.05,
  unknown_schema: 0.05,
  newer_schema: 0.5,
  early_click: 0.3,
} as const

export type FaultName = keyof typeof fault_chances
export const fault_names = Object.keys(fault_chances) as readonly FaultName[]

export type Weather = {
  /** True until `heal`. */
  storming(): boolean
  /** From now on nothing fails. */
  heal(): void
  /** Whether this fault is one of the seed's. */
  brings(fault: FaultName): boolean
  /** Whether the fault happens now. */
  strikes(fault: FaultName): boolean
  /** Counts a fault that was decided elsewhere. */
  struck(fault: FaultName): void
  /** Uniform in [0, 1); decides latencies and choices. */
  uniform(): number
  /** Uniform over 0 … n - 1. */
  below(n: number): number
  /** How often each fault struck. */
  readonly counts: Map<FaultName, number>
  /** Whether this call of the machine reaches nobody at the moment. */
  cutOff(machine: Machine, point: string): boolean
  /** Cuts a machine off from all servers or from what coordinates its groups alone, or lets it through again. */
  setCutOff(machine: Machine, from: 'all' | 'groups' | null): void
  /** A named point of a call was reached; a crash that was aimed at it kills the machine there and then. */
  passes(point: string, machine: Machine): void
  /** Kills whoever reaches the named point for the n-th time from now on. */
  aim(point: string, nth: number): void
  /** Points that were reached, and points at which a machine was killed. */
  readonly reached: Map<string, number>
  readonly killed_at: Map<string, number>
  /** Told when an aimed crash has struck. */
  onKill(listener: (machine: Machine, point: string) => void): void
}

const group_calls = new Set(['join', 'heartbeat', 'offset_commit', 'offset_fetch', 'leave'])

export const openWeather = (random: Random, only: readonly FaultName[] | null = null): Weather => {
  const counts = new Map<FaultName, number>()
  const reached = new Map<string, number>()
  const killed_at = new Map<string, number>()
  const cut = new Map<Machine, 'all' | 'groups'>()
  const listeners: ((machine: Machine, point: string) => void)[] = []
  let storming = true
  let target: { point: string; left: number } | null = null

  // Half of the faults, each up to its greatest chance: a fault that always comes with all others hides behind them.
  const share = 0.15 + 0.6 * random.next()
  const chances = new Map<FaultName, number>()
  for (const name of fault_names) {
    const in_swarm = random.next() < share
    const strength = 0.2 + 0.8 * random.next()
    if (only === null ? in_swarm : only.includes(name)) chances.set(name, fault_chances[name] * strength)
  }
  const struck = (fault: FaultName) => void counts.set(fault, (counts.get(fault) ?? 0) + 1)

  return {
    counts,
    reached,
    killed_at,
    storming: () => storming,
    heal: () => {
      storming = false
      cut.clear()
      target = null
    },
    brings: (fault) => chances.has(fault),
    strikes: (fault) => {
      if (!storming) return false
      const chance = chances.get(fault)
      if (chance === undefined || random.next() >= chance) return false
      struck(fault)
      return true
    },
    struck,
    uniform: () => random.next(),
    below: (n) => Math.floor(random.next() * n),
    cutOff: (machine, point) => {
      const from = cut.get(machine)
      return from === 'all' || (from === 'groups' && group_calls.has(point))
    },
    setCutOff: (machine, from) => {
      if (from === null) cut.delete(machine)
      else cut.set(machine, from)
    },
    passes: (point, machine) => {
      reached.set(point, (reached.get(point) ?? 0) + 1)
      if (target === null || !storming || target.point !== point || !machine.alive() || --target.left > 0) return
      target = null
      struck('killed_at_point')
      killed_at.set(point, (killed_at.get(point) ?? 0) + 1)
      for (const listener of listeners) listener(machine, point)
    },
    aim: (point, nth) => {
      target = { point, left: nth }
    },
    onKill: (listener) => void listeners.push(listener),
  }
}
