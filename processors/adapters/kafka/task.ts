/** Ownership of one input partition: what it has read, what it knows, and the commits it makes. */
import { Fault } from '../../domain/fault.ts'
import { type LogRecord, placeName, type TopicPartition } from '../../domain/record.ts'
import type { Commit, LogTask } from '../../ports/event-log.ts'
import type { StateStore } from '../../ports/state-store.ts'
import { memoryStateStore } from '../memory/state-store.ts'
import { changelogOf, changelogRecords, type LastRead, lastRead, restore, transactionalIdOf } from './changelog.ts'
import type { OpenedKafka } from './inside.ts'
import type { KafkaSettings } from './options.ts'
import { type PartitionQueue, partitionQueue } from './partition-queue.ts'
import { sendings } from './placing.ts'
import type { Reader } from './reader.ts'
import { openTransactions, type Transactions } from './transaction.ts'

export type OwnedTask = LogTask & {
  readonly queue: PartitionQueue
  /**
   * Looks whether the log still holds what follows, and whether it is the same log: stops the queue where records are missing or the
   * topic was made anew. Throws transient faults.
   */
  checkGap(): Promise<void>
  /** True when the broker refused a commit because of a newer owner. */
  wasFenced(): boolean
  /** Ends it from outside: whatever it does next is fenced. */
  end(): void
}

export type TaskContext = {
  readonly inside: OpenedKafka
  readonly reader: Reader
  readonly settings: KafkaSettings
  readonly group: string
  /** The operator accepts that records of this partition were deleted unread. */
  readonly accept_gap: boolean
  /** False once the group may have given the partition to somebody else: then nobody is to be fenced any more. */
  readonly isWanted: () => boolean
  /** Makes the log deliver from this offset on. */
  readonly seek: (offset: number) => void
  /** Called after each commit with the position that monitoring may be shown. */
  readonly committed: (position: number) => void
}

/**
 * Fences earlier owners, then reads position and state, in this order. Undefined when it is no longer wanted. Throws transient faults
 * when the brokers do not answer.
 */
export const acquireTask = async (input: TopicPartition, context: TaskContext): Promise<OwnedTask | undefined> => {
  const { inside, reader, settings, group } = context
  const { clock } = settings
  const began_ms = clock.monotonic_ms()
  const changelog = changelogOf(group, input.topic)
  const transactions = openTransactions(
    inside,
    transactionalIdOf(settings.transactional_prefix, group, input),
    changelog,
    settings,
  )
  try {
    await transactions.connect()
    if (!context.isWanted()) {
      transactions.close()
      return undefined
    }
    await transactions.fence()
    const state = memoryStateStore()
    const at = { topic: changelog, partition: input.partition }
    const restored = await restore(reader.readSettled(at), group, input, state)
    const bounds = await boundsOf(reader, input)
    settings.on_event({
      event: 'restored',
      group,
      input,
      records: restored.records,
      keys: state.size(),
      duration_ms: clock.monotonic_ms() - began_ms,
    })
    const replaced = await wasReplaced(reader, input, bounds, restored.last)
    return taskOf(input, context, transactions, state, { ...restored, replaced }, bounds)
  } catch (error) {
    transactions.close()
    throw error
  }
}

type Bounds = { readonly start: number; readonly end: number }

const boundsOf = async (reader: Reader, { topic, partition }: TopicPartition): Promise<Bounds> =>
  (await reader.offsets(topic, [partition])).get(partition)!

/**
 * True when another record stands where the last one was read: the topic was deleted and made anew, and has grown beyond the position
 * since. By its bounds alone that looks as if nothing had happened.
 */
const wasReplaced = async (reader: Reader, at: TopicPartition, bounds: Bounds, last: LastRead | undefined): Promise<boolean> => {
  if (last === undefined || last.offset < bounds.start || last.offset >= bounds.end) return false
  // Where compaction took the record away nothing can be said.
  for await (const record of reader.read(at, last.offset))
    return record.offset === last.offset && lastRead(record).digest !== last.digest
  return false
}

type Restored = { readonly position: number | undefined; readonly last: LastRead | undefined; readonly replaced: boolean }

