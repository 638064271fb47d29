/** The vector index against the log: every key of the topics has its newest version in Qdrant, and Qdrant has nothing else. */
import { openDecoder, readAll } from './read.ts'
import { type Check, zero } from './scenario.ts'
import type { Site } from './site.ts'

type Stored = { readonly id: string; readonly space: string; readonly version: number; readonly deleted: boolean }
type Page = {
  readonly result: { readonly points: readonly { readonly payload: Stored }[]; readonly next_page_offset: unknown }
}

/** Every point of the site's collection, by space and id. */
export const pointsOf = async (site: Site): Promise<ReadonlyMap<string, Stored>> => {
  const url = site.options.qdrant!
  const prefix = site.run.replaceAll('.', '')
  const listed = (await (await fetch(`${url}/collections`)).json()) as {
    result: { collections: readonly { name: string }[] }
  }
  const names = listed.result.collections.map(({ name }) => name).filter((name) => name.startsWith(prefix))
  const found = new Map<string, Stored>()
  for (const name of names) {
    let offset: unknown = null
    do {
      const answer = await fetch(`${url}/collections/${name}/points/scroll`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ limit: 1_000, with_payload: ['id', 'space', 'version', 'deleted'], with_vector: false, offset }),
      })
      const { result } = (await answer.json()) as Page
      for (const { payload } of result.points) found.set(`${payload.space} ${payload.id}`, payload)
      offset = result.next_page_offset
    } while (offset !== null && offset !== undefined)
  }
  return found
}

/** Differences between what the topics say and what the index holds. */
export const drift = async (
  site: Site,
): Promise<{ readonly expected: number; readonly missing: number; readonly stale: number; readonly extra: number }> => {
  const { vectors, profiles } = site.world.topics
  const read = await readAll(site.options.brokers, [vectors.name, profiles.name])
  const decode = openDecoder(site.options.registry)
  const expected = new Map<string, { offset: number; deleted: boolean }>()
  for (const [topic, space] of [
    [vectors.name, 'items'],
    [profiles.name, 'users'],
  ] as const)
    for (const { key, offset, value } of read.get(topic)!) {
      if (key === null) continue
      // A profile without any vector is no point.
      if (space === 'users' && value !== null) {
        const profile = await decode<{ preference: unknown; session: unknown }>(value)
        if (profile.preference === null && profile.session === null) continue
      }
      expected.set(`${space} ${key}`, { offset, deleted: value === null })
    }
  const points = await pointsOf(site)
  let missing = 0
  let stale = 0
  for (const [id, { offset, deleted }] of expected) {
    const point = points.get(id)
    if (point === undefined) missing += deleted ? 0 : 1
    // A batch's points share the batch's last offset as their version.
    else if (point.version < offset || point.deleted !== deleted) stale++
  }
  const extra = [...points.entries()].filter(([id, { deleted }]) => !deleted && !expected.has(id)).length
  return { expected: expected.size, missing, stale, extra }
}

export const indexAsLog = async (site: Site): Promise<readonly Check[]> => {
  const { expected, missing, stale, extra } = await drift(site)
  return [
    zero('points missing in the index', missing, expected),
    zero('points older than the log', stale, expected),
    zero('points that the log does not hold', extra),
  ]
}
