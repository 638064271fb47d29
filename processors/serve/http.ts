/** The HTTP side: health, metrics, version, and a user's recommendations. Read-only; hardened before it is opened. */
import { isIPv4 } from 'node:net'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from 'fastify'
import { asFault, Fault } from '../domain/fault.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { type Log, no_log } from '../telemetry/log.ts'
import { no_telemetry, type Telemetry } from '../telemetry/metrics.ts'
import type { Exposition } from '../telemetry/prometheus.ts'
import { errorSchema, readySchema, recommendationSchema, versionSchema } from './schemas.ts'

/** Something the process needs to be useful. */
export type Dependency = {
  readonly name: string
  /** Resolves when it is usable; throws the fault that says why it is not. Given up after check_ms_max. */
  readonly check: (signal: AbortSignal) => Promise<void>
}

export type VersionInfo = {
  readonly version: string
  readonly node: string
  readonly mode: string
  /** Digest of the text model in use, or null when no stage of this process embeds. */
  readonly model_digest: string | null
}

export type HttpOptions = {
  readonly version: VersionInfo
  /** The text of /metrics. */
  readonly metrics: Exposition
  /** Checked by /readyz, in parallel; /healthz never looks at them. */
  readonly dependencies: readonly Dependency[]
  /** The latest list published for a user and placement, or undefined; absent where no stage of this process keeps lists. */
  readonly recommendations?: (user_key: string, placement: string) => Promise<Recommendation | undefined>
  /** The placement meant when a request names none. */
  readonly placement?: string
  readonly telemetry?: Telemetry
  readonly log?: Log
}

/** Longest time for one dependency's answer; the sum with ready_ms_fresh stays below the 5 s in which readiness must turn (G9). */
export const check_ms_max = 2_000
/** Probes within this time share one answer, so that probing cannot load a dependency. */
export const ready_ms_fresh = 1_000

/** Fastify leaves most of these at "no limit". The bounds free a slow client's socket within 15 s. */
export const hardened = {
  connectionTimeout: 10_000,
  requestTimeout: 10_000,
  handlerTimeout: 10_000,
  keepAliveTimeout: 5_000,
  maxRequestsPerSocket: 1_000,
  bodyLimit: 16 * 1024,
  onProtoPoisoning: 'error',
  onConstructorPoisoning: 'error',
  trustProxy: false,
  return503OnClosing: true,
  forceCloseConnections: 'idle',
  requestIdHeader: false,
  http: { headersTimeout: 8_000, requestTimeout: 10_000, connectionsCheckingInterval: 2_000, maxHeaderSize: 16 * 1024 },
  routerOptions: { maxParamLength: 64, ignoreTrailingSlash: false, caseSensitive: true },
  // One value per parameter, known names only, no conversion of arrays to scalars.
  ajv: { customOptions: { coerceTypes: true, removeAdditional: false, allErrors: false, useDefaults: true } },
} as const satisfies FastifyServerOptions & { http: object }
const connections_max = 1_024

const headers = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
} as const

type Readiness = {
  readonly ready: boolean
  readonly dependencies: Readonly<
    Record<string, { readonly ready: boolean; readonly reason?: string; readonly message?: string }>
  >
}

const checkOne = async ({ name, check }: Dependency): Promise<Readiness['dependencies'][string]> => {
  const late = AbortSignal.timeout(check_ms_max)
  const expired = new Promise<never>((_, reject) =>
    late.addEventListener(
      'abort',
      () => reject(new Fault('log.unavailable', `${name} did not answer within ${check_ms_max} ms.`)),
      {
        once: true,
      },
    ),
  )
  try {
    await Promise.race([check(late), expired])
    return { ready: true }
  } catch (error) {
    if (late.aborted) return { ready: false, reason: 'timeout', message: `${name} did not answer within ${check_ms_max} ms.` }
    const fault = asFault(error)
    // What nobody classified may quote anything; its message stays in the log.
    const message = fault.code === 'defect.unexpected' ? 'An unexpected error; see the log.' : fault.message
    return { ready: false, reason: fault.code, message }
  }
}

/** Readiness over all dependencies, shared by the requests that come within ready_ms_fresh. */
const readiness = (dependencies: readonly Dependency[], log: Log): (() => Promise<Readiness>) => {
  let last: { readonly at_ms: number; readonly answer: Promise<Readiness> } | undefined
  let was_ready = true
  const checkAll = async (): Promise<Readiness> => {
    const answers = await Promise.all(
      dependencies.map(async (dependency) => [dependency.name, await checkOne(dependency)] as const),
    )
    const ready = answers.every(([, answer]) => answer.ready)
    if (ready !== was_ready) {
      const missing = answers.filter(([, answer]) => !answer.ready).map(([name, answer]) => `${name} (${answer.reason})`)
      if (ready) log.info('ready', 'Ready again.')
      else log.warn('not_ready', `Not ready: ${missing.join(', ')}.`)
    }
    was_ready = ready
    return { ready, dependencies: Object.fromEntries(answers) }
  }
  return () => {
    const now_ms = performance.now()
    if (last === undefined || now_ms - last.at_ms > ready_ms_fresh) last = { at_ms: now_ms, answer: checkAll() }
    return last.answer
  }
}

/** A pseudonym as userKey makes it: nothing else is looked up, so that no raw id need ever stand in a URL. */
const user_key_pattern = '^[a-z0-9]{1,8}\\.[A-Za-z0-9_-]{22}$'

