import { connect } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../domain/fault.ts'
import { userKey } from '../domain/ids.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { openLog } from '../telemetry/log.ts'
import { openTelemetry } from '../telemetry/prometheus.ts'
import { buildHttp, type Dependency, type HttpOptions, type HttpServer, hardened, serveHttp } from './http.ts'

const user = userKey(Buffer.from('k'.repeat(32)), 'k1', 'shopify', 'LOGIN', 'anna')

const recommendation: Recommendation = {
  recommendation_id: '6f1c2d1e-6f5a-5c1b-9a55-3d0c8d9b7a10',
  user_key: user,
  placement: 'home',
  items: [1, 2, 3].map((rank) => ({
    rank,
    item_id: `shopify:s1:${rank}`,
    title: 'Kettle “1.7 l” <script>',
    score: 1.5 / rank,
    scores: { preference: 1 / rank, session: 0.5 / rank },
    reasons: [
      {
        code: 'SIMILAR_TO_VIEWED',
        weight: 0.75,
        evidence: [{ event_id: 'e1', item_id: 'shopify:s1:9' }],
        text: 'like what you saw',
      },
    ],
    offers: [
      { platform: 'woo', item_id: 'woo:s:1', price_ref_minor: 1999 },
      { platform: 'shopify', item_id: `shopify:s1:${rank}`, price_ref_minor: null },
    ],
  })),
  model_digest: 'abc',
  profile_version: 12,
  generated_at: 1_795_000_000_000,
  expires_at: 1_795_086_400_000,
  latency_ms: 41.5,
  freshness_ms: 900,
  filtered_out: { bought: 2 },
}

const options = (over: Partial<HttpOptions> = {}): HttpOptions => ({
  version: { version: '0.1.0', node: 'v26', mode: 'embedded', model_digest: null },
  metrics: openTelemetry({ declared: { versions: ['0.1.0'] } }),
  dependencies: [],
  recommendations: async (key, placement) => (key === user && placement === 'home' ? recommendation : undefined),
  ...over,
})

const broken = (name: string, error: unknown): Dependency => ({ name, check: () => Promise.reject(error) })
const fine = (name: string): Dependency => ({ name, check: async () => undefined })

describe('health', () => {
  test('/healthz answers while every dependency is down', async () => {
    const app = buildHttp(options({ dependencies: [broken('kafka', new Fault('log.unavailable', 'No broker answers.'))] }))
    const answer = await app.inject('/healthz')
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }])
  })

  test('/readyz is 200 when all are usable', async () => {
    const answer = await buildHttp(options({ dependencies: [fine('kafka'), fine('registry')] })).inject('/readyz')
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      { ready: true, dependencies: { kafka: { ready: true }, registry: { ready: true } } },
    ])
  })

  test('/readyz is 503 with the reason of each dependency; unclassified messages stay inside', async () => {
    const dependencies = [
      fine('kafka'),
      broken('registry', new Fault('registry.unavailable', 'http://registry:8081 refused the connection.')),
      broken('qdrant', new Error('canary-token in a client message')),
    ]
    const answer = await buildHttp(options({ dependencies })).inject('/readyz')
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toEqual({
      ready: false,
      dependencies: {
        kafka: { ready: true },
        registry: { ready: false, reason: 'registry.unavailable', message: 'http://registry:8081 refused the connection.' },
        qdrant: { ready: false, reason: 'defect.unexpected', message: 'An unexpected error; see the log.' },
      },
    })
    expect(answer.body).not.toContain('canary')
  })

  test('a dependency that never answers is given up; the check is told so', async () => {
    let aborted = false
    const silent: Dependency = {
      name: 'kafka',
      check: (signal) =>
        new Promise(() =>
          signal.addEventListener('abort', () => {
            aborted = true
          }),
        ),
    }
    const answer = await buildHttp(options({ dependencies: [silent] })).inject('/readyz')
    expect(answer.statusCode).toBe(503)
    expect(answer.json().dependencies.kafka.reason).toBe('timeout')
    expect(aborted).toBe(true)
  })

  test('many probes ask a dependency once; a change is logged once', async () => {
    let checks = 0
    const lines: string[] = []
    const log = openLog({ level: 'info', to: { write: (line) => void lines.push(line) }, now_ms: () => 0 })
    const check = async () => {
      checks++
      throw new Fault('index.unavailable', 'Qdrant is away.')
    }
    const app = buildHttp(options({ log, dependencies: [{ name: 'qdrant', check }] }))
    await Promise.all(Array.from({ length: 50 }, () => app.inject('/readyz')))
    expect(checks).toBe(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('qdrant (index.unavailable)')
  })
})

