/** Dead letters as operators meet them: read back from the topic, counted by reason, and replayed once to where they came from. */
import { Fault, type FaultCode, fault_codes } from '../domain/fault.ts'
import type { Header, LogRecord, OutputRecord, TopicPartition } from '../domain/record.ts'
import type { EventLog, EventLogAdmin, LogTask } from '../ports/event-log.ts'

/** A refused record: its original key and bytes, and what its headers say of the refusal. */
export type DeadLetter = {
  /** Where the dead letter itself stands. */
  readonly partition: number
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  readonly reason: string
  readonly message: string
  readonly stage: string
  /** Where the record was read. */
  readonly topic: string
  readonly source_partition: number
  readonly source_offset: number
  /** Epoch ms of this refusal, and of the first one. */
  readonly died_at: number
  readonly first_seen: number
  /** How often it had been replayed before. */
  readonly replays: number
}

const headerText = (headers: readonly Header[], name: string): string | null =>
  headers.find(([header]) => header === name)?.[1].toString('utf8') ?? null

const headerNumber = (headers: readonly Header[], name: string, otherwise: number): number => {
  const text = headerText(headers, name)
  const value = text === null ? Number.NaN : Number(text)
  return Number.isSafeInteger(value) ? value : otherwise
}

/** A record of the dead-letter topic, understood; headers that are absent read as empty. */
export const readDeadLetter = (partition: number, record: LogRecord): DeadLetter => ({
  partition,
  offset: record.offset,
  key: record.key,
  value: record.value,
  headers: record.headers,
  reason: headerText(record.headers, 'x-reason-code') ?? 'unknown',
  message: headerText(record.headers, '__connect.errors.exception.message') ?? '',
  stage: headerText(record.headers, '__connect.errors.stage') ?? '',
  topic: headerText(record.headers, '__connect.errors.topic') ?? '',
  source_partition: headerNumber(record.headers, '__connect.errors.partition', -1),
  source_offset: headerNumber(record.headers, '__connect.errors.offset', -1),
  died_at: record.timestamp_ms,
  first_seen: headerNumber(record.headers, 'x-first-seen', record.timestamp_ms),
  replays: headerNumber(record.headers, 'x-replay-count', 0),
})

/** Which dead letters are meant; an absent field means all. */
export type DeadLetterFilter = {
  readonly reason?: string | undefined
  /** The topic they were read from. */
  readonly topic?: string | undefined
  readonly stage?: string | undefined
  /** Epoch ms; those that died at or after it. */
  readonly since_ms?: number | undefined
}

/** What to say of a reason nobody knows, or null: a mistyped filter must not look like an empty topic. */
export const unknownReason = (reason: string | undefined): Fault | null =>
  reason === undefined || Object.hasOwn(fault_codes, reason)
    ? null
    : new Fault('config.invalid', `There is no reason ${reason}: \`entrepot dlq ls\` shows those that occurred.`)

export const matches = (letter: DeadLetter, filter: DeadLetterFilter): boolean =>
  (filter.reason === undefined || letter.reason === filter.reason) &&
  (filter.topic === undefined || letter.topic === filter.topic) &&
  (filter.stage === undefined || letter.stage === filter.stage) &&
  (filter.since_ms === undefined || letter.died_at >= filter.since_ms)

/** The dead letters that match, by partition and offset. */
export async function* deadLetters(
  log: EventLog & EventLogAdmin,
  topic: string,
  filter: DeadLetterFilter,
): AsyncGenerator<DeadLetter> {
  for (const { partition, start } of await log.offsets(topic))
    for await (const record of log.scan({ topic, partition }, start)) {
      const letter = readDeadLetter(partition, record)
      if (matches(letter, filter)) yield letter
    }
}

/** How many died of one reason on one topic, and one of them to look at. */
export type DeadLetterGroup = {
  readonly reason: string
  readonly topic: string
  readonly stage: string
  readonly count: number
  readonly replayed: number
  readonly first_at: number
  readonly last_at: number
  /** The newest of them. */
  readonly example: DeadLetter
}

