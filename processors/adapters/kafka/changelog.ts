/**
 * The changelog of a group: one compacted topic an input topic, with as many partitions. It holds what a restart believes:
 * each partition's state, and the position, written in the same transaction as the outputs.
 */
import { createHash } from 'node:crypto'
import { Fault } from '../../domain/fault.ts'
import { type LogRecord, type OutputRecord, placeName, type TopicPartition } from '../../domain/record.ts'
import type { StateChange, StateStore } from '../../ports/state-store.ts'

const topic_length_max = 249

/** Kafka's own rule for topic names, which a group's name has to follow too because changelogs are named after it. */
export const changelogOf = (group: string, input: string): string => {
  const name = `${group}.${input}.changelog`
  if (!/^[a-zA-Z0-9._-]+$/.test(group))
    throw new Fault('config.invalid', `The group ${group} may hold letters, digits, dot, underscore and hyphen only.`, { group })
  if (name.length > topic_length_max)
    throw new Fault(
      'config.invalid',
      `The changelog ${name} has ${name.length} characters; a topic may have ${topic_length_max}.`,
    )
  return name
}

/** Stable across restarts and members, so that a new owner fences the old one. A slash stands in no topic name: no two tasks share one. */
export const transactionalIdOf = (prefix: string, group: string, input: TopicPartition): string =>
  `${prefix}${group}/${input.topic}/${input.partition}`

const position_key = Buffer.from('p')
const state_prefix = 's'
const state_byte = state_prefix.charCodeAt(0)

/** The last record before a position, by which a topic that was deleted and made anew is told from the one that was read. */
export type LastRead = { readonly offset: number; readonly digest: string }

type StoredPosition = { readonly group: string; readonly input: string; readonly position: number; readonly last?: LastRead }

export const lastRead = ({ offset, key, value, timestamp_ms }: LogRecord): LastRead => {
  const hash = createHash('sha256').update(`${timestamp_ms} ${key?.length ?? -1} ${value?.length ?? -1} `)
  if (key !== null) hash.update(key)
  if (value !== null) hash.update(value)
  return { offset, digest: hash.digest('hex').slice(0, 16) }
}

/** The records of one commit, position last. */
export const changelogRecords = (
  group: string,
  input: TopicPartition,
  state: readonly StateChange[],
  position: number,
  now_ms: number,
  last?: LastRead,
): readonly OutputRecord[] => {
  const at = { topic: changelogOf(group, input.topic), partition: input.partition, timestamp_ms: now_ms }
  const stored: StoredPosition = { group, input: placeName(input), position, ...(last === undefined ? {} : { last }) }
  return [
    ...state.map(({ key, value }) => ({ ...at, key: Buffer.from(`${state_prefix}${key}`, 'utf8'), value })),
    { ...at, key: position_key, value: Buffer.from(JSON.stringify(stored), 'utf8') },
  ]
}

type KeptPosition = { readonly position: number; readonly last: LastRead | undefined }

/** The position a record holds; undefined for records of state. */
export const positionIn = (record: LogRecord, group: string, input: TopicPartition): number | undefined =>
  keptIn(record, group, input)?.position

const keptIn = (record: LogRecord, group: string, input: TopicPartition): KeptPosition | undefined => {
  if (record.key === null || !record.key.equals(position_key) || record.value === null) return undefined
  let stored: Partial<StoredPosition>
  try {
    stored = JSON.parse(record.value.toString('utf8')) as Partial<StoredPosition>
  } catch (error) {
    throw new Fault(
      'log.corrupt',
      `The position of group ${group} on ${placeName(input)} cannot be read.`,
      { ...input, group },
      error,
    )
  }
  if (stored.group !== group || stored.input !== placeName(input))
    throw new Fault(
      'config.invalid',
      `The changelog of group ${group} on ${placeName(input)} holds the position of group ${stored.group} on ${stored.input}: choose another group prefix.`,
      { ...input, group },
    )
  if (!Number.isSafeInteger(stored.position) || stored.position! < 0)
    throw new Fault('log.corrupt', `The position of group ${group} on ${placeName(input)} is not an offset.`, { ...input, group })
  return { position: stored.position!, last: stored.last }
}

/** Reads a partition's state into an empty store; answers its position, or undefined where the group never committed. */
export const restore = async (
  records: AsyncIterable<LogRecord>,
  group: string,
  input: TopicPartition,
  store: StateStore,
): Promise<{ readonly position: number | undefined; readonly last: LastRead | undefined; readonly records: number }> => {
  let kept: KeptPosition | undefined
  let count = 0
  let changes: StateChange[] = []
  for await (const record of records) {
    count++
    if (record.key !== null && record.key[0] === state_byte)
      changes.push({ key: record.key.toString('utf8', 1), value: record.value })
    else kept = keptIn(record, group, input) ?? kept
    if (changes.length >= 1_000) {
      store.apply(changes)
      changes = []
    }
  }
  store.apply(changes)
  return { position: kept?.position, last: kept?.last, records: count }
}
