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
import type { ItemVector } from '../domain/catalog.ts'
import { asFault, Fault } from '../domain/fault.ts'
import type { TopicPartition } from '../domain/record.ts'
import { openAvoided, remembering } from '../embed/memory.ts'
import type { EmbedCounts } from '../embed/processor.ts'
import { topicsOf as allTopicsOf, groupPrefix, type Topology } from '../flow/topology.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder, ModelCard } from '../ports/embedder.ts'
import type { SchemaRegistry } from '../ports/schema-registry.ts'

import { atMost } from '../runtime/share.ts'
import { supervise } from '../runtime/supervise.ts'
import type { Log } from '../telemetry/log.ts'
import { no_log } from '../telemetry/log.ts'
import { no_telemetry, type Telemetry } from '../telemetry/metrics.ts'
import { imageTopicsOf, topicsOf, topology } from '../topology.ts'
import { openEncoder } from './encoder.ts'
import { imageModelOfSettings, imageSpaceOf, imageStagesOf, openImages } from './images.ts'
import { assertMadeBy, changedModel, type Lane, type Lanes, laneOf, lanesTopic, readLanes, writeLanes } from './lanes.ts'
import { canonicalizeSettings, runtimeLimits, topologySettings } from './topology-settings.ts'
import type { LaneIndex, OpenedLog, World } from './world.ts'

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
  shape: { readonly lane?: string; readonly unknown_item?: 'wait' | 'drop' } = {},
): Promise<{ readonly topology: Topology; readonly platforms: readonly Platform[]; readonly topics: World['topics'] }> => {
  const canonicalize = canonicalizeSettings(settings, user_secret, null)
  const platforms = await loadPlatforms(settings.platforms, canonicalize)
  const given = topologySettings(settings, platforms, canonicalize, { embedded }, shape.lane)
  const images = imageStagesOf(settings, await imageModelOfSettings(settings))
  const composed = { ...given, ...images, learn: { ...given.learn, unknown_item: shape.unknown_item ?? 'wait' } }
  const image_topics = imageTopicsOf(composed)
  const topics = { ...topicsOf(composed), ...(image_topics === undefined ? {} : { images: image_topics }) }
  return { topology: topology(composed), platforms, topics }
}

/** The topology of each lane that may become live in this process: the first one, and those of its models. */
export const laneTopologies = async (settings: Settings): Promise<readonly Topology[]> => {
  const lanes = ['', ...(await encodersOf(settings, {})).map(({ model }) => model.digest.slice(0, 8))]
  return Promise.all(lanes.map(async (lane) => (await composeTopology(settings, undefined, undefined, { lane })).topology))
}

