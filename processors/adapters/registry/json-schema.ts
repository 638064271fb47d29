/** Validation by JSON Schema: ajv for the code, RE2 for the patterns, a short list of formats, references inside the document only. */
import { Ajv, type Options } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import draft06 from 'ajv/dist/refs/json-schema-draft-06.json' with { type: 'json' }
import { Fault } from '../../domain/fault.ts'
import type { SourceValue } from '../../ports/schema-registry.ts'
import { schema_limits, type ValidationLimits, validation_limits } from './limits.ts'
import { draftOf, validationCost } from './lint-json.ts'
import { compilePattern } from './pattern.ts'

const isDate = (text: string): boolean => {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (parts === null) return false
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  return month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}
const isTime = (text: string): boolean =>
  /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i.test(text)

/**
 * The formats that are checked; every other one is an annotation. Each runs in time linear in the text: its parts cannot match
 * the same characters in two ways.
 */
const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: isTime,
  'date-time': (text) => /^.{10}[Tt ]/.test(text) && isDate(text.slice(0, 10)) && isTime(text.slice(11)),
  uuid: (text) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text),
  ipv4: (text) => /^((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$)|$)){4}$/.test(text),
  email: (text) => text.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(text),
  uri: (text) => /^[a-z][a-z0-9+.-]*:[^\s]+$/i.test(text),
}

/** What a call of a pattern costs beside its steps, in characters. */
const call_characters = 16

const optionsWith = (spend: (steps: number) => void): Options => {
  const engine = (pattern: string) => {
    const compiled = compilePattern(pattern)
    return {
      test: (text: string): boolean => {
        spend((text.length + call_characters) * compiled.instructions)
        return compiled.test(text)
      },
      // ajv tells patterns apart by their text, as it would regular expressions.
      toString: () => pattern,
    }
  }
  // The engine's name in generated code; validators are run in place, never written out.
  const regExp = Object.assign(engine, { code: 'linearRegExp' })
  return { ...options, code: { regExp: regExp as unknown as NonNullable<NonNullable<Options['code']>['regExp']> } }
}

const options: Options = {
  strict: false,
  logger: false,
  // Held against its meta-schema beforehand, by a validator that all schemas of a draft share: compiling that one takes 10 ms.
  validateSchema: false,
  meta: false,
  allErrors: false,
  messages: false,
  inlineRefs: false,
  formats,
}

type Draft = ReturnType<typeof draftOf>

const ajvOf = (draft: Draft, given: Options): Ajv =>
  draft === '2020-12' ? new Ajv2020(given) : draft === '2019-09' ? new Ajv2019(given) : new Ajv(given)

const metas = new Map<Draft, Ajv>()
/** Knows what a schema of the draft may look like. It holds the meta-schemas alone. */
const metaOf = (draft: Draft): Ajv => {
  let meta = metas.get(draft)
  if (meta === undefined) {
    meta = ajvOf(draft, { strict: false, logger: false, formats })
    if (draft === '06') meta.addMetaSchema(draft06)
    metas.set(draft, meta)
  }
  return meta
}

/** How much there is to validate: keys and items of all objects and arrays, and bytes of the text. */
export type JsonSize = { readonly entries: number; readonly bytes: number }

/**
 * The fault of a value that does not satisfy its schema, or whose validation would take too long; else undefined. Names places in the
 * schema, never keys or values of the payload.
 */
export type JsonValidator = (value: SourceValue, size: JsonSize) => Fault | undefined

/**
 * Compiles a linted schema. Generated code cannot be interrupted, so what it would do at most is known before it runs: its comparisons
 * from schema and size, the steps of its patterns as they are taken. Throws ajv's error where the schema itself is not one.
 */
export const jsonValidator = (text: string, limits: ValidationLimits = validation_limits): JsonValidator => {
  const schema = JSON.parse(text) as Record<string, unknown> | boolean
  const draft = draftOf(schema)
  const cost = validationCost(schema, schema_limits)
  let steps = 0
  const options = optionsWith((more) => {
    steps += more
    if (steps > limits.pattern_steps_max)
      throw new Fault('limits.items', 'The patterns of the schema would take too long on a value of this size.')
  })
  metaOf(draft).validateSchema(schema, true)
  const validate = ajvOf(draft, options).compile(schema)
  return (value, { entries, bytes }) => {
    if (cost.per_value * (entries + 1) + cost.per_character * bytes > limits.comparisons_max)
      return new Fault('limits.items', `A value of ${entries} keys and items would take too long to hold against its schema.`)
    steps = 0
    try {
      if (validate(value)) return undefined
    } catch (error) {
      if (error instanceof Fault) return error
      if (error instanceof RangeError) return new Fault('limits.depth', 'The value nests too deep for its schema.', {}, error)
      throw error
    }
    const place = validate.errors?.[0]?.schemaPath ?? '#'
    return new Fault('schema.validation', `The value does not satisfy ${place.slice(0, 200)} of its schema.`, {
      schema_path: place.slice(0, 200),
    })
  }
}
