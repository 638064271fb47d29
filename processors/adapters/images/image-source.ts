/** ImageSource over HTTP: bounded in size, time, redirects and connections a host, and kept out of our own network. */
import { lookup as lookupOfSystem } from 'node:dns'
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Fault } from '../../domain/fault.ts'
import type { ImageSource } from '../../ports/image-source.ts'
import { isPublicAddress } from './address.ts'

export type ImageSourceOptions = {
  /** Largest file; 8 MiB unless told. */
  readonly bytes_max?: number
  /** Longest wait for one image, redirects included; 10 s unless told. */
  readonly timeout_ms?: number
  readonly redirects_max?: number
  /** Connections to one host at a time; 2 unless told, for these are other people's shops. */
  readonly per_host?: number
  /** Tries of one image; 2 unless told. */
  readonly tries_max?: number
  readonly retry_ms?: number
  /** Longest time for one call; what is not there then is unavailable. 45 s unless told. */
  readonly call_ms_max?: number
  /** Take private and loopback addresses too: for tests, and for an image server of one's own. */
  readonly allow_private?: boolean
  readonly lookup?: typeof lookupOfSystem
}

const refused = (why: string): Fault => new Fault('image.refused', `The image is not fetched: ${why}.`)
const unavailable = (why: string): Fault => new Fault('image.unavailable', `The image cannot be had now: ${why}.`)

/** At most `most` pieces of work at a time; the others wait in order. */
const turnstile = (most: number) => {
  let inside = 0
  const waiting: (() => void)[] = []
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (inside >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else inside += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) inside -= 1
      else next()
    }
  }
}

export const openImageSource = (options: ImageSourceOptions = {}): ImageSource & { close(): void } => {
  const { bytes_max = 8 << 20, timeout_ms = 10_000, redirects_max = 3, per_host = 2, tries_max = 2, retry_ms = 300 } = options
  const { call_ms_max = 45_000, allow_private = false, lookup: resolve = lookupOfSystem } = options
  const allowed = (address: string): boolean => allow_private || isPublicAddress(address)

  // The address that was looked at is the one that is connected to: a name that answers otherwise the second time gains nothing.
  const lookup: LookupFunction = (hostname, asked, done) => {
    resolve(hostname, { all: true, family: asked.family ?? 0 }, (error, addresses) => {
      if (error !== null) return done(error, '', 0)
      const bad = addresses.some(({ address }) => !allowed(address))
      if (bad || addresses.length === 0) return done(refused('its host leads into a private network'), '', 0)
      if (asked.all === true) return done(null, addresses)
      done(null, addresses[0]!.address, addresses[0]!.family)
    })
  }
  const agents = {
    'http:': new HttpAgent({ keepAlive: true, maxSockets: per_host, maxFreeSockets: per_host, timeout: timeout_ms }),
    'https:': new HttpsAgent({ keepAlive: true, maxSockets: per_host, maxFreeSockets: per_host, timeout: timeout_ms }),
  }

  const get = (url: URL, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((answered, failed) => {
      const secure = url.protocol === 'https:'
      const request = (secure ? requestHttps : requestHttp)(
        url,
        {
          agent: secure ? agents['https:'] : agents['http:'],
          lookup,
          signal,
          headers: {
            accept: 'image/avif,image/webp,image/png,image/jpeg,image/gif',
            'accept-encoding': 'identity',
            'user-agent': 'Entrepot',
          },
        },
        answered,
      )
      request.on('error', failed)
      request.end()
    })

  const parsed = (text: string, base?: URL): URL => {
    let url: URL
    try {
      url = new URL(text, base)
    } catch {
      throw refused('its URL is none')
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('only http and https are')
    if (url.username !== '' || url.password !== '') throw refused('its URL holds credentials')
    const host = url.hostname.replace(/^\[|\]$/gu, '')
    if (isIP(host) !== 0 && !allowed(host)) throw refused('its host is a private address')
    return url
  }

  const once = async (text: string, signal: AbortSignal): Promise<Uint8Array> => {
    let url = parsed(text)
    for (let hop = 0; ; hop++) {
      const answer = await get(url, signal)
      const status = answer.statusCode ?? 0
      const { location } = answer.headers
      if (status >= 300 && status < 400 && location !== undefined) {
        answer.destroy()
        if (hop >= redirects_max) throw refused(`it is redirected more than ${redirects_max} times`)
        url = parsed(location, url)
        continue
      }
      if (status !== 200) {
        answer.destroy()
        if (status === 408 || status === 425 || status === 429 || status >= 500) throw unavailable(`its server answers ${status}`)
        throw new Fault('image.missing', `There is no image: its server answers ${status}.`)
      }
      if (Number(answer.headers['content-length'] ?? 0) > bytes_max) {
        answer.destroy()
        throw refused(`it has more than ${bytes_max} bytes`)
      }
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        bytes += chunk.length
        if (bytes > bytes_max) {
          answer.destroy()
          throw refused(`it has more than ${bytes_max} bytes`)
        }
        chunks.push(chunk)
      }
      if (!answer.complete) throw unavailable('its server broke off')
      return Buffer.concat(chunks)
    }
  }

  const faultOf = (error: unknown): Fault => {
    if (error instanceof Fault) return error
    const { name = '', code = '' } = (error ?? {}) as { readonly name?: string; readonly code?: string }
    if (name === 'AbortError' || name === 'TimeoutError') return unavailable('no answer in time')
    if (code === 'ENOTFOUND') return new Fault('image.missing', 'There is no image: its host has no address.')
    return unavailable(code === '' ? 'the connection failed' : code)
  }

  return {
    async fetch(urls) {
      const over = AbortSignal.timeout(call_ms_max)
      const hosts = new Map<string, ReturnType<typeof turnstile>>()
      const one = async (text: string): Promise<Uint8Array | Fault> => {
        let host: string
        try {
          host = parsed(text).host
        } catch (error) {
          return faultOf(error)
        }
        const turn = hosts.get(host) ?? turnstile(per_host)
        hosts.set(host, turn)
        return turn(async () => {
          for (let tried = 1; ; tried++) {
            if (over.aborted) return unavailable('the time of the batch is over')
            try {
              return await once(text, AbortSignal.any([over, AbortSignal.timeout(timeout_ms)]))
            } catch (error) {
              const fault = faultOf(error)
              if (fault.kind !== 'transient' || tried >= tries_max) return fault
            }
            await sleep(retry_ms * 2 ** (tried - 1), undefined, { signal: over }).catch(() => undefined)
          }
        })
      }
      return Promise.all(urls.map(one))
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}
