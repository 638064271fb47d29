/** catalog.items.v1 -> catalog.image-vectors.v1: what is seen of an item becomes a vector, once per image and model. */
import { createHash } from 'node:crypto'
import type { ImageVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import { digestOf } from '../domain/ids.ts'
import type { Item } from '../domain/item.ts'
import { fromBytes, toBytes, type Vector } from '../domain/vector.ts'
import type { CausedChange, Dropped, Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { ImageModelCard } from '../ports/image-embedder.ts'
import { cardOf } from './processor.ts'

/** Why an item goes on without an image: never a reason to lose the item, which is found by its words. */
export const image_drops = [
  'no_image',
  'image_refused',
  'image_missing',
  'image_broken',
  'image_unavailable',
  'image_degenerate',
] as const
type ImageDrop = (typeof image_drops)[number]

export type EmbedImagesSettings = {
  /** An image is fetched again with the next change of an item this long after it was fetched: shops replace files behind one URL. */
  readonly refetch_ms: number
  /** The same after a failure that the URL or the file is to blame for. */
  readonly retry_ms: number
}

type Reads = {
  readonly model: ImageModelCard
  readonly fetch: (urls: readonly string[]) => Promise<readonly (Uint8Array | Fault)[]>
  readonly embed: (images: readonly Uint8Array[]) => Promise<readonly (Vector | Fault)[]>
  readonly cached: (key: string) => Buffer | undefined
}

/**
 * State, per input partition, of one model alone (another has a group of its own):
 * - `u/<hash of the URL>` -> { items, at, image, failed }: how many items name it, when it was fetched, and the hash of its bytes or why there are none;
 * - `v/<hash of the bytes>` -> how many items show it (uint32 LE), then the vector (float32 LE);
 * - `i/<item id>` -> { u, v }: the two keys that the item counts in, v null where there is no image.
 * What no item names any more is forgotten.
 */
type Link = { readonly items: number; readonly at: number; readonly image: string | null; readonly failed: ImageDrop | null }
type Seen = { readonly items: number; readonly vector: Vector }
type Holding = { readonly u: string; readonly v: string | null }

const json = {
  encode: (value: Link | Holding): Buffer => Buffer.from(JSON.stringify(value), 'utf8'),
  decode: <T>(bytes: Buffer): T => {
    try {
      return JSON.parse(bytes.toString('utf8')) as T
    } catch (error) {
      throw new Fault('state.corrupt', 'What is remembered of an image is no JSON.', {}, error)
    }
  },
}
const seen = {
  encode: ({ items, vector }: Seen): Buffer => {
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32LE(items)
    return Buffer.concat([head, toBytes(vector)])
  },
  decode: (bytes: Buffer): Seen => {
    if (bytes.length <= 4 || bytes.length % 4 !== 0)
      throw new Fault('state.corrupt', `A remembered image vector has ${bytes.length} bytes, which is no count and float32s.`)
    return { items: bytes.readUInt32LE(0), vector: fromBytes(bytes.subarray(4)) }
  },
}

/** State as this batch sees it: what was committed, and what the batch has made of it. */
const overlay = <T>(cached: (key: string) => Buffer | undefined, decode: (bytes: Buffer) => T) => {
  const changed = new Map<string, T | null>()
  return {
    changed,
    get: (key: string): T | null => {
      const now = changed.get(key)
      if (now !== undefined) return now
      const bytes = cached(key)
      return bytes === undefined ? null : decode(bytes)
    },
    set: (key: string, value: T | null): void => void changed.set(key, value),
  }
}

const dropOf = ({ code }: Fault): ImageDrop => {
  if (code === 'image.refused') return 'image_refused'
  if (code === 'image.missing') return 'image_missing'
  if (code === 'image.unavailable') return 'image_unavailable'
  return code === 'embed.degenerate' ? 'image_degenerate' : 'image_broken'
}

const imageKey = (bytes: Uint8Array): string => `v/${createHash('sha256').update(bytes).digest('hex')}`

/**
 * One record an item that has an image, a tombstone for one that had one. The first image stands for the item. Only where state knows
 * neither URL nor bytes is anything fetched or computed.
 */
export const embedImages = (vectors: Topic<ImageVector>, settings: EmbedImagesSettings): Processor<Item, Reads> => ({
  name: 'embed-images',
  does: 'turns an item’s first image into a vector, once per image and model',
  drops: image_drops,
  reads: ({ images }, state) => {
    if (images === undefined) throw new Fault('defect.unexpected', 'The stage embed-images was started without an image encoder.')
    const { source, embedder } = images
    return {
      model: embedder.model,
      fetch: (urls) => source.fetch(urls),
      embed: (files) => embedder.embed(files),
      cached: (key) => state.get(key),
    }
  },
  run: async (batch, reads) => {
    const { digest, dims } = reads.model
    const links = overlay(reads.cached, (bytes) => json.decode<Link>(bytes))
    const images = overlay(reads.cached, seen.decode)
    const holdings = overlay(reads.cached, (bytes) => json.decode<Holding>(bytes))

    const wanted = batch.records.map((record) => {
      const item = record.value
      const url = item === null || item.op === 'DELETE' ? undefined : item.image_urls[0]
      return { record, item, url, key: url === undefined ? null : `u/${digestOf(url)}` }
    })

    // What each URL of the batch leads to: known, or fetched now, each once.
    const urls = new Map<string, string>()
    /** Of every image that the batch shows; held here, as what state holds may be let go in between. */
    const vectors_now = new Map<string, Vector | Fault>()
    const found = new Map<string, { readonly image: string | null; readonly failed: ImageDrop | null; readonly at: number }>()
    for (const { url, key } of wanted) {
      if (url === undefined || key === null || found.has(key) || urls.has(key)) continue
      const link = links.get(key)
      const known = link === null || link.image === null ? null : images.get(link.image)
      // Of an answer that may be another in a minute nothing counts as known.
      const fresh_ms =
        link === null || link.failed === 'image_unavailable' ? 0 : link.image === null ? settings.retry_ms : settings.refetch_ms
      // The items that showed what the URL leads to now may be gone, while others that name it show what it led to before.
      const forgotten = link !== null && link.image !== null && known === null
      if (link === null || forgotten || batch.now_ms - link.at >= fresh_ms) {
        urls.set(key, url)
        continue
      }
      found.set(key, link)
      if (link.image !== null) vectors_now.set(link.image, known!.vector)
    }
    if (urls.size > 0) {
      const files = await reads.fetch([...urls.values()])
      const unknown = new Map<string, Uint8Array>()
      for (const [i, key] of [...urls.keys()].entries()) {
        const file = files[i]!
        if (file instanceof Fault) {
          const before = links.get(key)
          // A server that is away for a while takes no image away.
          const shown = before === null || before.image === null ? null : images.get(before.image)
          const keeps = file.code === 'image.unavailable' && before !== null && shown !== null
          if (keeps) vectors_now.set(before.image!, shown.vector)
          found.set(key, keeps ? before : { image: null, failed: dropOf(file), at: batch.now_ms })
          continue
        }
        const image = imageKey(file)
        const shown = images.get(image)
        if (shown === null) unknown.set(image, file)
        else vectors_now.set(image, shown.vector)
        found.set(key, { image, failed: null, at: batch.now_ms })
      }
      if (unknown.size > 0) {
        const computed = await reads.embed([...unknown.values()])
        for (const [i, image] of [...unknown.keys()].entries()) vectors_now.set(image, computed[i]!)
      }
    }

    const vectorOf = (image: string): Vector | Fault => {
      const vector = vectors_now.get(image)
      if (vector === undefined) throw new Fault('outcome.invalid', 'The image encoder answered fewer images than it was asked.')
      if (!(vector instanceof Fault) && vector.length !== dims)
        return new Fault('embed.degenerate', `The image encoder gave ${vector.length} numbers in place of ${dims}.`)
      return vector
    }

    const letGo = ({ u, v }: Holding): void => {
      const link = links.get(u)
      if (link !== null) links.set(u, link.items > 1 ? { ...link, items: link.items - 1 } : null)
      const image = v === null ? null : images.get(v)
      if (v !== null && image !== null) images.set(v, image.items > 1 ? { ...image, items: image.items - 1 } : null)
    }

    const emit: Emit[] = []
    const dropped: Dropped[] = []
    for (const { record, item, key } of wanted) {
      const at = record.offset
      const holding_key = `i/${record.key}`
      const before = holdings.get(holding_key)
      const result = key === null ? undefined : found.get(key)!
      const vector = result?.image == null ? null : vectorOf(result.image)
      const failed = vector instanceof Fault ? dropOf(vector) : (result?.failed ?? null)
      const image = vector instanceof Fault ? null : (result?.image ?? null)

      // Taken before the old is let go, so that what stays is never forgotten in between.
      if (key === null) holdings.set(holding_key, null)
      else {
        const link = links.get(key)
        links.set(key, { items: (link?.items ?? 0) + 1, at: result!.at, image, failed })
        if (image !== null) images.set(image, { items: (images.get(image)?.items ?? 0) + 1, vector: vector as Vector })
        holdings.set(holding_key, { u: key, v: image })
      }
      if (before !== null) letGo(before)

      if (item !== null && image !== null) {
        const value: ImageVector = {
          item_id: record.key,
          vector: vector as Vector,
          content_hash: image.slice(2),
          model_digest: digest,
          image_url: item.image_urls[0]!,
          card: cardOf(item),
          source_updated_at: item.source_updated_at,
          ingested_at: item.ingested_at,
        }
        emit.push({ to: vectors, key: record.key, value, causes: [at] })
      } else if (before !== null && before.v !== null) emit.push({ to: vectors, key: record.key, value: null, causes: [at] })
      else dropped.push({ at, reason: failed ?? 'no_image' })
    }

    const changes = <T>(changed: ReadonlyMap<string, T | null>, encode: (value: T) => Buffer): CausedChange[] =>
      [...changed].map(([key, value]) => ({ key, value: value === null ? null : encode(value) }))
    return {
      emit,
      dropped,
      state: [
        ...changes(links.changed, json.encode),
        ...changes(images.changed, seen.encode),
        ...changes(holdings.changed, json.encode),
      ],
    }
  },
})
