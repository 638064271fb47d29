/**
 * Generations of vectors side by side, called lanes: which one is live, and what became of the others, stands in the log itself, in a
 * compacted topic of a few records. Whoever starts reads it; the change of one record is the take-over.
 */
import type { ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { ModelCard } from '../ports/embedder.ts'
import type { EventLog, EventLogAdmin, TopicSpec } from '../ports/event-log.ts'
import type { Serde } from '../ports/schema-registry.ts'

/** `filling`: takes over once it is full. `used`: was live once, takes over only when it is told to. `dropped`: its topics are gone. */
export const lane_states = ['filling', 'used', 'dropped'] as const

export type Lane = {
  /** '' is the first lane; the others are named by the first 8 digits of the model's digest. */
  readonly lane: string
  readonly digest: string
  /** The model's name. */
  readonly model: string
  readonly state: (typeof lane_states)[number]
}

export type Live = {
  readonly lane: string
  readonly digest: string
  readonly model: string
  /** Epoch ms. */
  readonly since_ms: number
  /** The lane that was live before, to go back to. */
  readonly previous: string | null
}

export type Lanes = { readonly live: Live | undefined; readonly lanes: readonly Lane[] }

export const lanesTopic = (prefix: string): TopicSpec => ({ name: `${prefix}models.v1`, partitions: 1, keep: 'latest' })

/** How a lane is called where people read it. */
export const laneText = (lane: string): string => (lane === '' ? 'first' : lane)

const live_key = 'live'
const laneKey = (lane: string): string => `lane/${laneText(lane)}`

const parsed = (key: string, value: Buffer): unknown => {
  try {
    return JSON.parse(value.toString('utf8'))
  } catch (error) {
    throw new Fault('log.corrupt', `The record ${key} of the lanes' topic is no JSON.`, {}, error)
  }
}

/** What the log says; nothing when the topic is not there yet. Faults: those of the log. */
export const readLanes = async (log: EventLog & EventLogAdmin, topic: string): Promise<Lanes> => {
  let live: Live | undefined
  const lanes = new Map<string, Lane>()
  try {
    const [at] = await log.offsets(topic)
    for await (const { key, value } of log.scan({ topic, partition: 0 }, at?.start ?? 0)) {
      const name = key?.toString('utf8') ?? ''
      if (value === null) lanes.delete(name)
      else if (name === live_key) live = parsed(name, value) as Live
      else lanes.set(name, parsed(name, value) as Lane)
    }
  } catch (error) {
    if (error instanceof Fault && error.code === 'topic.missing') return { live: undefined, lanes: [] }
    throw error
  }
  return { live, lanes: [...lanes.values()] }
}

/** Appends what changed; durable when it resolves. A change of `live` comes last, so that nobody sees it before its lane. */
export const writeLanes = async (
  log: EventLog,
  topic: string,
  changes: { readonly lanes?: readonly Lane[]; readonly live?: Live },
  now_ms: number,
): Promise<void> => {
  const record = (key: string, value: unknown) => ({
    topic,
    key: Buffer.from(key, 'utf8'),
    value: Buffer.from(JSON.stringify(value), 'utf8'),
    timestamp_ms: now_ms,
  })
  await log.append([
    ...(changes.lanes ?? []).map((lane) => record(laneKey(lane.lane), lane)),
    ...(changes.live === undefined ? [] : [record(live_key, changes.live)]),
  ])
}

/** The lane of a model: the one it had, or a new one named by its digest. */
export const laneOf = ({ live, lanes }: Lanes, { digest, name }: ModelCard): Lane => {
  const known = lanes.find((lane) => lane.digest === digest)
  if (known !== undefined) return known
  return { lane: live === undefined ? '' : digest.slice(0, 8), digest, model: name, state: 'filling' }
}

/** How many of a partition's last offsets are looked at for a vector's digest. */
const looked_at = 16

/**
 * Refuses a first start over vectors of another model, as a log has them that was written before lanes were kept: one search would mix
 * both. Faults with `model.changed`.
 */
export const assertMadeBy = async (
  log: EventLog & EventLogAdmin,
  vectors: { readonly topic: string; readonly serde: Serde<ItemVector> },
  model: ModelCard,
): Promise<void> => {
  for (const { partition, start, end } of await log.offsets(vectors.topic)) {
    const values: Buffer[] = []
    for await (const { value } of log.scan({ topic: vectors.topic, partition }, Math.max(start, end - looked_at)))
      if (value !== null) values.push(value)
    for (const value of await vectors.serde.deserialize(values))
      if (!(value instanceof Fault) && value.model_digest !== model.digest)
        throw changedModel({ digest: value.model_digest, model: null }, model)
  }
}

export const changedModel = (live: { readonly digest: string; readonly model: string | null }, configured: ModelCard): Fault =>
  new Fault(
    'model.changed',
    `The live vectors were made by model ${live.model ?? ''}${live.model === null ? '' : ' '}(digest ${live.digest.slice(0, 8)}); the settings name ${configured.name} (${configured.digest.slice(0, 8)}). ` +
      'Vectors of two models do not compare: set model.name or model.folder back, and model.next to the new one.',
    { digest_live: live.digest, digest: configured.digest },
  )
