/** The undisturbed run that a storm is compared with: the same sequenced records through `learn` in embedded mode, in one process. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openWorld } from '../../processors/cli/compose.ts'
import { all_stages, waitUntil } from '../../processors/cli/quiet.ts'
import { openTally } from '../../processors/cli/tally.ts'
import { loadSettings } from '../../processors/config/load.ts'
import type { PlainRecord } from './read.ts'
import { type Site, sharedCatalogue } from './site.ts'

/** The newest value of each key, tombstones left out; frames, which hold a registry's id, are cut off. */
export const latestOf = (
  records: Iterable<{ readonly key: string | null; readonly value: Buffer | null }>,
): ReadonlyMap<string, Buffer> => {
  const latest = new Map<string, Buffer>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) latest.delete(key)
    else latest.set(key, value.subarray(5))
  }
  return latest
}

export const digestOf = (latest: ReadonlyMap<string, Buffer>): string => {
  const hash = createHash('sha256')
  for (const [key, value] of [...latest].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${key} ${value.length} `).update(value)
  return hash.digest('hex')
}

/** Profiles of a run that nothing disturbed. */
export const cleanProfiles = async (site: Site, interactions: readonly PlainRecord[]): Promise<ReadonlyMap<string, Buffer>> => {
  const folder = join(site.storm.folder, `clean-${site.run}`)
  const data = join(folder, 'data')
  mkdirSync(data, { recursive: true })
  const shared = await sharedCatalogue(join(site.storm.folder, '..'))
  shared.copyTo(data)
  const file = join(folder, 'entrepot.yaml')
  const partitions = site.options.partitions
  writeFileSync(
    file,
    JSON.stringify({
      mode: 'embedded',
      data: { folder: data },
      platforms: { enabled: ['segment'] },
      topics: { partitions },
      http: { enabled: false },
    }),
  )
  const world = await openWorld(loadSettings({ file, env: {} }).settings, { stages: ['learn'] })
  try {
    await world.prepare()
    const { interactions: topic, profiles } = world.topics
    const schema = await (await world.registry()).latest(`${topic.name}-value`)
    if (schema === undefined) throw new Error('The clean run knows no schema of interactions.')
    const frame = Buffer.alloc(5)
    frame.writeInt32BE(schema.id, 1)
    const log = await world.log()
    for (let at = 0; at < interactions.length; at += 1_000)
      await log.append(
        interactions.slice(at, at + 1_000).map(({ partition, key, value, timestamp_ms }) => ({
          topic: topic.name,
          partition,
          key: Buffer.from(key!, 'utf8'),
          value: Buffer.concat([frame, value!.subarray(5)]),
          timestamp_ms,
        })),
      )
    const tally = openTally(all_stages, () => performance.now())
    const running = await world.start(['learn'], tally.observe)
    const never = new AbortController().signal
    await waitUntil(world.clock, running, never, () => tally.stage('learn').records >= interactions.length)
    await running.stop()
    const records: { key: string; value: Buffer | null }[] = []
    for (const { partition, start } of await log.offsets(profiles.name))
      for await (const { key, value } of log.scan({ topic: profiles.name, partition }, start))
        records.push({ key: key!.toString('utf8'), value: value === null ? null : Buffer.from(value) })
    return latestOf(records)
  } finally {
    await world.close()
  }
}