describe('metrics and version', () => {
  test('/metrics serves the registry; requests are counted by matched route, never by path', async () => {
    const telemetry = openTelemetry({ strict: true })
    const app = buildHttp(options({ metrics: telemetry, telemetry }))
    for (let i = 0; i < 20; i++) await app.inject(`/nothing/${i}`)
    await app.inject(`/v1/recommendations/${user}`)
    const answer = await app.inject('/metrics')
    expect(answer.headers['content-type']).toContain('text/plain')
    expect(answer.body).toContain('entrepot_http_request_seconds_count{route="none",status="4xx"} 20')
    expect(answer.body).toContain('route="/v1/recommendations/:user",status="2xx"} 1')
    expect(answer.body).not.toContain(user)
  })

  test('/version says what runs', async () => {
    const answer = await buildHttp(options()).inject('/version')
    expect(answer.json()).toEqual({ name: 'entrepot', version: '0.1.0', node: 'v26', mode: 'embedded', model_digest: null })
  })
})

describe('recommendations', () => {
  test('a list is answered whole: the schema leaves nothing of the type out', async () => {
    const answer = await buildHttp(options()).inject(`/v1/recommendations/${user}`)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual(recommendation)
    expect(answer.headers['content-type']).toContain('application/json')
  })

  test('what is not in the schema does not leave', async () => {
    const leaky = { ...recommendation, internal: 'secret' } as Recommendation
    const answer = await buildHttp(options({ recommendations: async () => leaky })).inject(`/v1/recommendations/${user}`)
    expect(answer.body).not.toContain('secret')
  })

  test('n cuts the list; another placement has none; an unknown user has none', async () => {
    const app = buildHttp(options())
    expect((await app.inject(`/v1/recommendations/${user}?n=2`)).json().items).toHaveLength(2)
    expect((await app.inject(`/v1/recommendations/${user}?placement=cart`)).json().code).toBe('recommendation.none')
    const stranger = userKey(Buffer.from('k'.repeat(32)), 'k1', 'shopify', 'LOGIN', 'ben')
    const answer = await app.inject(`/v1/recommendations/${stranger}`)
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'recommendation.none'])
  })

  test.each([
    ['/v1/recommendations/anna@example.com', 400],
    ['/v1/recommendations/k1.tooshort', 400],
    [`/v1/recommendations/${user}%00`, 400],
    [`/v1/recommendations/${user}?n=0`, 400],
    [`/v1/recommendations/${user}?n=101`, 400],
    [`/v1/recommendations/${user}?n=1&n=2`, 400],
    [`/v1/recommendations/${user}?n[]=1`, 400],
    [`/v1/recommendations/${user}?placement=Home`, 400],
    [`/v1/recommendations/${user}?unknown=1`, 400],
    [`/v1/recommendations/${user}?__proto__=1`, 400],
    ['/v1/recommendations/..%2f..%2fmetrics', 400],
    ['/v1/recommendations/%E0%A4%A', 400],
    [`/v1/recommendations/${user}/`, 404],
    [`/V1/recommendations/${user}`, 404],
    [`//v1/recommendations/${user}`, 404],
    ['/v1/recommendations/', 400],
  ])('%s is refused with %i', async (url, status) => {
    const answer = await buildHttp(options()).inject(url)
    expect(answer.statusCode).toBe(status)
    expect(answer.body).not.toContain('anna')
  })

  test('only reading is served', async () => {
    const app = buildHttp(options())
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const)
      expect((await app.inject({ method, url: `/v1/recommendations/${user}`, payload: { a: 1 } })).statusCode).toBe(404)
  })

  test('an outage answers 503 with Retry-After; a defect answers 500 without its message', async () => {
    const lines: string[] = []
    const log = openLog({ level: 'info', to: { write: (line) => void lines.push(line) }, now_ms: () => 0 })
    const away = buildHttp(options({ recommendations: () => Promise.reject(new Fault('log.unavailable', 'The log is away.')) }))
    const answer = await away.inject(`/v1/recommendations/${user}`)
    expect([answer.statusCode, answer.headers['retry-after'], answer.json().code]).toEqual([503, '1', 'log.unavailable'])
    const broke = buildHttp(options({ log, recommendations: () => Promise.reject(new Error('canary at row 7')) }))
    const other = await broke.inject(`/v1/recommendations/${user}`)
    expect([other.statusCode, other.json().code]).toEqual([500, 'defect.unexpected'])
    expect(other.body).not.toContain('canary')
    expect(lines).toHaveLength(1)
  })

  test('a process without lists says so', async () => {
    const { recommendations: _, ...rest } = options()
    const answer = await buildHttp(rest).inject(`/v1/recommendations/${user}`)
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'request.unknown'])
  })

  test('no path makes it answer with 5xx, or without the protective headers', async () => {
    const app = buildHttp(options())
    const piece = fc.oneof(fc.string(), fc.constantFrom('..', '%2f', '%00', '%', '?', '&', '#', 'v1', 'recommendations', user))
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
        const url = `/${pieces.join('/')}`.replace(/[^\x21-\x7e]|\\/gu, '%7f')
        const answer = await app.inject({ method: 'GET', url })
        expect(answer.statusCode).toBeLessThan(500)
        expect(answer.headers['x-content-type-options']).toBe('nosniff')
      }),
      { numRuns: 200 },
    )
  })
})

