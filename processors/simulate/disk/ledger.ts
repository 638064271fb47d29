/** What the simulated world was promised by the embedded log, and the comparison of that with what a reopened disk holds. */
import { createHash } from 'node:crypto'
import type { VectorFile } from '../../adapters/embedded/vector-file.ts'
import type { LogRecord } from '../../domain/record.ts'
import type { EventLog, EventLogAdmin, LogTask } from '../../ports/event-log.ts'

/** Words are those of Jepsen's Kafka workload where it has one. */
export type Check =
  | 'lost write'
  | 'aborted read'
  | 'duplicate'
  | 'inconsistent offset'
  | 'skipped offset'
  | 'torn commit'
  | 'position went back'
  | 'state differs from the fold'
  | 'epoch given twice'
  | 'zombie commit'
  | 'damaged file'
  | 'no write-ahead log'
  | 'lost vector'
  | 'wrong vector'
  | 'unexpected fault'
  | 'stuck'
export type Violation = { readonly check: Check; readonly detail: string }

/** Raised by the first check that fails. */
export class Broken extends Error {
  readonly violation: Violation
  constructor(check: Check, detail: string) {
    super(`${check}: ${detail}`)
    this.name = 'Broken'
    this.violation = { check, detail }
  }
}

export const input_partitions = 2
export const group = 'copy'
/** Values that the fold remembers by a key each; the one before is deleted. */
export const remembered = 6
export const last_keys = 5

/** The fold of one input partition, as its task keeps it and as the oracle computes it. */
export type Fold = { readonly count: number; readonly chain: string }
export const no_fold: Fold = { count: 0, chain: '' }
/** Order counts: another order of the same values gives another chain. */
export const folded = ({ count, chain }: Fold, value: string): Fold => ({
  count: count + 1,
  chain: createHash('sha256').update(`${chain} ${value}`).digest('hex').slice(0, 16),
})
export const lastKey = (value: string): string => `k${createHash('sha256').update(value).digest()[0]! % last_keys}`

