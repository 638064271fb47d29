/** What the client of a real registry makes of trouble; the laws it keeps with a healthy one are in the servers suite. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Fault } from '../../domain/fault.ts'
import { openConfluentRegistry } from './confluent-registry.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A server that answers as told and notes what it was asked. */
const serve = async (
  answer: Answer,
): Promise<{ readonly url: string; readonly asked: string[]; readonly headers: IncomingMessage['headers'][] }> => {
  const asked: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    headers.push(request.headers)
    answer(request, response)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, headers }
}
const json =
  (status: number, body: unknown): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
  }
const text =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body)
  }
const schema = { schema: '{"type":"record","name":"A","fields":[]}' }
const unknown_schema = json(404, { error_code: 40403, message: 'Schema not found' })
const caught = async (call: Promise<unknown>): Promise<Fault> => {
  try {
    await call
  } catch (error) {
    return error as Fault
  }
  throw new Error('nothing was thrown')
}

describe('outages are transient', () => {
  const outages: readonly (readonly [string, Answer])[] = [
    ['500', json(500, { error_code: 50001, message: 'down' })],
    ['503 of a proxy', text(503, '<html>Service unavailable</html>')],
    ['429', json(429, { error_code: 429, message: 'slow down' })],
    ['404 of a proxy', text(404, '<html>Not found</html>')],
    ['404 of another path', json(404, { error_code: 404, message: 'HTTP 404 Not Found' })],
    ['401', json(401, { error_code: 401, message: 'Unauthorized' })],
    ['200 with HTML', text(200, '<html>Please log in</html>')],
    ['200 with another JSON', json(200, { hello: 'world' })],
    ['200 with null', json(200, null)],
    ['a redirect to a login page', text(302, '', { location: 'http://127.0.0.1:1/login' })],
    ['a cut connection', (request) => request.socket.destroy()],
    ['an answer of 3 MiB', text(200, `{"schema":"${'x'.repeat(3 << 20)}"}`, { 'content-type': 'application/json' })],
    ['no answer', () => undefined],
    [
      'an answer that never ends',
      (_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"schema":'),
    ],
  ]
  test.each(outages)('%s', async (_what, answer) => {
    const { url } = await serve(answer)
    const registry = await openConfluentRegistry({ url, timeout_ms: 300 })
    for (const call of [() => registry.byId(1), () => registry.latest('s'), () => registry.subjects(), () => registry.ping()])
      expect(await caught(call())).toMatchObject({ code: 'registry.unavailable', kind: 'transient' })
  })

  test('nobody listens', async () => {
    const registry = await openConfluentRegistry({ url: 'http://127.0.0.1:1', timeout_ms: 300 })
    expect(await caught(registry.byId(1))).toMatchObject({ code: 'registry.unavailable' })
  })

  test('an outage is not remembered: the next call succeeds', async () => {
    let down = true
    const { url } = await serve((request, response) => (down ? json(500, {}) : json(200, schema))(request, response))
    const registry = await openConfluentRegistry({ url, timeout_ms: 500 })
    expect(await caught(registry.byId(1))).toMatchObject({ code: 'registry.unavailable' })
    down = false
    expect(await registry.byId(1)).toMatchObject({ id: 1, format: 'AVRO' })
  })
})

describe('what is asked, and how often', () => {
  test('an id is asked for once', async () => {
    const { url, asked } = await serve(json(200, schema))
    const registry = await openConfluentRegistry({ url, timeout_ms: 500 })
    await Promise.all([registry.byId(1), registry.byId(1), registry.byId(1)])
    await registry.byId(1)
    expect(asked).toEqual(['GET /schemas/ids/1'])
  })

  test('an unknown id is asked for again after 30 s at the earliest', async () => {
    let now_ms = 0
    const { url, asked } = await serve(unknown_schema)
    const registry = await openConfluentRegistry({ url, timeout_ms: 500, clock: { monotonic_ms: () => now_ms } })
    for (const at_ms of [0, 1, 29_999]) {
      now_ms = at_ms
      expect(await registry.byId(5)).toBeUndefined()
    }
    expect(asked).toHaveLength(1)
    now_ms = 30_001
    expect(await registry.byId(5)).toBeUndefined()
    expect(asked).toHaveLength(2)
  })

  test('which subjects an id has is believed for 30 s, latest never', async () => {
    let now_ms = 0
    const { url, asked } = await serve((request, response) =>
      (request.url!.endsWith('/versions')
        ? json(200, [
            { subject: 'b', version: 1 },
            { subject: 'a', version: 2 },
          ])
        : json(200, { ...schema, id: 3, version: 2, subject: 's' }))(request, response),
    )
    const registry = await openConfluentRegistry({ url, timeout_ms: 500, clock: { monotonic_ms: () => now_ms } })
    expect(await registry.subjectsOf(3)).toEqual(['a', 'b'])
    await registry.subjectsOf(3)
    now_ms = 30_001
    await registry.subjectsOf(3)
    await registry.latest('s')
    await registry.latest('s')
    await registry.version('s', 2)
    expect(asked).toEqual([
      'GET /schemas/ids/3/versions',
      'GET /schemas/ids/3/versions',
      'GET /subjects/s/versions/latest',
      'GET /subjects/s/versions/latest',
    ])
  })

  test('a schema that breaks the lint is not sent', async () => {
    const { url, asked } = await serve(json(200, { id: 1 }))
    const registry = await openConfluentRegistry({ url, timeout_ms: 500 })
    const fault = await caught(registry.register('s', { format: 'AVRO', text: '{"type":"array","items":"null"}' }))
    expect(fault).toMatchObject({ code: 'schema.lint', detail: { rule: 'zero-width' } })
    expect(asked).toEqual([])
  })

  test('subjects are escaped in the path', async () => {
    const { url, asked } = await serve(json(200, { ...schema, id: 1, version: 1 }))
    const registry = await openConfluentRegistry({ url: `${url}///`, timeout_ms: 500 })
    await registry.latest('a/../b?c')
    expect(asked).toEqual(['GET /subjects/a%2F..%2Fb%3Fc/versions/latest'])
  })
})

test('a refused schema says why', async () => {
  const { url } = await serve(
    json(409, { error_code: 409, message: 'Schema being registered is incompatible: field b has no default' }),
  )
  const registry = await openConfluentRegistry({ url, timeout_ms: 500 })
  const fault = await caught(registry.register('s', { format: 'AVRO', text: schema.schema }))
  expect(fault).toMatchObject({ code: 'schema.incompatible', kind: 'misconfigured' })
  expect(fault.message).toContain('field b has no default')
})

test('credentials are sent, and appear in no fault', async () => {
  const { url, headers } = await serve(json(500, {}))
  const registry = await openConfluentRegistry({
    url,
    timeout_ms: 500,
    basic_auth: { username: 'user', password: 'canary-secret' },
  })
  const fault = await caught(registry.byId(1))
  const token = Buffer.from('user:canary-secret').toString('base64')
  expect(headers[0]?.authorization).toBe(`Basic ${token}`)
  const shown = inspect(fault, { depth: 10, showHidden: true })
  expect(shown).not.toContain('canary-secret')
  expect(shown).not.toContain(token)
})

test('a URL that is none is the operator’s to correct, and not shown', async () => {
  for (const url of ['localhost:8081', 'ftp://x', 'http://'])
    expect(await caught(openConfluentRegistry({ url, timeout_ms: 500 }))).toMatchObject({ code: 'config.invalid' })
})
