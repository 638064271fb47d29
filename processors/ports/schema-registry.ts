/** A Confluent-compatible registry of schemas, and the (de)serialisers that stand on it. */
import type { Fault } from '../domain/fault.ts'

export type SchemaFormat = 'AVRO' | 'JSON' | 'PROTOBUF'
export type Compatibility =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE'

/** A named reference to a version of another subject. */
export type SchemaReference = { readonly name: string; readonly subject: string; readonly version: number }
export type Schema = { readonly format: SchemaFormat; readonly text: string; readonly references?: readonly SchemaReference[] }
export type RegisteredSchema = Schema & { readonly id: number }
export type SubjectVersion = RegisteredSchema & { readonly subject: string; readonly version: number }

/** Every method throws `registry.unavailable` (transient) during an outage. */
export interface SchemaRegistry {
  /** Registers under a subject and returns the global id; the same text again returns the same id. Throws `schema.incompatible`. */
  register(subject: string, schema: Schema): Promise<number>
  /** The schema of an id, or undefined when a healthy registry does not know it. */
  byId(id: number): Promise<RegisteredSchema | undefined>
  latest(subject: string): Promise<SubjectVersion | undefined>
  version(subject: string, version: number): Promise<SubjectVersion | undefined>
  /** The subjects an id is registered under. */
  subjectsOf(id: number): Promise<readonly string[]>
  subjects(): Promise<readonly string[]>
  compatible(subject: string, schema: Schema): Promise<{ readonly compatible: boolean; readonly reasons: readonly string[] }>
  setCompatibility(subject: string, level: Compatibility): Promise<void>
  /** Resolves when the registry answers. */
  ping(): Promise<void>
}

/**
 * A decoded source value: plain data in objects that inherit nothing (a missing field is undefined, whatever its name), maps as objects,
 * safe integers as number and all beyond as bigint, bytes as Buffer. Times of an Avro logical type or a Protobuf Timestamp are
 * epoch ms, decimals plain decimal text, enums their symbol (`UNKNOWN` for a Protobuf number outside the schema), absent fields that may
 * be absent null. What was not valid UTF-8 or half a surrogate pair stands as U+FFFD: fit for text, never for an id.
 */
export type SourceValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Buffer
  | readonly SourceValue[]
  | { readonly [field: string]: SourceValue }
export type DecodedSource = { readonly value: SourceValue; readonly schema_id: number | null }

/** How a source topic is written. `PLAIN_JSON` has no wire header and no registry. */
export type SourceFormat = SchemaFormat | 'PLAIN_JSON'

export interface SourceDecoder {
  /**
   * One decoded value or malformed fault per input, in order. Unknown schema ids are looked up once per batch;
   * a registry outage throws `registry.unavailable` for the whole batch, so that the partition waits.
   */
  decode(topic: string, format: SourceFormat, values: readonly Buffer[]): Promise<readonly (DecodedSource | Fault)[]>
}

/** One canonical topic's records: Confluent wire format, Avro, the schema in schemas/canonical. */
export interface Serde<V> {
  /** Registry id of the schema it writes with. */
  readonly schema_id: number
  serialize(value: V): Buffer
  /** One value or malformed fault per input, in order, resolved from the writer's schema to ours. */
  deserialize(values: readonly Buffer[]): Promise<readonly (V | Fault)[]>
}

export interface Serdes {
  /** The serde of a canonical schema by file name, e.g. `item`, for the subject `<topic>-value`. Registers nothing. */
  of<V>(topic: string, schema: string): Promise<Serde<V>>
}
