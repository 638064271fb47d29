/**
 * A member of a group: kafkajs' consumer joins, fetches and keeps the session; what it pushes is parked in the queues of tasks that
 * are fenced and restored first. Partitions stay paused until then. Where kafkajs would go on by itself, this decides: it starts at
 * the changelog's position (never at the group's offsets), takes only batches that continue what it has, and lets nothing be reset.
 */
import { EventEmitter } from 'node:events'
import type { Consumer, EachBatchPayload } from 'kafkajs'
import { Fault } from '../../domain/fault.ts'
import { placeName, samePlace, type TopicPartition } from '../../domain/record.ts'
import type { AssignmentHandler, Subscription } from '../../ports/event-log.ts'
import type { KafkaAdmin } from './admin.ts'
import { kafkaFault, kafkaName } from './faults.ts'
import {
  disconnectSoon,
  type FetchedMessage,
  type FetchedPartition,
  type InnerCluster,
  type OpenedKafka,
  watchFetches,
} from './inside.ts'
import { type KafkaSettings, kafka_retry } from './options.ts'
import { logRecord, type Reader } from './reader.ts'
import { acquireTask, type OwnedTask } from './task.ts'

export type SubscriptionContext = {
  readonly inside: OpenedKafka
  readonly reader: Reader
  readonly admin: KafkaAdmin
  readonly settings: KafkaSettings
}

/** A client of the group; replaced by another one when it crashes. */
type Member = { readonly consumer: Consumer; readonly cluster: InnerCluster; crash: Fault | undefined }

/** Long enough that an idle group costs little, short enough that a partition that resumes does not wait long for its turn. */
const fetch_wait_ms = 250
/** A full queue is waited for this long before its partition is paused: a pause costs up to fetch_wait_ms when it ends. */
const park_ms = 200
const leave_patience_ms = 5_000
/** How often a group's offsets are told to the broker. They only show lag: what is believed is in the changelog. */
const show_lag_ms = 1_000
const backoff_first_ms = 100
const backoff_most_ms = 5_000

