/** catalog.items.v1 -> catalog.vectors.v1: a text becomes a vector once per text and model; after that it is remembered, not computed. */
import type { ItemCard, ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import { dot, fromBytes, toBytes, type Vector } from '../domain/vector.ts'
import type { CausedChange, Dropped, Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { ModelCard } from '../ports/embedder.ts'
import { contentHash, textOf } from './text.ts'

export const embed_drops = [] as const

export type EmbedSettings = {
  /** Told after each batch how many records found their vector known, and how many texts were computed; for metrics. */
  readonly embedded?: (counts: { readonly hits: number; readonly misses: number }) => void
}

type Reads = {
  readonly model: ModelCard
  /** One vector or fault per text, in order. */
  readonly embed: (texts: readonly string[]) => Promise<readonly (Vector | Fault)[]>
  /** State as committed. */
  readonly cached: (key: string) => Buffer | undefined
}

/**
 * State, per input partition:
 * - `v/<model, 8 hex digits>/<content hash>` -> how many items have this text (uint32 LE), then the vector (float32 LE);
 * - `i/<item id>` -> the `v/` key of the item's text.
 * A vector stays exactly as long as an item of the partition has its text, so that the state is no larger than the catalogue, and
 * what it holds depends on the records alone and not on how they fell into batches.
 */
export const vectorKey = (model_digest: string, content_hash: string): string => `v/${model_digest.slice(0, 8)}/${content_hash}`
export const itemKey = (item_id: string): string => `i/${item_id}`

type Remembered = { readonly items: number; readonly vector: Vector }

const encodeRemembered = ({ items, vector }: Remembered): Buffer => {
  const head = Buffer.allocUnsafe(4)
  head.writeUInt32LE(items)
  return Buffer.concat([head, toBytes(vector)])
}

const decodeRemembered = (bytes: Buffer): Remembered => {
  if (bytes.length <= 4 || bytes.length % 4 !== 0)
    throw new Fault('state.corrupt', `A remembered vector has ${bytes.length} bytes, which is no count and float32s.`)
  return { items: bytes.readUInt32LE(0), vector: fromBytes(bytes.subarray(4)) }
}

/** The vector if it may be stored: right length, finite, length 1. */
const usable = (result: Vector | Fault | undefined, dims: number): Vector | Fault => {
  if (result instanceof Fault) return result
  if (result === undefined) throw new Fault('outcome.invalid', 'The embedder answered fewer texts than it was asked.')
  const squares = dot(result, result)
  return result.length === dims && Math.abs(squares - 1) < 1e-3
    ? result
    : new Fault(
        'embed.degenerate',
        `The model gave ${result.length} numbers of length ${Math.sqrt(squares)}; needed are ${dims} of length 1.`,
      )
}

const cardOf = (item: Item): ItemCard => ({
  title: item.title,
  brand: item.brand,
  platform: item.platform,
  merchant_id: item.merchant_id,
  market: item.market,
  language: item.language,
  category_id: item.category_id,
  price_minor: item.price_minor,
  currency: item.currency,
  price_ref_minor: item.price_ref_minor,
  availability: item.availability,
  item_group_id: item.item_group_id,
  gtin: item.gtin,
  url: item.url,
})

/**
 * Every record leaves its own output, in order: also two of one item in one batch, so that the topic holds the same records however
 * a restart cuts the batches. One call to the encoder a batch; a text that occurs twice is computed once.
 */
export const embed = (vectors: Topic<ItemVector>, settings: EmbedSettings = {}): Processor<Item, Reads> => ({
  name: 'embed',
  does: 'turns an item’s text into a vector, once per text and model',
  drops: embed_drops,
  reads: ({ embedder }, state) => ({
    model: embedder.model,
    embed: (texts) => embedder.embed(texts),
    cached: (key) => state.get(key),
  }),
  run: async (batch, reads) => {
    const { digest, dims } = reads.model
    const emit: Emit[] = []
    const dropped: Dropped[] = []

    const wanted = batch.records.map((record) => {
      const item = record.value
      if (item === null || item.op === 'DELETE') return { record, item: null, text: '', hash: '', key: '' }
      const text = textOf(item)
      const hash = contentHash(text)
      return { record, item, text, hash, key: vectorKey(digest, hash) }
    })

    // Every vector this batch needs: out of the committed state, or computed now, each text once.
    const known = new Map<string, Vector | Fault>()
    const fresh = new Map<string, string>()
    let needed = 0
    for (const { item, text, key } of wanted) {
      if (item === null || text === '') continue
      needed++
      if (known.has(key) || fresh.has(key)) continue
      const bytes = reads.cached(key)
      if (bytes === undefined) fresh.set(key, text)
      else known.set(key, usable(decodeRemembered(bytes).vector, dims))
    }
    if (fresh.size > 0) {
      const results = await reads.embed([...fresh.values()])
      for (const [index, key] of [...fresh.keys()].entries()) known.set(key, usable(results[index], dims))
    }

    // What this batch makes of the state; null = gone.
    const remembered = new Map<string, Remembered | null>()
    const recall = (key: string): Remembered | null => {
      const now = remembered.get(key)
      if (now !== undefined) return now
      const bytes = reads.cached(key)
      return bytes === undefined ? null : decodeRemembered(bytes)
    }
    const item_texts = new Map<string, string | null>()
    const textKeyOf = (item_id: string): string | null => {
      const now = item_texts.get(item_id)
      return now !== undefined ? now : (reads.cached(itemKey(item_id))?.toString('utf8') ?? null)
    }

    /** Moves an item from the text it had to the one it has; a text without items is forgotten. */
    const move = (item_id: string, to: string | null, vector: Vector | null): void => {
      const from = textKeyOf(item_id)
      if (from === to) return
      if (from !== null) {
        const left = recall(from)
        if (left !== null) remembered.set(from, left.items > 1 ? { ...left, items: left.items - 1 } : null)
      }
      if (to !== null && vector !== null) remembered.set(to, { items: (recall(to)?.items ?? 0) + 1, vector })
      item_texts.set(item_id, to)
    }

    for (const { record, item, text, hash, key } of wanted) {
      const at = record.offset
      if (item === null) {
        move(record.key, null, null)
        emit.push({ to: vectors, key: record.key, value: null, causes: [at] })
        continue
      }
      if (text === '') {
        dropped.push({ at, fault: new Fault('embed.empty', 'The item has no words: no title, brand, attribute or description.') })
        continue
      }
      const vector = known.get(key)!
      if (vector instanceof Fault) {
        dropped.push({ at, fault: vector })
        continue
      }
      move(record.key, key, vector)
      const value: ItemVector = {
        item_id: record.key,
        vector,
        content_hash: hash,
        model_digest: digest,
        card: cardOf(item),
        source_updated_at: item.source_updated_at,
        ingested_at: item.ingested_at,
      }
      emit.push({ to: vectors, key: record.key, value, causes: [at] })
    }

    settings.embedded?.({ hits: needed - fresh.size, misses: fresh.size })
    const state: CausedChange[] = [
      ...[...remembered].map(([key, value]) => ({ key, value: value === null ? null : encodeRemembered(value) })),
      ...[...item_texts].map(([item_id, key]) => ({
        key: itemKey(item_id),
        value: key === null ? null : Buffer.from(key, 'utf8'),
      })),
    ]
    return { emit, state, dropped }
  },
})