/** The application without a socket: for serveHttp, and for tests through `inject`. */
export const buildHttp = (options: HttpOptions): FastifyInstance => {
  const {
    version,
    metrics,
    dependencies,
    recommendations,
    placement: usual = 'home',
    telemetry = no_telemetry,
    log = no_log,
  } = options
  const app: FastifyInstance = fastify({
    ...hardened,
    // A path that cannot be decoded never reaches the hooks below; the stock answer would repeat it.
    frameworkErrors: (_error, _request, reply) => {
      const answer = reply as FastifyReply
      answer.code(400).headers(headers).send({ code: 'request.invalid', message: 'The request cannot be read.' })
    },
  })
  app.server.maxConnections = connections_max
  const ready = readiness(dependencies, log)

  app.addHook('onSend', async (_request, reply) => void reply.headers(headers))
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
    telemetry.observe(
      'entrepot_http_request_seconds',
      { route, status: `${Math.floor(reply.statusCode / 100)}xx` },
      reply.elapsedTime / 1_000,
    )
  })
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ code: 'request.unknown', message: 'There is nothing here.' }),
  )
  app.setErrorHandler<Error & { statusCode?: number; code?: string; validation?: unknown }>((error, _request, reply) => {
    if (error instanceof Fault && error.kind === 'transient')
      return reply.code(503).header('retry-after', '1').send({ code: error.code, message: error.message })
    if (error.validation !== undefined) return reply.code(400).send({ code: 'request.invalid', message: `${error.message}.` })
    if (error.code === 'FST_ERR_HANDLER_TIMEOUT')
      return reply.code(503).header('retry-after', '1').send({ code: 'request.timeout', message: 'The answer took too long.' })
    if (error.statusCode !== undefined && error.statusCode < 500)
      return reply.code(error.statusCode).send({ code: 'request.invalid', message: 'The request cannot be read.' })
    const fault = asFault(error)
    log.fault(fault, { at: 'http' })
    return reply.code(500).send({ code: fault.code, message: 'Something broke; the log says what.' })
  })

  app.get(
    '/healthz',
    { schema: { response: { 200: { type: 'object', properties: { status: { type: 'string' } } } } } },
    async () => ({
      status: 'ok',
    }),
  )
  app.get('/readyz', { schema: { response: { 200: readySchema, 503: readySchema } } }, async (_request, reply) => {
    const answer = await ready()
    return reply.code(answer.ready ? 200 : 503).send(answer)
  })
  app.get('/version', { schema: { response: { 200: versionSchema } } }, async () => ({ name: 'entrepot', ...version }))
  app.get('/metrics', async (_request, reply) => reply.type(metrics.content_type).send(await metrics.text()))

  app.get<{ Params: { user: string }; Querystring: { n?: number; placement?: string } }>(
    '/v1/recommendations/:user',
    {
      schema: {
        params: {
          type: 'object',
          required: ['user'],
          properties: { user: { type: 'string', pattern: user_key_pattern } },
        },
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            n: { type: 'integer', minimum: 1, maximum: 100 },
            placement: { type: 'string', pattern: '^[a-z][a-z0-9_]{0,31}$' },
          },
        },
        response: { 200: recommendationSchema, 404: errorSchema, 503: errorSchema },
      },
    },
    async (request, reply) => {
      if (recommendations === undefined)
        return reply
          .code(404)
          .send({ code: 'request.unknown', message: 'This process keeps no lists; ask one that runs the recommend stage.' })
      const found = await recommendations(request.params.user, request.query.placement ?? usual)
      if (found === undefined)
        return reply.code(404).send({ code: 'recommendation.none', message: 'Nothing was recommended to this user yet.' })
      return reply.send({ ...found, items: found.items.slice(0, request.query.n) })
    },
  )
  return app
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

export type HttpServer = {
  /** Base URL, with the port that was bound. */
  readonly url: string
  /** Answers what is under way, then closes. */
  close(): Promise<void>
}

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has it: stop that one, or set http.port',
  EACCES: 'this user may not bind it: set http.port above 1023',
  EADDRNOTAVAIL: 'this machine has no such address: set http.host',
  ENOTFOUND: 'this machine has no such address: set http.host',
}

/** Binds and serves. Throws `config.invalid` for an address beyond loopback without `insecure`, or one that cannot be bound. */
export const serveHttp = async (
  options: HttpOptions,
  at: { readonly host: string; readonly port: number; readonly insecure: boolean },
): Promise<HttpServer> => {
  const { host, port, insecure } = at
  if (!isLoopback(host) && !insecure)
    throw new Fault(
      'config.invalid',
      `http.host ${host} is reachable by others and there is no authentication yet: bind 127.0.0.1, or set http.insecure: true inside a network you trust.`,
      { setting: 'http.host' },
    )
  const app = buildHttp(options)
  try {
    await app.listen({ host, port })
  } catch (error) {
    await app.close()
    const code = (error as NodeJS.ErrnoException).code ?? ''
    const remedy = remedies[code]
    if (remedy === undefined) throw error
    throw new Fault('config.invalid', `http: ${host}:${port} cannot be bound, ${remedy}.`, { setting: 'http.port' }, error)
  }
  const bound = app.server.address()
  const [address, bound_port] = bound === null || typeof bound === 'string' ? [host, port] : [bound.address, bound.port]
  return { url: `http://${address.includes(':') ? `[${address}]` : address}:${bound_port}`, close: () => app.close() }
}
