/** Many platforms' words, one vocabulary: decodes each source record, applies its map, and lets nothing through twice or out of order. */
import { createHmac } from 'node:crypto'
import { type Digest, digest128 } from '../domain/digest.ts'
import { Fault } from '../domain/fault.ts'
import { userKey } from '../domain/ids.ts'
import type { Interaction, UserIdType } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import { time_min_ms } from '../domain/time.ts'
import type { CausedChange, Dropped, Emit, InputRecord, Processor } from '../flow/processor.ts'
import type { SourceBytes, Topic } from '../flow/topic.ts'
import type { DecodedSource, SourceDecoder } from '../ports/schema-registry.ts'
import type { StateReader } from '../ports/state-store.ts'
import { eventFingerprint, type InteractionDraft } from './interaction.ts'
import { completeItem, contentDigest, deletedItem, type ItemDraft, itemIdOf } from './item.ts'
import type { CompiledMap, LineChange, Platform, Reading, Removal } from './platform.ts'
import { type DropReason, drop_reasons } from './reasons.ts'
import { type SeenIds, seenIndex } from './seen.ts'
import type { CanonicalizeSettings, Shop } from './settings.ts'
import { shopOf } from './settings.ts'
import { type Shelf, shelfOf } from './shelf.ts'
import { type Env, type MapRun, rewrote } from './values.ts'

export type { CanonicalizeSettings } from './settings.ts'

export type CanonicalTopics = { readonly items: Topic<Item>; readonly interactions: Topic<Interaction> }

/** What `canonicalize` looks at: the decoder of source values, and its own state (versions, groups, carts, seen ids). */
export type CanonicalizeReads = {
  readonly sources: SourceDecoder
  readonly state: StateReader
  /** The table over the state's seen ids; one for the life of a task. */
  readonly seen: { readonly batch: () => SeenIds }
}

const day_ms = 86_400_000

