/** catalog.items.v1 -> catalog.vectors.v1: a text becomes a vector once per text and model; after that it is remembered, not computed. */
import type { ItemCard, ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import { dot, fromBytes, toBytes, type Vector } from '../domain/vector.ts'
import type { CausedChange, Dropped, Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import type { ModelCard } from '../ports/embedder.ts'
import { forgotten_prefix, openForgotten } from './forgotten.ts'
import { contentHash, type RecipePart, recipe } from './text.ts'

export const embed_drops = [] as const

/** What one batch asked of the caches; records, except where it says texts. */
export type EmbedCounts = {
  /** Their vector was in the partition's state. */
  readonly state: number
  /** Another record of the same batch has the same text. */
  readonly batch: number
  /** Texts that the encoder, and the memory before it, was asked for. */
  readonly asked: number
  /** Parts that the recipe had to cut, by part; of asked texts alone, so that a text counts once. */
  readonly cut: Readonly<Partial<Record<RecipePart, number>>>
}

export type EmbedSettings = {
  /** Told after each batch, for metrics. */
  readonly embedded?: (counts: EmbedCounts) => void
  /**
   * Texts that no item has any more and whose vectors are kept all the same, per partition, the longest unused going first: a listing
   * that is taken down and put up again is not embedded again. 0 forgets at once; forgotten_max_default unless told.
   */
  readonly forgotten_max?: number
}

/** 15 MB of state a partition with 384 dimensions. */
export const forgotten_max_default = 10_000

type Reads = {
  readonly model: ModelCard
  /** One vector or fault per text, in order. */
  readonly embed: (texts: readonly string[]) => Promise<readonly (Vector | Fault)[]>
  /** State as committed. */
  readonly cached: (key: string) => Buffer | undefined
  /** Texts without items, those left longest ago first, as committed. */
  readonly forgotten: (limit: number) => readonly (readonly [key: string, value: Buffer])[]
}

/**
 * State, per input partition:
 * - `v/<model, 8 hex digits>/<content hash>` -> how many items have this text (uint32 LE), then the vector (float32 LE); where no item
 *   has it any more, the offset that took it from the last one follows (float64 LE);
 * - `i/<item id>` -> the `v/` key of the item's text;
 * - `f/<offset, 16 digits>` -> the `v/` key of a text that no item has since that offset;
 * - `forgotten` -> how many of those there are (decimal).
 * A vector stays as long as an item of the partition has its text, and then until forgotten_max other texts have been left: the state is
 * no larger than the catalogue and that bound, and what it holds depends on the records alone and not on how they fell into batches.
 */
export const vectorKey = (model_digest: string, content_hash: string): string => `v/${model_digest.slice(0, 8)}/${content_hash}`
export const itemKey = (item_id: string): string => `i/${item_id}`

/** `left_at`: the offset that took the text from its last item; only where items is 0. */
type Remembered = { readonly items: number; readonly vector: Vector; readonly left_at: number }

const encodeRemembered = ({ items, vector, left_at }: Remembered): Buffer => {
  const head = Buffer.allocUnsafe(4)
  head.writeUInt32LE(items)
  if (items > 0) return Buffer.concat([head, toBytes(vector)])
  const tail = Buffer.allocUnsafe(8)
  tail.writeDoubleLE(left_at)
  return Buffer.concat([head, toBytes(vector), tail])
}

const decodeRemembered = (bytes: Buffer): Remembered => {
  const items = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  const end = bytes.length - (items === 0 ? 8 : 0)
  if (end <= 4 || end % 4 !== 0)
    throw new Fault('state.corrupt', `A remembered vector has ${bytes.length} bytes, which is no count and float32s.`)
  return { items, vector: fromBytes(bytes.subarray(4, end)), left_at: items === 0 ? bytes.readDoubleLE(end) : 0 }
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

/** What of an item is kept beside its vectors. */
export const cardOf = (item: Item): ItemCard => ({
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
    forgotten: (limit) => state.entries(forgotten_prefix, limit),
  }),
  run: async (batch, reads) => {
    const { digest, dims } = reads.model
    const { forgotten_max = forgotten_max_default } = settings
    const emit: Emit[] = []
    const dropped: Dropped[] = []

    const wanted = batch.records.map((record) => {
      const item = record.value
      if (item === null || item.op === 'DELETE') return { record, item: null, text: '', hash: '', cut: [] as const, key: '' }
      const { text, cut } = recipe(item)
      const hash = contentHash(text)
      return { record, item, text, hash, cut, key: vectorKey(digest, hash) }
    })

    // Every vector this batch needs: out of the committed state, or computed now, each text once.
    const known = new Map<string, Vector | Fault>()
    const fresh = new Map<string, string>()
    const cuts: Partial<Record<RecipePart, number>> = {}
    let needed = 0
    let in_state = 0
    for (const { item, text, cut, key } of wanted) {
      if (item === null || text === '') continue
      needed++
      if (fresh.has(key)) continue
      if (known.has(key)) {
        in_state++
        continue
      }
      const bytes = reads.cached(key)
      if (bytes === undefined) {
        fresh.set(key, text)
        for (const part of cut) cuts[part] = (cuts[part] ?? 0) + 1
      } else {
        in_state++
        known.set(key, usable(decodeRemembered(bytes).vector, dims))
      }
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

    const forgotten = openForgotten(reads, batch.records.length)
    const of_model = vectorKey(digest, '')

    /** Moves an item from the text it had to the one it has. A text that loses its last item is forgotten later, or with its model. */
    const move = (item_id: string, to: string | null, vector: Vector | null, at: number): void => {
      const from = textKeyOf(item_id)
      if (from === to) return
      if (to !== null && vector !== null) {
        const had = recall(to)
        if (had?.items === 0) forgotten.recalled(had.left_at)
        remembered.set(to, { items: (had?.items ?? 0) + 1, vector: had?.vector ?? vector, left_at: 0 })
      }
      if (from !== null) {
        const left = recall(from)
        if (left !== null && left.items > 1) remembered.set(from, { ...left, items: left.items - 1 })
        else if (left !== null && forgotten_max > 0 && from.startsWith(of_model)) {
          remembered.set(from, { ...left, items: 0, left_at: at })
          forgotten.left(at, from)
        } else if (left !== null) remembered.set(from, null)
      }
      item_texts.set(item_id, to)
      for (const key of forgotten.evict(forgotten_max)) remembered.set(key, null)
    }

    for (const { record, item, text, hash, key } of wanted) {
      const at = record.offset
      if (item === null) {
        move(record.key, null, null, at)
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
      move(record.key, key, vector, at)
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

    settings.embedded?.({ state: in_state, batch: needed - in_state - fresh.size, asked: fresh.size, cut: cuts })
    const state: CausedChange[] = [
      ...[...remembered].map(([key, value]) => ({ key, value: value === null ? null : encodeRemembered(value) })),
      ...[...item_texts].map(([item_id, key]) => ({
        key: itemKey(item_id),
        value: key === null ? null : Buffer.from(key, 'utf8'),
      })),
      ...forgotten.changes(),
    ]
    return { emit, state, dropped }
  },
})