export const vector_dims = 32
/** A vector that its id and version determine, so that a wrong one is seen. */
export const vectorOf = (id: string, version: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(createHash('sha256').update(`${id} ${version}`).digest(), (byte) => byte / 256 + 0.001)

type Place = string
const placeOf = (topic: string, partition: number): Place => `${topic}/${partition}`

export type Ledger = {
  /** By input partition: offset to value, as far as it was acknowledged or read. */
  readonly inputs: readonly Map<number, string>[]
  /** By topic and partition: offset to what lies there, as acknowledged or as seen after a restart: it stays. */
  readonly known: Map<Place, Map<number, { readonly key: string; readonly value: string }>>
  /** Appends that were refused for certain, by value; commits, by the number of the attempt. */
  readonly refused: Set<string>
  readonly refused_attempts: Set<number>
  /** By input partition. */
  readonly positions: number[]
  readonly epochs: number[]
  /** By topic and partition: the oldest offset, which never falls. */
  readonly starts: Map<Place, number>
  /** Oldest version that may be found of a point, and the newest that was asked for. */
  readonly vectors: Map<string, { least: number; most: number }>
}

export const openLedger = (): Ledger => ({
  inputs: Array.from({ length: input_partitions }, () => new Map<number, string>()),
  known: new Map(),
  refused: new Set(),
  refused_attempts: new Set(),
  positions: Array.from({ length: input_partitions }, () => 0),
  epochs: Array.from({ length: input_partitions }, () => 0),
  starts: new Map(),
  vectors: new Map(),
})

/** A copy that later events do not reach. */
export const copyOf = (ledger: Ledger): Ledger => ({
  inputs: ledger.inputs.map((values) => new Map(values)),
  known: new Map([...ledger.known].map(([place, records]) => [place, new Map(records)])),
  refused: new Set(ledger.refused),
  refused_attempts: new Set(ledger.refused_attempts),
  positions: [...ledger.positions],
  epochs: [...ledger.epochs],
  starts: new Map(ledger.starts),
  vectors: new Map([...ledger.vectors].map(([id, versions]) => [id, { ...versions }])),
})

/** Takes note that a record is there for good. */
export const note = (
  ledger: Ledger,
  at: { readonly topic: string; readonly partition: number; readonly offset: number },
  key: string,
  value: string,
): void => {
  const place = placeOf(at.topic, at.partition)
  const records = ledger.known.get(place) ?? new Map()
  ledger.known.set(place, records)
  const before = records.get(at.offset)
  if (before !== undefined && before.value !== value)
    throw new Broken('inconsistent offset', `${place}@${at.offset} was ${before.value.slice(0, 20)}, is ${value.slice(0, 20)}.`)
  records.set(at.offset, { key, value })
  if (at.topic === 'in') ledger.inputs[at.partition]!.set(at.offset, value)
}

/** Forgets a topic that was asked to be deleted. */
export const forgetTopic = (ledger: Ledger, topic: string): void => {
  for (const place of [...ledger.known.keys(), ...ledger.starts.keys()])
    if (place.startsWith(`${topic}/`)) {
      ledger.known.delete(place)
      ledger.starts.delete(place)
    }
}

/**
 * Reads everything of a log that was just opened, compares it with the ledger, and notes what it found: what a restart has shown must
 * stay. Throws `Broken`.
 */
export const checkLog = async (ledger: Ledger, log: EventLog & EventLogAdmin): Promise<void> => {
  const topics = await log.listTopics()
  const found = new Map<Place, readonly LogRecord[]>()
  for (const topic of topics)
    for (const { partition, start, end } of await log.offsets(topic)) {
      const place = placeOf(topic, partition)
      const records: LogRecord[] = []
      for await (const record of log.scan({ topic, partition }, start)) records.push(record)
      found.set(place, records)
      const start_known = ledger.starts.get(place) ?? 0
      if (start < start_known) throw new Broken('aborted read', `${place} starts at ${start} again, after ${start_known}.`)
      ledger.starts.set(place, start)
      for (const [i, { offset }] of records.entries()) {
        if (offset < start || offset >= end)
          throw new Broken('skipped offset', `${place}@${offset} lies outside ${start}-${end}.`)
        if (topic !== 'last' && offset !== start + i)
          throw new Broken('skipped offset', `${place}: ${offset} instead of ${start + i}.`)
      }
      if (topic !== 'last' && records.length !== end - start)
        throw new Broken('lost write', `${place} ends at ${end}, but its records end at ${start + records.length}.`)
      const there = new Map(records.map((record) => [record.offset, record]))
      for (const [offset, { key, value }] of ledger.known.get(place) ?? []) {
        const record = there.get(offset)
        if (record !== undefined) {
          if (`${record.value}` !== value)
            throw new Broken(
              'inconsistent offset',
              `${place}@${offset} was ${value.slice(0, 20)}, is ${`${record.value}`.slice(0, 20)}.`,
            )
          continue
        }
        if (offset < start) continue
        // Compaction: a newer record of its key is there.
        if (topic === 'last' && records.some((newer) => newer.offset > offset && `${newer.key}` === key)) continue
        throw new Broken('lost write', `${place}@${offset} was acknowledged and is not there; the end is ${end}.`)
      }
      const values = new Set<string>()
      for (const { offset, key, value, timestamp_ms } of records) {
        const text = `${value}`
        if (ledger.refused.has(text))
          throw new Broken('aborted read', `${place}@${offset} holds ${text.slice(0, 20)}, which was refused.`)
        if (topic !== 'in' && ledger.refused_attempts.has(timestamp_ms))
          throw new Broken('aborted read', `${place}@${offset} holds a record of commit ${timestamp_ms}, which was refused.`)
        if (values.has(text)) throw new Broken('duplicate', `${place} holds ${text.slice(0, 20)} twice.`)
        values.add(text)
        note(ledger, { topic, partition, offset }, `${key}`, text)
      }
    }
  for (const place of ledger.known.keys())
    if (!found.has(place)) throw new Broken('lost write', `${place} is gone with its topic.`)
  if (!topics.includes('in')) return
  for (const { partition, position } of await log.positions(group, 'in')) {
    const before = ledger.positions[partition]!
    if (position < before) throw new Broken('position went back', `in/${partition} is read up to ${position}, after ${before}.`)
    ledger.positions[partition] = position
    // One output per input, in order: the output's end is the position, or the commit is torn.
    const [out] = (await log.offsets('out')).filter((other) => other.partition === partition)
    if (out?.end !== position)
      throw new Broken('torn commit', `in/${partition} is read up to ${position}, but out/${partition} ends at ${out?.end}.`)
    for (const { offset, value } of found.get(placeOf('out', partition)) ?? [])
      if (`${value}` !== ledger.inputs[partition]!.get(offset))
        throw new Broken('torn commit', `out/${partition}@${offset} holds ${`${value}`.slice(0, 20)}, the input is another.`)
  }
  const last = found.get(placeOf('last', 0)) ?? []
  const newest = new Set(last.map(({ key }) => `${key}`))
  const values = new Set(last.map(({ value }) => `${value}`))
  const committed = ledger.positions.flatMap((position, partition) =>
    [...ledger.inputs[partition]!].filter(([offset]) => offset < position).map(([, value]) => value),
  )
  for (const value of committed)
    if (!values.has(value) && !newest.has(lastKey(value)))
      throw new Broken('torn commit', `last/0 has neither ${value.slice(0, 20)} nor a newer record of its key.`)
  for (const value of values)
    if (!committed.includes(value))
      throw new Broken('torn commit', `last/0 holds ${value.slice(0, 20)}, which no commit has read.`)
}

/** Compares a task's state with the fold of the inputs below its position. Throws `Broken`. */
export const checkState = (ledger: Ledger, task: LogTask): void => {
  const { partition } = task.input
  const values = Array.from({ length: task.position() }, (_, offset) => ledger.inputs[partition]!.get(offset)!)
  const expected = values.reduce(folded, no_fold)
  const count = Number(task.state.get('count') ?? '0')
  const [chain] = `${task.state.get('chain') ?? ''}`.split(' ')
  if (count !== expected.count || chain !== expected.chain)
    throw new Broken(
      'state differs from the fold',
      `in/${partition}@${task.position()}: count ${count}, chain ${chain}; the fold has ${expected.count}, ${expected.chain}.`,
    )
  const seen = task.state.entries('seen ', 1000).map(([key]) => key)
  const wanted = values.slice(-remembered).map((value) => `seen ${value.split(' ')[0]}`)
  if (seen.toSorted().join() !== wanted.toSorted().join())
    throw new Broken(
      'state differs from the fold',
      `in/${partition}@${task.position()}: keys ${seen.join()} instead of ${wanted.join()}.`,
    )
}

/** Every point as it was written, at a version that is not older than the one that was acknowledged. Throws `Broken`. */
export const checkVectors = (ledger: Ledger, file: VectorFile): void => {
  for (const [id, { least, most }] of ledger.vectors) {
    const point = file.get('items', id)
    if (point === undefined) {
      if (least > 0) throw new Broken('lost vector', `${id} was written as version ${least} and is not there.`)
      continue
    }
    const { version, vector, payload } = point
    if (version < least) throw new Broken('lost vector', `${id} has version ${version}, after ${least}.`)
    const expected = vectorOf(id, version)
    if (version > most || payload['version'] !== version || vector?.some((number, i) => number !== expected[i]) !== false)
      throw new Broken('wrong vector', `${id} has version ${version} with a vector or payload that was never written.`)
    ledger.vectors.set(id, { least: version, most })
  }
  for (const { id, vector, payload } of file.live('items')) {
    const expected = vectorOf(id, Number(payload['version']))
    if (!ledger.vectors.has(id) || vector.some((number, i) => number !== expected[i]))
      throw new Broken('wrong vector', `${id} is listed with a vector that was never written.`)
  }
}
