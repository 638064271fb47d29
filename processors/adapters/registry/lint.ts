/** The gate before any compile: a schema comes from a registry that others can write to, and a schema is code. */
import type { Schema, SchemaFormat } from '../../ports/schema-registry.ts'
import { type SchemaLimits, schema_limits } from './limits.ts'
import { lintAvro } from './lint-avro.ts'
import type { LintFinding } from './lint-finding.ts'
import { lintJsonSchema } from './lint-json.ts'
import { lintProtobuf } from './lint-protobuf.ts'

const linters: Record<
  SchemaFormat,
  (text: string, referenced: readonly string[], limits: SchemaLimits) => readonly LintFinding[]
> = { AVRO: lintAvro, JSON: lintJsonSchema, PROTOBUF: lintProtobuf }

/**
 * What is wrong with a schema, before it is compiled; nothing when it may be. `referenced` are the schemas it builds on, in the
 * order in which they build on each other; bounds hold for all of them together. Bounds are looked at before anything costs more than its size.
 */
export const lintSchema = (
  schema: Schema,
  limits: SchemaLimits = schema_limits,
  referenced: readonly Schema[] = [],
): readonly LintFinding[] => {
  const all = [...referenced, schema]
  const bytes = all.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
  if (bytes > limits.bytes_max)
    return [{ path: '', rule: 'size', message: `The schema has ${bytes} bytes; ${limits.bytes_max} are allowed.` }]
  const references = Math.max(referenced.length, ...all.map((one) => one.references?.length ?? 0))
  if (references > limits.references_max)
    return [
      { path: '', rule: 'references', message: `The schema has ${references} references; ${limits.references_max} are allowed.` },
    ]
  const stranger = referenced.find((other) => other.format !== schema.format)
  if (stranger !== undefined)
    return [{ path: '', rule: 'references', message: `A ${schema.format} schema cannot build on a ${stranger.format} one.` }]
  return linters[schema.format](
    schema.text,
    referenced.map(({ text }) => text),
    limits,
  )
}
