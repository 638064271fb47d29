/** Where a scenario takes place: topics and groups of its own on the servers, settings for its members, a producer beside them. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openWorld } from '../../processors/cli/compose.ts'
import { platformsWithOwnTopics } from '../../processors/cli/own-topics.fixture.ts'
import { openPublisher, type Publisher } from '../../processors/cli/publish.ts'
import type { World } from '../../processors/cli/world.ts'
import { loadSettings } from '../../processors/config/load.ts'
import { inputsOf } from '../../processors/flow/topology.ts'
import { type Catalogue, openCatalogue, shops } from './catalogue.ts'
import { entrepot, type Member, openMember } from './member.ts'
import type { Storm } from './scenario.ts'

export type SiteOptions = {
  readonly brokers: string
  readonly registry: string
  readonly partitions: number
  /** Stages that members run. */
  readonly stages: readonly string[]
  readonly platforms?: readonly string[]
  /** Undefined: each member has a copy of the catalogue's index in its folder. */
  readonly qdrant?: string | undefined
  /** Settings over these, merged one level deep. */
  readonly more?: Readonly<Record<string, Record<string, unknown>>>
}

export type Site = {
  readonly storm: Storm
  readonly options: SiteOptions
  /** Prefix of its topics and groups. */
  readonly run: string
  /** Settings, data folders and logs. */
  readonly folder: string
  /** A world for publishing, scanning and asking for positions; never started. */
  readonly world: World
  readonly publisher: Publisher
  /** Names of topics. */
  readonly events: string
  readonly interactions: string
  readonly profiles: string
  readonly dead_letters: string
  /** A settings file; `more` merges one level deep over the site's. */
  settings(name: string, more?: Readonly<Record<string, Record<string, unknown>>>): string
  /** A member with a data folder of its own, not started. */
  member(name: string, more?: Readonly<Record<string, Record<string, unknown>>>, stages?: readonly string[]): Member
  /** Records that the stages have yet to take, as positions and topics say; throws when the brokers do not answer. */
  lag(stages?: readonly string[]): Promise<number>
  /** Waits for lag 0, through brokers that do not answer; throws when the patience ends. Returns the seconds it took. */
  drained(stages?: readonly string[], longest_s?: number): Promise<number>
  /** Puts the catalogue's vectors into the log, for the stage `index`; nothing where members have copies of the index. */
  fillIndex(): Promise<void>
  close(): Promise<void>
}

let catalogue: Promise<Catalogue> | undefined
/** The catalogue that all scenarios of this run share. */
export const sharedCatalogue = (folder: string): Promise<Catalogue> => {
  catalogue ??= openCatalogue(join(folder, 'catalogue'))
  return catalogue
}

type Sections = Readonly<Record<string, Readonly<Record<string, unknown>>>>
const merged = (...all: readonly Sections[]): Record<string, Record<string, unknown>> => {
  const into: Record<string, Record<string, unknown>> = {}
  for (const sections of all)
    for (const [name, fields] of Object.entries(sections)) into[name] = { ...into[name], ...(fields as Record<string, unknown>) }
  return into
}

