/** The group coordinator: generations, sessions, eager rebalances, committed offsets. Partitions are dealt round robin, as kafkajs does. */
import type { Scheduler } from '../scheduler.ts'
import type { Weather } from '../weather.ts'
import type { Refusal } from './partition.ts'

export type Assignment = Readonly<Record<string, readonly number[]>>

type Member = {
  readonly id: string
  readonly topics: readonly string[]
  readonly session_ms: number
  readonly rebalance_ms: number
  assignment: Assignment
  expire: () => void
  /** Waits for the rebalance to end. */
  joining: ((answer: Joined | Refusal) => void) | null
}

/** `partitions` is how many the subscribed topics had when they were dealt out. */
export type Joined = { readonly generation: number; readonly assignment: Assignment; readonly partitions: number }

type Group = {
  generation: number
  state: 'stable' | 'rebalancing'
  readonly members: Map<string, Member>
  readonly offsets: Map<string, string>
  /** Ends a rebalance without those who do not come back. */
  cancel: () => void
}

export type GroupCoordinator = {
  join(
    group: string,
    member: {
      readonly id: string
      readonly topics: readonly string[]
      readonly session_ms: number
      readonly rebalance_ms: number
    },
    answer: (answer: Joined | Refusal) => void,
  ): void
  heartbeat(group: string, member_id: string, generation: number): Refusal | null
  leave(group: string, member_id: string): void
  commit(group: string, member_id: string, generation: number, offsets: ReadonlyMap<string, string>): Refusal | null
  offsetsOf(group: string): ReadonlyMap<string, string>
  /** Everybody has to join again. */
  unsettle(group: string): void
  /** Committed offsets are gone, as after the loss of their topic. */
  forget(group: string): void
  readonly names: () => readonly string[]
  /** Whether every group has settled on members that this says are alive. */
  settled(isAlive: (member_id: string) => boolean): boolean
  move(duration_ms: number): void
}

export const openGroups = (scheduler: Scheduler, weather: Weather, partitionsOf: (topic: string) => number): GroupCoordinator => {
  const groups = new Map<string, Group>()
  let moving_until = 0

  const groupOf = (name: string): Group => {
    let group = groups.get(name)
    if (group === undefined) {
      group = { generation: 0, state: 'stable', members: new Map(), offsets: new Map(), cancel: () => undefined }
      groups.set(name, group)
    }
    return group
  }

  const touch = (group: Group, member: Member) => {
    member.expire()
    member.expire = scheduler.after(member.session_ms, null, () => {
      if (group.members.get(member.id) !== member || member.joining !== null) return
      group.members.delete(member.id)
      begin(group)
    })
  }

  const settle = (group: Group) => {
    group.cancel()
    for (const [id, member] of group.members)
      if (member.joining === null) {
        member.expire()
        group.members.delete(id)
      }
    group.generation++
    group.state = 'stable'
    const members = [...group.members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
    const dealt = new Map<Member, Record<string, number[]>>(members.map((member) => [member, {}]))
    let turn = 0
    for (const topic of [...new Set(members.flatMap((member) => member.topics))].sort()) {
      const readers = members.filter((member) => member.topics.includes(topic))
      for (let partition = 0; partition < partitionsOf(topic); partition++) {
        const assignment = dealt.get(readers[turn++ % readers.length]!)!
        assignment[topic] = [...(assignment[topic] ?? []), partition]
      }
    }
    for (const [member, assignment] of dealt) {
      member.assignment = assignment
      const answer = member.joining!
      member.joining = null
      touch(group, member)
      const partitions = member.topics.reduce((sum, topic) => sum + partitionsOf(topic), 0)
      answer({ generation: group.generation, assignment, partitions })
    }
  }

  const maybeSettle = (group: Group) => {
    if (group.members.size > 0 && [...group.members.values()].every((member) => member.joining !== null)) settle(group)
  }

  const begin = (group: Group) => {
    if (group.state === 'rebalancing') return maybeSettle(group)
    group.state = 'rebalancing'
    const wait_ms = Math.max(0, ...[...group.members.values()].map((member) => member.rebalance_ms))
    group.cancel = scheduler.after(wait_ms, null, () => settle(group))
    maybeSettle(group)
  }

  const moving = (): Refusal | null => (scheduler.now_ms() < moving_until ? { refused: 'NOT_COORDINATOR_FOR_GROUP' } : null)

  return {
    join: (name, { id, topics, session_ms, rebalance_ms }, answer) => {
      const refused = moving()
      if (refused !== null) return answer(refused)
      const group = groupOf(name)
      const known = group.members.get(id)
      known?.joining?.({ refused: 'REBALANCE_IN_PROGRESS' })
      known?.expire()
      const member: Member = { id, topics, session_ms, rebalance_ms, assignment: {}, expire: () => undefined, joining: answer }
      group.members.set(id, member)
      begin(group)
    },
    heartbeat: (name, member_id, generation) => {
      const refused = moving()
      if (refused !== null) return refused
      const group = groupOf(name)
      const member = group.members.get(member_id)
      if (member === undefined) return { refused: 'UNKNOWN_MEMBER_ID' }
      if (generation !== group.generation) return { refused: 'ILLEGAL_GENERATION' }
      touch(group, member)
      return group.state === 'rebalancing' ? { refused: 'REBALANCE_IN_PROGRESS' } : null
    },
    leave: (name, member_id) => {
      const group = groupOf(name)
      const member = group.members.get(member_id)
      if (member === undefined) return
      member.expire()
      group.members.delete(member_id)
      if (group.members.size > 0) begin(group)
    },
    commit: (name, member_id, generation, offsets) => {
      const refused = moving()
      if (refused !== null) return refused
      const group = groupOf(name)
      const stale = !group.members.has(member_id) || generation !== group.generation
      // Brokers and clients of all ages: some let an old member's offsets through (kafkajs#1046).
      if (stale && weather.strikes('offsets_refused')) return { refused: 'ILLEGAL_GENERATION' }
      for (const [place, offset] of offsets) group.offsets.set(place, offset)
      return null
    },
    offsetsOf: (name) => groupOf(name).offsets,
    unsettle: (name) => {
      const group = groupOf(name)
      if (group.members.size > 0) begin(group)
    },
    forget: (name) => groupOf(name).offsets.clear(),
    names: () => [...groups.keys()],
    settled: (isAlive) =>
      [...groups.values()].every((group) => group.state === 'stable' && [...group.members.keys()].every(isAlive)),
    move: (duration_ms) => {
      moving_until = scheduler.now_ms() + duration_ms
    },
  }
}
