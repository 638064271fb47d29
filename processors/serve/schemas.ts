/** JSON schemas of what is answered: only what stands here leaves the process. */

const text = { type: 'string' } as const
const integer = { type: 'integer' } as const
const number = { type: 'number' } as const

export const errorSchema = { type: 'object', required: ['code', 'message'], properties: { code: text, message: text } } as const

export const versionSchema = {
  type: 'object',
  properties: { name: text, version: text, node: text, mode: text, model_digest: { type: 'string', nullable: true } },
} as const

export const readySchema = {
  type: 'object',
  required: ['ready', 'dependencies'],
  properties: {
    ready: { type: 'boolean' },
    dependencies: {
      type: 'object',
      additionalProperties: { type: 'object', properties: { ready: { type: 'boolean' }, reason: text, message: text } },
    },
  },
} as const

const reasonSchema = {
  type: 'object',
  properties: {
    code: text,
    weight: number,
    evidence: { type: 'array', items: { type: 'object', properties: { event_id: text, item_id: text } } },
    text,
  },
} as const

const itemSchema = {
  type: 'object',
  properties: {
    rank: integer,
    item_id: text,
    title: text,
    score: number,
    scores: { type: 'object', additionalProperties: number },
    reasons: { type: 'array', items: reasonSchema },
    offers: {
      type: 'array',
      items: {
        type: 'object',
        properties: { platform: text, item_id: text, price_ref_minor: { type: 'integer', nullable: true } },
      },
    },
  },
} as const

/** As domain/recommendation.ts; a test holds the two together. */
export const recommendationSchema = {
  type: 'object',
  properties: {
    recommendation_id: text,
    user_key: text,
    placement: text,
    items: { type: 'array', items: itemSchema },
    model_digest: text,
    profile_version: integer,
    generated_at: integer,
    expires_at: integer,
    latency_ms: number,
    freshness_ms: number,
    filtered_out: { type: 'object', additionalProperties: integer },
  },
} as const
