/**
 * Golden cases of maps: what comes in, and the canonical fields, drop reason or fault code that must come out. They run through the
 * processor itself, so that repetition, order and snapshots are part of what a case can say.
 */
import { type DocumentNode, entryOf, type MapNode, type Place, plainOf } from '../domain/document.ts'
import type { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import type { CaseFile } from '../domain/platform-files.ts'
import type { Header } from '../domain/record.ts'
import type { InputRecord } from '../flow/processor.ts'
import type { SourceBytes, Topic } from '../flow/topic.ts'
import type { DecodedSource, SourceValue } from '../ports/schema-registry.ts'
import type { StateReader } from '../ports/state-store.ts'
import type { Platform, PlatformSource } from './platform.ts'
import { canonicalize } from './processor.ts'
import { seenIndex } from './seen.ts'
import { type CanonicalizeSettings, default_settings } from './settings.ts'

export type CaseResult = {
  readonly kind: string
  readonly name: string
  readonly place: Place
  readonly passed: boolean
  /** One line for each difference; empty when passed. */
  readonly differences: readonly string[]
}

/**
 * Turns the input of a case into what the map will see, e.g. by writing it with the platform's schema and reading it back. The
 * default takes the value as it stands in the file.
 */
export type CaseCodec = (source: PlatformSource, input: unknown) => Promise<DecodedSource | Fault>

const as_written: CaseCodec = async (_source, input) => ({ value: input as SourceValue, schema_id: null })

/** Key, clock and time of every case that names none. */
const case_secret = new TextEncoder().encode('the key of golden cases')
export const case_time_ms = Date.UTC(2026, 10, 1, 12)
const topic = <V>(name: string): Topic<V> => ({ name, key: '', schema: '', partitions: 1, keep: 'latest', holds: '' })
const case_topics = { items: topic<Item>('items'), interactions: topic<Interaction>('interactions') }

/** State in memory, for one case. */
const memory = (): StateReader & { readonly apply: (changes: readonly { key: string; value: Buffer | null }[]) => void } => {
  const entries = new Map<string, Buffer>()
  return {
    get: (key) => entries.get(key),
    entries: (prefix, limit) =>
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit),
    apply: (changes) => {
      for (const { key, value } of changes)
        if (value === null) entries.delete(key)
        else entries.set(key, value)
    },
  }
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner)) ?? 'nothing'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Where `actual` lacks what is `wanted`. Objects may have more fields than wanted; lists must agree element by element. */
const lacks = (wanted: unknown, actual: unknown, path: string): readonly string[] => {
  if (isObject(wanted)) {
    if (!isObject(actual)) return [`${path}: ${shown(wanted)} is wanted, found ${shown(actual)}`]
    return Object.entries(wanted).flatMap(([key, value]) => lacks(value, actual[key], path === '' ? key : `${path}.${key}`))
  }
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual) || actual.length !== wanted.length)
      return [`${path}: ${shown(wanted)} is wanted, found ${shown(actual)}`]
    return wanted.flatMap((value, i) => lacks(value, actual[i], `${path}[${i}]`))
  }
  return Object.is(wanted, actual) || (wanted === null && actual === undefined)
    ? []
    : [`${path}: ${shown(wanted)} is wanted, found ${shown(actual)}`]
}

type Step = {
  readonly input: unknown
  readonly tombstone: boolean
  readonly key: string
  readonly headers: readonly Header[]
  readonly time: number
}

const case_keys = [
  'name',
  'input',
  'tombstone',
  'key',
  'headers',
  'time',
  'settings',
  'records',
  'expect',
  'late_after_days',
  'rates',
]
const step_keys = ['input', 'tombstone', 'key', 'headers', 'time', 'expect']
const expect_keys = ['dropped', 'fault', 'emits']

const timeOf = (value: unknown): number => {
  if (typeof value === 'number') return value
  const time = typeof value === 'string' ? Date.parse(value) : case_time_ms
  return Number.isNaN(time) ? case_time_ms : time
}

const stepOf = (plain: Record<string, unknown>): Step => ({
  input: plain['input'],
  tombstone: plain['tombstone'] === true,
  key: plain['key'] === undefined ? 'key' : String(plain['key']),
  headers: Object.entries(isObject(plain['headers']) ? plain['headers'] : {}).map(
    ([name, value]) => [name, Buffer.from(String(value))] as const,
  ),
  time: timeOf(plain['time']),
})

