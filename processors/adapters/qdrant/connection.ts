/** Calls to Qdrant: one time limit a call, bounded retries of the same operation, and its errors in our words. */
import { setTimeout as sleep } from 'node:timers/promises'
import { QdrantClient } from '@qdrant/js-client-rest'
import { Fault } from '../../domain/fault.ts'

export type ConnectionOptions = {
  /** REST URL, e.g. `http://qdrant:6333`. */
  readonly url: string
  readonly api_key?: string | null
  /** Longest wait for one answer; 5 s unless told, as the client's own 300 s would hide a dead server. */
  readonly timeout_ms?: number
  /** Tries of one operation before it faults with index.unavailable; 4 unless told. */
  readonly tries_max?: number
  /** Wait before the second try; doubled each time, and jittered by up to half. */
  readonly retry_ms?: number
}

export type Connection = {
  /** Host and port, for messages. */
  readonly address: string
  /**
   * Runs one operation, again when the world may have recovered. Every operation of ours may be repeated: reads change nothing,
   * writes are guarded by their version. Faults: index.unavailable, index.version, index.dimension, defect.unexpected.
   */
  call<T>(what: string, work: (client: QdrantClient) => Promise<T>): Promise<T>
  close(): void
}

/** Waits of a server that asks for more than this are not waited for here: the task backs off by itself. */
const retry_after_ms_max = 5_000

type HttpError = { readonly status: number; readonly data: unknown }

const httpError = (error: unknown): HttpError | undefined =>
  typeof error === 'object' && error !== null && 'status' in error && typeof error.status === 'number'
    ? { status: error.status, data: 'data' in error ? error.data : undefined }
    : undefined

/** What the server said of a refused request: `{ status: { error } }`. */
const saidBy = ({ data }: HttpError): string => {
  if (typeof data !== 'object' || data === null || !('status' in data)) return ''
  const { status } = data
  if (typeof status !== 'object' || status === null || !('error' in status)) return ''
  return String(status.error).slice(0, 200)
}

/** System code of a failed connection, which fetch wraps in causes. */
const systemCode = (error: unknown): string | undefined => {
  for (let at: unknown = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code
    at = 'cause' in at ? at.cause : undefined
  }
  return undefined
}

/** HTTP status of an answer that was not understood as success, or undefined. */
export const statusOf = (error: unknown): number | undefined => httpError(error)?.status

/** A client error as a fault. The request is never quoted, and of the answer only what the server says of the request's form. */
export const qdrantFault = (address: string, what: string, error: unknown): Fault => {
  if (error instanceof Fault) return error
  const detail = { address, operation: what }
  // By their words, not by `instanceof`: an abort is a DOMException, which is no Error of another realm.
  const { name = '', message = String(error) } = (error ?? {}) as { readonly name?: string; readonly message?: string }
  const http = httpError(error)
  if (http !== undefined) {
    const said = saidBy(http)
    const answered = `Qdrant at ${address} answered ${http.status} to ${what}${said === '' ? '' : ` (${said})`}`
    if (http.status === 401 || http.status === 403)
      return new Fault('index.version', `${answered}. Set qdrant.api_key to a key that may do this.`, detail)
    if (http.status === 429 || http.status >= 500) return new Fault('index.unavailable', `${answered}.`, detail)
    if (http.status === 404) return new Fault('index.unavailable', `${answered}. It is made at start: restart a process.`, detail)
    if (/dimension/i.test(said)) return new Fault('index.dimension', `${answered}.`, detail)
    return new Fault('defect.unexpected', `${answered}.`, detail)
  }
  if (name === 'QdrantClientTimeoutError' || name === 'AbortError' || name === 'TimeoutError')
    return new Fault('index.unavailable', `Qdrant at ${address} did not answer to ${what} in time.`, detail)
  if (name === 'QdrantClientResourceExhaustedError')
    return new Fault('index.unavailable', `Qdrant at ${address} answered 429 to ${what}: too many requests.`, detail)
  if (name === 'QdrantClientUnexpectedResponseError')
    return new Fault('index.unavailable', `Qdrant at ${address} gave an answer to ${what} that is not Qdrant's.`, detail)
  const code = systemCode(error)
  if (code !== undefined || message === 'fetch failed')
    return new Fault(
      'index.unavailable',
      `Qdrant at ${address} cannot be reached for ${what} (${code ?? 'no connection'}).`,
      detail,
    )
  return new Fault('defect.unexpected', `${what}: ${message}`, detail, error)
}

/** Milliseconds the server asked to wait for, or undefined. */
const askedToWait = (error: unknown): number | undefined =>
  typeof error === 'object' && error !== null && 'retry_after' in error && typeof error.retry_after === 'number'
    ? error.retry_after * 1_000
    : undefined

/** Nothing is sent before the first call. */
export const connectQdrant = (options: ConnectionOptions): Connection => {
  const { url, timeout_ms = 5_000, tries_max = 4, retry_ms = 100 } = options
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch (error) {
    throw new Fault('config.invalid', 'qdrant.url is not a URL; write e.g. http://qdrant:6333.', {}, error)
  }
  const address = parsed.host
  // The key goes into a header of ours: given as `apiKey` the client would write to the console over plain HTTP.
  // The client takes port 6333 for a URL that leaves out its scheme's own port.
  const client = new QdrantClient({
    url,
    port: parsed.protocol === 'https:' ? 443 : 80,
    timeout: timeout_ms,
    checkCompatibility: false,
    ...(options.api_key ? { headers: { 'api-key': options.api_key } } : {}),
  })
  const closing = new AbortController()

  return {
    address,
    async call(what, work) {
      for (let tried = 1; ; tried++) {
        if (closing.signal.aborted) throw new Fault('index.unavailable', `The connection to Qdrant at ${address} is closed.`)
        let fault: Fault
        let asked: number | undefined
        try {
          return await work(client)
        } catch (error) {
          fault = qdrantFault(address, what, error)
          asked = askedToWait(error)
        }
        if (fault.kind !== 'transient' || tried >= tries_max || (asked ?? 0) > retry_after_ms_max) throw fault
        const wait = asked ?? retry_ms * 2 ** (tried - 1)
        await sleep(wait * (1 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => undefined)
      }
    },
    close: () => closing.abort(),
  }
}
