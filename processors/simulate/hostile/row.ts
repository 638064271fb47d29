/** What one row of the catalogue of bad inputs (reliability reference, §4) says: what comes in, and how it must end. */
import type { DropReason } from '../../canonicalize/reasons.ts'
import type { FaultCode } from '../../domain/fault.ts'
import type { Header } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import type { Schema } from '../../ports/schema-registry.ts'

/** Where rows are tried. */
export type Bench = {
  readonly clock: Clock
  readonly random: Random
  /** The folder of canonical schemas. */
  readonly schemas_folder: string
}

/** The one end that a record comes to. */
export type Ending =
  /** Dead-lettered with this code and its original key, value and headers. */
  | { readonly dead: FaultCode; readonly by?: 'embed' }
  /** Dropped with this reason: known, counted, not kept. */
  | { readonly dropped: DropReason }
  /** Canonical; the item or interaction holds at least these values. */
  | {
      readonly canonical: Readonly<Record<string, unknown>>
      readonly rule?: string
      /** Text that must stand nowhere in it. */
      readonly hides?: string
    }

export const dead = (code: FaultCode): Ending => ({ dead: code })
export const dropped = (reason: DropReason): Ending => ({ dropped: reason })
/** `rule` names the rewrite that provenance must list: that something was changed is said, not hidden. */
export const canonical = (values: Readonly<Record<string, unknown>> = {}, rule?: string): Ending => ({
  canonical: values,
  ...(rule === undefined ? {} : { rule }),
})

/** The topics of the bazaar: one shop's items in every format, and its clicks. */
export type Kind = 'avro' | 'protobuf' | 'json' | 'plain' | 'clicks'

export type Hostile = {
  readonly what: string
  readonly kind: Kind
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  /** Epoch ms; absent takes the time of its neighbours. */
  readonly timestamp_ms?: number
  readonly ends: Ending
}

/** What differs from an ordinary record. */
export type Around = Partial<Pick<Hostile, 'key' | 'headers' | 'timestamp_ms'>>

/** Makes hostile records. Each gets an id of its own, so that none is a repetition. */
export type Making = {
  /** When the records are made. */
  readonly now_ms: number
  /** An id nobody else has. */
  id(): string
  /** The value's bytes as they are. */
  raw(kind: Kind, what: string, value: Buffer | null, ends: Ending, around?: Around): Hostile
  /** JSON without a header; an object is written out, with an id and a title where it has none. */
  plain(what: string, value: string | Buffer | Readonly<Record<string, unknown>>, ends: Ending, around?: Around): Hostile
  /** The same behind a header, under the bazaar's JSON Schema or another one. */
  json(what: string, value: string | Buffer | Readonly<Record<string, unknown>>, ends: Ending, schema?: string): Hostile
  /** An Avro record of id, title and these fields, each with its own type and bytes, under a schema that says so. */
  avro(what: string, fields: readonly AvroField[], ends: Ending, tail?: Buffer): Hostile
  /** A Protobuf message of id (1), title (2) and these bytes, under a schema with this body. */
  protobuf(what: string, body: string, bytes: Buffer, ends: Ending): Hostile
  /** A click; what is given replaces the good one's values. */
  click(what: string, change: Readonly<Record<string, unknown>>, ends: Ending, around?: Around): Hostile
  /** A good record's value. */
  good(kind: Kind, change?: Readonly<Record<string, unknown>>): Buffer
  /** A wire header with the id of a schema registered under the kind's subject, and this datum behind it. */
  framed(kind: Kind, datum: Buffer, schema?: Schema): Buffer
  /** The same, the schema being registered under another subject. */
  strange(datum: Buffer, schema: Schema): Buffer
}

export type AvroField = readonly [name: string, type: unknown, bytes: Buffer]

/** What the product answers, in the words of the table. */
export type Answer =
  | 'dead letter'
  | 'drop'
  | 'accept'
  | 'accept with a flag'
  | 'pause'
  | 'stop'
  | 'refuse at the edge'
  | 'not yet'

export type Row = {
  /** Number in the table, 1 to 64. */
  readonly row: number
  readonly name: string
  readonly answer: Answer
  /** Where the product answers otherwise than the table, and why. */
  readonly otherwise?: string
  readonly records?: (making: Making) => readonly Hostile[]
  /** For what no record of a source topic can show. Returns what is wrong; nothing when all holds. */
  readonly check?: (bench: Bench) => Promise<readonly string[]>
  /** What of the row waits for a processor that does not exist, and the issue it belongs to. */
  readonly not_yet?: { readonly issue: number | null; readonly what: string }
}