/** Runs every case of a file. `base` gives settings that cases do not. */
export const runCases = async (
  platform: Platform,
  file: CaseFile,
  codec: CaseCodec = as_written,
): Promise<readonly CaseResult[]> => {
  const source = platform.sources.find(({ kind }) => kind === file.kind)
  const broken = (place: Place, name: string, why: string): CaseResult => ({
    kind: file.kind,
    name,
    place,
    passed: false,
    differences: [why],
  })
  if (source === undefined)
    return [broken(file.document.place, file.file, `The platform has no map \`${file.kind}\` for these cases.`)]
  if (file.document.kind !== 'list') return [broken(file.document.place, file.file, 'A file of cases is a list.')]
  const results: CaseResult[] = []
  for (const node of file.document.items) {
    if (node.kind !== 'map') {
      results.push(broken(node.place, '', 'A case is a map with name, input and expect.'))
      continue
    }
    const plain = plainOf(node) as Record<string, unknown>
    const name = String(plain['name'] ?? '')
    const unknown = [...unknownKeys(node, case_keys), ...stepNodes(node).flatMap((step) => unknownKeys(step, step_keys))]
    const differences =
      unknown.length > 0 ? [`A case has no \`${unknown.join('`, `')}\`.`] : await runCase(platform, source, plain, codec)
    results.push({ kind: file.kind, name, place: node.place, passed: differences.length === 0, differences })
  }
  return results
}

const unknownKeys = (node: DocumentNode, allowed: readonly string[]): readonly string[] =>
  node.kind === 'map' ? node.entries.map(({ key }) => key).filter((key) => !allowed.includes(key)) : []

const stepNodes = (node: MapNode): readonly DocumentNode[] => {
  const records = entryOf(node, 'records')?.value
  return records?.kind === 'list' ? records.items : []
}

const runCase = async (
  platform: Platform,
  source: PlatformSource,
  plain: Record<string, unknown>,
  codec: CaseCodec,
): Promise<readonly string[]> => {
  const shop = isObject(plain['settings']) ? (plain['settings'] as Record<string, string>) : {}
  const late = plain['late_after_days']
  const rates = isObject(plain['rates'])
    ? (plain['rates'] as { reference: string; rates: Record<string, number>; as_of: number })
    : null
  const settings: CanonicalizeSettings = {
    ...default_settings,
    user_secret: case_secret,
    user_key_version: 'k1',
    shops: { [platform.name]: Object.fromEntries(Object.entries(shop).map(([key, value]) => [key, String(value)])) },
    late_after_ms: typeof late === 'number' ? late * 86_400_000 : late === null ? null : default_settings.late_after_ms,
    rates,
  }
  const processor = canonicalize([platform], case_topics, settings)
  const state = memory()
  const seen = seenIndex(state, { horizon_ms: settings.dedupe_horizon_ms, ids_max: settings.dedupe_ids_max })
  const records = Array.isArray(plain['records']) ? (plain['records'] as Record<string, unknown>[]) : [plain]
  const differences: string[] = []
  for (const [offset, record] of records.entries()) {
    const step = stepOf(record)
    const decoded = step.tombstone ? null : await codec(source, step.input)
    const input: InputRecord<SourceBytes> = {
      offset,
      key: step.key,
      value: { bytes: decoded === null ? null : Buffer.alloc(1) },
      bytes: null,
      timestamp_ms: step.time,
      headers: step.headers,
    }
    const outcome = await processor.run(
      { topic: source.topic, partition: 0, now_ms: Math.max(step.time, case_time_ms), records: [input] },
      { sources: { decode: async (_topic, _format, values) => values.map(() => decoded!) }, state, seen },
    )
    state.apply(outcome.state ?? [])
    const emits = outcome.emit.map(({ value }) => value)
    const drop = outcome.dropped?.[0]
    const found =
      drop === undefined
        ? { emits }
        : 'fault' in drop
          ? { fault: drop.fault.code, message: drop.fault.message }
          : { dropped: drop.reason }
    const wanted = record['expect']
    const where = records.length > 1 ? `records[${offset}].` : ''
    if (wanted === undefined) {
      if (records.length === 1) differences.push('`expect` is missing')
    } else if (Array.isArray(wanted)) differences.push(...lacks({ emits: wanted }, found, '').map((one) => where + one))
    else if (isObject(wanted) && Object.keys(wanted).every((key) => expect_keys.includes(key) || key === 'message'))
      differences.push(...lacks(wanted, found, '').map((one) => `${where}${one}; found ${shown(found).slice(0, 300)}`))
    else differences.push(...lacks({ emits: [wanted] }, found, '').map((one) => where + one))
  }
  return differences
}
