/** The golden inputs of every shipped map with places of them changed: no value makes a map, or the encoder behind it, throw anything but a reason. */
import type { Platform } from '../../canonicalize/platform.ts'
import { canonicalize } from '../../canonicalize/processor.ts'
import { default_settings } from '../../canonicalize/settings.ts'
import { asFault, Fault } from '../../domain/fault.ts'
import type { Header } from '../../domain/record.ts'
import type { Random } from '../../ports/random.ts'
import type { Serde, SourceDecoder, SourceValue } from '../../ports/schema-registry.ts'
import { topicsOf } from '../../topology.ts'

export type GoldenInput = {
  readonly topic: string
  readonly value: unknown
  readonly headers: readonly Header[]
  readonly time_ms: number
}

/** What stands where something else belongs. */
const values: readonly unknown[] = [
  null,
  undefined,
  true,
  false,
  0,
  -1,
  0.1,
  1e300,
  -1e300,
  5e-324,
  2 ** 31,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_SAFE_INTEGER,
  10n ** 18n,
  -(2n ** 63n),
  '',
  ' ',
  'x',
  '0',
  '1',
  '-1',
  '1e300',
  '1e400',
  '9007199254740991',
  '99999999999999',
  '1,234.50',
  'NaN',
  'USD',
  'JPY',
  'XQZ',
  '2026-02-30',
  '2026-10-31T00:00:00Z',
  '0001-01-01T00:00:00Z',
  '__proto__',
  'constructor',
  'toString',
  'javascript:x',
  'a@b.example',
  '\u0000',
  '\ufffd',
  'x'.repeat(3_000),
  '😀'.repeat(300),
  'word '.repeat(2_000),
  '<'.repeat(500),
  '&'.repeat(500),
  'a:b;c:d:e:f',
  '1:2:3:4',
  ';;;',
  ':::',
  Buffer.from('ab'),
  [],
  {},
  [[]],
  [null],
  { measure: 'x' },
  { epoch_ms: 'x' },
  { minor_units: Number.NaN },
  [{ id: 1 }, { id: 1 }],
  1_763_900_000,
  1_763_900_000_000,
  '1763900000',
  'gid://shopify/Product/5',
  '999 Pack',
  'kg',
  '12 x 3 cm',
]

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value)

/** A copy without prototypes, one place of which is another value, missing, doubled, or moved up. */
const changed = (value: unknown, random: Random, depth = 0): unknown => {
  const below = (max: number): number => Math.floor(random.next() * max)
  const copy = (one: unknown): unknown =>
    Array.isArray(one)
      ? one.map(copy)
      : isObject(one)
        ? Object.assign(Object.create(null), Object.fromEntries(Object.entries(one).map(([name, inner]) => [name, copy(inner)])))
        : one
  const odd = (): unknown => copy(values[below(values.length)])
  if (depth > 0 && random.next() < 0.25) return odd()
  if (Array.isArray(value) && value.length > 0) {
    const out = value.map(copy)
    const at = below(out.length)
    if (random.next() < 0.1) out.push(copy(out[at]))
    else out[at] = changed(out[at], random, depth + 1)
    return out
  }
  if (isObject(value)) {
    const out = copy(value) as Record<string, unknown>
    const names = Object.keys(out)
    const name = names[below(names.length)]
    if (name === undefined) return odd()
    if (random.next() < 0.1) delete out[name]
    else out[name] = changed(out[name], random, depth + 1)
    return out
  }
  return odd()
}

export type MapFuzzReport = { readonly ended: Readonly<Record<string, number>>; readonly wrong: readonly string[] }

/** `serdes` encode the outputs, by topic name. */
export const fuzzMaps = async (
  platforms: readonly Platform[],
  inputs: readonly GoldenInput[],
  records: number,
  serdes: ReadonlyMap<string, Serde<unknown>>,
  random: Random,
): Promise<MapFuzzReport> => {
  const rates = { reference: 'EUR', rates: { USD: 0.92, GBP: 1e12 }, as_of: null }
  const settings = { ...default_settings, rates, user_secret: Buffer.alloc(32, 7), user_key_version: 'k1' }
  const processor = canonicalize(platforms, topicsOf({ prefix: '', partitions: 1 }), settings)
  let current: unknown
  const sources: SourceDecoder = { decode: async () => [{ value: current as SourceValue, schema_id: 1 }] }
  const kept = new Map<string, Buffer>()
  const state = { get: (key: string) => kept.get(key), entries: () => [] }
  const reads = processor.reads({ sources } as never, state)
  const ended: Record<string, number> = {}
  const wrong: string[] = []
  for (let i = 0; i < records && wrong.length < 10; i++) {
    const { topic, value, headers, time_ms } = inputs[i % inputs.length]!
    current = value
    for (let times = 1 + Math.floor(random.next() * 3); times > 0; times--) current = changed(current, random)
    const record = { offset: i, key: 'k', value: { bytes: Buffer.alloc(10) }, bytes: null, timestamp_ms: time_ms, headers }
    let end: string
    try {
      const outcome = await processor.run({ topic, partition: 0, now_ms: time_ms, records: [record] }, reads)
      for (const { to, value: output } of outcome.emit) serdes.get(to.name)!.serialize(output)
      for (const { key, value: bytes } of outcome.state ?? [])
        if (bytes === null) kept.delete(key)
        else kept.set(key, bytes)
      if (kept.size > 2_000) kept.clear()
      const [drop] = outcome.dropped ?? []
      end = outcome.emit.length > 0 ? 'canonical' : drop === undefined ? 'lost' : 'fault' in drop ? drop.fault.code : drop.reason
      if (end === 'lost') wrong.push(`${topic}: neither emitted nor dropped`)
    } catch (error) {
      const fault = asFault(error)
      end = fault.code
      const cause = error instanceof Fault && error.cause instanceof Error ? error.cause : (error as Error)
      wrong.push(`${topic}: ${fault.message} ${cause.stack?.split('\n').slice(0, 4).join(' ') ?? ''}`)
    }
    ended[end] = (ended[end] ?? 0) + 1
  }
  return { ended, wrong }
}
