/**
 * A Confluent-compatible registry over HTTP. The REST layer of @confluentinc/schemaregistry does the talking (authentication, retries,
 * error bodies); its SchemaRegistryClient above it is left out, because it keeps `latest` for ever, asks again for every unknown id,
 * hides why schemas are incompatible and cannot look an id up without a subject. Loaded by path: its index pulls in the SDKs of four clouds.
 */
import type { RestService as Rest } from '@confluentinc/schemaregistry/dist/rest-service.js'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import type {
  RegisteredSchema,
  Schema,
  SchemaFormat,
  SchemaReference,
  SchemaRegistry,
  SubjectVersion,
} from '../../ports/schema-registry.ts'
import { recent, singleFlight } from './cache.ts'
import { assertLinted, incompatible } from './embedded-registry.ts'
import { short } from './lint-finding.ts'

export type ConfluentOptions = {
  /** Base of the API, e.g. http://localhost:8081 or, for Apicurio, .../apis/ccompat/v7. */
  readonly url: string
  readonly basic_auth?: { readonly username: string; readonly password: string }
  /** For one request, retry included. */
  readonly timeout_ms: number
  readonly clock?: Pick<Clock, 'monotonic_ms'>
}

/** What the registry says a schema is; AVRO goes without saying. */
type SchemaAnswer = { readonly schema: string; readonly schemaType?: string; readonly references?: readonly SchemaReference[] }
type VersionAnswer = SchemaAnswer & { readonly id: number; readonly subject: string; readonly version: number }

const cached_schemas_max = 500
/** How long an answer that may change is believed: unknown ids, and which subjects an id has. */
const answer_ttl_ms = 30_000
const answer_bytes_max = 2 * 1024 * 1024
const retries_max = 1
/** 40401 no such subject, 40402 no such version, 40403 no such schema. Any other 404 comes from a proxy or a wrong path. */
const unknown_codes = new Set([40401, 40402, 40403])

const formatOf = (answer: SchemaAnswer): SchemaFormat =>
  answer.schemaType === 'JSON' || answer.schemaType === 'PROTOBUF' ? answer.schemaType : 'AVRO'

const schemaOf = (answer: SchemaAnswer): Schema => ({
  format: formatOf(answer),
  text: answer.schema,
  ...(answer.references !== undefined && answer.references !== null && answer.references.length > 0
    ? { references: answer.references.map(({ name, subject, version }) => ({ name, subject, version })) }
    : {}),
})

const requestOf = (schema: Schema) => ({
  schema: schema.text,
  schemaType: schema.format,
  ...(schema.references === undefined ? {} : { references: schema.references }),
})

/** The HTTP status and the registry's own code of an error answer. */
const refusalOf = (error: unknown): { readonly status: number; readonly code: number } | undefined => {
  const { status, errorCode } = error as { status?: unknown; errorCode?: unknown }
  return typeof status === 'number' && typeof errorCode === 'number' ? { status, code: errorCode } : undefined
}

/**
 * Opens a client of the registry at `url`; nothing is asked yet. Ids are kept (500 of them), unknown ones asked again after 30 s at the
 * earliest, simultaneous questions asked once. Refusals, time-outs, 5xx and answers that are not the registry's (HTML of a proxy) are
 * `registry.unavailable`.
 */
