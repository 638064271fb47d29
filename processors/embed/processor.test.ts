/** Each text is computed once per model, every offset ends somewhere, and state follows the catalogue, however batches are cut. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { memoryEmbedder } from '../adapters/memory/embedder.ts'
import type { ItemVector } from '../domain/catalog.ts'
import { Fault } from '../domain/fault.ts'
import type { Item } from '../domain/item.ts'
import { toBytes, type Vector } from '../domain/vector.ts'
import type { Batch, Emit, Outcome } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import type { Embedder } from '../ports/embedder.ts'
import type { StateReader } from '../ports/state-store.ts'
import { forgotten_count_key, forgotten_prefix } from './forgotten.ts'
import { item } from './item.fixture.ts'
import { type EmbedCounts, embed, itemKey, vectorKey } from './processor.ts'
import { contentHash, textOf } from './text.ts'

const vectors = topic<ItemVector>('catalog.vectors.v1', {
  key: 'item_id',
  schema: 'vector',
  partitions: 1,
  keep: 'latest',
  holds: 'vectors',
})

type Change = { readonly key: string; readonly value: Item | null }
const upsert = (id: string, changes: Partial<Item> = {}): Change => ({ key: id, value: item({ item_id: id, ...changes }) })
const gone = (id: string): Change => ({ key: id, value: null })

/** The processor on a state that lives from batch to batch, with an encoder that counts what it is asked. */
const stage = (embedder: Embedder = memoryEmbedder(), counts: EmbedCounts[] = [], forgotten_max = 100) => {
  const store = new Map<string, Buffer>()
  const asked: string[][] = []
  const emitted: Emit[] = []
  let offset = 0
  const state = {
    get: (key: string) => store.get(key),
    entries: (prefix, limit) =>
      [...store]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit),
  } satisfies StateReader
  const processor = embed(vectors, { embedded: (count) => counts.push(count), forgotten_max })
  return {
    store,
    asked,
    emitted,
    run: async (changes: readonly Change[]): Promise<Outcome> => {
      const counted: Embedder = {
        ...embedder,
        embed: (texts) => {
          asked.push([...texts])
          return embedder.embed(texts)
        },
      }
      const unused = null as never
      const reads = processor.reads({ index: unused, sources: unused, embedder: counted }, state)
      const batch: Batch<Item> = {
        topic: 'catalog.items.v1',
        partition: 0,
        now_ms: 0,
        records: changes.map(({ key, value }) => ({ offset: offset++, key, value, bytes: null, timestamp_ms: 0, headers: [] })),
      }
      const outcome = await processor.run(batch, reads)
      for (const { key, value } of outcome.state ?? []) {
        if (value === null) store.delete(key)
        else store.set(key, value)
      }
      emitted.push(...outcome.emit)
      return outcome
    },
  }
}

const vectorIn = (emit: Emit | undefined): Vector => (emit!.value as ItemVector).vector
const shown = (emits: readonly Emit[]) =>
  emits.map(({ key, value, causes }) => {
    const out = value as ItemVector | null
    return [key, causes, out === null ? null : [out.content_hash, toBytes(out.vector).toString('hex'), out.card.price_minor]]
  })
const faults = (outcome: Outcome) =>
  (outcome.dropped ?? []).map((drop) => [drop.at, 'fault' in drop ? drop.fault.code : drop.reason])

