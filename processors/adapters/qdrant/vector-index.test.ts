/** The Qdrant adapter where no Qdrant is: what a real one said is played back, and what a faulty one may say is made up. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { OpenedIndex } from '../../ports/vector-index.contract.ts'
import { vectorIndexContract } from '../../ports/vector-index.contract.ts'
import type { ImageSpace, PointWrite } from '../../ports/vector-index.ts'
import type { Exchange, Recording, Tape } from './exchanges.ts'
import { answering, playingBack, unrecorded } from './exchanges.ts'
import { batchesOf, openQdrantIndex } from './vector-index.ts'

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'contract.recorded.json'), 'utf8')) as Recording
const settings = { collection: 'entrepot-contract', model_digest: 'c0ffee'.padEnd(64, '0') }

const replayed = `${recorded.server}, played back`
const open = async (dims: number, images?: ImageSpace, tape?: Tape): Promise<OpenedIndex> => {
  const law = (expect.getState().currentTestName ?? '').replace(`VectorIndex: ${replayed} `, '')
  const numbers = recorded.laws[law]
  if (numbers === undefined) throw new Error(`The law "${law}" was not recorded: ${recorded.how}`)
  const through = tape ?? (await playingBack(numbers.map((number) => recorded.exchanges[number]!)))
  const { index, admin } = openQdrantIndex({
    ...settings,
    dims,
    url: through.url,
    tries_max: 1,
    ...(images === undefined ? {} : { images }),
  })
  return {
    index,
    admin,
    async close() {
      await admin.close()
      await through.close()
    },
    async reopen(again, images_again) {
      await admin.close()
      return open(again, images_again, through)
    },
  }
}

vectorIndexContract(replayed, open, { known: unrecorded })

describe('a faulty server', () => {
  let tape: Tape | undefined
  afterEach(async () => {
    await tape?.close()
    tape = undefined
  })

  type Reply = (request: Omit<Exchange, 'status' | 'answer'>, n: number) => Pick<Exchange, 'status' | 'answer'>
  const opened = async (
    reply: Reply,
    options: { readonly tries_max?: number; readonly timeout_ms?: number; readonly api_key?: string } = {},
  ) => {
    let n = 0
    const requests: Omit<Exchange, 'status' | 'answer'>[] = []
    tape = await answering(async (request) => {
      requests.push(request)
      return reply(request, n++)
    })
    return { ...openQdrantIndex({ ...settings, dims: 2, url: tape.url, retry_ms: 1, ...options }), requests }
  }
  const point: PointWrite = { space: 'items', id: 'a', vector: Float32Array.of(1, 0), payload: {} }
  const ok = (result: unknown) => ({ status: 200, answer: { result, status: 'ok', time: 0 } })
  const refusal = (status: number, error = 'no') => ({ status, answer: { status: { error }, time: 0 } })

  test('an upsert that was taken but not completed is sent again as it was, and faults in the end', async () => {
    const { index, requests } = await opened((_, n) => ok({ operation_id: n, status: n < 2 ? 'acknowledged' : 'completed' }))
    await index.write([point], 7)
    expect(requests.length).toBe(3)
    expect(requests[1]).toEqual(requests[0])
    expect(requests[2]).toEqual(requests[0])
    expect(requests[0]).toMatchObject({
      method: 'PUT',
      path: '/collections/entrepot-contract-c0ffee00/points?wait=true',
      body: {
        update_filter: { must: [{ key: 'version', range: { lt: 7 } }] },
        points: [{ payload: { version: 7, deleted: false } }],
      },
    })
    await tape?.close()
    const never = await opened(() => ok({ operation_id: 1, status: 'wait_timeout' }))
    await expect(never.index.write([point], 7)).rejects.toMatchObject({ code: 'index.unavailable' })
    expect(never.requests.length).toBe(4)
  })

  test('what may pass is tried again, what will not is not', async () => {
    const cases: readonly (readonly [number, string, string, number])[] = [
      [500, 'Service internal error', 'index.unavailable', 4],
      [503, 'starting', 'index.unavailable', 4],
      [429, 'rate limit', 'index.unavailable', 4],
      [401, 'key', 'index.version', 1],
      [403, 'forbidden', 'index.version', 1],
      [404, "Not found: Collection doesn't exist!", 'index.unavailable', 4],
      [400, 'Wrong input: Vector dimension error: expected dim: 4, got 2', 'index.dimension', 1],
      [400, 'Format error in JSON body', 'defect.unexpected', 1],
    ]
    for (const [status, said, code, tries] of cases) {
      const { index, requests } = await opened(() => refusal(status, said))
      await expect(index.write([point], 1)).rejects.toMatchObject({ code })
      expect({ status, tries: requests.length }).toEqual({ status, tries })
      await tape?.close()
    }
  })

  test('a server that recovers is not noticed', async () => {
    const { index } = await opened((_, n) => (n < 3 ? refusal(503) : ok([{ points: [] }])))
    expect(await index.search([{ space: 'items', vector: Float32Array.of(1, 0), limit: 3 }])).toEqual([[]])
  })

  test('no answer in time, and no server at all, are index.unavailable', async () => {
    tape = await answering(() => new Promise(() => {}))
    const slow = openQdrantIndex({ ...settings, dims: 2, url: tape.url, timeout_ms: 30, tries_max: 2, retry_ms: 1 })
    await expect(slow.index.points('items', ['a'])).rejects.toMatchObject({
      code: 'index.unavailable',
      message: expect.stringContaining('in time'),
    })
    const { url } = tape
    await tape.close()
    const gone = openQdrantIndex({ ...settings, dims: 2, url, tries_max: 2, retry_ms: 1 })
    await expect(gone.index.write([point], 1)).rejects.toMatchObject({
      code: 'index.unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  test('faults name no key and no payload', async () => {
    const { index } = await opened(() => refusal(401, 'Must provide an API key'), { api_key: 'canary-key' })
    const secret: PointWrite = { ...point, payload: { title: 'canary-title' } }
    const fault: Error = await index.write([secret], 1).then(
      () => new Error('no fault'),
      (error: Error) => error,
    )
    expect(JSON.stringify([fault.message, { ...fault }, String(fault.cause)])).not.toMatch(/canary/)
    expect(fault.message).toContain('qdrant.api_key')
  })

  test('a server that is too old, or something else, is refused', async () => {
    const versions: readonly (readonly [string, boolean])[] = [
      ['1.15.9', false],
      ['1.16.0', true],
      ['1.19.0', true],
      ['2.0.0', true],
      ['0.9.9', false],
      ['1.17.0-dev', true],
      ['unknown', false],
    ]
    for (const [version, accepted] of versions) {
      const { admin } = await opened(() => ({ status: 200, answer: { title: 'qdrant - vector search engine', version } }))
      const probe = admin.probe()
      if (accepted) expect(await probe).toEqual({ version, warnings: [] })
      else await expect(probe).rejects.toMatchObject({ code: 'index.version' })
      await tape?.close()
    }
    const { admin } = await opened(() => ({ status: 200, answer: { title: 'nginx', version: '9.9.9' } }))
    await expect(admin.ensure()).rejects.toMatchObject({ code: 'index.version' })
  })

  test('an address that is none is refused before anything is sent', () => {
    expect(() => openQdrantIndex({ ...settings, dims: 2, url: 'qdrant' })).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })

  test('a closed index says so', async () => {
    const { index, admin, requests } = await opened(() => ok([]))
    await admin.close()
    await expect(index.points('items', ['a'])).rejects.toMatchObject({ code: 'index.unavailable' })
    expect(requests).toEqual([])
  })
})

test('batches keep to count and bytes', () => {
  const points = (count: number, title: string): PointWrite[] =>
    Array.from({ length: count }, (_, i) => ({ space: 'items', id: `${i}`, vector: new Float32Array(384), payload: { title } }))
  expect(batchesOf([], 500)).toEqual([])
  expect(batchesOf(points(1_001, ''), 500).map((batch) => batch.length)).toEqual([500, 500, 1])
  const large = batchesOf(points(300, 'x'.repeat(100_000)), 500)
  expect(large.length).toBeGreaterThan(4)
  expect(large.flat().length).toBe(300)
  for (const batch of large) expect(JSON.stringify(batch.map(({ payload }) => payload)).length).toBeLessThan(16 * 1024 * 1024)
})
