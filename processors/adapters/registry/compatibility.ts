/** Whether one version of a schema can follow another: by Avro's resolution, and sound, cautious rules for JSON Schema and Protobuf. */
import type { Compatibility, Schema } from '../../ports/schema-registry.ts'
import { type AvroSchema, avroObstacles } from './avro.ts'
import { jsonObstacles } from './compatibility-json.ts'
import { protobufObstacles } from './compatibility-protobuf.ts'

/** A schema with those it builds on, in order. */
export type WholeSchema = { readonly schema: Schema; readonly referenced: readonly Schema[] }

const avroOf = ({ schema, referenced }: WholeSchema): readonly AvroSchema[] =>
  [...referenced, schema].map(({ text }) => JSON.parse(text) as AvroSchema)

/** Why a reader with `reader` cannot read all that was written with `writer`. */
const obstacles = (reader: WholeSchema, writer: WholeSchema): readonly string[] => {
  if (reader.schema.format !== writer.schema.format)
    return [`The format changes from ${writer.schema.format} to ${reader.schema.format}.`]
  switch (reader.schema.format) {
    case 'AVRO':
      return avroObstacles(avroOf(reader), avroOf(writer))
    case 'JSON':
      return jsonObstacles(JSON.parse(reader.schema.text), JSON.parse(writer.schema.text))
    case 'PROTOBUF':
      return protobufObstacles(reader.schema.text, writer.schema.text)
  }
}

/**
 * Why `next` may not follow `earlier` (oldest first) at this level; empty when it may. Backward: the new reads the old. Forward:
 * the old reads the new. Full: both. Without `_TRANSITIVE` only the newest of the earlier ones counts.
 */
export const incompatibilities = (
  level: Compatibility,
  next: WholeSchema,
  earlier: readonly WholeSchema[],
): readonly string[] => {
  if (level === 'NONE') return []
  const against = level.endsWith('_TRANSITIVE') ? earlier : earlier.slice(-1)
  const reasons: string[] = []
  for (const old of against) {
    if (!level.startsWith('FORWARD')) reasons.push(...obstacles(next, old).map((reason) => `New cannot read old: ${reason}`))
    if (!level.startsWith('BACKWARD')) reasons.push(...obstacles(old, next).map((reason) => `Old cannot read new: ${reason}`))
  }
  return [...new Set(reasons)]
}