export const openConfluentRegistry = async (options: ConfluentOptions): Promise<SchemaRegistry> => {
  const { RestService } = await import('@confluentinc/schemaregistry/dist/rest-service.js')
  const now_ms = options.clock === undefined ? () => performance.now() : () => options.clock!.monotonic_ms()
  const base = parseUrl(options.url)
  const auth = options.basic_auth
  const rest: Rest = new RestService(
    [options.url.replace(/\/+$/, '')],
    false,
    { timeout: options.timeout_ms, maxRedirects: 0, maxContentLength: answer_bytes_max, maxBodyLength: answer_bytes_max },
    auth === undefined ? undefined : { credentialsSource: 'USER_INFO', userInfo: `${auth.username}:${auth.password}` },
    undefined,
    retries_max,
    50,
    200,
  )

  const unavailable = (what: string, cause?: unknown): Fault =>
    new Fault('registry.unavailable', `The schema registry at ${base.host} ${what}.`, { host: base.host }, withoutSecrets(cause))

  /** The answer, or undefined where the registry itself says that it does not know what was asked for. */
  const ask = async <T>(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    isAnswer: (answer: T) => boolean,
    body?: unknown,
  ): Promise<T | undefined> => {
    let answer: T
    try {
      const signal = AbortSignal.timeout(options.timeout_ms)
      answer = (await rest.handleRequest<T>(path, method, body, { signal })).data
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal === undefined) throw unavailable('does not answer', error)
      if (refusal.status === 404 && unknown_codes.has(refusal.code)) return undefined
      if (refusal.status === 409 || refusal.status === 422) throw error
      if (refusal.status === 401 || refusal.status === 403)
        throw unavailable(`refuses these credentials (${refusal.status})`, error)
      throw unavailable(`answers with status ${refusal.status}`, error)
    }
    if (typeof answer !== 'object' || answer === null || !isAnswer(answer))
      throw unavailable('answers with something else than a registry does')
    return answer
  }

  const isSchema = (answer: SchemaAnswer): boolean => typeof answer.schema === 'string'
  const isVersion = (answer: VersionAnswer): boolean =>
    isSchema(answer) && Number.isInteger(answer.id) && Number.isInteger(answer.version)

  const schemas = recent<number, RegisteredSchema>(cached_schemas_max)
  const unknown_until = recent<number, number>(cached_schemas_max * 20)
  const fetchById = singleFlight(async (id: number): Promise<RegisteredSchema | undefined> => {
    const answer = await ask<SchemaAnswer>('GET', `/schemas/ids/${id}`, isSchema)
    if (answer === undefined) {
      unknown_until.set(id, now_ms() + answer_ttl_ms)
      return undefined
    }
    const schema = { ...schemaOf(answer), id }
    schemas.set(id, schema)
    return schema
  })

  const subjects = recent<number, { readonly names: readonly string[]; readonly until_ms: number }>(cached_schemas_max)
  const fetchSubjects = singleFlight(async (id: number): Promise<readonly string[]> => {
    const answer = await ask<readonly { readonly subject: string }[]>('GET', `/schemas/ids/${id}/versions`, Array.isArray)
    const names = [...new Set((answer ?? []).map(({ subject }) => subject))].sort()
    subjects.set(id, { names, until_ms: now_ms() + answer_ttl_ms })
    return names
  })

  // A version that was registered never changes; the newest one does.
  const versions = recent<string, SubjectVersion>(cached_schemas_max)
  const fetchVersion = singleFlight(async (place: string): Promise<SubjectVersion | undefined> => {
    const [subject, number] = JSON.parse(place) as [string, number | 'latest']
    const answer = await ask<VersionAnswer>('GET', `/subjects/${encodeURIComponent(subject)}/versions/${number}`, isVersion)
    if (answer === undefined) return undefined
    const version = { ...schemaOf(answer), id: answer.id, subject, version: answer.version }
    versions.set(JSON.stringify([subject, answer.version]), version)
    return version
  })
  const version = async (subject: string, number: number): Promise<SubjectVersion | undefined> => {
    const place = JSON.stringify([subject, number])
    return versions.get(place) ?? (await fetchVersion(place))
  }

  return {
    async register(subject, schema) {
      await assertLinted(subject, schema, version)
      try {
        const path = `/subjects/${encodeURIComponent(subject)}/versions?normalize=false`
        const answer = await ask<{ readonly id: number }>('POST', path, ({ id }) => Number.isInteger(id), requestOf(schema))
        if (answer === undefined) throw unavailable('does not take schemas at this path')
        unknown_until.delete(answer.id)
        subjects.delete(answer.id)
        return answer.id
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal?.status === 409) throw incompatible(subject, [short((error as Error).message)], error)
        if (refusal?.status === 422)
          throw new Fault('schema.lint', `The registry refuses the schema for ${subject}: ${short((error as Error).message)}`, {
            subject,
          })
        throw error
      }
    },
    async byId(id) {
      const known = schemas.get(id)
      if (known !== undefined) return known
      if ((unknown_until.get(id) ?? Number.NEGATIVE_INFINITY) > now_ms()) return undefined
      return fetchById(id)
    },
    // Always asked: latest moves.
    latest: (subject) => fetchVersion(JSON.stringify([subject, 'latest'])),
    version,
    async subjectsOf(id) {
      const known = subjects.get(id)
      return known !== undefined && known.until_ms > now_ms() ? known.names : fetchSubjects(id)
    },
    async subjects() {
      const answer = await ask<readonly string[]>('GET', '/subjects', Array.isArray)
      return [...(answer ?? [])].sort()
    },
    async compatible(subject, schema) {
      type Verdict = { readonly is_compatible: boolean; readonly messages?: readonly string[]; readonly reason?: string | null }
      const name = encodeURIComponent(subject)
      const isLevel = (answer: { readonly compatibilityLevel?: unknown }) => typeof answer.compatibilityLevel === 'string'
      const level = await ask('GET', `/config/${name}?defaultToGlobal=true`, isLevel)
      // Apicurio holds a schema against all versions at this path whatever the level, so the newest has to be asked for by name.
      const versions = String(level?.compatibilityLevel).endsWith('_TRANSITIVE') ? 'versions' : 'versions/latest'
      const path = `/compatibility/subjects/${name}/${versions}?verbose=true`
      try {
        const answer = await ask<Verdict>('POST', path, (one) => typeof one.is_compatible === 'boolean', requestOf(schema))
        // A subject that does not exist yet takes anything.
        if (answer === undefined || answer.is_compatible) return { compatible: true, reasons: [] }
        const reasons = answer.messages ?? (typeof answer.reason === 'string' ? [answer.reason] : [])
        return { compatible: false, reasons: reasons.length > 0 ? reasons.map(short) : ['The registry gives no reason.'] }
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal?.status === 409 || refusal?.status === 422)
          return { compatible: false, reasons: [short((error as Error).message)] }
        throw error
      }
    },
    async setCompatibility(subject, level) {
      await ask('PUT', `/config/${encodeURIComponent(subject)}`, () => true, { compatibility: level })
    },
    async ping() {
      await ask('GET', '/config', (answer: { readonly compatibilityLevel?: unknown }) => answer.compatibilityLevel !== undefined)
    },
  }
}

const parseUrl = (url: string): URL => {
  try {
    const parsed = new URL(url)
    if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw new Error(`scheme ${parsed.protocol}`)
    return parsed
  } catch (error) {
    throw new Fault('config.invalid', 'The schema registry URL is not an http(s) URL.', {}, error)
  }
}

/** The error's words without the request it carries: axios keeps headers, and with them credentials, in its errors. */
const withoutSecrets = (error: unknown): Error | undefined =>
  error instanceof Error ? new Error(`${error.name}: ${error.message}`) : undefined
