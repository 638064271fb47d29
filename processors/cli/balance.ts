/** The conservation balance of source topics, counted twice: in the topics themselves, and by what the runtime reported. */
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import { deadLetters } from './dead-letters.ts'
import { sumOf, type Tally } from './tally.ts'
import type { World } from './world.ts'

export type TopicBalance = {
  readonly topic: string
  /** Records in the topic. */
  readonly records: number
  /** Records that at least one canonical record names as its origin. */
  readonly canonical: number
  /** Canonical records that name the topic as their origin; one record may lead to several. */
  readonly outputs: number
  /** Records with a dead letter. */
  readonly dead: Readonly<Record<string, number>>
  /** What is left: neither canonical nor dead. */
  readonly rest: number
  /** As the runtime counted; null when no count covers the whole topic (a process was killed). */
  readonly counted: {
    readonly records: number
    readonly dropped: Readonly<Record<string, number>>
    readonly dead: Readonly<Record<string, number>>
  } | null
  /** Whether records = canonical + dropped + dead, and topics and runtime agree. */
  readonly holds: boolean
  /** Records that are both canonical and dead, which must not be. */
  readonly both: number
}

/** Reads every canonical record's origin and every dead letter's. Compaction takes canonical records away: count soon after a run. */
export const balanceOf = async (world: World, tally: Tally | null): Promise<readonly TopicBalance[]> => {
  const log = await world.log()
  const serdes = await world.serdes()
  const origins = new Map<string, { readonly canonical: Set<string>; outputs: number; readonly dead: Map<string, string> }>()
  const of = (topic: string) => {
    let found = origins.get(topic)
    if (found === undefined) {
      found = { canonical: new Set(), outputs: 0, dead: new Map() }
      origins.set(topic, found)
    }
    return found
  }

  const { items, interactions } = world.topics
  for (const { name, schema } of [items, interactions]) {
    const serde = await serdes.of<Item | Interaction>(name, schema)
    for (const { partition, start } of await log.offsets(name)) {
      let chunk: Buffer[] = []
      const take = async () => {
        for (const value of await serde.deserialize(chunk)) {
          if (value instanceof Fault) throw value
          const { topic, partition: at, offset } = value.provenance
          const origin = of(topic)
          origin.canonical.add(`${at}/${offset}`)
          origin.outputs++
        }
        chunk = []
      }
      for await (const record of log.scan({ topic: name, partition }, start)) {
        if (record.value !== null) chunk.push(record.value)
        if (chunk.length >= 1_000) await take()
      }
      await take()
    }
  }
  for await (const letter of deadLetters(log, world.topology.dead_letters.name, {}))
    of(letter.topic).dead.set(`${letter.source_partition}/${letter.source_offset}`, letter.reason)

  const figures = tally === null ? null : tally.stage('canonicalize').topics
  const balances: TopicBalance[] = []
  for (const source of world.platforms.flatMap((platform) => platform.sources)) {
    const topic = source.topic
    const records = (await log.offsets(topic)).reduce((sum, { start, end }) => sum + end - start, 0)
    const origin = of(topic)
    const dead: Record<string, number> = {}
    for (const reason of origin.dead.values()) dead[reason] = (dead[reason] ?? 0) + 1
    const both = [...origin.dead.keys()].filter((place) => origin.canonical.has(place)).length
    const canonical = origin.canonical.size
    const rest = records - canonical - origin.dead.size
    const found = figures?.get(topic)
    const counted =
      figures === null ? null : { records: found?.records ?? 0, dropped: found?.dropped ?? {}, dead: found?.dead ?? {} }
    const same = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
      [...new Set([...Object.keys(a), ...Object.keys(b)])].every((name) => (a[name] ?? 0) === (b[name] ?? 0))
    balances.push({
      topic,
      records,
      canonical,
      outputs: origin.outputs,
      dead,
      rest,
      counted,
      both,
      holds:
        rest >= 0 &&
        both === 0 &&
        (counted === null || (counted.records === records && sumOf(counted.dropped) === rest && same(counted.dead, dead))),
    })
  }
  return balances
}
