/** Canonical topics on the wire: Confluent framing, Avro, the schemas of schemas/canonical, read and written at avsc's own speed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import type { SchemaRegistry, Serde, Serdes, SubjectVersion } from '../../ports/schema-registry.ts'
import {
  type AvroDecoder,
  type AvroSchema,
  avroIdentity,
  canonicalDecoder,
  canonicalEncoder,
  canonicalType,
  writerType,
} from './avro.ts'
import { header_bytes, schemaIdOf } from './framing.ts'
import { type DecodeLimits, decode_limits } from './limits.ts'
import { decodeFramed, openWriters } from './writers.ts'

export type SerdesOptions = {
  /** The folder of <schema>.avsc files. */
  readonly schemas_folder: string
  readonly limits?: DecodeLimits
}

/** Confluent's TopicNameStrategy. */
export const subjectOf = (topic: string): string => `${topic}-value`

const readSchema = async (folder: string, name: string): Promise<{ readonly text: string; readonly schema: AvroSchema }> => {
  const path = join(folder, `${name}.avsc`)
  try {
    const text = await readFile(path, 'utf8')
    return { text, schema: JSON.parse(text) as AvroSchema }
  } catch (error) {
    throw new Fault('config.invalid', `The canonical schema ${path} cannot be read.`, { schema: name }, error)
  }
}

/** The newest version that says the same as `schema`, whatever its layout. */
const sameVersion = async (
  registry: SchemaRegistry,
  subject: string,
  schema: AvroSchema,
): Promise<SubjectVersion | undefined> => {
  const wanted = avroIdentity(schema)
  let candidate = await registry.latest(subject)
  while (candidate !== undefined) {
    if (candidate.format === 'AVRO' && avroIdentity(JSON.parse(candidate.text) as AvroSchema) === wanted) return candidate
    candidate = candidate.version > 1 ? await registry.version(subject, candidate.version - 1) : undefined
  }
  return undefined
}

/**
 * Serdes of canonical schemas against a registry. `of` faults with `schema.unregistered` when the schema file is not a registered version
 * of its subject; records written by other versions are resolved to ours when they are read. Timestamps are epoch ms, float32-vector
 * fields Float32Array (a copy), enum symbols of newer writers the enum's default.
 */
export const openSerdes = (registry: SchemaRegistry, options: SerdesOptions): Serdes => {
  const limits = options.limits ?? decode_limits
  const serdes = new Map<string, Promise<Serde<unknown>>>()

  const open = async (topic: string, name: string): Promise<Serde<unknown>> => {
    const { schema } = await readSchema(options.schemas_folder, name)
    const subject = subjectOf(topic)
    const registered = await sameVersion(registry, subject, schema)
    if (registered === undefined)
      throw new Fault(
        'schema.unregistered',
        `The schema ${name}.avsc is not registered under ${subject}: run \`entrepot schemas register\`.`,
        { subject, schema: name },
      )
    const ours = canonicalType(schema)
    const own_id = registered.id
    const decodeOwn = canonicalDecoder<unknown>(ours, undefined, limits)
    const writers = openWriters<AvroDecoder<unknown>>(registry, {
      topic,
      format: 'AVRO',
      subjects: [subject],
      build: (writer) => canonicalDecoder(ours, writerType(JSON.parse(writer.text) as AvroSchema), limits),
    })
    return {
      schema_id: own_id,
      serialize: canonicalEncoder(ours, own_id),
      async deserialize(values) {
        const ids = values.map(schemaIdOf)
        // Nearly always every record carries our own id: then nothing has to be looked up.
        if (ids.every((id) => id === own_id)) return values.map((value) => decodeOwn(value, header_bytes))
        return decodeFramed(
          { known: (id) => (id === own_id ? decodeOwn : writers.known(id)), look: writers.look },
          ids,
          values,
          (decode, value) => decode(value, header_bytes),
        )
      },
    }
  }

  return {
    of<V>(topic: string, schema: string): Promise<Serde<V>> {
      const key = `${topic}\n${schema}`
      let serde = serdes.get(key)
      if (serde === undefined) {
        serde = open(topic, schema)
        serdes.set(key, serde)
        // A failure is not kept: the schema may be registered, or the registry back, at the next call.
        serde.catch(() => serdes.delete(key))
      }
      return serde as Promise<Serde<V>>
    },
  }
}

export type CanonicalTopic = { readonly topic: string; readonly schema: string }
export type RegisteredTopic = CanonicalTopic & { readonly subject: string; readonly id: number; readonly version: number }

/**
 * Registers the canonical schema of each topic under its subject and holds the subject to BACKWARD_TRANSITIVE, since compacted topics
 * keep records of every version. Registering again changes nothing. Throws `schema.incompatible`, `schema.lint`, `registry.unavailable`.
 */
export const registerCanonical = async (
  registry: SchemaRegistry,
  topics: readonly CanonicalTopic[],
  schemas_folder: string,
): Promise<readonly RegisteredTopic[]> => {
  const registered: RegisteredTopic[] = []
  for (const { topic, schema } of topics) {
    const { text } = await readSchema(schemas_folder, schema)
    const subject = subjectOf(topic)
    await registry.setCompatibility(subject, 'BACKWARD_TRANSITIVE')
    const id = await registry.register(subject, { format: 'AVRO', text })
    const found = await sameVersion(registry, subject, JSON.parse(text) as AvroSchema)
    registered.push({ topic, schema, subject, id, version: found?.version ?? 1 })
  }
  return registered
}