/** Groups by reason, topic and stage, the most frequent first. */
export const groupDeadLetters = async (letters: AsyncIterable<DeadLetter>): Promise<readonly DeadLetterGroup[]> => {
  const groups = new Map<string, DeadLetterGroup>()
  for await (const letter of letters) {
    const id = `${letter.reason} ${letter.topic} ${letter.stage}`
    const group = groups.get(id)
    groups.set(id, {
      reason: letter.reason,
      topic: letter.topic,
      stage: letter.stage,
      count: (group?.count ?? 0) + 1,
      replayed: (group?.replayed ?? 0) + (letter.replays > 0 ? 1 : 0),
      first_at: Math.min(group?.first_at ?? letter.died_at, letter.died_at),
      last_at: Math.max(group?.last_at ?? letter.died_at, letter.died_at),
      example: group === undefined || letter.died_at >= group.example.died_at ? letter : group.example,
    })
  }
  return [...groups.values()].sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1))
}

/** What a reason means and what to do, from the closed list; empty for a reason of a newer version. */
export const explainReason = (reason: string): { readonly means: string; readonly remedy: string } =>
  Object.hasOwn(fault_codes, reason) ? fault_codes[reason as FaultCode] : { means: '', remedy: '' }

/** The place in the dead-letter topic as people write it: `<partition>/<offset>`. */
export const parsePlace = (text: string): { readonly partition: number; readonly offset: number } => {
  const [, partition, offset] = /^(\d{1,6})\/(\d{1,15})$/.exec(text) ?? []
  if (partition === undefined || offset === undefined)
    throw new Fault('config.invalid', `${text} is not a place: write <partition>/<offset>, as \`entrepot dlq ls\` shows it.`)
  return { partition: Number(partition), offset: Number(offset) }
}

/** The dead letter at a place; faults with `config.missing` where there is none. */
export const deadLetterAt = async (
  log: EventLog & EventLogAdmin,
  topic: string,
  place: { readonly partition: number; readonly offset: number },
): Promise<DeadLetter> => {
  const held = (await log.offsets(topic)).find(({ partition }) => partition === place.partition)
  if (held !== undefined && place.offset >= held.start && place.offset < held.end)
    for await (const record of log.scan({ topic, partition: place.partition }, place.offset)) {
      if (record.offset === place.offset) return readDeadLetter(place.partition, record)
      if (record.offset > place.offset) break
    }
  throw new Fault(
    'config.missing',
    `There is no dead letter at ${place.partition}/${place.offset}: \`entrepot dlq ls\` shows where they are.`,
  )
}

/** The record as it goes back: original key, bytes and headers; the count of replays one higher, the first sighting kept. */
export const replayRecord = (letter: DeadLetter, now_ms: number): OutputRecord => ({
  topic: letter.topic,
  key: letter.key,
  value: letter.value,
  timestamp_ms: now_ms,
  headers: [
    ...letter.headers.filter(
      ([name]) => !name.startsWith('__connect.errors.') && !['x-reason-code', 'x-replay-count', 'x-first-seen'].includes(name),
    ),
    ['x-replay-count', Buffer.from(String(letter.replays + 1), 'utf8')],
    ['x-first-seen', Buffer.from(String(letter.first_seen), 'utf8')],
  ],
})

export type ReplayOptions = {
  readonly group: string
  readonly topic: string
  readonly filter: DeadLetterFilter
  /** At most so many; the oldest of each partition first. */
  readonly limit: number
  /** Count only. */
  readonly dry_run: boolean
  /** Replay those too that were replayed before. */
  readonly again: boolean
  readonly now_ms: () => number
  /** Topics a record may go back to: a letter from elsewhere stays. */
  readonly known_topics: ReadonlySet<string>
}