/** A pure function's answers, kept in two generations of bounded size. */
const remembered = <V>(size_max: number): { get: (key: string) => V | undefined; set: (key: string, value: V) => void } => {
  let young = new Map<string, V>()
  let old = new Map<string, V>()
  const set = (key: string, value: V): void => {
    if (young.size >= size_max) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  return {
    get: (key) => {
      const value = young.get(key)
      if (value !== undefined) return value
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
    set,
  }
}

/** What the maps of a processor share. Everything in it is a pure function of the settings. */
export const mapRunOf = (settings: CanonicalizeSettings): MapRun => {
  if (settings.user_secret.length < 16)
    throw new Fault('config.invalid', 'identity.secret: at least 16 bytes are needed; 32 are better.')
  const shops = new Map<string, Shop>()
  const keys = new Map<string, Map<UserIdType, ReturnType<typeof remembered<string>>>>()
  return {
    shopOf: (platform, id, defaults) => {
      const key = `${platform}/${id ?? ''}`
      let shop = shops.get(key)
      if (shop === undefined) {
        shop = shopOf(platform, id, defaults, settings.shops)
        if (shops.size >= 10_000) shops.clear()
        shops.set(key, shop)
      }
      return shop
    },
    keyed: (...fields) => {
      const mac = createHmac('sha256', settings.user_secret)
      for (const field of fields) mac.update(`${Buffer.byteLength(field)}:${field}`)
      return mac.digest().subarray(0, 16).toString('base64url')
    },
    userKey: (realm: string, type: UserIdType, id: string) => {
      let of_realm = keys.get(realm)
      if (of_realm === undefined) {
        of_realm = new Map()
        keys.set(realm, of_realm)
      }
      let of_type = of_realm.get(type)
      if (of_type === undefined) {
        of_type = remembered<string>(50_000)
        of_realm.set(type, of_type)
      }
      let key = of_type.get(id)
      if (key === undefined) {
        key = userKey(settings.user_secret, settings.user_key_version, realm, type, id)
        of_type.set(id, key)
      }
      return key
    },
    rates: settings.rates,
  }
}

/** The batch in the making. */
type Work = {
  readonly emit: Emit[]
  readonly dropped: Dropped[]
  readonly shelf: Shelf
  readonly seen: SeenIds
}

/**
 * The processor. Emits items to `topics.items` keyed by item_id and interactions to `topics.interactions` keyed by user_key; a
 * gone item is an Item with op DELETE. Times are the records' own append times; the batch's clock only replaces absurd ones.
 */
export const canonicalize = (
  platforms: readonly Platform[],
  topics: CanonicalTopics,
  settings: CanonicalizeSettings,
): Processor<SourceBytes, CanonicalizeReads> => {
  const run_of_maps = mapRunOf(settings)
  const maps = new Map<string, CompiledMap>()
  for (const platform of platforms)
    for (const map of platform.maps) {
      const other = maps.get(map.source.topic)
      if (other !== undefined)
        throw new Fault(
          'config.invalid',
          `The topic ${map.source.topic} is read by two maps: ${other.source.platform}/${other.source.kind} and ${platform.name}/${map.source.kind}.`,
        )
      maps.set(map.source.topic, map)
    }
  const late_after_ms = settings.late_after_ms ?? 0
  const isLate = (draft: InteractionDraft, time: number): boolean => late_after_ms > 0 && time - draft.occurred_at > late_after_ms
  const items_topic = topics.items as Topic<unknown>
  const interactions_topic = topics.interactions as Topic<unknown>

  const emitItem = (work: Work, offset: number, draft: ItemDraft, has_version: boolean): void => {
    const item = completeItem(draft, has_version, settings)
    work.emit.push({ to: items_topic, key: item.item_id, value: item, causes: [offset] })
  }

  /** Deletes variants unless something newer is known; returns why nothing was deleted, or null when something was. */
  const remove = (
    work: Work,
    map: CompiledMap,
    env: Env,
    offset: number,
    variants: Iterable<string>,
    group: string | null,
    version: number,
  ): DropReason | null => {
    let why: DropReason | null = 'unknown_item'
    for (const variant of variants) {
      const item_id = itemIdOf(env.shop, variant)
      const known = work.shelf.item(item_id)
      if (known !== undefined && (version < known.version || (known.deleted && version === known.version))) {
        if (why !== null) why = known.deleted ? 'unchanged' : 'stale'
        continue
      }
      work.shelf.putItem(item_id, { version, deleted: true, digest: Buffer.alloc(8) })
      // What was never seen leaves no deletion, but an older version that comes late finds it deleted.
      if (known === undefined) continue
      if (known.deleted) {
        if (why !== null) why = 'unchanged'
        continue
      }
      emitItem(work, offset, deletedItem(env, variant, group, version, map.version), true)
      why = null
    }
    return why
  }

  const takeRemoval = (work: Work, map: CompiledMap, env: Env, offset: number, removal: Removal): void => {
    const version = removal.version ?? env.log.time
    const variants = new Set(removal.variants)
    if (removal.group !== null) {
      const id = groupKey(env, removal.group)
      const group = work.shelf.group(id)
      if (group !== undefined && version >= group.version) {
        for (const member of group.members) variants.add(member)
        work.shelf.putGroup(id, { version, members: [] })
      }
    }
    const why = remove(work, map, env, offset, variants, removal.group, version)
    if (why !== null) work.dropped.push({ at: offset, reason: why })
  }

  const takeItems = (
    work: Work,
    map: CompiledMap,
    env: Env,
    offset: number,
    reading: Extract<Reading, { kind: 'items' }>,
  ): void => {
    let why: DropReason = 'unchanged'
    let emitted = false
    let newest = 0
    for (const draft of reading.items) {
      const known = work.shelf.item(draft.item_id)
      const version = reading.has_version ? draft.source_updated_at : Math.max(env.log.time, known?.version ?? 0)
      newest = Math.max(newest, version)
      if (known !== undefined && version < known.version) {
        why = 'stale'
        continue
      }
      const digest = contentDigest(draft)
      const unchanged = known !== undefined && !known.deleted && known.digest.equals(digest)
      if (!unchanged || version > known.version) work.shelf.putItem(draft.item_id, { version, deleted: false, digest })
      if (unchanged) continue
      emitItem(work, offset, draft, reading.has_version)
      emitted = true
    }
    if (reading.group !== null) {
      const id = groupKey(env, reading.group.id)
      const known = work.shelf.group(id)
      if (known === undefined || newest >= known.version) {
        const { members } = reading.group
        const still = new Set(members)
        const gone = (known?.members ?? []).filter((member) => !still.has(member))
        if (remove(work, map, env, offset, gone, reading.group.id, newest) === null) emitted = true
        work.shelf.putGroup(id, { version: newest, members })
      }
    }
    if (!emitted) work.dropped.push({ at: offset, reason: why })
  }

  /** Emits what is new of a record's interactions: all of them or, when one conflicts, none. */
  const takeInteractions = (work: Work, env: Env, offset: number, drafts: readonly InteractionDraft[]): void => {
    const { time } = env.log
    let why: DropReason = 'duplicate'
    const fresh: { draft: InteractionDraft; id: Digest; fingerprint: number }[] = []
    const of_record = new Map<string, number>()
    for (const draft of drafts) {
      if (isLate(draft, time)) {
        why = 'late'
        continue
      }
      const id = digest128(draft.event_id)
      const fingerprint = eventFingerprint(draft)
      const known = work.seen.find(id, time) ?? of_record.get(draft.event_id)
      if (known === undefined) {
        fresh.push({ draft, id, fingerprint })
        of_record.set(draft.event_id, fingerprint)
      } else if (known !== fingerprint) {
        const hex = (hash: number): string => hash.toString(16).padStart(8, '0')
        const fault = new Fault(
          'id.conflict',
          `An event id came again with another content (${hex(known)} first, ${hex(fingerprint)} now); the first one stands.`,
          { first: hex(known), now: hex(fingerprint) },
        )
        work.dropped.push({ at: offset, fault })
        return
      }
    }
    for (const { draft, id, fingerprint } of fresh) {
      work.seen.add(id, fingerprint, time)
      work.emit.push({ to: interactions_topic, key: draft.user_key, value: draft, causes: [offset] })
    }
    if (fresh.length === 0) work.dropped.push({ at: offset, reason: why })
  }

  const takeSnapshot = (work: Work, env: Env, offset: number, reading: Extract<Reading, { kind: 'snapshot' }>): void => {
    const { snapshot } = reading
    const known = work.shelf.cart(snapshot.id)
    if (known !== undefined && snapshot.version < known.version) {
      work.dropped.push({ at: offset, reason: 'stale' })
      return
    }
    const before = new Map(known?.lines ?? [])
    const changes: LineChange[] = []
    const note = (line: string, was: number, now: number, element: LineChange['element']) => {
      if (now > was) changes.push({ line, quantity: now - was, now, type: 'ADD_TO_CART', element })
      else if (now < was) changes.push({ line, quantity: was - now, now, type: 'REMOVE_FROM_CART', element })
    }
    for (const { line, quantity, element } of snapshot.lines) note(line, before.get(line) ?? 0, quantity, element)
    const now = new Set(snapshot.lines.map(({ line }) => line))
    for (const [line, was] of before) if (!now.has(line)) note(line, was, 0, null)

    let why: DropReason = 'unchanged'
    const drafts: InteractionDraft[] = []
    for (const change of changes) {
      const draft = reading.change(change)
      if (typeof draft === 'string') why = draft
      else if (isLate(draft, env.log.time)) why = 'late'
      else drafts.push(draft)
    }
    work.shelf.putCart(snapshot.id, {
      version: snapshot.version,
      lines: snapshot.lines.map(({ line, quantity }) => [line, quantity] as const),
    })
    for (const draft of drafts) work.emit.push({ to: interactions_topic, key: draft.user_key, value: draft, causes: [offset] })
    if (drafts.length === 0) work.dropped.push({ at: offset, reason: why })
  }

  /** One record: all of its outputs or, after a malformed fault, none. */
  const take = (
    work: Work,
    map: CompiledMap,
    topic: string,
    partition: number,
    now_ms: number,
    record: InputRecord<SourceBytes>,
    decoded: DecodedSource | null,
  ): void => {
    const { offset, timestamp_ms } = record
    const believable = timestamp_ms >= time_min_ms && timestamp_ms <= now_ms + day_ms
    const time = believable ? timestamp_ms : now_ms
    work.shelf.at(time)
    const env = map.open(
      {
        value: decoded?.value ?? null,
        headers: record.headers,
        bytes: record.value?.bytes?.length ?? 0,
        log: { topic, partition, offset, time, key: record.key, schema_id: decoded?.schema_id ?? null },
      },
      run_of_maps,
    )
    if (!believable) rewrote(env, 'ingested_at', String(timestamp_ms), String(time), 'time.append')
    if (decoded === null) {
      if (map.tombstone === null) work.dropped.push({ at: offset, reason: 'tombstone' })
      else takeRemoval(work, map, env, offset, map.tombstone(env))
      return
    }
    const reading = map.read(env)
    switch (reading.kind) {
      case 'drop':
        work.dropped.push({ at: offset, reason: reading.reason })
        return
      case 'items':
        takeItems(work, map, env, offset, reading)
        return
      case 'removal':
        takeRemoval(work, map, env, offset, reading.removal)
        return
      case 'interactions':
        takeInteractions(work, env, offset, reading.interactions)
        return
      case 'snapshot':
        takeSnapshot(work, env, offset, reading)
        return
      default:
        reading satisfies never
    }
  }

  return {
    name: 'canonicalize',
    does: 'reads every platform’s records by its map into one vocabulary; drops repeated, stale and unchanged ones',
    drops: drop_reasons,
    entered_at: ({ value }) =>
      (value as { ingested_at?: number; received_at?: number }).received_at ?? (value as Item).ingested_at,
    reads: (ports, state) => ({
      sources: ports.sources,
      state,
      seen: seenIndex(state, { horizon_ms: settings.dedupe_horizon_ms, ids_max: settings.dedupe_ids_max }),
    }),
    run: async (batch, reads) => {
      const map = maps.get(batch.topic)
      if (map === undefined)
        throw new Fault('config.invalid', `No platform map reads the topic ${batch.topic}.`, { topic: batch.topic })
      const values = batch.records.flatMap((record) => record.value?.bytes ?? [])
      const decoded = values.length === 0 ? [] : await reads.sources.decode(batch.topic, map.source.format, values)
      const work: Work = { emit: [], dropped: [], shelf: shelfOf(reads.state), seen: reads.seen.batch() }
      let next = 0
      for (const record of batch.records) {
        const source = (record.value?.bytes ?? null) === null ? null : decoded[next++]!
        if (source instanceof Fault) {
          work.dropped.push({ at: record.offset, fault: source })
          continue
        }
        try {
          take(work, map, batch.topic, batch.partition, batch.now_ms, record, source)
        } catch (error) {
          if (!(error instanceof Fault) || error.kind !== 'malformed') throw error
          work.dropped.push({ at: record.offset, fault: error })
        }
      }
      const first = batch.records[0]
      const state: CausedChange[] = first === undefined ? [] : [...work.shelf.changes(first.offset), ...work.seen.changes()]
      return { emit: work.emit, state, dropped: work.dropped }
    },
  }
}

/** Groups of two shops may share a number. */
const groupKey = (env: Env, group: string): string => `${env.shop.item_prefix}${group}`
