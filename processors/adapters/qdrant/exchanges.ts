/** Tools of the tests: HTTP exchanges with a real Qdrant written down through a proxy, and played back where none is at hand. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'

export type Exchange = {
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** The request's JSON, or null. */
  readonly body: unknown
  readonly status: number
  readonly answer: unknown
}

/** What `contract.recorded.json` holds. Exchanges that several laws share, such as the creation of the collection, stand there once. */
export type Recording = {
  /** How to record again. */
  readonly how: string
  readonly server: string
  readonly client: string
  readonly exchanges: readonly Exchange[]
  /** Of each law the numbers of its exchanges, in order. */
  readonly laws: Readonly<Record<string, readonly number[]>>
}

const too_large = 'its requests are too many to be kept; it runs where a Qdrant is at hand'
const in_any_order = 'its requests have no fixed order; it runs where a Qdrant is at hand'

/** The laws that Qdrant itself does not keep. Seen on 1.19.0; nothing of ours rests on them. */
export const not_kept: Readonly<Record<string, string>> = {
  'a search beside a write sees each point as it was before it or after':
    'Qdrant reads payloads after scoring, so that a hit may pair the similarity before a write with the payload after it',
}

/** The laws that no recording holds, with the reason. */
export const unrecorded: Readonly<Record<string, string>> = {
  ...not_kept,
  'of concurrent versions of one point the newest wins': in_any_order,
  'searches beside a promotion are answered from one collection or the other': in_any_order,
  'a call of more than 500 points is written whole': too_large,
  'recall against an exact scan': too_large,
}

export type Tape = { readonly url: string; close(): Promise<void> }

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const jsonOf = (text: string): unknown => (text === '' ? null : (JSON.parse(text) as unknown))

const listening = async (server: Server): Promise<Tape> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A server on loopback that answers each request with what `reply` returns; also for tests of faulty answers. */
export const answering = (
  reply: (request: Omit<Exchange, 'status' | 'answer'>) => Promise<Pick<Exchange, 'status' | 'answer'>>,
): Promise<Tape> =>
  listening(
    createServer((request, response) => {
      void (async () => {
        const body = jsonOf(await bodyOf(request))
        const { status, answer } = await reply({ method: request.method ?? '', path: request.url ?? '', body })
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
      })()
    }),
  )

/** Passes requests on to `target` and writes down each exchange. Times are left out, as they differ from run to run. */
export const recordingTo = async (
  target: string,
  api_key?: string,
): Promise<Tape & { readonly exchanges: readonly Exchange[] }> => {
  const exchanges: Exchange[] = []
  const tape = await answering(async ({ method, path, body }) => {
    const response = await fetch(target + path, {
      method,
      headers: { 'content-type': 'application/json', ...(api_key === undefined ? {} : { 'api-key': api_key }) },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = jsonOf(text) as Record<string, unknown>
    const { time: _, usage: __, ...kept } = answer
    exchanges.push({ method, path, body, status: response.status, answer: kept })
    return { status: response.status, answer }
  })
  return { ...tape, exchanges }
}

/**
 * Answers as it was written down, in order. A request that differs from the one expected is answered with 418, which no
 * adapter takes for success; `close` then throws with both, and likewise when exchanges are left over.
 */
export const playingBack = async (exchanges: readonly Exchange[]): Promise<Tape> => {
  let at = 0
  let differs: string | undefined
  const tape = await answering(async (request) => {
    const expected = exchanges[at]
    const same =
      expected !== undefined && isDeepStrictEqual(request, { method: expected.method, path: expected.path, body: expected.body })
    if (!same) {
      const wanted =
        expected === undefined ? 'nothing more' : `${expected.method} ${expected.path} ${JSON.stringify(expected.body)}`
      differs ??= `Request ${at} was ${request.method} ${request.path} ${JSON.stringify(request.body)}\nrecorded is ${wanted}`
      return { status: 418, answer: { status: { error: 'not as recorded' } } }
    }
    at += 1
    return { status: expected.status, answer: expected.answer }
  })
  return {
    url: tape.url,
    async close() {
      await tape.close()
      if (differs !== undefined) throw new Error(differs)
      if (at < exchanges.length)
        throw new Error(`${exchanges.length - at} recorded requests were not made, first ${exchanges[at]!.path}.`)
    },
  }
}

/** Exchanges of several laws with those that repeat written once. */
export const condensed = (of: Readonly<Record<string, readonly Exchange[]>>): Pick<Recording, 'exchanges' | 'laws'> => {
  const numbers = new Map<string, number>()
  const exchanges: Exchange[] = []
  const laws = Object.entries(of).map(([law, list]) => [
    law,
    list.map((exchange) => {
      const key = JSON.stringify(exchange)
      const known = numbers.get(key)
      if (known !== undefined) return known
      numbers.set(key, exchanges.length)
      return exchanges.push(exchange) - 1
    }),
  ])
  return { exchanges, laws: Object.fromEntries(laws) }
}
