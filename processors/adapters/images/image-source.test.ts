/** Fetching images from a server on the loopback: what is taken, what is refused, what is tried again, and where nobody is let in. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { isPublicAddress } from './address.ts'
import { openImageSource } from './image-source.ts'

let server: Server
let base = ''
const asked: string[] = []
let inside = 0
let inside_most = 0
beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    if (path === '/good') return void response.end('image')
    if (path === '/large') return void response.writeHead(200, { 'content-length': 2_000 }).end(Buffer.alloc(2_000))
    if (path === '/large-unsaid') return void response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(Buffer.alloc(2_000))
    if (path === '/flaky') return void response.writeHead(asked.filter((one) => one === path).length < 2 ? 503 : 200).end('late')
    if (path === '/down') return void response.writeHead(503).end()
    if (path === '/moved') return void response.writeHead(302, { location: '/good' }).end()
    if (path === '/round') return void response.writeHead(302, { location: '/round' }).end()
    if (path === '/file') return void response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    if (path === '/silent') return
    if (path === '/cut') {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half')
      return void setImmediate(() => response.destroy())
    }
    if (path.startsWith('/slow')) {
      inside += 1
      inside_most = Math.max(inside_most, inside)
      return void setTimeout(() => {
        inside -= 1
        response.end('slow')
      }, 10)
    }
    response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const own = { allow_private: true, bytes_max: 1_000, timeout_ms: 300, retry_ms: 1 }
const fetched = async (options: Parameters<typeof openImageSource>[0], ...urls: string[]) => {
  const source = openImageSource(options)
  try {
    return (await source.fetch(urls)).map((one) => (one instanceof Fault ? one.code : Buffer.from(one).toString()))
  } finally {
    source.close()
  }
}

test('each URL has its own outcome', async () => {
  const paths = ['/good', '/moved', '/flaky', '/absent', '/large', '/large-unsaid', '/round', '/file', '/down', '/silent', '/cut']
  expect(await fetched(own, ...paths.map((path) => base + path), 'no url', 'ftp://x/y', 'http://user:pw@x/')).toEqual([
    'image',
    'image',
    'late',
    'image.missing',
    'image.refused',
    'image.refused',
    'image.refused',
    'image.refused',
    'image.unavailable',
    'image.unavailable',
    'image.unavailable',
    'image.refused',
    'image.refused',
    'image.refused',
  ])
  expect(asked.filter((path) => path === '/down').length).toBe(2)
  expect(asked.filter((path) => path === '/absent').length).toBe(1)
})

test('private addresses are refused: written out, behind a name, and one of several behind a name', async () => {
  const before = asked.length
  const lookup = ((_host: string, _options: object, done: (error: null, found: unknown) => void) =>
    done(null, [
      { address: '8.8.8.8', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ])) as unknown as NonNullable<NonNullable<Parameters<typeof openImageSource>[0]>['lookup']>
  const { port } = new URL(base)
  const closed = { ...own, allow_private: false, lookup }
  const urls = [
    base,
    `http://localhost:${port}/good`,
    `http://shop.example:${port}/good`,
    `http://[::1]:${port}/`,
    `http://2130706433:${port}/`,
  ]
  expect(await fetched(closed, ...urls)).toEqual(urls.map(() => 'image.refused'))
  expect(await fetched({ ...own, allow_private: false }, `http://localhost:${port}/good`)).toEqual(['image.refused'])
  expect(asked.length).toBe(before)
})

test('addresses of the public internet, and no others', () => {
  for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111'])
    expect([address, isPublicAddress(address)]).toEqual([address, true])
  const inner = [
    '10.1.2.3',
    '127.8.9.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
  ]
  const inner6 = [
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '2002:7f00:1::',
    '64:ff9b::7f00:1',
    '2001:db8::1',
    'localhost',
    '',
  ]
  for (const address of [...inner, ...inner6]) expect([address, isPublicAddress(address)]).toEqual([address, false])
})

test('a host is asked for two images at a time, and a call ends', async () => {
  const urls = Array.from({ length: 12 }, (_, i) => `${base}/slow${i}`)
  expect(await fetched(own, ...urls)).toEqual(urls.map(() => 'slow'))
  expect(inside_most).toBe(2)
  const silent = Array.from({ length: 6 }, () => `${base}/silent`)
  expect(await fetched({ ...own, timeout_ms: 5_000, call_ms_max: 100 }, ...silent)).toEqual(silent.map(() => 'image.unavailable'))
})
