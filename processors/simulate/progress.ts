/** How far the groups have come, as the brokers' own entries tell. */
import type { TopicPartition } from '../domain/record.ts'
import { inputsOf, type Topology } from '../flow/topology.ts'
import { groupOf } from '../runtime/supervise.ts'
import type { Brokers } from './broker/brokers.ts'

/** Where a group's reading stands, as its changelog says: the last committed position record. */
export const positionIn = (brokers: Brokers, group: string, at: TopicPartition): number | null => {
  const changelog = brokers.partition({ topic: `${group}.${at.topic}.changelog`, partition: at.partition })
  if (changelog === undefined) return null
  for (let i = changelog.entries.length - 1; i >= 0; i--) {
    const entry = changelog.entries[i]!
    if (entry.outcome !== 'committed' || entry.marker !== null || entry.key?.toString() !== 'p') continue
    return (JSON.parse(entry.value!.toString('utf8')) as { position: number }).position
  }
  return null
}

/** How many interactions learn keeps waiting, as its changelog says. */
export const waitingIn = (brokers: Brokers, partition: number): number => {
  const changelog = brokers.partition({ topic: 'storm.learn.behavior.interactions.v1.changelog', partition })
  const waiting = new Set<string>()
  for (const entry of changelog?.committed() ?? []) {
    const key = entry.key?.toString('utf8') ?? ''
    if (!key.startsWith('sw/')) continue
    if (entry.value === null) waiting.delete(key)
    else waiting.add(key)
  }
  return waiting.size
}

/** Records that the group has not committed yet. */
const lagOf = (brokers: Brokers, group: string, at: TopicPartition): number => {
  const of = brokers.partition(at)
  if (of === undefined) return 0
  const position = Math.max(positionIn(brokers, group, at) ?? 0, of.start)
  const last = of.entries.at(-1)
  if (last === undefined || last.offset < position) return 0
  let lag = 0
  for (let i = of.indexOf(position); i < of.entries.length; i++) {
    const { marker, outcome, compacted } = of.entries[i]!
    if (marker === null && outcome !== 'aborted' && !compacted) lag++
  }
  return lag
}
/** Every group that is behind, and where; empty at lag zero. */
export const behind = (brokers: Brokers, river: Topology, partitions: number): readonly string[] => {
  const all: string[] = []
  for (const stage of river.stages) {
    const group = groupOf(river, stage)
    for (const topic of inputsOf(stage))
      for (let partition = 0; partition < partitions; partition++) {
        const lag = lagOf(brokers, group, { topic, partition })
        if (lag > 0) all.push(`${group} is ${lag} behind on ${topic}/${partition}`)
      }
  }
  return all
}
