/** A storm in embedded mode: a folder of its own, filled by `entrepot replay`, run by `entrepot run`, and looked at afterwards. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openWorld } from '../../processors/cli/compose.ts'
import { loadSettings } from '../../processors/config/load.ts'
import { product, shops } from './catalogue.ts'
import { shopperEvent } from './load.ts'
import { entrepot, type Member, openMember } from './member.ts'
import type { PlainRecord } from './read.ts'

export type Embedded = {
  readonly data: string
  readonly config: string
  member(stages: readonly string[], set?: readonly string[]): Member
  /** Publishes events of shoppers, as rows of a file. */
  publishEvents(count: number, shoppers: number): Promise<void>
  publishItems(count: number): Promise<void>
  /** Every record of topics, and the plain decoder of their values; nothing else may have the folder open. */
  read(topics: readonly string[]): Promise<ReadonlyMap<string, readonly PlainRecord[]>>
}

/** `data` may lie on another file system than `folder`, which holds settings and logs. */
export const openEmbedded = (folder: string, data: string, name: string): Embedded => {
  mkdirSync(data, { recursive: true })
  const config = join(folder, `${name}.yaml`)
  const secret_file = join(folder, 'identity.key')
  writeFileSync(secret_file, 'the key of a storm, which is no secret at all', { mode: 0o600 })
  writeFileSync(
    config,
    JSON.stringify({
      mode: 'embedded',
      data: { folder: data },
      identity: { secret_file },
      platforms: { enabled: ['segment', 'woocommerce'], shops },
      http: { port: 0 },
    }),
  )
  const replay = async (platform: string, kind: string, rows: readonly unknown[]) => {
    const file = join(folder, `${name}-${platform}.ndjson`)
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const done = await entrepot(['replay', file, '--platform', platform, '--kind', kind, '--config', config])
    if (done.code !== 0) throw new Error(`entrepot replay ended with ${done.code}:\n${done.output}`)
  }
  return {
    data,
    config,
    member: (stages, set = []) =>
      openMember({
        name,
        config,
        log_file: join(folder, `${name}.jsonl`),
        args: ['--stages', stages.join(','), ...set.flatMap((one) => ['--set', one])],
      }),
    publishEvents: (count, shoppers) => {
      const at_ms = Date.now()
      return replay(
        'segment',
        'events',
        Array.from({ length: count }, (_, at) => shopperEvent(at + 1, shoppers, at_ms + at).value),
      )
    },
    publishItems: (count) =>
      replay(
        'woocommerce',
        'items',
        Array.from({ length: count }, (_, at) => product(at + 1, 0, Date.now()).value),
      ),
    read: async (topics) => {
      const world = await openWorld(loadSettings({ file: config, env: {} }).settings)
      const records = new Map<string, PlainRecord[]>()
      try {
        const log = await world.log()
        for (const topic of topics) {
          const into: PlainRecord[] = []
          records.set(topic, into)
          for (const { partition, start } of await log.offsets(topic))
            for await (const { offset, key, value, headers, timestamp_ms } of log.scan({ topic, partition }, start))
              into.push({
                topic,
                partition,
                offset,
                key: key === null ? null : key.toString('utf8'),
                value: value === null ? null : Buffer.from(value),
                headers: Object.fromEntries(headers.map(([header, bytes]) => [header, bytes.toString('utf8')])),
                timestamp_ms,
              })
        }
      } finally {
        await world.close()
      }
      return records
    },
  }
}

/** The sum of a counter over its labels, as a member's /metrics tells it; NaN when it does not answer. */
export const counterOf = async (member: Member, name: string): Promise<number> => {
  const url = member.http()
  if (url === undefined) return Number.NaN
  const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(3_000) })
    .then((answer) => answer.text())
    .catch(() => '')
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gmu'))].map(([, value]) => Number(value))
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0)
}
