/** For tests: topics and an index beside each other, an index stage that is driven by hand, and the naive reading of what should stand where. */
import { type MemoryLog, openMemoryLog } from '../adapters/memory/event-log.ts'
import type { Indexed, ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Profile } from '../domain/profile.ts'
import type { InputRecord } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { LogTask } from '../ports/event-log.ts'
import type { Serde, Serdes } from '../ports/schema-registry.ts'
import type { Space, VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import { indexItems, indexUsers } from './processor.ts'
import { indexedTopics } from './topics.ts'

export const dims = 2
export const partitions = 3

export const clock: Clock = { now_ms: () => 0, monotonic_ms: () => 0, sleep: async () => undefined }

const spec = { key: 'k', partitions, keep: 'latest', holds: 'x' } as const
export const vectors = topic<ItemVector>('vectors', { ...spec, schema: 'vector' })
export const profiles = topic<Profile>('profiles', { ...spec, schema: 'profile' })
const indexed = topic<Indexed>('indexed', { ...spec, schema: 'indexed' })
export const topics = indexedTopics('app', { vectors, profiles })

/** JSON with vectors as lists; what is no JSON is refused as a serde refuses. */
const json: Serde<unknown> = {
  schema_id: 1,
  serialize: (value) =>
    Buffer.from(JSON.stringify(value, (_, each) => (ArrayBuffer.isView(each) ? [...(each as Float32Array)] : each))),
  deserialize: async (values) =>
    values.map((bytes) => {
      try {
        return JSON.parse(bytes.toString(), (key, value) =>
          (key === 'vector' || key === 'preference') && value !== null ? Float32Array.from(value as number[]) : value,
        ) as unknown
      } catch (error) {
        return new Fault('decode.invalid', 'no JSON', {}, error)
      }
    }),
}
export const serdes: Serdes = { of: async <V>() => json as Serde<V> }

/** The vector of a text of ours: a direction that only this number has. */
export const vectorOf = (n: number): Float32Array => Float32Array.of(Math.cos(n), Math.sin(n))

const item = (id: string, n: number) =>
  json.serialize({
    item_id: id,
    vector: vectorOf(n),
    content_hash: `h${n}`,
    model_digest: 'm',
    card: { title: `t${n}`, platform: 'p' },
    source_updated_at: n,
    ingested_at: 1,
  })
const profile = (n: number) => json.serialize({ preference: vectorOf(n), events: n, as_of: n, model_digest: 'm' })

export const openView = async (index: VectorIndex, admin: VectorIndexAdmin, log: MemoryLog = openMemoryLog(clock)) => {
  await admin.ensure()
  await log.createTopics([vectors, profiles, indexed].map(({ name, partitions, keep }) => ({ name, partitions, keep })))
  const tasks: LogTask[] = []
  const handler = {
    assigned: (task: LogTask) => void tasks.push(task),
    revoked: async () => undefined,
    failed: (error: unknown) => {
      throw error
    },
  }
  await log.subscribe('app.index', [vectors.name], handler)
  await log.subscribe('app.index-users', [profiles.name], handler)
  const stages = { items: indexItems(indexed), users: indexUsers() }

  const spaceOf = (name: string): Space => (name === vectors.name ? 'items' : 'users')

  /** One batch of a partition, as runtime/task.ts does it; false when nothing was there. `write` may lose it. */
  const batch = async (task: LogTask, records_max: number, write: VectorIndex['write']): Promise<boolean> => {
    const { records } = await task.poll(
      { records_max, bytes_max: 1 << 20, linger_ms: 0, wait_ms: 0 },
      new AbortController().signal,
    )
    const last = records.at(-1)
    if (last === undefined) return false
    const decoded = await json.deserialize(records.map(({ value }) => value ?? Buffer.from('null')))
    const inputs = records.flatMap((record, i): InputRecord<unknown>[] =>
      decoded[i] instanceof Fault ? [] : [{ ...record, key: record.key!.toString(), value: decoded[i], bytes: record.value }],
    )
    const { topic, partition } = task.input
    const stage = spaceOf(topic) === 'items' ? stages.items : stages.users
    const outcome = await stage.run({ topic, partition, now_ms: 0, records: inputs as InputRecord<never>[] }, null)
    await write(outcome.points!, last.offset)
    await task.commit({ outputs: [], state: [], position: last.offset + 1 })
    return true
  }

  const put = async (space: Space, id: string, n: number | null): Promise<number> => {
    const value = n === null ? null : space === 'items' ? item(id, n) : profile(n)
    const name = space === 'items' ? vectors.name : profiles.name
    const [at] = await log.append([{ topic: name, key: Buffer.from(id), value, timestamp_ms: 0 }])
    return at!.offset
  }

  return {
    log,
    index,
    admin,
    ports: { log, index, admin, serdes, clock },
    put,
    /** Appends bytes that no serde reads. */
    spoil: (id: string) =>
      log.append([{ topic: vectors.name, key: Buffer.from(id), value: Buffer.from('no JSON'), timestamp_ms: 0 }]),
    /** One round over all partitions; true while there was something. */
    round: async (records_max = 3, write: VectorIndex['write'] = index.write): Promise<boolean> => {
      let any = false
      for (const task of tasks) if (await batch(task, records_max, write)) any = true
      return any
    },
    /** Lets the stage work until nothing is left. */
    async settle(write: VectorIndex['write'] = index.write): Promise<void> {
      while (await this.round(3, write));
    },
    /** What should be found: by space and id the number that its vector was made of. */
    wanted: async (): Promise<Record<Space, Record<string, number>>> => {
      const found: Record<Space, Record<string, number>> = { items: {}, users: {}, images: {} }
      for (const { space, topic } of topics)
        for (let partition = 0; partition < partitions; partition++)
          for await (const { key, value } of log.scan({ topic, partition }, 0)) {
            const [read] = await json.deserialize([value ?? Buffer.from('null')])
            if (read instanceof Fault) continue
            const id = key!.toString()
            delete found[space][id]
            const n = read as { events?: number; source_updated_at?: number } | null
            if (n !== null) found[space][id] = (n.events ?? n.source_updated_at)!
          }
      return found
    },
    /** What is there. */
    held: async (): Promise<Record<Space, Record<string, number>>> => {
      const found: Record<Space, Record<string, number>> = { items: {}, users: {}, images: {} }
      for (const space of ['items', 'users'] as const) {
        const ids: string[] = []
        for await (const { id, deleted } of admin.versions(space)) if (!deleted) ids.push(id)
        for (const [id, { payload, vector }] of await index.points(space, ids)) {
          const n = Number(payload['events'] ?? payload['updated_at'])
          const right = vectorOf(n).every((x, i) => Math.abs(x - vector![i]!) < 1e-6)
          found[space][id] = right ? n : Number.NaN
        }
      }
      return found
    },
  }
}
export type View = Awaited<ReturnType<typeof openView>>
