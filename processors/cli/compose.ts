/** The one composition root: settings in, adapters wired to the topology out. */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../adapters/embedded/database.ts'
import { openEmbeddedLog } from '../adapters/embedded/event-log.ts'
import { openEmbeddedVectorIndex } from '../adapters/embedded/vector-index.ts'
import { openKafkaLog } from '../adapters/kafka/event-log.ts'
import { encoderDigest } from '../adapters/onnx/card.ts'
import { readCard } from '../adapters/onnx/pinned.ts'
import { locateModel } from '../adapters/onnx/store.ts'
import { openQdrantIndex } from '../adapters/qdrant/vector-index.ts'
import { openConfluentRegistry } from '../adapters/registry/confluent-registry.ts'
import { openEmbeddedRegistry } from '../adapters/registry/embedded-registry.ts'
import { openSerdes, registerCanonical, subjectOf } from '../adapters/registry/serdes.ts'
import { openSourceDecoder } from '../adapters/registry/source-decoder.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { systemRandom } from '../adapters/system/random.ts'
import type { Platform } from '../canonicalize/platform.ts'
import { required } from '../config/load.ts'
import { loadPlatforms } from '../config/platforms.ts'
import type { Settings } from '../config/spec.ts'
import { asFault, Fault } from '../domain/fault.ts'
import type { TopicPartition } from '../domain/record.ts'
import { openAvoided, remembering } from '../embed/memory.ts'
import type { EmbedCounts } from '../embed/processor.ts'
import { topicsOf as allTopicsOf, type Topology } from '../flow/topology.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder, ModelCard } from '../ports/embedder.ts'
import type { EventLog, EventLogAdmin } from '../ports/event-log.ts'
import type { SchemaRegistry } from '../ports/schema-registry.ts'
import type { VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import { supervise } from '../runtime/supervise.ts'
import type { Log } from '../telemetry/log.ts'
import { no_log } from '../telemetry/log.ts'
import { no_telemetry, type Telemetry } from '../telemetry/metrics.ts'
import { topicsOf, topology } from '../topology.ts'
import { openEncoder } from './encoder.ts'
import { canonicalizeSettings, runtimeLimits, topologySettings } from './topology-settings.ts'
import type { World } from './world.ts'

const schemas_folder = fileURLToPath(new URL('../../schemas/canonical/', import.meta.url))

/** Opened on first use, closed in reverse order of opening. */
const openOnce = () => {
  const opened: (() => Promise<void>)[] = []
  const part = <T>(open: () => Promise<T>, close: (value: T) => Promise<void> = async () => undefined): (() => Promise<T>) => {
    let value: Promise<T> | undefined
    return () => {
      value ??= open().then((ready) => {
        opened.push(() => close(ready))
        return ready
      })
      return value
    }
  }
  const closeAll = async () => {
    while (opened.length > 0) await opened.pop()!()
  }
  return { part, closeAll }
}

/** The key of the pseudonyms; in embedded mode one is made once and kept in the data folder, readable by its owner alone. */
export const userSecret = async (settings: Settings): Promise<Uint8Array> => {
  const { secret } = settings.identity
  if (secret !== null) return Buffer.from(secret.reveal(), 'utf8')
  if (settings.mode === 'servers')
    throw new Fault(
      'config.missing',
      'identity.secret is not set: in servers mode all processes must share one. Set it, or identity.secret_file.',
    )
  const path = join(settings.data.folder, 'identity.key')
  try {
    return Buffer.from(await readFile(path, 'utf8'), 'base64url')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = randomBytes(32)
  await mkdir(settings.data.folder, { recursive: true })
  await writeFile(path, made.toString('base64url'), { mode: 0o600, flag: 'wx' })
  return made
}

/** Topology and platforms of the settings, with nothing opened; enough to explain, lint and create topics. */
export const composeTopology = async (
  settings: Settings,
  user_secret: Uint8Array = new Uint8Array(32),
  embedded: (counts: EmbedCounts) => void = () => undefined,
): Promise<{ readonly topology: Topology; readonly platforms: readonly Platform[]; readonly topics: World['topics'] }> => {
  const canonicalize = canonicalizeSettings(settings, user_secret, null)
  const platforms = await loadPlatforms(settings.platforms, canonicalize)
  const composed = topologySettings(settings, platforms, canonicalize, { embedded })
  return { topology: topology(composed), platforms, topics: topicsOf(composed) }
}

const openLogOf = async (settings: Settings, clock: Clock): Promise<EventLog & EventLogAdmin> => {
  if (settings.mode === 'servers') {
    const { kafka, topics } = settings
    return openKafkaLog({ ...kafka, replication_factor: topics.replication_factor ?? -1, clock, random: systemRandom })
  }
  const database = openDatabase(settings.data.folder)
  const log = openEmbeddedLog(database, { clock })
  return {
    ...log,
    close: async () => {
      await log.close()
      database.close()
    },
  }
}

const openRegistryOf = async (settings: Settings, clock: Clock): Promise<SchemaRegistry> => {
  if (settings.mode === 'embedded') return openEmbeddedRegistry(join(settings.data.folder, 'registry'))
  const { basic_auth, timeout_ms } = settings.registry
  const [username = '', ...rest] = basic_auth?.reveal().split(':') ?? []
  return openConfluentRegistry({
    url: required(settings.registry.url, 'registry.url'),
    timeout_ms,
    clock,
    ...(basic_auth === null ? {} : { basic_auth: { username, password: rest.join(':') } }),
  })
}

const openIndexOf = async (settings: Settings, model: ModelCard): Promise<VectorIndex & VectorIndexAdmin> => {
  const { qdrant } = settings
  const { index, admin } =
    settings.mode === 'servers' && qdrant.url !== null
      ? openQdrantIndex({
          ...qdrant,
          url: qdrant.url,
          api_key: qdrant.api_key?.reveal() ?? null,
          dims: model.dims,
          model_digest: model.digest,
        })
      : await openEmbeddedVectorIndex({ folder: settings.data.folder, dims: model.dims, model_digest: model.digest })
  await admin.ensure()
  return { ...index, ...admin }
}

/**
 * What the caches in front of an encoder save, as metrics: `embedded` for the embed stage, which knows its state, `remember` for the memory
 * of the process.
 */
const openCacheMetrics = (settings: Settings, clock: Clock, telemetry: Telemetry) => {
  const { avoided, computed } = openAvoided((seconds) => telemetry.count('entrepot_embedding_avoided_seconds_total', {}, seconds))
  const found = (cache: 'state' | 'memory', texts: number): void => {
    telemetry.count('entrepot_embeddings_total', { cache }, texts)
    avoided(texts)
  }
  return {
    embedded: ({ state, batch, cut }: EmbedCounts): void => {
      found('state', state)
      found('memory', batch)
      for (const [part, texts] of Object.entries(cut)) telemetry.count('entrepot_embedding_parts_cut_total', { part }, texts)
    },
    remember: (embedder: Embedder): Embedder =>
      remembering(embedder, {
        bytes_max: settings.model.memory_bytes_max,
        clock,
        answered: (counts) => {
          telemetry.count('entrepot_embeddings_total', { cache: 'miss' }, counts.computed)
          computed(counts.computed, counts.seconds)
          found('memory', counts.known + counts.shared)
        },
      }),
  }
}

/** The card of the settings' encoder; its weights are not read. */
const modelOf = async (settings: Settings): Promise<ModelCard> => {
  const card = await readCard((await locateModel(settings.model)).folder)
  return { name: card.name, digest: encoderDigest(card), dims: card.dims, tokens_max: card.tokens_max }
}

export type WorldOptions = {
  /** The stages to be started; without `canonicalize` no key of the pseudonyms is needed. All when left out. */
  readonly stages?: readonly string[]
  readonly telemetry?: Telemetry
  readonly log?: Log
  readonly accept_gaps?: readonly TopicPartition[]
  /** In place of the settings' encoder: for benches and tests that measure everything else. Its digest keeps its vectors apart. */
  readonly embedder?: Embedder
}

/** Opens what every command needs; servers and files are touched on first use. Throws misconfigured faults. */
export const openWorld = async (settings: Settings, options: WorldOptions = {}): Promise<World> => {
  const { telemetry = no_telemetry, log = no_log } = options
  const clock = systemClock
  const { part, closeAll } = openOnce()
  const model = options.embedder?.model ?? (await modelOf(settings))
  const caches = openCacheMetrics(settings, clock, telemetry)
  const secret = options.stages === undefined || options.stages.includes('canonicalize') ? await userSecret(settings) : undefined
  const { topology: river, platforms, topics } = await composeTopology(settings, secret, caches.embedded)

  const eventLog = part(
    () => openLogOf(settings, clock),
    (opened) => opened.close(),
  )
  const registry = part(() => openRegistryOf(settings, clock))
  const serdes = part(async () => openSerdes(await registry(), { schemas_folder }))
  const decoder = part(async () => openSourceDecoder(await registry()))
  const index = part(
    () => openIndexOf(settings, model),
    (opened) => opened.close(),
  )
  const embedder = part(
    async () => caches.remember(options.embedder ?? (await openEncoder(settings, { clock, telemetry, log }))),
    (opened) => opened.close(),
  )

  const sources = platforms.flatMap((platform) => platform.sources)
  const registerSchemas = async (): Promise<number> => {
    const canonical = allTopicsOf(river)
      .filter((topic) => topic !== river.dead_letters)
      .map(({ name, schema }) => ({ topic: name, schema }))
    const registered = await registerCanonical(await registry(), canonical, schemas_folder)
    let schemas = registered.length
    for (const { topic, schema } of sources) {
      if (schema === null) continue
      await (await registry()).register(subjectOf(topic), schema)
      schemas++
    }
    return schemas
  }

  return {
    settings,
    clock,
    random: systemRandom,
    platforms,
    topology: river,
    topics,
    model,
    log: eventLog,
    registry,
    serdes,
    decoder,
    index,
    embedder,
    registerSchemas,
    prepare: async () => {
      const created = await (await eventLog()).createTopics([
        ...allTopicsOf(river).map(({ name, partitions, keep }) => ({ name, partitions, keep })),
        ...sources.map(({ topic }) => ({ name: topic, partitions: settings.topics.partitions, keep: { days: 7 } })),
      ])
      const schemas = await registerSchemas()
      await index()
      return { topics: created, schemas }
    },
    start: async (stages, observe) => {
      const refused: Fault[] = []
      let chosen = stages
      if (stages.includes('embed')) {
        try {
          await embedder()
        } catch (error) {
          const fault = asFault(error)
          // Without its model the embed stage refuses; what does not need it goes on, and readiness says so.
          if (fault.kind !== 'misconfigured' || stages.length === 1) throw fault
          chosen = stages.filter((stage) => stage !== 'embed')
          refused.push(fault)
          observe({ event: 'stopped', stage: 'embed', fault })
          log.fault(fault, { stage: 'embed' })
        }
      }
      const supervisor = await supervise({
        topology: river,
        stages: chosen,
        log: await eventLog(),
        serdes: await serdes(),
        index: await index(),
        reads: {
          index: await index(),
          sources: await decoder(),
          embedder: { model, embed: async (texts) => (await embedder()).embed(texts), close: async () => undefined },
        },
        limits: runtimeLimits(settings),
        clock,
        random: systemRandom,
        observe,
        accept_gaps: options.accept_gaps ?? [],
      })
      return { ...supervisor, refused: () => refused }
    },
    close: closeAll,
  }
}
