/** A synthetic shop for the benches: Shopify products, Segment views of them, and vectors that need no model. All from one seed. */
import { createHash } from 'node:crypto'
import type { ToPublish } from '../../processors/cli/publish.ts'
import type { Vector } from '../../processors/domain/vector.ts'
import type { Embedder } from '../../processors/ports/embedder.ts'

export const shop_platforms = ['segment', 'shopify'] as const
export const shop_settings = {
  shopify: { currency: 'EUR', market: 'DE', language: 'en', merchant_id: 'bench' },
  segment: { currency: 'EUR', market: 'DE', catalog_platform: 'shopify', catalog_merchant_id: 'bench' },
}

/** Products of one kind have near vectors. */
const kinds = 200

/** mulberry32: uniform in [0, 1). */
export const uniform = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const normals = (seed: number, dims: number): Float64Array => {
  const next = uniform(seed)
  const values = new Float64Array(dims)
  let squares = 0
  for (let at = 0; at < dims; at++) {
    // The sum of four is near enough to a normal for directions.
    const value = next() + next() + next() + next() - 2
    values[at] = value
    squares += value * value
  }
  const length = Math.sqrt(squares)
  for (let at = 0; at < dims; at++) values[at]! /= length
  return values
}

const seedOf = (text: string): number => createHash('sha256').update(text).digest().readUInt32LE(0)

/** Seeded unit vectors: the kind's direction and the text's own, 3 to 2. No meaning, no inference. */
export const syntheticEmbedder = (dims = 384): Embedder => {
  const directions = new Map<string, Float64Array>()
  const vectorOf = (text: string): Vector => {
    const kind = /kind (\d+)/u.exec(text)?.[1] ?? ''
    let direction = directions.get(kind)
    if (direction === undefined) {
      direction = normals(seedOf(`kind ${kind}`), dims)
      directions.set(kind, direction)
    }
    const own = normals(seedOf(text), dims)
    const sum = Float64Array.from(own, (value, at) => 2 * value + 3 * direction[at]!)
    const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0))
    return Float32Array.from(sum, (value) => value / length)
  }
  return {
    model: {
      name: `synthetic: seeded unit vectors, ${dims} dims`,
      digest: createHash('sha256').update(`synthetic embedder 1, ${dims}`).digest('hex'),
      dims,
      tokens_max: 512,
    },
    embed: async (texts) => texts.map(vectorOf),
    close: async () => undefined,
  }
}

const adjectives = ['Linen', 'Oak', 'Steel', 'Wool', 'Ceramic', 'Cotton', 'Glass', 'Leather', 'Bamboo', 'Brass']
const nouns = ['shirt', 'lamp', 'kettle', 'blanket', 'mug', 'towel', 'vase', 'wallet', 'board', 'clock']
const updated_at = '2026-01-01T12:00:00Z'

/** Product `number`, with one variant; about 1.3 kB as JSON. */
export const product = (number: number, timestamp_ms: number): ToPublish => {
  const next = uniform(number + 1)
  const pick = (words: readonly string[]): string => words[Math.floor(next() * words.length)]!
  const noun = pick(nouns)
  const price = (5 + Math.floor(next() * 20_000) / 100).toFixed(2)
  const gid = (type: string, id: number): string => `gid://shopify/${type}/${id}`
  return {
    platform: 'shopify',
    kind: 'items',
    key: String(number),
    timestamp_ms,
    value: {
      id: number,
      admin_graphql_api_id: gid('Product', number),
      title: `${pick(adjectives)} ${noun}, kind ${number % kinds}, no. ${number}`,
      body_html: `<p>A ${noun} of ${pick(adjectives).toLowerCase()} &amp; ${pick(adjectives).toLowerCase()}, made in small series.</p><ul><li>${price} euros</li><li>No. ${number}</li></ul>`,
      vendor: `Maker ${number % 500}`,
      product_type: 'Home & Garden > Decor',
      status: 'active',
      tags: 'new, spring',
      updated_at,
      options: [{ name: 'Color', position: 1, values: ['Red'] }],
      images: [{ id: number, src: `https://cdn.example/${number}.jpg` }],
      variant_gids: [{ admin_graphql_api_id: gid('ProductVariant', number) }],
      variants: [
        {
          id: number,
          admin_graphql_api_id: gid('ProductVariant', number),
          title: 'Red',
          sku: `SKU-${number}`,
          price,
          inventory_policy: 'deny',
          inventory_quantity: 1 + Math.floor(next() * 50),
          option1: 'Red',
          image_id: number,
          weight: 0.5,
          weight_unit: 'kg',
        },
      ],
    },
  }
}

/** A view by one of `users` of one of `items` products; `number` makes its message id. */
export const view = (next: () => number, number: number, users: number, items: number, timestamp_ms: number): ToPublish => {
  const user = `user-${Math.floor(next() * users)}`
  // A few products have most of the views.
  const item = 1 + Math.floor(next() ** 2 * items)
  const at = new Date(timestamp_ms).toISOString()
  return {
    platform: 'segment',
    kind: 'events',
    key: user,
    timestamp_ms,
    value: {
      type: 'track',
      event: next() < 0.2 ? 'Product Added' : 'Product Viewed',
      messageId: `bench-${number}`,
      anonymousId: `device-${user}`,
      userId: user,
      timestamp: at,
      originalTimestamp: at,
      sentAt: at,
      receivedAt: at,
      properties: {
        product_id: String(item),
        sku: `SKU-${item}`,
        name: `No. ${item}`,
        price: 19.99,
        currency: 'EUR',
        quantity: 1,
      },
    },
  }
}