/** Makes topics and schemas as an operator does, by `entrepot topics create`. */
export const openSite = async (storm: Storm, options: SiteOptions): Promise<Site> => {
  const run = `storm-${randomBytes(4).toString('hex')}.`
  const folder = join(storm.folder, run.slice(0, -1))
  mkdirSync(folder, { recursive: true })
  const platforms = options.platforms ?? ['segment']
  platformsWithOwnTopics(join(folder, 'platforms'), platforms, run)
  const secret_file = join(folder, 'identity.key')
  writeFileSync(secret_file, 'the key of a storm, which is no secret at all', { mode: 0o600 })
  const shared = await sharedCatalogue(join(storm.folder, '..'))

  const base: Sections = {
    kafka: {
      brokers: options.brokers.split(','),
      group_prefix: `${run}entrepot`,
      session_timeout_ms: 6_000,
      transaction_timeout_ms: 10_000,
    },
    registry: { url: options.registry },
    ...(options.qdrant === undefined ? {} : { qdrant: { url: options.qdrant, collection: run.replaceAll('.', '') } }),
    identity: { secret_file },
    topics: { prefix: run, partitions: options.partitions },
    platforms: {
      folder: join(folder, 'platforms'),
      enabled: platforms,
      shops: Object.fromEntries(platforms.map((name) => [name, (shops as Sections)[name] ?? {}])),
    },
    http: { port: 0 },
    log: { level: 'info' },
  }
  const settings: Site['settings'] = (name, more = {}) => {
    const file = join(folder, `${name}.yaml`)
    const all = merged(base, { data: { folder: join(folder, `data-${name}`) } }, options.more ?? {}, more)
    writeFileSync(file, JSON.stringify({ mode: 'servers', ...all }, null, 1))
    return file
  }
  const file = settings('operator')
  const made = await entrepot(['topics', 'create', '--config', file])
  if (made.code !== 0) throw new Error(`entrepot topics create ended with ${made.code}:\n${made.output}`)
  const world = await openWorld(loadSettings({ file, env: {} }).settings)
  const publisher = await openPublisher(world)

  const lag: Site['lag'] = async (stages = options.stages) => {
    const log = await world.log()
    let count = 0
    for (const stage of world.topology.stages) {
      const { name } = stage.processor
      if (!stages.includes(name)) continue
      for (const topic of inputsOf(stage)) {
        const positions = await log.positions(`${world.topology.name}.${name}`, topic)
        for (const [at, { start, end }] of (await log.offsets(topic)).entries()) {
          const { position } = positions[at]!
          // A position behind the end is of a topic that was deleted: all that is there now is still to be taken.
          const from = position > end ? start : Math.max(start, position)
          if (end - from > 2_000) count += end - from
          // Behind the last record stand markers, which nobody takes.
          else if (from < end)
            for await (const record of log.scan({ topic, partition: at }, from)) if (record.offset < end) count++
        }
      }
    }
    return count
  }

  return {
    storm,
    options,
    run,
    folder,
    world,
    publisher,
    events: `${run}source.segment.events`,
    interactions: world.topics.interactions.name,
    profiles: world.topics.profiles.name,
    dead_letters: world.topics.dead_letters.name,
    settings,
    member: (name, more = {}, stages = options.stages) => {
      const config = settings(name, more)
      if (options.qdrant === undefined) shared.copyTo(join(folder, `data-${name}`))
      return openMember({ name, config, log_file: join(folder, `${name}.jsonl`), args: ['--stages', stages.join(',')] })
    },
    lag,
    drained: async (stages, longest_s = 120) => {
      const began_ms = performance.now()
      for (;;) {
        const asked_ms = performance.now()
        const left = await lag(stages).catch(() => Number.NaN)
        if (left === 0) return (performance.now() - began_ms) / 1000
        if (performance.now() - began_ms > longest_s * 1000 || storm.patience.aborted)
          throw new Error(
            `${Number.isNaN(left) ? 'The brokers do not answer' : `${left} records are still to be taken`} after ${longest_s} s.`,
          )
        await sleep(Math.max(300, 2 * (performance.now() - asked_ms)))
      }
    },
    fillIndex: async () => {
      if (options.qdrant === undefined) return
      const { vectors } = world.topics
      const schema = await (await world.registry()).latest(`${vectors.name}-value`)
      if (schema === undefined) throw new Error('The registry holds no schema of vectors.')
      const frame = Buffer.alloc(5)
      frame.writeInt32BE(schema.id, 1)
      await (await world.log()).append(
        shared.vectors.map(({ key, value }) => ({
          topic: vectors.name,
          key: Buffer.from(key, 'utf8'),
          value: Buffer.concat([frame, value]),
          timestamp_ms: Date.now(),
        })),
      )
      // The catalogue is searchable before the first shopper comes: what a shopper saw earlier would have to wait for it.
      const loader = openMember({
        name: 'loader',
        config: settings('loader'),
        log_file: join(folder, 'loader.jsonl'),
        args: ['--stages', 'index'],
      })
      loader.start()
      await loader.ready()
      for (let tries = 0; (await lag(['index'])) > 0; tries++) {
        if (tries > 200 || !loader.alive()) throw new Error(`The catalogue does not get into the index; see ${loader.log_file}.`)
        await sleep(100)
      }
      await loader.term()
    },
    close: () => world.close(),
  }
}