export const openSubscription = async (
  context: SubscriptionContext,
  group: string,
  topics: readonly string[],
  handler: AssignmentHandler,
  accept_gaps: readonly TopicPartition[],
): Promise<Subscription> => {
  const { inside, reader, admin, settings } = context
  const { clock, random, on_event } = settings
  const closing = new AbortController()
  const owned = new Map<string, OwnedTask>()
  /** What the group gave this member in the current generation; nothing while that is open. */
  let given: ReadonlySet<string> = new Set()
  /** Moves with each join, rebalance, crash and close; what began under an older one is dropped when it ends. */
  let epoch = 0
  let member: Member | undefined
  let giving_up: Promise<void> | undefined

  const backoff = (attempt: number): number =>
    Math.round(Math.min(backoff_most_ms, backoff_first_ms * 2 ** attempt) * (0.5 + random.next() / 2))
  const fail = (error: unknown) => {
    if (!closing.signal.aborted) handler.failed(error instanceof Fault ? error : kafkaFault(error, `Group ${group}`))
  }
  const isCurrent = (task: OwnedTask): boolean => owned.get(placeName(task.input)) === task
  /** Between two clients there is none to tell; the next one begins with every partition paused, and is told where to start. */
  const tell = (say: (consumer: Consumer) => void) => {
    if (member === undefined || closing.signal.aborted) return
    try {
      say(member.consumer)
    } catch (error) {
      if (kafkaName(error) !== 'KafkaJSNonRetriableError') throw error
    }
  }
  const pause = (at: TopicPartition) => tell((consumer) => consumer.pause([{ topic: at.topic, partitions: [at.partition] }]))
  const resume = (at: TopicPartition) => tell((consumer) => consumer.resume([{ topic: at.topic, partitions: [at.partition] }]))
  const seek = (at: TopicPartition, offset: number) =>
    tell((consumer) => consumer.seek({ topic: at.topic, partition: at.partition, offset: String(offset) }))

  // --- lag, for display ---
  const shown = new Map<string, TopicPartition & { readonly offset: string }>()
  let showing = false
  const showLag = async () => {
    const offsets = [...shown.values()].filter((at) => owned.has(placeName(at)))
    shown.clear()
    if (offsets.length > 0 && member !== undefined) await member.consumer.commitOffsets(offsets)
  }
  const showLagSoon = (at: TopicPartition, position: number) => {
    shown.set(placeName(at), { ...at, offset: String(position) })
    if (showing) return
    showing = true
    void clock.sleep(show_lag_ms, closing.signal).then(async () => {
      showing = false
      if (closing.signal.aborted) return
      await showLag().catch((error: unknown) => {
        on_event({ event: 'retrying', group, fault: kafkaFault(error, 'Showing lag'), retry_in_ms: show_lag_ms })
      })
    })
  }

  // --- ownership ---
  const heartbeats = new EventEmitter()
  heartbeats.setMaxListeners(0)
  /** Resolves once the group has confirmed this member, or has had the time to. */
  const untilHeartbeat = async (): Promise<void> => {
    const beat = new AbortController()
    const stop = () => beat.abort()
    heartbeats.once('beat', stop)
    closing.signal.addEventListener('abort', stop, { once: true })
    await clock.sleep(2 * settings.heartbeat_ms + fetch_wait_ms, beat.signal)
    heartbeats.off('beat', stop)
    closing.signal.removeEventListener('abort', stop)
  }
  /** Tells the handler, waits for what is in flight, then ends the tasks. Once for each assignment. */
  const giveUp = (): Promise<void> => {
    giving_up ??= (async () => {
      const tasks = [...owned.values()]
      for (const { input } of tasks) pause(input)
      const over = new AbortController()
      const told = Promise.all(tasks.map(({ input }) => handler.revoked(input))).catch(fail)
      await Promise.race([told, clock.sleep(settings.rebalance_timeout_ms, over.signal)])
      over.abort()
      // Only a display, and the group may not listen now: the next owner's commits show it again.
      void showLag().catch(() => undefined)
      for (const task of tasks) {
        task.end()
        if (isCurrent(task)) owned.delete(placeName(task.input))
      }
      giving_up = undefined
    })()
    return giving_up
  }

  /** One after the other for each partition, lest an older attempt fences a newer one. */
  const acquiring = new Map<string, Promise<void>>()
  const acquire = (mine: number, at: TopicPartition): Promise<void> => {
    const place = placeName(at)
    const after = (acquiring.get(place) ?? Promise.resolve()).then(() => takeOver(mine, at))
    acquiring.set(
      place,
      after.catch(() => undefined),
    )
    return after
  }

  /** The topic was there when the group joined: brokers that fail over may forget it for a moment. */
  const mayPass = (fault: Fault, began_ms: number): boolean =>
    fault.kind === 'transient' ||
    fault.kind === 'fenced' ||
    fault.kind === 'corrupt' ||
    (fault.code === 'topic.missing' && clock.monotonic_ms() - began_ms < settings.outage_ms_max)

  const takeOver = async (mine: number, at: TopicPartition): Promise<void> => {
    const began_ms = clock.monotonic_ms()
    for (let attempt = 0; mine === epoch; attempt++) {
      let task: OwnedTask | undefined
      try {
        await admin.ensureChangelog(group, at.topic)
        task = await acquireTask(at, {
          inside,
          reader,
          settings,
          group,
          accept_gap: accept_gaps.some((each) => samePlace(each, at)),
          isWanted: () => mine === epoch,
          seek: (offset) => seek(at, offset),
          committed: (position) => showLagSoon(at, position),
        })
      } catch (error) {
        const fault = kafkaFault(error, `Taking over ${placeName(at)}`, { ...at, group })
        if (!mayPass(fault, began_ms)) return fail(fault)
        const retry_in_ms = backoff(attempt)
        on_event({ event: 'retrying', group, fault, retry_in_ms })
        await clock.sleep(retry_in_ms, closing.signal)
        continue
      }
      if (task === undefined || mine !== epoch) return task?.end()
      owned.set(placeName(at), task)
      handler.assigned(task)
      if (task.queue.isOver()) return
      seek(at, task.queue.expected())
      resume(at)
      return
    }
  }

  const joined = async (assignment: Readonly<Record<string, readonly number[]>>): Promise<void> => {
    const mine = ++epoch
    const places = Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition): TopicPartition => ({ topic, partition })),
    )
    for (const at of places) pause(at)
    given = new Set(places.map(placeName))
    on_event({ event: 'joined', group, partitions: places.length })
    await giveUp()
    await Promise.all(places.map((at) => acquire(mine, at)))
  }

  // --- from kafkajs to the queues ---
  const resumeWhenRoom = async (task: OwnedTask): Promise<void> => {
    while (isCurrent(task) && !task.queue.isOver() && !task.queue.hasRoom()) await task.queue.untilRoom(1_000)
    if (isCurrent(task) && !task.queue.isOver()) resume(task.input)
  }

  const park = async ({ batch, resolveOffset, heartbeat, isRunning }: EachBatchPayload): Promise<void> => {
    const at = { topic: batch.topic, partition: batch.partition }
    const task = owned.get(placeName(at))
    if (task === undefined || task.queue.isOver()) return pause(at)
    const { queue } = task
    const expected = queue.expected()
    // Everything from here to the batch's end is in it. A batch that begins later was asked for by somebody before us.
    const from = Number((batch as unknown as { fetchedOffset: string }).fetchedOffset)
    if (from > expected) return seek(at, expected)
    const next = Number(batch.lastOffset()) + 1
    if (next > expected) {
      const records = (batch.messages as unknown as readonly FetchedMessage[]).map(logRecord)
      queue.push(
        from === expected ? records : records.filter(({ offset }) => offset >= expected),
        next,
        Number(batch.highWatermark),
      )
    }
    resolveOffset(batch.lastOffset())
    await heartbeat()
    const until_ms = clock.monotonic_ms() + park_ms
    while (!queue.hasRoom() && !queue.isOver() && isRunning() && !closing.signal.aborted) {
      const left_ms = until_ms - clock.monotonic_ms()
      if (left_ms <= 0) {
        pause(at)
        void resumeWhenRoom(task)
        return
      }
      await queue.untilRoom(Math.min(left_ms, settings.heartbeat_ms / 2))
      await heartbeat()
    }
  }

  /** Batches of nothing but markers and aborted records never reach `park`; kafkajs moves past them, and so does the queue. */
  const fetched = (topic: string, asked: ReadonlyMap<number, number>, answer: FetchedPartition) => {
    const task = owned.get(placeName({ topic, partition: answer.partition }))
    const from = asked.get(answer.partition)
    const last = answer.messages.at(-1)
    if (task === undefined || from === undefined || last === undefined) return
    if (answer.messages.some((message) => !message.isControlRecord && Number(message.offset) >= from)) return
    const expected = task.queue.expected()
    const next = Number(last.offset) + 1
    if (from <= expected && next > expected) task.queue.push([], next, Number(answer.highWatermark))
  }

  /**
   * Takes nothing more of a partition before it is known that its log still holds what follows and is the one that was read: a topic
   * may have been deleted and made anew while nobody could look (clients of this protocol version know no topic ids, KIP-516).
   */
  const doubt = async (task: OwnedTask, pause_ms: number): Promise<void> => {
    if (doubted.has(task)) return
    const began_ms = clock.monotonic_ms()
    doubted.add(task)
    pause(task.input)
    for (let attempt = 0; isCurrent(task) && !task.queue.isOver(); attempt++)
      try {
        await task.checkGap()
        await clock.sleep(pause_ms, closing.signal)
        break
      } catch (error) {
        if (!mayPass(kafkaFault(error, `Looking at ${placeName(task.input)}`), began_ms)) throw error
        await clock.sleep(backoff(attempt), closing.signal)
      }
    doubted.delete(task)
    if (isCurrent(task) && !task.queue.isOver()) resume(task.input)
  }
  const doubted = new Set<OwnedTask>()

  const gone = (at: TopicPartition) => {
    const task = owned.get(placeName(at))
    if (task === undefined) pause(at)
    else doubt(task, backoff_first_ms).catch(fail)
  }
  const failed = () => {
    for (const task of owned.values()) doubt(task, 0).catch(fail)
  }

  // --- the client ---
  /** Starts clients until one joins. Answers why none did, once the failures do not pass or have lasted too long. */
  const restart = async (broken: Member | undefined): Promise<Fault | undefined> => {
    const began_ms = clock.monotonic_ms()
    for (let attempt = 0; !closing.signal.aborted; attempt++) {
      if (broken?.crash !== undefined) {
        const { kind } = broken.crash
        const passes = kind === 'transient' || kind === 'fenced' || kind === 'corrupt'
        void disconnectSoon(inside, broken.consumer, broken.cluster, clock)
        if (!passes || clock.monotonic_ms() - began_ms > settings.outage_ms_max) return broken.crash
        const retry_in_ms = backoff(attempt)
        on_event({ event: 'restarting', group, fault: broken.crash, retry_in_ms })
        await clock.sleep(retry_in_ms, closing.signal)
      }
      const next = open()
      next.crash = await start(next)
      if (next.crash === undefined) return undefined
      broken = next
    }
    return undefined
  }

  const crashed = async (broken: Member): Promise<void> => {
    if (closing.signal.aborted || member !== broken) return
    epoch++
    given = new Set()
    await giveUp()
    const fault = await restart(broken)
    if (fault !== undefined) fail(fault)
  }

  const open = (): Member => {
    const { made: consumer, cluster } = inside.withCluster(topics, () =>
      inside.kafka.consumer({
        groupId: group,
        sessionTimeout: settings.session_timeout_ms,
        rebalanceTimeout: settings.rebalance_timeout_ms,
        heartbeatInterval: settings.heartbeat_ms,
        maxWaitTimeInMs: fetch_wait_ms,
        allowAutoTopicCreation: false,
        metadataMaxAge: 60_000,
        readUncommitted: false,
        // A crash is handled here: kafkajs would restart for ever, or not at all.
        retry: { ...kafka_retry, restartOnFailure: async () => false },
      }),
    )
    watchFetches(cluster, { fetched, gone, failed })
    const opened: Member = { consumer, cluster, crash: undefined }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (member === opened && !closing.signal.aborted) joined(payload.memberAssignment).catch(fail)
    })
    consumer.on(consumer.events.HEARTBEAT, () => {
      if (member === opened) heartbeats.emit('beat')
    })
    consumer.on(consumer.events.REBALANCING, () => {
      if (member !== opened || closing.signal.aborted) return
      epoch++
      given = new Set()
      on_event({ event: 'rebalancing', group })
      giveUp().catch(fail)
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      opened.crash ??= kafkaFault(payload.error, `Group ${group}`, { group })
      if (started.has(opened)) crashed(opened).catch(fail)
    })
    member = opened
    return opened
  }

  /** Members whose start succeeded; what happens to the others is told by `start`. */
  const started = new WeakSet<Member>()
  const start = async (starting: Member): Promise<Fault | undefined> => {
    try {
      let partitions = 0
      for (const topic of topics) partitions += await reader.partitions(topic)
      await starting.consumer.connect()
      await starting.consumer.subscribe({ topics: [...topics], fromBeginning: true })
      await starting.consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: Math.max(1, partitions),
        eachBatch: async (payload) => {
          if (member !== starting || closing.signal.aborted) return
          try {
            await park(payload)
          } catch (error) {
            // A heartbeat that says "rejoin" is for kafkajs; anything else would end its consumer without a word.
            if (kafkaFault(error, 'Parking a batch').kind !== 'defect') throw error
            fail(error)
          }
        },
      })
    } catch (error) {
      return kafkaFault(error, `Joining group ${group}`, { group })
    }
    if (starting.crash !== undefined) return starting.crash
    started.add(starting)
    return undefined
  }

  for (const topic of topics) await reader.partitions(topic)
  const problem = await restart(undefined)
  if (problem !== undefined) {
    closing.abort()
    throw problem
  }

  return {
    reacquire: async (at) => {
      // Given to another member meanwhile: that one has it. Or about to be dealt out again: it comes by itself.
      if (closing.signal.aborted || giving_up !== undefined || !given.has(placeName(at))) return
      pause(at)
      const mine = epoch
      const old = owned.get(placeName(at))
      old?.end()
      // Somebody else took it over: is the group of another mind by now? Fencing the rightful owner back would be safe, but costly.
      if (old?.wasFenced() === true) await untilHeartbeat()
      if (mine !== epoch) return
      if (owned.get(placeName(at)) === old) owned.delete(placeName(at))
      await acquire(mine, at)
    },
    close: async () => {
      if (closing.signal.aborted) return
      epoch++
      const over = new AbortController()
      await Promise.race([showLag().catch(() => undefined), clock.sleep(1_000, over.signal)])
      over.abort()
      closing.abort()
      for (const task of owned.values()) task.end()
      owned.clear()
      if (member !== undefined) await disconnectSoon(inside, member.consumer, member.cluster, clock, leave_patience_ms)
    },
  }
}