export type Replayed = {
  /** By reason: went back, or would. */
  readonly replayed: Readonly<Record<string, number>>
  /** Matched, but were replayed by an earlier run. */
  readonly before: number
  /** Matched, but come from a topic that is not there. */
  readonly homeless: number
}

const batch_records_max = 500
const batch_bytes_max = 8 * 1024 * 1024
/** Partitions come one by one as the group forms; a broker needs seconds for it. */
const assignment_patience_ms = 60_000

const markOf = (offset: number): string => `replayed/${String(offset).padStart(16, '0')}`

/**
 * Replays matching dead letters, each at most once over all runs: the copies and the note that they were made are one commit of
 * the group `<app>.dlq-replay`, so that neither an impatient operator nor a crash sends a record twice.
 */
export const replayDeadLetters = async (log: EventLog & EventLogAdmin, options: ReplayOptions): Promise<Replayed> => {
  const replayed: Record<string, number> = {}
  let before = 0
  let homeless = 0
  let left = options.limit
  const signal = new AbortController().signal

  const replayPartition = async (task: LogTask): Promise<void> => {
    const held = (await log.offsets(options.topic)).find(({ partition }) => partition === task.input.partition)
    const end = held?.end ?? 0
    let next = 0
    while (next < end && left > 0) {
      const { records } = await task.poll(
        { records_max: batch_records_max, bytes_max: batch_bytes_max, linger_ms: 0, wait_ms: 1_000 },
        signal,
      )
      if (records.length === 0) return
      const chosen: DeadLetter[] = []
      for (const record of records) {
        next = record.offset + 1
        const letter = readDeadLetter(task.input.partition, record)
        if (left === 0 || record.offset >= end || !matches(letter, options.filter)) continue
        if (!options.known_topics.has(letter.topic)) homeless++
        else if (!options.again && task.state.get(markOf(record.offset)) !== undefined) before++
        else {
          chosen.push(letter)
          replayed[letter.reason] = (replayed[letter.reason] ?? 0) + 1
          left--
        }
      }
      if (options.dry_run || chosen.length === 0) continue
      await task.commit({
        outputs: chosen.map((letter) => replayRecord(letter, options.now_ms())),
        state: chosen.map((letter) => ({ key: markOf(letter.offset), value: Buffer.from([1]) })),
        // The position stays: which letters went back is noted one by one, for a filter chooses among them.
        position: task.position(),
      })
    }
  }

  const places = await log.offsets(options.topic)
  const waiting = new Set(places.map(({ partition }) => partition))
  if (waiting.size === 0) return { replayed, before, homeless }
  const inputs: TopicPartition[] = places.map(({ topic, partition }) => ({ topic, partition }))
  await new Promise<void>((resolve, reject) => {
    let queue: Promise<void> = Promise.resolve()
    let ended = false
    const subscription = log.subscribe(
      options.group,
      [options.topic],
      {
        assigned: (task) => {
          queue = queue.then(async () => {
            if (ended || !waiting.has(task.input.partition)) return task.release()
            try {
              await replayPartition(task)
              waiting.delete(task.input.partition)
            } catch (error) {
              end(error)
            } finally {
              await task.release()
            }
            if (waiting.size === 0) end(null)
          })
        },
        revoked: async () => {
          await queue
        },
        failed: (error) => end(error),
      },
      inputs,
    )
    const patience = setTimeout(
      () =>
        end(
          new Fault(
            'log.unavailable',
            `The dead letters were not handed to this process within ${assignment_patience_ms / 1000} s.`,
          ),
        ),
      assignment_patience_ms,
    )
    const end = (error: unknown) => {
      if (ended) return
      ended = true
      clearTimeout(patience)
      subscription
        .then((open) => open.close())
        .then(
          () => (error === null ? resolve() : reject(error)),
          (closing: unknown) => reject(error ?? closing),
        )
    }
    subscription.catch(end)
  })
  return { replayed, before, homeless }
}
