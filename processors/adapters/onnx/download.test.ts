/** Files over real HTTP on the loopback: resumed, restarted, bounded, checked; and what goes to whom. */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { bytesPresent, fetchBytes, fetchFile, storeFault, type Wanted, type Web } from './download.ts'
import { type FileServer, openFileServer } from './file-server.fixture.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const content = randomBytes(300_000)

let folder: string
let server: FileServer
let slept: number[]
let web: Web
let came: number
let retries: [string, number][]
const to = (): string => join(folder, 'model.onnx')
const count = (bytes: number): void => {
  came += bytes
}
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-download-'))
  server = await openFileServer({ 'a/model.onnx': content })
  slept = []
  came = 0
  retries = []
  web = {
    clock: { now_ms: () => 0, monotonic_ms: () => 0, sleep: async (ms) => void slept.push(ms) },
    signal: new AbortController().signal,
    on_retry: (why, wait_ms) => void retries.push([why, wait_ms]),
  }
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const wanted = (more: Partial<Wanted> = {}): Wanted => ({
  url: new URL(`${server.origin}/a/model.onnx`),
  bytes_max: 1_000_000,
  ...more,
})
const faultOf = async (work: Promise<unknown>): Promise<Fault> => {
  try {
    await work
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('it was accepted')
}
const ranges = (): (string | undefined)[] => server.seen.map(({ range }) => range)

describe('a file', () => {
  test('comes whole, with its digest, and leaves nothing else behind', async () => {
    expect(await fetchFile(web, wanted(), to(), count)).toEqual({ sha256: sha256(content), bytes: content.length })
    expect(readFileSync(to()).equals(content)).toBe(true)
    expect(existsSync(`${to()}.partial`)).toBe(false)
    expect(existsSync(`${to()}.partial.json`)).toBe(false)
    expect(came).toBe(content.length)
  })

  test('that is there already is not fetched again; another one is', async () => {
    const pinned = wanted({ sha256: sha256(content) })
    await fetchFile(web, pinned, to(), count)
    await fetchFile(web, pinned, to(), count)
    expect(server.seen).toHaveLength(1)
    writeFileSync(to(), 'other')
    await fetchFile(web, pinned, to(), count)
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('goes on behind a cut connection, with Range and If-Range, and waits a little longer each time', async () => {
    server.faults['a/model.onnx'] = { cut_after: 70_000, cuts: 2 }
    await fetchFile(web, wanted(), to(), count)
    expect(readFileSync(to()).equals(content)).toBe(true)
    expect(came).toBe(content.length)
    expect(ranges()[0]).toBeUndefined()
    expect(server.seen).toHaveLength(3)
    for (const range of ranges().slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/u)
    expect(slept).toEqual([1_000, 2_000])
    expect(retries).toEqual([
      [expect.stringContaining('broke off'), 1_000],
      [expect.stringContaining('broke off'), 2_000],
    ])
  })

  test('goes on in another process where an earlier one was killed', async () => {
    server.faults['a/model.onnx'] = { cut_after: 40_000, cuts: 99 }
    const { code, kind } = await faultOf(fetchFile(web, wanted({ sha256: sha256(content) }), to(), count))
    // Some 40 kB a try is progress too small to go on for ever.
    expect([code, kind]).toEqual(['model.unavailable', 'transient'])
    const kept = await bytesPresent(to())
    expect(kept).toBe(statSync(`${to()}.partial`).size)
    expect(kept).toBeGreaterThan(0)
    delete server.faults['a/model.onnx']
    came = 0
    await fetchFile(web, wanted({ sha256: sha256(content) }), to(), count)
    expect(server.seen.at(-1)!.range).toBe(`bytes=${kept}-`)
    expect(came).toBe(content.length - kept)
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('starts again when the server ignores Range', async () => {
    server.faults['a/model.onnx'] = { cut_after: 70_000, no_range: true }
    await fetchFile(web, wanted(), to(), count)
    expect(readFileSync(to()).equals(content)).toBe(true)
    expect(came).toBe(content.length)
  })

  test('starts again when it changed meanwhile: If-Range tells', async () => {
    server.faults['a/model.onnx'] = { cut_after: 40_000, cuts: 99 }
    await faultOf(fetchFile(web, wanted(), to(), count))
    const changed = randomBytes(200_000)
    server.files['a/model.onnx'] = changed
    delete server.faults['a/model.onnx']
    await fetchFile(web, wanted(), to(), count)
    expect(readFileSync(to()).equals(changed)).toBe(true)
    expect(came).toBe(changed.length)
  })

  test('starts again when what was kept turns out to be of another file: the digest tells', async () => {
    // A weak ETag says nothing of bytes; the wanted digest does.
    writeFileSync(`${to()}.partial`, randomBytes(1_000))
    writeFileSync(`${to()}.partial.json`, JSON.stringify({ url: `${server.origin}/a/model.onnx`, etag: null, total: null }))
    server.faults['a/model.onnx'] = { weak: true }
    await fetchFile(web, wanted({ sha256: sha256(content) }), to(), count)
    expect(ranges()).toEqual(['bytes=1000-', undefined])
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('is not pieced together without an ETag and a digest', async () => {
    server.faults['a/model.onnx'] = { weak: true, cut_after: 70_000 }
    await fetchFile(web, wanted(), to(), count)
    expect(ranges()).toEqual([undefined, undefined])
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('of another digest or size is thrown away and named', async () => {
    const { code, message } = await faultOf(fetchFile(web, wanted({ sha256: sha256(Buffer.from('x')) }), to(), count))
    expect(code).toBe('model.sha256')
    expect(message).toContain(sha256(content))
    expect(existsSync(to()) || existsSync(`${to()}.partial`)).toBe(false)
    expect((await faultOf(fetchFile(web, wanted({ bytes: 7 }), to(), count))).code).toBe('model.sha256')
  })

  test('larger than allowed is refused: by its announced size, and where none is announced, by its bytes', async () => {
    for (const fault of [{}, { no_length: true }]) {
      server.faults['a/model.onnx'] = fault
      const { code, message } = await faultOf(fetchFile(web, wanted({ bytes_max: 100_000 }), to(), count))
      expect(code).toBe('model.refused')
      expect(message).toContain('100000')
      expect(existsSync(`${to()}.partial`)).toBe(false)
    }
    expect((await faultOf(fetchFile(web, wanted({ bytes: 2_000_000 }), to(), count))).code).toBe('model.refused')
    expect((await faultOf(fetchBytes(web, wanted({ bytes_max: 10 })))).code).toBe('model.refused')
  })
})

describe('answers that are none', () => {
  test.each([404, 401, 403, 410])('%i ends it at once, with what to do', async (status) => {
    server.faults['a/model.onnx'] = { status }
    const { code, message, kind } = await faultOf(fetchFile(web, wanted(), to(), count))
    expect([code, kind]).toEqual(['model.refused', 'misconfigured'])
    expect(message).toContain(String(status))
    expect(server.seen).toHaveLength(1)
  })

  test.each([429, 500, 503])('%i is tried again, and given up after five', async (status) => {
    server.faults['a/model.onnx'] = { status, statuses: 2 }
    await fetchFile(web, wanted(), to(), count)
    expect(server.seen).toHaveLength(3)
    server.faults['a/model.onnx'] = { status }
    rmSync(to())
    expect((await faultOf(fetchFile(web, wanted(), to(), count))).code).toBe('model.unavailable')
    expect(server.seen).toHaveLength(8)
  })

  test('nobody listens: unavailable, and says where', async () => {
    const { origin } = server
    await server.close()
    const { code, message } = await faultOf(fetchBytes(web, { url: new URL(`${origin}/x`), bytes_max: 10 }))
    expect(code).toBe('model.unavailable')
    expect(message).toContain(origin)
    server = await openFileServer()
  })

  test('silence is cut, and tried again', async () => {
    const silent = { ...web, silence_ms: 30 }
    // The body stops in its middle and the connection stays.
    server.faults['a/model.onnx'] = { cut_after: 10 }
    await fetchFile(silent, wanted(), to(), count)
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('a stop ends it, and keeps what came', async () => {
    const stop = new AbortController()
    server.faults['a/model.onnx'] = { cut_after: 70_000 }
    const { message } = await faultOf(
      fetchFile({ ...web, signal: stop.signal }, wanted(), to(), () => {
        stop.abort()
      }),
    )
    expect(message).toContain('kept')
    expect(await bytesPresent(to())).toBeGreaterThan(0)
  })

  test('optional and absent is null', async () => {
    const absent = { url: new URL(`${server.origin}/absent`), bytes_max: 10 }
    expect(await fetchBytes(web, absent, true)).toBeNull()
    expect((await faultOf(fetchBytes(web, absent))).detail['status']).toBe(404)
  })
})

describe('redirects', () => {
  let other: FileServer
  beforeEach(async () => {
    other = await openFileServer({ blob: content })
  })
  afterEach(() => other.close())

  test('to another host are followed, and the token is not', async () => {
    server.redirects['a/model.onnx'] = `${other.origin}/blob?signature=1`
    const with_token = { ...web, token: { origin: server.origin, text: 'hf_secret' } }
    await fetchFile(with_token, wanted(), to(), count)
    expect(server.seen[0]!.authorization).toBe('Bearer hf_secret')
    expect(other.seen).toEqual([{ path: 'blob', range: undefined, authorization: undefined }])
  })

  test('in a circle, to nowhere, to another kind of place are refused', async () => {
    server.redirects['a/model.onnx'] = '/a/model.onnx'
    expect((await faultOf(fetchFile(web, wanted(), to(), count))).message).toContain('more than 5 times')
    expect(server.seen).toHaveLength(6)
    server.redirects['a/model.onnx'] = 'file:///etc/passwd'
    expect((await faultOf(fetchFile(web, wanted(), to(), count))).code).toBe('model.refused')
    server.redirects['a/model.onnx'] = 'http://user:password@127.0.0.1/'
    const { message } = await faultOf(fetchFile(web, wanted(), to(), count))
    expect(message).not.toContain('password@')
  })
})

// Linux has a file on which every write finds the disk full.
const full = existsSync('/dev/full') ? test : test.skip
full(
  `a disk that fills up while a file comes ends it, with what to do${existsSync('/dev/full') ? '' : ' (not run: no /dev/full)'}`,
  async () => {
    symlinkSync('/dev/full', `${to()}.partial`)
    const { code, message } = await faultOf(fetchFile(web, wanted(), to(), count))
    expect([code, message]).toEqual(['model.store', expect.stringContaining('No space is left')])
    expect(existsSync(to())).toBe(false)
    expect(server.seen).toHaveLength(1)
  },
)

test('a full disk says so, another fault of the disk names the folder; both name the setting', () => {
  const full = storeFault('/models/x', Object.assign(new Error('write'), { code: 'ENOSPC' }))
  expect([full.code, full.message]).toEqual(['model.store', expect.stringContaining('No space is left for /models/x')])
  const forbidden = storeFault('/models/x', Object.assign(new Error('open'), { code: 'EACCES' }))
  expect(forbidden.message).toContain('EACCES')
  expect(forbidden.message).toContain('model.store')
})
