/** Platforms' records, decoded strictly whatever their format: each value becomes plain data or a fault with its reason, and nothing else. */
import { Fault } from '../../domain/fault.ts'
import type { DecodedSource, SchemaFormat, SchemaRegistry, SourceDecoder, SourceValue } from '../../ports/schema-registry.ts'
import { type AvroSchema, avroSourceDecoder } from './avro.ts'
import { header_bytes, messagePathOf, schemaIdOf } from './framing.ts'
import { decodeJson } from './json.ts'
import { jsonValidator } from './json-schema.ts'
import { type DecodeLimits, decode_limits } from './limits.ts'
import { protobufDecoder } from './protobuf.ts'
import { subjectOf } from './serdes.ts'
import { decodeFramed, openWriters, type Writers } from './writers.ts'

export type SourceDecoderOptions = {
  /** Subjects whose schemas may be used on a topic, besides `<topic>-value`. */
  readonly allow?: (topic: string) => readonly string[]
  readonly limits?: DecodeLimits
}

type Decode = (value: Buffer) => SourceValue | Fault

const builders = (limits: DecodeLimits): Record<SchemaFormat, (text: string, referenced: readonly string[]) => Decode> => ({
  AVRO(text, referenced) {
    const decode = avroSourceDecoder(
      [...referenced, text].map((one) => JSON.parse(one) as AvroSchema),
      limits,
    )
    return (value) => decode(value, header_bytes)
  },
  JSON(text) {
    const validate = jsonValidator(text)
    return (value) => {
      try {
        const decoded = decodeJson(value, header_bytes, limits)
        return validate(decoded.rounded, { entries: decoded.entries, bytes: value.length }) ?? decoded.value
      } catch (error) {
        if (error instanceof Fault) return error
        throw error
      }
    }
  },
  PROTOBUF(text) {
    const decode = protobufDecoder(text, limits)
    return (value) => {
      const path = messagePathOf(value)
      return path instanceof Fault ? path : decode(value, path.offset, path.indexes)
    }
  },
})

/**
 * Opens a decoder of source topics. Every value is answered by what it holds or by a malformed fault; a registry outage throws
 * `registry.unavailable` for the whole batch. Schemas are linted before they are compiled (`schema.hostile`).
 */
export const openSourceDecoder = (registry: SchemaRegistry, options: SourceDecoderOptions = {}): SourceDecoder => {
  const limits = options.limits ?? decode_limits
  const build = builders(limits)
  const writers = new Map<string, Writers<Decode>>()

  const writersOf = (topic: string, format: SchemaFormat): Writers<Decode> => {
    const key = `${format}\n${topic}`
    let found = writers.get(key)
    if (found === undefined) {
      found = openWriters<Decode>(registry, {
        topic,
        format,
        subjects: [subjectOf(topic), ...(options.allow?.(topic) ?? [])],
        build: (schema, referenced) =>
          build[format](
            schema.text,
            referenced.map(({ text }) => text),
          ),
      })
      writers.set(key, found)
    }
    return found
  }

  const plain = (value: Buffer): DecodedSource | Fault => {
    try {
      return { value: decodeJson(value, 0, limits).value, schema_id: null }
    } catch (error) {
      if (error instanceof Fault) return error
      throw error
    }
  }

  return {
    async decode(topic, format, values) {
      if (format === 'PLAIN_JSON') return values.map(plain)
      const ids = values.map((value) =>
        value.length > limits.record_bytes_max
          ? new Fault('limits.bytes', `The record has ${value.length} bytes; ${limits.record_bytes_max} are allowed.`)
          : schemaIdOf(value),
      )
      return decodeFramed(writersOf(topic, format), ids, values, (decode, value, id): DecodedSource | Fault => {
        const decoded = decode(value)
        return decoded instanceof Fault ? decoded : { value: decoded, schema_id: id }
      })
    },
  }
}
