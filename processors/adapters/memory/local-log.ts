/** The log inside one process, over any storage: members and their groups, ownership and fencing, polls that wait and are woken. */
import { asFault, Fault } from '../../domain/fault.ts'
import { type LogRecord, type OutputRecord, partitionOf, placeName, type TopicPartition } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type {
  AssignmentHandler,
  Commit,
  EventLog,
  EventLogAdmin,
  LogTask,
  PartitionOffsets,
  Subscription,
  TopicSpec,
} from '../../ports/event-log.ts'
import type { StateReader } from '../../ports/state-store.ts'

/** A record whose partition is decided. */
export type PlacedRecord = OutputRecord & { readonly partition: number }
export type Place = TopicPartition & { readonly offset: number }

/** Ownership of an input partition by a group, as the storage keeps it. A claim ends when a later one of the same partition is made. */
export type Claim = {
  readonly group: string
  readonly input: TopicPartition
  readonly epoch: number
  /** Undefined where the group never committed. */
  readonly position: number | undefined
  /** The records at the position belong to another topic of the same name. */
  readonly recreated: boolean
  readonly state: StateReader
}

/** What holds the records. Reads answer at once; writes resolve when they are durable, in the order they were called. */
export type LogStorage = {
  createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]>
  topics(): readonly string[]
  /** Undefined for a missing topic. */
  partitions(topic: string): number | undefined
  /** Oldest offset, and the first not yet written. */
  offsets(at: TopicPartition): { readonly start: number; readonly end: number }
  /** Records from `from` on: at most `records_max`, at most `bytes_max` but one record at least, none only when none is left. */
  read(at: TopicPartition, from: number, records_max: number, bytes_max: number): readonly LogRecord[]
  append(records: readonly PlacedRecord[]): Promise<readonly Place[]>
  /** Fences earlier claims. */
  claim(group: string, input: TopicPartition): Promise<Claim>
  /** All or nothing; throws `task.fenced` when the claim has ended. */
  commit(claim: Claim, outputs: readonly PlacedRecord[], commit: Commit): Promise<void>
  /** Undefined where the group never committed. */
  position(group: string, at: TopicPartition): number | undefined
  /** Lets other work of the process run between two pages of a scan. */
  breathe?(): Promise<void>
  /** Says which groups have members now, whenever that changes. */
  membersOf?(group: string, topics: readonly string[]): void
}

/** Bytes a record counts for in a poll's bound. */
export const recordBytes = (record: { key: Buffer | null; value: Buffer | null; headers?: LogRecord['headers'] }): number => {
  let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of record.headers ?? []) bytes += name.length + value.length
  return bytes
}

export type LocalLogOptions = {
  readonly clock: Clock
  /** How long a member that is to give a partition up is waited for. */
  readonly rebalance_ms_max: number
}

/** The log and, for tests and for stages that share a process, further members of it. */
export type LocalLog = EventLog &
  EventLogAdmin & {
    /** Another member on the same log, as a second process would be. */
    member(): EventLog
  }

type Task = LogTask & {
  /** Ends it from outside: whatever it does next is fenced. */
  end(): void
}

type Member = {
  readonly topics: readonly string[]
  readonly handler: AssignmentHandler
  readonly accept_gaps: ReadonlySet<string>
  readonly owned: Map<string, Task>
  left: boolean
}

type Group = { readonly name: string; members: Member[]; turn: Promise<void> }

const scan_records = 500
const scan_bytes = 1 << 20
const claim_retry_ms = 500
const woken = 'woken'

