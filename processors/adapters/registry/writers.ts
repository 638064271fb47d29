/** Decoders by the schema id in a record's header: looked up once, linted, compiled, kept; a bad id costs its record, an outage none. */
import { Fault } from '../../domain/fault.ts'
import type { RegisteredSchema, Schema, SchemaFormat, SchemaRegistry } from '../../ports/schema-registry.ts'
import { recent } from './cache.ts'
import { lintSchema } from './lint.ts'
import { referencedBy } from './schema-graph.ts'

const kept_decoders_max = 500
/** Look-ups under way at once: a batch of invented ids must not flood the registry. */
const lookups_max = 16

export type WriterRules<D> = {
  readonly topic: string
  readonly format: SchemaFormat
  /** The subjects whose schemas may be used on the topic. */
  readonly subjects: readonly string[]
  /** Compiles a linted schema; what it throws makes the schema hostile, unless it is a fault. */
  readonly build: (schema: RegisteredSchema, referenced: readonly Schema[]) => D
}

export type Writers<D> = {
  /** The decoder of an id that was looked up before, or the fault of a schema that can never be used. */
  known(id: number): D | Fault | undefined
  /** Looks up ids that are not known. Returns what may change later and is therefore not kept. Throws `registry.unavailable`. */
  look(ids: readonly number[]): Promise<ReadonlyMap<number, D | Fault>>
}

export const openWriters = <D extends object>(registry: SchemaRegistry, rules: WriterRules<D>): Writers<D> => {
  const decoders = recent<number, D | Fault>(kept_decoders_max)
  const { topic, format, subjects } = rules

  const compile = async (schema: RegisteredSchema): Promise<D | Fault> => {
    try {
      const referenced = await referencedBy(schema, registry.version)
      const [finding] = lintSchema(schema, undefined, referenced)
      if (finding !== undefined)
        return new Fault('schema.hostile', `Schema ${schema.id} is refused (${finding.rule}): ${finding.message}`, {
          schema_id: schema.id,
          path: finding.path,
          rule: finding.rule,
        })
      return rules.build(schema, referenced)
    } catch (error) {
      if (error instanceof Fault && error.kind === 'malformed') return error
      if (error instanceof Fault) throw error
      return new Fault('schema.hostile', `Schema ${schema.id} does not compile.`, { schema_id: schema.id }, error)
    }
  }

  const look = async (id: number): Promise<D | Fault> => {
    const schema = await registry.byId(id)
    if (schema === undefined)
      return new Fault('schema.unknown', `The registry does not know schema ${id}.`, { topic, schema_id: id })
    if (schema.format !== format)
      return new Fault('schema.type', `Schema ${id} is ${schema.format}; ${topic} is read as ${format}.`, {
        topic,
        schema_id: id,
      })
    const registered = await registry.subjectsOf(id)
    if (!registered.some((subject) => subjects.includes(subject)))
      return new Fault('schema.subject_mismatch', `Schema ${id} is not registered under ${subjects.join(' or ')}.`, {
        topic,
        schema_id: id,
      })
    const decoder = await compile(schema)
    decoders.set(id, decoder)
    return decoder
  }

  return {
    known: decoders.get,
    async look(ids) {
      const answers = new Map<number, D | Fault>()
      for (let i = 0; i < ids.length; i += lookups_max) {
        const group = ids.slice(i, i + lookups_max)
        const found = await Promise.all(group.map(look))
        for (const [j, id] of group.entries()) answers.set(id, found[j]!)
      }
      return answers
    },
  }
}

/** Decodes a batch of framed values by their ids, in order, looking unknown ids up once for the batch. */
export const decodeFramed = async <D extends object, R>(
  writers: Writers<D>,
  ids: readonly (number | Fault)[],
  values: readonly Buffer[],
  decode: (decoder: D, value: Buffer, id: number) => R | Fault,
): Promise<(R | Fault)[]> => {
  const batch = new Map<number, D | Fault>()
  const missing: number[] = []
  for (const id of ids) {
    if (typeof id !== 'number' || batch.has(id)) continue
    const known = writers.known(id)
    if (known === undefined) missing.push(id)
    batch.set(id, known ?? pending)
  }
  if (missing.length > 0) for (const [id, found] of await writers.look(missing)) batch.set(id, found)
  return values.map((value, i) => {
    const id = ids[i]!
    if (typeof id !== 'number') return id
    const decoder = batch.get(id)!
    return decoder instanceof Fault ? decoder : decode(decoder, value, id)
  })
}

/** Stands for an id whose look-up is under way; replaced before anything is decoded. */
const pending = new Fault('defect.unexpected', 'A schema was used before it was looked up.')
