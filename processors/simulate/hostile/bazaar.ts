/** A shop that publishes the same goods in every format, for records that break each of them; and the registry that takes any schema. */
import { avroEncoder } from '../../adapters/registry/avro.ts'
import { frame, messagePathBytes } from '../../adapters/registry/framing.ts'
import { jsonText } from '../../adapters/registry/source-encoder.ts'
import { avroString, protoBytes, protoDouble, zigzag } from '../../adapters/registry/wire-bytes.ts'
import { compilePlatform } from '../../canonicalize/compile.ts'
import type { Platform } from '../../canonicalize/platform.ts'
import { nearest } from '../../config/nearest.ts'
import { documentOf } from '../../config/yaml.ts'
import { Fault } from '../../domain/fault.ts'
import type { RegisteredSchema, Schema, SchemaRegistry, SourceFormat, SubjectVersion } from '../../ports/schema-registry.ts'
import type { Hostile, Kind, Making } from './row.ts'

const item_fields = `
fields:
  source_variant_id: id
  title: title
  description: description
  brand: brand
  gtin: gtin
  price_minor: price
  currency: currency
  quantity: stock
  url: url
  attributes: attributes
  source_updated_at: at | time('ms')
settings: { currency: EUR, language: en, market: DE }
`
const map_texts: Readonly<Record<Kind, string>> = {
  avro: `emits: items\nformat: AVRO\nschema: avro${item_fields}`,
  protobuf: `emits: items\nformat: PROTOBUF\nschema: protobuf${item_fields}`,
  json: `emits: items\nformat: JSON\nschema: json${item_fields}`,
  plain: `emits: items\nformat: PLAIN_JSON${item_fields}`,
  clicks: `
emits: interactions
format: PLAIN_JSON
user: { login: user }
settings: { currency: EUR }
fields: { event_id: id, type: "VIEW", item: item, query: query, price_minor: price, occurred_at: at ?? (seconds | time('s')) }
`,
}

const text_or_null = ['null', 'string']
export const formats: Readonly<Record<Kind, SourceFormat>> = {
  avro: 'AVRO',
  protobuf: 'PROTOBUF',
  json: 'JSON',
  plain: 'PLAIN_JSON',
  clicks: 'PLAIN_JSON',
}
const avro_schema = {
  type: 'record',
  name: 'Thing',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'title', type: 'string' },
    ...['description', 'brand', 'gtin'].map((name) => ({ name, type: text_or_null, default: null })),
    { name: 'price', type: ['null', 'double'], default: null },
    { name: 'currency', type: text_or_null, default: null },
    { name: 'stock', type: ['null', 'long'], default: null },
    { name: 'url', type: text_or_null, default: null },
    { name: 'attributes', type: { type: 'map', values: 'string' } },
    { name: 'at', type: ['null', { type: 'long', logicalType: 'timestamp-millis' }], default: null },
  ],
}
const encodeAvro = avroEncoder([avro_schema])

/** The schemas that the bazaar itself publishes with. */
export const bazaar_schemas: Readonly<Partial<Record<Kind, Schema>>> = {
  avro: { format: 'AVRO', text: JSON.stringify(avro_schema) },
  protobuf: {
    format: 'PROTOBUF',
    text: `syntax = "proto3";
message Thing { string id = 1; string title = 2; optional string description = 3; optional string brand = 4; optional string gtin = 5;
  optional double price = 6; optional string currency = 7; optional int64 stock = 8; optional string url = 9;
  map<string, string> attributes = 10; optional int64 at = 11; }`,
  },
  json: {
    format: 'JSON',
    text: JSON.stringify({
      type: 'object',
      required: ['id', 'title'],
      properties: {
        ...Object.fromEntries(
          ['id', 'title', 'description', 'brand', 'gtin', 'currency', 'url'].map((name) => [name, { type: 'string' }]),
        ),
        price: { type: 'number' },
        stock: { type: 'integer' },
        at: { type: 'integer' },
        attributes: { type: 'object' },
      },
    }),
  },
}

export const topicOf = (kind: Kind): string => `source.bazaar.${kind}`

export const bazaar = (): Platform => {
  const { platform, findings } = compilePlatform(
    {
      name: 'bazaar',
      common: null,
      cases: [],
      maps: Object.entries(map_texts).map(([kind, text]) => {
        const { document } = documentOf(text, `${kind}.yaml`)
        if (document?.kind !== 'map') throw new Fault('map.invalid', `The map of ${kind} is no map.`)
        const schema = bazaar_schemas[kind as Kind]
        return { kind, document, text, schema: schema === undefined ? null : { file: kind, text: schema.text } }
      }),
    },
    { nearest },
  )
  if (platform === null) throw new Fault('map.invalid', findings.map((finding) => finding.message).join('\n'))
  return platform
}

export type AnyRegistry = SchemaRegistry & {
  /** Registers without a look at the schema, as a registry of somebody else may. */
  take(subject: string, schema: Schema): number
  /** From now on every question is answered by `registry.unavailable`, until told otherwise. */
  down: boolean
}