export const localLog = (
  storage: LogStorage,
  options: LocalLogOptions,
  onClose: () => Promise<void> = async () => {},
): LocalLog => {
  const { clock, rebalance_ms_max } = options
  const groups = new Map<string, Group>()
  const waiting = new Map<string, Set<() => void>>()
  const stopped = new AbortController()
  let closed = false

  const wake = (places: Iterable<string>) => {
    for (const place of places) {
      const sleepers = waiting.get(place)
      if (sleepers === undefined) continue
      waiting.delete(place)
      for (const rise of sleepers) rise()
    }
  }

  /** Resolves when the place is written to, after so long, or when the signal aborts. */
  const sleepUntilWritten = async (place: string, duration_ms: number, signal: AbortSignal): Promise<void> => {
    const alarm = new AbortController()
    // With a reason of its own: the default one is an error object with a stack, made for every poll.
    const rise = () => alarm.abort(woken)
    const sleepers = waiting.get(place) ?? new Set()
    waiting.set(place, sleepers.add(rise))
    signal.addEventListener('abort', rise, { once: true })
    await clock.sleep(duration_ms, alarm.signal)
    signal.removeEventListener('abort', rise)
    sleepers.delete(rise)
  }

  const partitionsOf = (topic: string): number => {
    const partitions = storage.partitions(topic)
    if (partitions === undefined)
      throw new Fault('topic.missing', `Topic ${topic} does not exist. Create it with \`entrepot topics create\`.`, { topic })
    return partitions
  }

  const placed = (records: readonly OutputRecord[]): readonly PlacedRecord[] =>
    records.map((record) => {
      const partitions = partitionsOf(record.topic)
      const partition = record.partition ?? partitionOf(record.key, partitions)
      if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
        throw new Fault('topic.mismatch', `Topic ${record.topic} has ${partitions} partitions; ${partition} is none of them.`, {
          topic: record.topic,
          partition,
        })
      return { ...record, partition }
    })

  const ensureOpen = () => {
    if (closed) throw new Fault('log.unavailable', 'The log is closed.')
  }

  const taskOf = (claim: Claim, accept_gaps: boolean): Task => {
    const { input } = claim
    const place = placeName(input)
    let position = claim.position ?? storage.offsets(input).start
    /** No commit may lie below: the position, or where an accepted gap has sent the reader. */
    let least = position
    let gap = claim.recreated
    let cursor = position
    let over = false

    const ensureOwned = () => {
      if (over || closed)
        throw new Fault('task.fenced', `Group ${claim.group} no longer owns ${place} through this task.`, {
          ...input,
          group: claim.group,
        })
    }
    /** Where to read next; a hole between the cursor and the oldest record is a gap unless it was accepted. */
    const readFrom = (): number => {
      const { start, end } = storage.offsets(input)
      if (!gap && cursor >= start && cursor <= end) return cursor
      if (!accept_gaps)
        throw new Fault(
          'offset.gap',
          `${place} holds offsets ${start} to ${end}, but group ${claim.group} has read up to ${cursor} only: records were deleted before they were read.`,
          { ...input, group: claim.group, position: cursor, start, end },
        )
      least = Math.min(least, start)
      return start
    }

    return {
      input,
      state: claim.state,
      position: () => position,
      poll: async (bounds, signal) => {
        const records: LogRecord[] = []
        let bytes = 0
        let until_ms = clock.monotonic_ms() + bounds.wait_ms
        for (;;) {
          ensureOwned()
          const room = bounds.records_max - records.length
          const found = storage.read(
            input,
            records.length === 0 ? readFrom() : records.at(-1)!.offset + 1,
            room,
            bounds.bytes_max - bytes,
          )
          if (records.length === 0 && found.length > 0) until_ms = clock.monotonic_ms() + bounds.linger_ms
          for (const record of found) bytes += recordBytes(record)
          // The storage always gives one record; beside others it may be one too many.
          const too_much = records.length > 0 && bytes > bounds.bytes_max
          if (!too_much) records.push(...found)
          const left_ms = until_ms - clock.monotonic_ms()
          if (signal.aborted) return { records: [], end_offset: storage.offsets(input).end }
          if (too_much || records.length >= bounds.records_max || bytes >= bounds.bytes_max || left_ms <= 0) break
          if (found.length > 0) continue
          await sleepUntilWritten(place, left_ms, signal)
        }
        if (records.length > 0) {
          cursor = records.at(-1)!.offset + 1
          gap = false
        }
        return { records, end_offset: storage.offsets(input).end }
      },
      commit: async (commit) => {
        ensureOwned()
        if (!Number.isSafeInteger(commit.position) || commit.position < least)
          throw new Fault('outcome.invalid', `${place}: position ${commit.position} lies before ${least}, which is committed.`, {
            ...input,
            group: claim.group,
          })
        const outputs = placed(commit.outputs)
        await storage.commit(claim, outputs, commit)
        position = commit.position
        least = position
        if (cursor < position) cursor = position
        wake(new Set(outputs.map(placeName)))
      },
      rewind: () => {
        cursor = position
        gap = claim.recreated && position === claim.position
      },
      release: async () => {
        over = true
        wake([place])
      },
      end: () => {
        over = true
        wake([place])
      },
    }
  }

  /** Who is to own what: the partitions of each topic dealt out in turn among the members that read it, in order of joining. */
  const wanted = (group: Group): ReadonlyMap<string, { readonly member: Member; readonly at: TopicPartition }> => {
    const deal = new Map<string, { member: Member; at: TopicPartition }>()
    const topics = [...new Set(group.members.flatMap((member) => member.topics))].sort()
    let turn = 0
    for (const topic of topics) {
      const readers = group.members.filter((member) => member.topics.includes(topic))
      for (let partition = 0; partition < (storage.partitions(topic) ?? 0); partition++) {
        const at = { topic, partition }
        deal.set(placeName(at), { member: readers[turn++ % readers.length]!, at })
      }
    }
    return deal
  }

  /** Takes a partition for a member, waiting out a storage that cannot write now. */
  const assign = async (group: Group, member: Member, at: TopicPartition): Promise<void> => {
    for (;;) {
      if (member.left || closed) return
      try {
        const claim = await storage.claim(group.name, at)
        const task = taskOf(claim, member.accept_gaps.has(placeName(at)))
        member.owned.set(placeName(at), task)
        if (member.left || closed) task.end()
        else member.handler.assigned(task)
        return
      } catch (error) {
        if (asFault(error).kind !== 'transient') return member.handler.failed(error)
        await clock.sleep(claim_retry_ms, stopped.signal)
      }
    }
  }

  const rebalance = async (group: Group): Promise<void> => {
    const deal = wanted(group)
    const leaving: Promise<void>[] = []
    for (const member of group.members)
      for (const [place, task] of member.owned) {
        if (deal.get(place)?.member === member) continue
        const timer = new AbortController()
        stopped.signal.addEventListener('abort', () => timer.abort(), { once: true, signal: timer.signal })
        const given_up = member.handler.revoked(task.input).catch((error: unknown) => member.handler.failed(error))
        leaving.push(
          Promise.race([given_up, clock.sleep(rebalance_ms_max, timer.signal)]).then(() => {
            timer.abort()
            task.end()
            member.owned.delete(place)
          }),
        )
      }
    await Promise.all(leaving)
    const joining: Promise<void>[] = []
    for (const [place, { member, at }] of deal) if (!member.owned.has(place)) joining.push(assign(group, member, at))
    await Promise.all(joining)
  }

  /** Changes of one group happen one after the other. */
  const inTurn = (group: Group, change: () => Promise<void>): Promise<void> => {
    const turn = group.turn.then(change)
    // Whoever asked for the change is told of its failure; the next change is not kept from happening.
    group.turn = turn.catch(() => {})
    return turn
  }

  const tellStorage = (group: Group) =>
    storage.membersOf?.(
      group.name,
      group.members.flatMap((member) => member.topics),
    )

  const memberLog = (): EventLog => {
    const subscriptions = new Set<Subscription>()
    return {
      subscribe: async (name, topics, handler, accept_gaps = []) => {
        ensureOpen()
        for (const topic of topics) partitionsOf(topic)
        const group = groups.get(name) ?? { name, members: [], turn: Promise.resolve() }
        groups.set(name, group)
        const accepted = new Set(accept_gaps.map(placeName))
        const member: Member = { topics, handler, accept_gaps: accepted, owned: new Map(), left: false }
        const subscription: Subscription = {
          reacquire: (input) =>
            inTurn(group, async () => {
              const place = placeName(input)
              // Dealt to another member meanwhile: that one has it.
              if (member.left || wanted(group).get(place)?.member !== member) return
              member.owned.get(place)?.end()
              await assign(group, member, input)
            }),
          close: async () => {
            subscriptions.delete(subscription)
            if (member.left) return
            member.left = true
            for (const task of member.owned.values()) task.end()
            await inTurn(group, async () => {
              group.members = group.members.filter((other) => other !== member)
              tellStorage(group)
              await rebalance(group)
            })
          },
        }
        subscriptions.add(subscription)
        await inTurn(group, async () => {
          group.members = [...group.members, member]
          tellStorage(group)
          await rebalance(group)
        })
        return subscription
      },
      append: async (records) => {
        ensureOpen()
        const places = await storage.append(placed(records))
        wake(new Set(places.map(placeName)))
        return places
      },
      scan: async function* (at, from) {
        ensureOpen()
        if (at.partition >= partitionsOf(at.topic))
          throw new Fault('topic.mismatch', `Topic ${at.topic} has no partition ${at.partition}.`, { ...at })
        for (let offset = from; ; ) {
          const page = storage.read(at, offset, scan_records, scan_bytes)
          yield* page
          if (page.length === 0) return
          offset = page.at(-1)!.offset + 1
          await storage.breathe?.()
        }
      },
      close: async () => {
        for (const subscription of subscriptions) await subscription.close()
      },
    }
  }

  const first = memberLog()
  const places = (topic: string): readonly TopicPartition[] =>
    Array.from({ length: partitionsOf(topic) }, (_, partition) => ({ topic, partition }))
  return {
    ...first,
    member: memberLog,
    createTopics: async (topics) => {
      ensureOpen()
      return storage.createTopics(topics)
    },
    listTopics: async () => [...storage.topics()].sort(),
    offsets: async (topic) => places(topic).map((at): PartitionOffsets => ({ ...at, ...storage.offsets(at) })),
    positions: async (group, topic) => places(topic).map((at) => ({ ...at, position: storage.position(group, at) ?? 0 })),
    close: async () => {
      if (closed) return
      closed = true
      stopped.abort()
      for (const group of groups.values())
        for (const member of group.members) {
          member.left = true
          for (const task of member.owned.values()) task.end()
        }
      for (const group of groups.values()) await group.turn
      await onClose()
    },
  }
}