describe('the socket', () => {
  let server: HttpServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
  })

  test('serves over a real socket on loopback, with the hardened limits in force', async () => {
    server = await serveHttp(options(), { host: '127.0.0.1', port: 0, insecure: false })
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/u)
    const answer = await fetch(`${server.url}/v1/recommendations/${user}?n=1`)
    expect(answer.status).toBe(200)
    expect(((await answer.json()) as Recommendation).items).toHaveLength(1)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const app = buildHttp(options())
    expect(app.initialConfig).toMatchObject({
      connectionTimeout: 10_000,
      requestTimeout: 10_000,
      handlerTimeout: 10_000,
      maxRequestsPerSocket: 1_000,
      bodyLimit: 16_384,
      onProtoPoisoning: 'error',
      onConstructorPoisoning: 'error',
    })
    expect(app.server).toMatchObject({ headersTimeout: 8_000, requestTimeout: 10_000, timeout: 10_000, maxConnections: 1_024 })
    expect(hardened.http.headersTimeout + hardened.http.connectionsCheckingInterval).toBeLessThan(15_000)
  })

  test('a request that is none is answered and cut off', async () => {
    server = await serveHttp(options(), { host: '127.0.0.1', port: 0, insecure: false })
    const port = Number(new URL(server.url).port)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'))
      let text = ''
      socket.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      socket.on('close', () => resolve(text)).on('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /u)
  })

  test.each(['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.example.org'])(
    '%s is refused without http.insecure',
    async (host) => {
      const start = serveHttp(options(), { host, port: 0, insecure: false })
      await expect(start).rejects.toMatchObject({
        code: 'config.invalid',
        kind: 'misconfigured',
        detail: { setting: 'http.host' },
      })
    },
  )

  test('beyond loopback with http.insecure, and the IPv6 loopback, are served', async () => {
    server = await serveHttp(options(), { host: '0.0.0.0', port: 0, insecure: true })
    expect((await fetch(`${server.url.replace('0.0.0.0', '127.0.0.1')}/healthz`)).status).toBe(200)
  })

  test('a taken port is named with its remedy', async () => {
    server = await serveHttp(options(), { host: '127.0.0.1', port: 0, insecure: false })
    const port = Number(new URL(server.url).port)
    await expect(serveHttp(options(), { host: '127.0.0.1', port, insecure: false })).rejects.toThrow(/another process has it/u)
  })
})