export const openAnyRegistry = (): AnyRegistry => {
  const versions: SubjectVersion[] = []
  const find = (holds: (one: SubjectVersion) => boolean): SubjectVersion | undefined => versions.findLast(holds)
  const answer = <T>(value: T): Promise<T> =>
    registry.down
      ? Promise.reject(new Fault('registry.unavailable', 'The schema registry does not answer.'))
      : Promise.resolve(value)
  const take = (subject: string, schema: Schema): number => {
    const known = find((one) => one.subject === subject && one.text === schema.text)
    if (known !== undefined) return known.id
    const id = versions.length + 1
    versions.push({ ...schema, id, subject, version: versions.filter((one) => one.subject === subject).length + 1 })
    return id
  }
  const registry: AnyRegistry = {
    down: false,
    take,
    register: (subject, schema) => answer(take(subject, schema)),
    byId: (id) => answer(find((one) => one.id === id) as RegisteredSchema | undefined),
    latest: (subject) => answer(find((one) => one.subject === subject)),
    version: (subject, version) => answer(find((one) => one.subject === subject && one.version === version)),
    subjectsOf: (id) => answer(versions.filter((one) => one.id === id).map((one) => one.subject)),
    subjects: () => answer([...new Set(versions.map((one) => one.subject))]),
    compatible: () => answer({ compatible: true, reasons: [] }),
    setCompatibility: () => answer(undefined),
    ping: () => answer(undefined),
  }
  return registry
}

const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8')
const first_message = messagePathBytes([0])

/** Makes hostile records against a registry; `prefix` sets the ids of one maker apart, `now_ms` is the time of its clicks. */
export const openMaking = (registry: AnyRegistry, prefix: string, now_ms: number): Making => {
  let made = 0
  const id = (): string => `${prefix}${made++}`
  const schemaId = (kind: Kind, schema: Schema): number => registry.take(`${topicOf(kind)}-value`, schema)
  const whole = (change: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
    id: id(),
    title: 'A good thing',
    ...change,
  })

  const raw: Making['raw'] = (kind, what, value, ends, around = {}): Hostile => ({
    what,
    kind,
    value,
    ends,
    key: utf8(id()),
    headers: [['x-sent-by', utf8('a shop')]],
    ...around,
  })
  const framed: Making['framed'] = (kind, datum, schema = bazaar_schemas[kind]!) => frame(schemaId(kind, schema), datum)
  const jsonBytes = (value: string | Buffer | Readonly<Record<string, unknown>>): Buffer =>
    typeof value === 'string'
      ? utf8(value)
      : Buffer.isBuffer(value)
        ? value
        : utf8(jsonText(whole(value as Record<string, unknown>)))
  const clickOf = (change: Readonly<Record<string, unknown>>) => ({
    id: id(),
    user: 'somebody',
    item: 'a thing',
    at: new Date(now_ms - 1_000).toISOString(),
    ...change,
  })
  const protobufOf = (row: Readonly<Record<string, unknown>>): Buffer =>
    Buffer.concat([
      protoBytes(1, String(row['id'])),
      protoBytes(2, String(row['title'])),
      ...(typeof row['price'] === 'number' ? [protoDouble(6, row['price'])] : []),
      ...(typeof row['url'] === 'string' ? [protoBytes(9, row['url'])] : []),
    ])

  return {
    now_ms,
    id,
    raw,
    framed,
    strange: (datum, schema) => frame(registry.take('somebody.elses-value', schema), datum),
    plain: (what, value, ends, around) => raw('plain', what, jsonBytes(value), ends, around),
    json: (what, value, ends, schema) =>
      raw(
        'json',
        what,
        framed('json', jsonBytes(value), schema === undefined ? undefined : { format: 'JSON', text: schema }),
        ends,
      ),
    avro: (what, fields, ends, tail = Buffer.alloc(0)) => {
      const schema = {
        type: 'record',
        name: 'Thing',
        fields: [['id', 'string'], ['title', 'string'], ...fields].map(([name, type]) => ({ name, type })),
      }
      const datum = Buffer.concat([avroString(id()), avroString('A thing'), ...fields.map(([, , bytes]) => bytes), tail])
      return raw('avro', what, framed('avro', datum, { format: 'AVRO', text: JSON.stringify(schema) }), ends)
    },
    protobuf: (what, body, bytes, ends) => {
      const [inside = '', outside = ''] = body.split('---')
      const text = `syntax = "proto3";\nmessage Thing { string id = 1; string title = 2; ${inside} }\n${outside}`
      const datum = Buffer.concat([first_message, protoBytes(1, id()), protoBytes(2, 'A thing'), bytes])
      return raw('protobuf', what, framed('protobuf', datum, { format: 'PROTOBUF', text }), ends)
    },
    click: (what, change, ends, around) => raw('clicks', what, utf8(jsonText(clickOf(change))), ends, around),
    good: (kind, change = {}) => {
      if (kind === 'clicks') return utf8(jsonText(clickOf(change)))
      const row = whole(change)
      if (kind === 'plain') return utf8(jsonText(row))
      if (kind === 'json') return framed('json', utf8(jsonText(row)))
      if (kind === 'protobuf') return framed('protobuf', Buffer.concat([first_message, protobufOf(row)]))
      const empty = Object.fromEntries(avro_schema.fields.map(({ name }) => [name, name === 'attributes' ? {} : null]))
      return framed('avro', encodeAvro({ ...empty, ...row }))
    },
  }
}

/** An Avro value behind the index of its branch, in a union of null and another type. */
export const present = (bytes: Buffer): Buffer => Buffer.concat([zigzag(1), bytes])