const openLogOf = async (settings: Settings, clock: Clock): Promise<OpenedLog> => {
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

/** Where the embedded index of a lane lies: the first one's in the data folder itself. */
export const laneFolder = (settings: Settings, lane: string): string =>
  lane === '' ? settings.data.folder : join(settings.data.folder, `lane-${lane}`)

const openIndexOf = async (settings: Settings, model: ModelCard, lane: string): Promise<LaneIndex> => {
  const { qdrant } = settings
  const images = imageSpaceOf(await imageModelOfSettings(settings))
  const { index, admin } =
    settings.mode === 'servers' && qdrant.url !== null
      ? openQdrantIndex({
          ...qdrant,
          url: qdrant.url,
          api_key: qdrant.api_key?.reveal() ?? null,
          dims: model.dims,
          model_digest: model.digest,
          ...images,
        })
      : await openEmbeddedVectorIndex({
          folder: laneFolder(settings, lane),
          dims: model.dims,
          model_digest: model.digest,
          ...images,
        })
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

/** The settings with model.next in the place of the model; null where none is set. */
export const withNext = (settings: Settings): Settings | null => {
  const { next } = settings.model
  if (next === null) return null
  const folder = /[/\\]/u.test(next)
  return { ...settings, model: { ...settings.model, name: folder ? null : next, folder: folder ? next : null, digest: null } }
}

/** One worker, and batches so small that they move within the time a stage may stand still. */
const inBackground = (settings: Settings): Settings => {
  const { model, stages } = settings
  return {
    ...settings,
    model: { ...model, workers: 1 },
    stages: { ...stages, embed: { ...stages.embed, records_max: Math.min(stages.embed.records_max, 64) } },
  }
}

/** An encoder that may be opened. */
type Encoder = {
  readonly model: ModelCard
  readonly settings: Settings
  /** `worked` is called whenever some of the texts it was given are done. */
  readonly open: (telemetry: Telemetry, worked: () => void) => Promise<Embedder>
}

/** The encoder of the settings, then that of model.next. */
const encodersOf = async (settings: Settings, options: WorldOptions): Promise<readonly [Encoder, ...Encoder[]]> => {
  const of = async (own: Settings, given: Embedder | undefined): Promise<Encoder> => ({
    model: given?.model ?? (await modelOf(own)),
    settings: own,
    open: async (telemetry, worked) =>
      given ?? openEncoder(own, { clock: systemClock, telemetry, log: options.log ?? no_log, worked }),
  })
  const first = await of(settings, options.embedder)
  const next = withNext(settings)
  return next === null && options.next_embedder === undefined
    ? [first]
    : [first, await of(next ?? settings, options.next_embedder)]
}

/** The card of the settings' encoder; its weights are not read. */
const modelOf = async (settings: Settings): Promise<ModelCard> => {
  const card = await readCard((await locateModel(settings.model)).folder)
  return { name: card.name, digest: encoderDigest(card), dims: card.dims, tokens_max: card.tokens_max }
}

/** A lane that is being filled has no images yet: they are indexed from their topic once it is live. */
const withoutImages = (settings: Settings): Settings => ({ ...settings, image_model: { ...settings.image_model, folder: null } })

export type WorldOptions = {
  /** The stages to be started; without `canonicalize` no key of the pseudonyms is needed. All when left out. */
  readonly stages?: readonly string[]
  readonly telemetry?: Telemetry
  readonly log?: Log
  readonly accept_gaps?: readonly TopicPartition[]
  /** In place of the settings' encoder: for benches and tests that measure everything else. Its digest keeps its vectors apart. */
  readonly embedder?: Embedder
  /** The same for model.next. */
  readonly next_embedder?: Embedder
  /**
   * The live lane unless told. `next`: the lane of model.next, to be filled beside the live one: its encoder takes model.reembed_share of
   * one core, and interactions with items that are gone teach nothing. `configured`: that of the settings' model, without a look at the log.
   */
  readonly lane?: 'live' | 'next' | 'configured'
  /** A world whose log, registry and schemas are used here as well; it is closed after this one. */
  readonly shared?: Pick<World, 'log' | 'registry' | 'serdes' | 'decoder'>
}

/** Which lane a world works with, by which encoder; a fault where no encoder of the settings made what is live. */
const chooseLane = async (
  encoders: readonly [Encoder, ...Encoder[]],
  which: 'live' | 'next' | 'configured',
  look: () => Promise<Lanes>,
): Promise<{ readonly lane: Lane; readonly encoder: Encoder; readonly changed?: Fault }> => {
  const [first, next] = encoders
  if (which === 'configured') return { lane: laneOf({ live: undefined, lanes: [] }, first.model), encoder: first }
  const lanes = await look()
  if (which === 'next') {
    if (next === undefined) throw new Fault('config.missing', 'model.next is not set: name the model that is to take over.')
    return { lane: laneOf(lanes, next.model), encoder: next }
  }
  const { live } = lanes
  if (live === undefined) return { lane: laneOf(lanes, first.model), encoder: first }
  const lane: Lane = { lane: live.lane, digest: live.digest, model: live.model, state: 'used' }
  const encoder = encoders.find(({ model }) => model.digest === live.digest)
  return encoder === undefined ? { lane, encoder: first, changed: changedModel(live, first.model) } : { lane, encoder }
}

/**
 * Opens what every command needs. The log is read for the lane that is live; other servers and files are touched on first use. Throws
 * misconfigured faults, and those of the log.
 */
export const openWorld = async (given: Settings, options: WorldOptions = {}): Promise<World> => {
  const settings = options.lane === 'next' ? withoutImages(inBackground(given)) : given
  const { telemetry = no_telemetry, log = no_log } = options
  const clock = systemClock
  const { part, closeAll } = openOnce()
  const { part: lanePart, closeAll: leaveLane } = openOnce()
  const encoders = await encodersOf(settings, options)
  const caches = openCacheMetrics(settings, clock, telemetry)
  const secret = options.stages === undefined || options.stages.includes('canonicalize') ? await userSecret(settings) : undefined
  const { shared, lane: which = 'live' } = options
  const shadow = which === 'next'

  const eventLog =
    shared?.log ??
    part(
      () => openLogOf(settings, clock),
      (opened) => opened.close(),
    )
  const lanes_topic = lanesTopic(settings.topics.prefix)
  const chosen = await chooseLane(encoders, which, async () => readLanes(await eventLog(), lanes_topic.name)).catch(
    async (error: unknown) => {
      await closeAll()
      throw error
    },
  )
  const { lane, encoder, changed } = chosen
  const { model } = encoder
  const {
    topology: river,
    platforms,
    topics,
  } = await composeTopology(settings, secret, caches.embedded, { lane: lane.lane, unknown_item: shadow ? 'drop' : 'wait' })

  const registry = shared?.registry ?? part(() => openRegistryOf(settings, clock))
  const serdes = shared?.serdes ?? part(async () => openSerdes(await registry(), { schemas_folder }))
  const decoder = shared?.decoder ?? part(async () => openSourceDecoder(await registry()))
  const index = lanePart(
    async () => {
      if (changed !== undefined) throw changed
      return openIndexOf(settings, model, lane.lane)
    },
    (opened) => opened.close(),
  )
  let encoded_ms = Number.NEGATIVE_INFINITY
  const encoded = (): void => {
    encoded_ms = clock.monotonic_ms()
  }
  const embedder = lanePart(
    async () => {
      if (changed !== undefined) throw changed
      const opened = caches.remember(await encoder.open(telemetry, encoded))
      return shadow ? atMost(opened, settings.model.reembed_share, clock) : opened
    },
    (opened) => opened.close(),
  )

  const images = lanePart(
    () => openImages(settings),
    async (opened) => opened?.close(),
  )

  /** The first process over a log says whose vectors these are; every later one is held to it. */
  const claim = async (): Promise<void> => {
    if (changed !== undefined) throw changed
    const opened = await eventLog()
    const found = await readLanes(opened, lanes_topic.name)
    if (shadow || found.live !== undefined) return
    await opened.createTopics([lanes_topic])
    const serde = await (await serdes()).of<ItemVector>(topics.vectors.name, topics.vectors.schema)
    await assertMadeBy(opened, { topic: topics.vectors.name, serde }, model)
    const now_ms = clock.now_ms()
    await writeLanes(
      opened,
      lanes_topic.name,
      {
        lanes: [{ ...lane, state: 'used' }],
        live: { lane: lane.lane, digest: model.digest, model: model.name, since_ms: now_ms, previous: null },
      },
      now_ms,
    )
  }

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
    lane,
    group_prefix: groupPrefix(river.name, lane.lane),
    lanes_topic: lanes_topic.name,
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
      await claim()
      await index()
      return { topics: created, schemas }
    },
    start: async (stages, observe) => {
      const refused: Fault[] = []
      if (stages.some((stage) => stage !== 'canonicalize')) await claim()
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
      const opened_images = chosen.includes('embed-images') ? await images() : undefined
      if (stages.includes('index') && !shadow) await (await index()).promote?.()
      const supervisor = await supervise({
        topology: river,
        stages: chosen,
        log: await eventLog(),
        serdes: await serdes(),
        index: await index(),
        reads: {
          index: await index(),
          sources: await decoder(),
          embedder: {
            model,
            embed: async (texts, options) => (await embedder()).embed(texts, options),
            close: async () => undefined,
          },
          ...(opened_images === undefined ? {} : { images: opened_images }),
        },
        limits: runtimeLimits(settings),
        clock,
        random: systemRandom,
        observe,
        accept_gaps: options.accept_gaps ?? [],
        moved_ms: (stage) => (stage === 'embed' ? encoded_ms : Number.NEGATIVE_INFINITY),
      })
      return { ...supervisor, refused: () => refused }
    },
    leaveLane,
    close: async () => {
      await leaveLane()
      await closeAll()
    },
  }
}