describe('embed', () => {
  test('a new item becomes a vector with its card, its content hash and the model’s digest', async () => {
    const embedder = memoryEmbedder()
    const { run } = stage(embedder)
    const { emit, dropped } = await run([upsert('a')])
    const value = emit[0]!.value as ItemVector
    const text = textOf(item())
    expect(emit).toHaveLength(1)
    expect(dropped).toEqual([])
    expect(emit[0]).toMatchObject({ to: vectors, key: 'a', causes: [0] })
    expect(value).toMatchObject({
      item_id: 'a',
      content_hash: contentHash(text),
      model_digest: embedder.model.digest,
      source_updated_at: 1_700_000_000_000,
      ingested_at: 1_700_000_000_500,
      card: { title: 'Steel kettle 1.7 l', price_minor: 2_999, currency: 'EUR', availability: 'IN_STOCK', platform: 'shop' },
    })
    expect(toBytes(value.vector).equals(toBytes((await embedder.embed([text]))[0] as Vector))).toBe(true)
  })

  test('a changed price gives a new record with the remembered vector; the encoder is not asked', async () => {
    const counts: EmbedCounts[] = []
    const { run, asked, store } = stage(undefined, counts)
    const first = await run([upsert('a')])
    const before = new Map(store)
    const second = await run([upsert('a', { price_minor: 1_999 })])
    expect(asked).toHaveLength(1)
    expect((second.emit[0]!.value as ItemVector).card.price_minor).toBe(1_999)
    expect(toBytes(vectorIn(second.emit[0])).equals(toBytes(vectorIn(first.emit[0])))).toBe(true)
    expect(second.state).toEqual([])
    expect(store).toEqual(before)
    expect(counts).toEqual([
      { state: 0, batch: 0, asked: 1, cut: {} },
      { state: 1, batch: 0, asked: 0, cut: {} },
    ])
  })

  test('one call a batch, and one text once, however many items have it', async () => {
    const { run, asked, emitted } = stage()
    await run([upsert('a'), upsert('b'), upsert('c', { title: 'Wooden spoon' }), upsert('d')])
    expect(asked).toEqual([['Steel kettle 1.7 l', 'Wooden spoon']])
    expect(emitted.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd'])
    expect(toBytes(vectorIn(emitted[0])).equals(toBytes(vectorIn(emitted[3])))).toBe(true)
    await run([upsert('e')])
    expect(asked).toHaveLength(1)
  })

  test('two records of one item in a batch leave two outputs, in order', async () => {
    const { run } = stage()
    const { emit } = await run([upsert('a'), upsert('a', { title: 'Wooden spoon' }), gone('a'), upsert('a')])
    expect(emit.map(({ value, causes }) => [(value as ItemVector | null)?.card.title ?? null, causes])).toEqual([
      ['Steel kettle 1.7 l', [0]],
      ['Wooden spoon', [1]],
      [null, [2]],
      ['Steel kettle 1.7 l', [3]],
    ])
  })

  test('a deleted item, by tombstone or by op, leaves a tombstone and no state when nothing is to be kept', async () => {
    const { run, store } = stage(undefined, [], 0)
    await run([upsert('a'), upsert('b', { title: 'Wooden spoon' })])
    const { emit } = await run([gone('a'), upsert('b', { op: 'DELETE' }), gone('never seen')])
    expect(emit.map(({ key, value, causes }) => [key, value, causes])).toEqual([
      ['a', null, [2]],
      ['b', null, [3]],
      ['never seen', null, [4]],
    ])
    expect([...store.keys()]).toEqual([])
  })

  test('where nothing is kept, a text is forgotten with its last item, not before', async () => {
    const embedder = memoryEmbedder()
    const { run, store, asked } = stage(embedder, [], 0)
    const key = vectorKey(embedder.model.digest, contentHash(textOf(item())))
    await run([upsert('a'), upsert('b')])
    await run([gone('a')])
    expect(store.has(key)).toBe(true)
    await run([upsert('b', { title: 'Wooden spoon' })])
    expect(store.has(key)).toBe(false)
    expect(store.get(itemKey('b'))?.toString()).toBe(vectorKey(embedder.model.digest, contentHash('Wooden spoon')))
    // Away and back within one batch: the committed vector serves.
    await run([upsert('b', { title: 'Steel pan' }), upsert('b', { title: 'Wooden spoon' })])
    expect(asked).toEqual([['Steel kettle 1.7 l'], ['Wooden spoon'], ['Steel pan']])
    expect([...store.keys()]).toHaveLength(2)
  })

  test('a listing that is taken down and put up again is not embedded again, by whichever shop', async () => {
    const { run, asked, emitted, store } = stage()
    await run([upsert('a')])
    await run([gone('a')])
    expect([...store.keys()].filter((key) => key.startsWith(forgotten_prefix))).toHaveLength(1)
    await run([upsert('b')])
    expect(asked).toHaveLength(1)
    expect(toBytes(vectorIn(emitted.at(-1))).equals(toBytes(vectorIn(emitted[0])))).toBe(true)
    expect([...store.keys()].filter((key) => key.startsWith(forgotten_prefix))).toEqual([])
    expect(store.get(forgotten_count_key)?.toString()).toBe('0')
  })

  test('of texts without items the one left longest ago goes first, once there are more than are kept', async () => {
    const { run, asked, store } = stage(undefined, [], 2)
    const titles = ['red cup', 'blue cup', 'tea pot']
    await run(titles.map((title, i) => upsert(`i${i}`, { title })))
    await run([gone('i1'), gone('i0'), gone('i2')])
    expect(store.get(forgotten_count_key)?.toString()).toBe('2')
    expect([...store.keys()].filter((key) => key.startsWith('v/'))).toHaveLength(2)
    await run([upsert('x', { title: 'tea pot' }), upsert('y', { title: 'red cup' })])
    expect(asked).toHaveLength(1)
    await run([upsert('z', { title: 'blue cup' })])
    expect(asked.slice(1)).toEqual([['blue cup']])
  })

  test('a lowered bound is reached a few texts a record', async () => {
    const store = stage(undefined, [], 10)
    await store.run(Array.from({ length: 8 }, (_, i) => upsert(`i${i}`, { title: `cup ${i}` })))
    await store.run(Array.from({ length: 8 }, (_, i) => gone(`i${i}`)))
    const lower = stage(undefined, [], 1)
    for (const [key, value] of store.store) lower.store.set(key, value)
    await lower.run([upsert('a', { title: 'tea' })])
    expect(lower.store.get(forgotten_count_key)?.toString()).toBe('6')
    await lower.run(Array.from({ length: 4 }, (_, i) => upsert(`b${i}`, { title: `pot ${i}` })))
    expect(lower.store.get(forgotten_count_key)?.toString()).toBe('1')
    expect([...lower.store.keys()].filter((key) => key.startsWith(forgotten_prefix))).toHaveLength(1)
  })

  test('another model gives other vectors and forgets the old ones as items come by', async () => {
    const old = stage(memoryEmbedder(64))
    await old.run([upsert('a'), upsert('b')])
    const next = stage(memoryEmbedder(32))
    for (const [key, value] of old.store) next.store.set(key, value)
    await next.run([upsert('a')])
    expect(next.asked).toHaveLength(1)
    expect(vectorIn(next.emitted[0])).toHaveLength(32)
    expect([...next.store.keys()].filter((key) => key.startsWith('v/'))).toHaveLength(2)
    await next.run([upsert('b')])
    expect(next.asked).toHaveLength(1)
    expect([...next.store.keys()].filter((key) => key.startsWith('v/'))).toHaveLength(1)
  })

  test('an item without words, and one whose vector is unusable, is refused by itself', async () => {
    const real = memoryEmbedder()
    const broken: Record<string, Vector | Fault> = {
      zero: new Float32Array(64),
      nan: new Float32Array(64).fill(Number.NaN),
      huge: new Float32Array(64).fill(1e30),
      short: Float32Array.from([1]),
      refused: new Fault('embed.empty', 'nothing'),
    }
    const embedder: Embedder = {
      ...real,
      embed: async (texts) => Promise.all(texts.map(async (text) => broken[text] ?? (await real.embed([text]))[0]!)),
    }
    const { run, store } = stage(embedder)
    const titles = ['zero', 'nan', 'huge', 'short', 'refused', ' ', 'fine']
    const outcome = await run(titles.map((title) => upsert(title, { title })))
    expect(faults(outcome)).toEqual([
      [0, 'embed.degenerate'],
      [1, 'embed.degenerate'],
      [2, 'embed.degenerate'],
      [3, 'embed.degenerate'],
      [4, 'embed.empty'],
      [5, 'embed.empty'],
    ])
    expect(outcome.emit.map(({ key }) => key)).toEqual(['fine'])
    expect([...store.keys()].filter((key) => key.startsWith('i/'))).toEqual(['i/fine'])
  })

  test('an encoder that cannot answer stops the batch: nothing is decided', async () => {
    const { run } = stage({ ...memoryEmbedder(), embed: () => Promise.reject(new Fault('embedder.unavailable', 'gone')) })
    await expect(run([upsert('a')])).rejects.toMatchObject({ code: 'embedder.unavailable', kind: 'transient' })
  })

  test('an encoder that answers too few texts is a defect', async () => {
    const { run } = stage({ ...memoryEmbedder(), embed: async () => [] })
    await expect(run([upsert('a')])).rejects.toMatchObject({ code: 'outcome.invalid' })
  })

  test('a state record that cannot be read is corrupt', async () => {
    const embedder = memoryEmbedder()
    const { run, store } = stage(embedder)
    store.set(vectorKey(embedder.model.digest, contentHash(textOf(item()))), Buffer.from('torn!'))
    await expect(run([upsert('a')])).rejects.toMatchObject({ code: 'state.corrupt' })
  })

  test('however a history is cut into batches, outputs and state are the same, and every offset is accounted for', async () => {
    const ids = fc.constantFrom('a', 'b', 'c')
    const change = fc.oneof(
      fc
        .record({
          id: ids,
          title: fc.constantFrom('red cup', 'blue cup', 'tea pot', ' '),
          price_minor: fc.integer({ min: 1, max: 9 }),
        })
        .map(({ id, ...changes }) => upsert(id, changes)),
      ids.map(gone),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
        fc.integer({ min: 0, max: 2 }),
        async (history, cuts, forgotten_max) => {
          const whole = stage(undefined, [], forgotten_max)
          const outcome = await whole.run(history)
          const accounted = [...outcome.emit.flatMap(({ causes }) => causes), ...(outcome.dropped ?? []).map(({ at }) => at)]
          expect(accounted.sort((a, b) => a - b)).toEqual(history.map((_, i) => i))

          const parts = stage(undefined, [], forgotten_max)
          for (let at = 0, i = 0; at < history.length; i++) {
            const size = cuts[i % cuts.length]!
            await parts.run(history.slice(at, at + size))
            at += size
          }
          expect(shown(parts.emitted)).toEqual(shown(whole.emitted))
          expect(new Map([...parts.store].sort())).toEqual(new Map([...whole.store].sort()))
          // No more texts than live items have, and so many forgotten ones as are kept.
          const live = new Set<string>()
          const left = new Set<string>()
          for (const [key, value] of whole.store) {
            if (key.startsWith('i/')) live.add(value.toString())
            if (key.startsWith(forgotten_prefix)) left.add(value.toString())
          }
          expect(left.size).toBeLessThanOrEqual(forgotten_max)
          expect(Number(whole.store.get(forgotten_count_key)?.toString() ?? 0)).toBe(left.size)
          expect([...left].filter((key) => live.has(key))).toEqual([])
          for (const key of left) live.add(key)
          expect([...whole.store.keys()].filter((key) => key.startsWith('v/')).sort()).toEqual([...live].sort())
        },
      ),
      { numRuns: 100 },
    )
  })
})
