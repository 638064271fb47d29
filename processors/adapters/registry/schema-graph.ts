/** A schema with all it builds on: references resolved, in the order in which they build on each other. */
import { Fault } from '../../domain/fault.ts'
import type { Schema, SchemaRegistry } from '../../ports/schema-registry.ts'
import { schema_limits } from './limits.ts'

/**
 * The schemas that `schema` refers to, directly or not, each once and before those that use it. Throws `schema.hostile` when there
 * are too many or one is missing, `registry.unavailable` during an outage. Circles end because versions are looked up once.
 */
export const referencedBy = async (
  schema: Schema,
  version: SchemaRegistry['version'],
  references_max: number = schema_limits.references_max,
): Promise<readonly Schema[]> => {
  const ordered: Schema[] = []
  const seen = new Set<string>()
  const visit = async (one: Schema): Promise<void> => {
    for (const reference of one.references ?? []) {
      const place = `${reference.subject}/${reference.version}`
      if (seen.has(place)) continue
      seen.add(place)
      if (seen.size > references_max)
        throw new Fault('schema.hostile', `The schema builds on more than ${references_max} others.`, { references: seen.size })
      const found = await version(reference.subject, reference.version)
      if (found === undefined)
        throw new Fault('schema.hostile', `The schema refers to ${place}, which is not registered.`, { reference: place })
      await visit(found)
      ordered.push(found)
    }
  }
  await visit(schema)
  return ordered
}

/** A schema's text in the form in which two texts are compared: JSON without layout, Protobuf without line-end differences. */
export const identityText = (schema: Schema): string => {
  if (schema.format === 'PROTOBUF') return schema.text.replaceAll('\r\n', '\n').trim()
  try {
    return JSON.stringify(JSON.parse(schema.text))
  } catch {
    return schema.text
  }
}