const taskOf = (
  input: TopicPartition,
  context: TaskContext,
  transactions: Transactions,
  state: StateStore,
  restored: Restored,
  bounds: Bounds,
): OwnedTask => {
  const { reader, settings, group, accept_gap } = context
  const { clock } = settings
  const place = placeName(input)

  const gapAt = (next: number, { start, end }: Bounds): Fault | undefined =>
    next >= start && next <= end
      ? undefined
      : new Fault(
          'offset.gap',
          `${place} holds offsets ${start} to ${end}, but group ${group} has read up to ${next} only: records were deleted before they were read.`,
          { ...input, group, position: next, start, end },
        )

  // A group that never committed misses nothing: it starts at the oldest record.
  let committed = restored.position
  let position = committed ?? bounds.start
  let last = restored.last
  /** The end of what was polled last, which a commit up to there remembers. */
  let newest: LogRecord | undefined
  const madeAnew = (): Fault =>
    new Fault(
      'offset.gap',
      `${place} holds another record at offset ${last?.offset} than the one that group ${group} read: the topic was deleted and made anew.`,
      { ...input, group, position },
    )
  const gap = restored.replaced ? madeAnew() : gapAt(position, bounds)
  if (gap !== undefined && accept_gap) {
    position = bounds.start
    last = undefined
  }
  const queue = partitionQueue(position, clock, settings.queue_bytes_max)
  if (gap !== undefined && !accept_gap) queue.stop(gap)

  const over = (): Fault =>
    new Fault('task.fenced', `Group ${group} no longer owns ${place} through this task.`, { ...input, group })
  let ended: Fault | undefined
  let fenced = false
  let committing: Promise<void> = Promise.resolve()

  const end = () => {
    if (ended !== undefined) return
    ended = over()
    queue.end(ended)
    // A commit in flight is for the broker to accept or to fence.
    void committing.then(() => transactions.close())
  }

  const commit = async ({ outputs, state: changes, position: next }: Commit): Promise<void> => {
    if (ended !== undefined) throw ended
    if (!Number.isSafeInteger(next) || next < position)
      throw new Fault('outcome.invalid', `${place}: position ${next} lies before ${position}, which is committed.`, {
        ...input,
        group,
      })
    if (outputs.length === 0 && changes.length === 0 && next === committed) return
    const read = newest?.offset === next - 1 ? lastRead(newest) : next === position ? last : undefined
    const groups = await sendings(
      [...outputs, ...changelogRecords(group, input, changes, next, clock.now_ms(), read)],
      reader.partitions,
    )
    try {
      await transactions.commit(groups)
    } catch (error) {
      fenced = error instanceof Fault && error.kind === 'fenced'
      if (error instanceof Fault && error.code === 'topic.missing') for (const { at } of groups) reader.forget(at.topic)
      queue.end(over())
      throw error
    }
    state.apply(changes)
    position = next
    committed = next
    last = read
    if (queue.advance(next) && ended === undefined) context.seek(next)
    context.committed(next)
  }

  return {
    input,
    queue,
    state,
    position: () => position,
    poll: async (limits, signal) => {
      const polled = await queue.poll(limits, signal)
      newest = polled.records.at(-1) ?? newest
      return polled
    },
    commit: (given) => {
      const committed = committing.then(() => commit(given))
      committing = committed.catch(() => undefined)
      return committed
    },
    rewind: () => queue.rewind(),
    release: async () => end(),
    checkGap: async () => {
      const now = await boundsOf(reader, input)
      if (await wasReplaced(reader, input, now, last))
        // Where the operator accepts it, the next owner begins at the oldest record; what is polled here belongs to the old topic.
        return queue.stop(accept_gap ? new Fault('state.corrupt', `${place} was made anew.`, { ...input, group }) : madeAnew())
      const missing = gapAt(queue.expected(), now)
      if (missing !== undefined && !accept_gap) return queue.stop(missing)
      if (missing !== undefined) {
        position = Math.min(position, now.start)
        queue.push([], now.start, now.end)
      }
      if (ended === undefined) context.seek(queue.expected())
    },
    wasFenced: () => fenced,
    end,
  }
}
