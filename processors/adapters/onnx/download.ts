/**
 * One file over HTTP, whole or not at all: what broke off is kept beside it and goes on with a Range, a changed file starts again,
 * redirects are few, and what is sent to one host is never sent to another.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'

/** How requests are made. */
export type Web = {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Sent as a bearer token to this origin, and to no other. */
  readonly token?: { readonly origin: string; readonly text: string }
  /** A connection that is silent for so long is cut and made again. */
  readonly silence_ms?: number
  /** Told before a failed request is made again. */
  readonly on_retry?: (why: string, wait_ms: number) => void
}

export type Wanted = {
  readonly url: URL
  /** Larger is refused, whatever its source says. */
  readonly bytes_max: number
  /** What it must be, where that is known. */
  readonly bytes?: number | null
  readonly sha256?: string | null
}

const redirects_max = 5
/** Tries in a row that brought less than progress_bytes. */
const tries_max = 5
const progress_bytes = 1024 * 1024
const wait_ms_max = 30_000
const silence_ms_default = 30_000

/** A URL as it may be shown: without what could be a signature or a password. */
export const shownUrl = (url: URL): string => `${url.origin}${url.pathname}`

const stopped = (): Fault => new Fault('model.unavailable', 'Stopped. What has been fetched is kept.')

/** A try that failed and may be repeated. */
class Again extends Error {
  readonly wait_ms: number
  constructor(message: string, wait_ms = 0, cause?: unknown) {
    super(message, { cause })
    this.wait_ms = wait_ms
  }
}

/** What a file system said, as a fault with what to do about it. */
export const storeFault = (path: string, error: unknown): Fault => {
  if (error instanceof Fault) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  return new Fault(
    'model.store',
    full
      ? `No space is left for ${path}. What has been fetched is kept: free some and pull again, or set model.store to another disk.`
      : `${path} cannot be written: ${code === '' ? message : code}. Give this user the folder, or set model.store to another.`,
    { errno: code },
    error,
  )
}

const refusalOf = (url: URL, response: Response): Fault => {
  const { status } = response
  const said = response.headers.get('x-error-code')
  const why =
    status === 404
      ? 'There is no such file, repository or revision: check the spelling, and case.'
      : said === 'GatedRepo'
        ? 'The model is gated: accept its terms on its page, then set HF_TOKEN to a token of that account.'
        : status === 401 || status === 403
          ? 'It is absent, private or gated: check the spelling; for a private one set HF_TOKEN.'
          : 'It cannot be had there.'
  return new Fault('model.refused', `${shownUrl(url)} answers ${status}${said === null ? '' : ` (${said})`}. ${why}`, { status })
}

type Answer = { readonly url: URL; readonly response: Response }

/** One request, along its redirects. Throws Again for what may pass, faults for what will not. */
const request = async (web: Web, first: URL, headers: Readonly<Record<string, string>>, cut: AbortSignal): Promise<Answer> => {
  let url = first
  for (let hops = 0; hops <= redirects_max; hops++) {
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new Fault('model.refused', `${shownUrl(url)} is neither http nor https.`)
    if (url.username !== '' || url.password !== '')
      throw new Fault('model.refused', 'A URL with a user name or password is not used: they would be kept in the model’s card.')
    let response: Response
    try {
      response = await fetch(url, {
        redirect: 'manual',
        signal: AbortSignal.any([web.signal, cut]),
        headers: {
          'user-agent': 'entrepot',
          // Ranges and sizes are those of the file, not of a compressed copy.
          'accept-encoding': 'identity',
          ...headers,
          ...(web.token !== undefined && web.token.origin === url.origin ? { authorization: `Bearer ${web.token.text}` } : {}),
        },
      })
    } catch (error) {
      if (web.signal.aborted) throw stopped()
      const cause = error instanceof Error ? (error.cause as { code?: string; message?: string } | undefined) : undefined
      throw new Again(
        `${url.origin} does not answer${cut.aborted ? ' in time' : ''} (${cause?.code ?? cause?.message ?? String(error)})`,
        0,
        error,
      )
    }
    const { status } = response
    if (status >= 300 && status < 400 && status !== 304) {
      await response.body?.cancel()
      const location = response.headers.get('location')
      const next = location === null ? null : URL.parse(location, url)
      if (next === null) throw new Fault('model.refused', `${shownUrl(url)} redirects to nowhere.`)
      if (url.protocol === 'https:' && next.protocol !== 'https:')
        throw new Fault('model.refused', `${shownUrl(url)} redirects to ${shownUrl(next)}, which is not encrypted.`)
      url = next
      continue
    }
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      await response.body?.cancel()
      const after = Number(response.headers.get('retry-after') ?? 0)
      throw new Again(
        `${shownUrl(url)} answers ${status}`,
        Number.isFinite(after) ? Math.min(wait_ms_max, Math.max(0, after * 1_000)) : 0,
      )
    }
    if (!response.ok && status !== 416) {
      await response.body?.cancel()
      throw refusalOf(url, response)
    }
    return { url, response }
  }
  throw new Fault('model.refused', `${shownUrl(first)} redirects more than ${redirects_max} times.`)
}

/** Watches that bytes keep coming: aborts `cut` after so much silence. */
const openWatch = (silence_ms: number) => {
  const controller = new AbortController()
  let timer = setTimeout(() => controller.abort(), silence_ms)
  return {
    cut: controller.signal,
    heard: () => {
      clearTimeout(timer)
      timer = setTimeout(() => controller.abort(), silence_ms)
    },
    end: () => clearTimeout(timer),
  }
}

/** Runs one try after another until one succeeds, a fault ends it, or tries_max of them in a row brought nothing. */
const persist = async <T>(web: Web, what: URL, once: (moved: (bytes: number) => void) => Promise<T>): Promise<T> => {
  let fruitless = 0
  for (;;) {
    let moved = 0
    try {
      return await once((bytes) => {
        moved += bytes
      })
    } catch (error) {
      if (web.signal.aborted) throw stopped()
      if (!(error instanceof Again)) throw error
      fruitless = moved >= progress_bytes ? 0 : fruitless + 1
      if (fruitless >= tries_max)
        throw new Fault(
          'model.unavailable',
          `${shownUrl(what)} could not be fetched in ${tries_max} tries: ${error.message}. What has come is kept; pull again later.`,
          {},
          error,
        )
      const wait_ms = Math.max(error.wait_ms, Math.min(wait_ms_max, 500 * 2 ** fruitless))
      web.on_retry?.(error.message, wait_ms)
      await web.clock.sleep(wait_ms, web.signal)
      if (web.signal.aborted) throw stopped()
    }
  }
}

const declaredBytes = (response: Response): number | null => {
  const length = response.headers.get('content-length')
  return length === null || response.headers.has('content-encoding') ? null : Number(length)
}

const tooLarge = (wanted: Wanted, bytes: number): Fault =>
  new Fault(
    'model.refused',
    `${shownUrl(wanted.url)} has ${bytes > wanted.bytes_max ? 'more than ' : ''}${Math.min(bytes, wanted.bytes_max)} bytes; that is more than such a file may have here.`,
    { bytes_max: wanted.bytes_max },
  )

async function* bodyOf(response: Response, url: URL, watch: ReturnType<typeof openWatch>): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = response.body.getReader()
  try {
    for (;;) {
      let part: Awaited<ReturnType<typeof reader.read>>
      try {
        part = await reader.read()
      } catch (error) {
        throw new Again(watch.cut.aborted ? `${url.origin} fell silent` : `the connection to ${url.origin} broke off`, 0, error)
      }
      if (part.done) return
      watch.heard()
      yield part.value
    }
  } finally {
    // A body that broke off is already closed; that must not hide why.
    await reader.cancel().catch(() => undefined)
  }
}

/** The whole of a small file, in memory; null when `optional` and it is not there (404). */
export const fetchBytes = async (web: Web, wanted: Wanted, optional = false): Promise<Buffer | null> =>
  persist(web, wanted.url, async () => {
    const watch = openWatch(web.silence_ms ?? silence_ms_default)
    try {
      const { url, response } = await request(web, wanted.url, {}, watch.cut)
      const declared = declaredBytes(response)
      if (declared !== null && declared > wanted.bytes_max) {
        await response.body?.cancel()
        throw tooLarge(wanted, declared)
      }
      const parts: Uint8Array[] = []
      let bytes = 0
      for await (const part of bodyOf(response, url, watch)) {
        bytes += part.length
        if (bytes > wanted.bytes_max) throw tooLarge(wanted, bytes)
        parts.push(part)
      }
      if (declared !== null && bytes < declared) throw new Again(`the connection to ${url.origin} broke off`)
      return Buffer.concat(parts)
    } catch (error) {
      if (optional && error instanceof Fault && error.detail['status'] === 404) return null
      throw error
    } finally {
      watch.end()
    }
  })

/** SHA-256 of a file, hex. */
export const sha256OfFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(part as Buffer)
  return hash.digest('hex')
}

const sizeOf = async (path: string): Promise<number | null> => {
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw storeFault(path, error)
  }
}

/** What a partial file is part of, kept beside it. */
type Part = { readonly url: string; readonly etag: string | null; readonly total: number | null }

const readPart = async (path: string): Promise<Part | null> => {
  try {
    const part = JSON.parse(await readFile(path, 'utf8')) as Partial<Part>
    return typeof part.url === 'string' ? { url: part.url, etag: part.etag ?? null, total: part.total ?? null } : null
  } catch (error) {
    // Absent or cut off by a crash: the file starts again.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw storeFault(path, error)
  }
}

/** Bytes of `to` that an earlier try left, and whether that is all of it. */
export const bytesPresent = async (to: string): Promise<number> => (await sizeOf(to)) ?? (await sizeOf(`${to}.partial`)) ?? 0

/**
 * Fetches a file to the path `to`, by way of `to.partial`, and returns its SHA-256 (hex) and size in bytes. `on_bytes` hears of bytes as
 * they come, and of a negative number when what was there is thrown away. A file at `to` that is known to be the right one stays.
 * Faults: model.refused (absent, too large, bad redirect), model.sha256, model.store (disk), model.unavailable (and when stopped).
 */
export const fetchFile = async (
  web: Web,
  wanted: Wanted,
  to: string,
  on_bytes: (bytes: number) => void,
): Promise<{ readonly sha256: string; readonly bytes: number }> => {
  const partial = `${to}.partial`
  const beside = `${to}.partial.json`
  const there = await sizeOf(to)
  if (there !== null) {
    const sha256 = await sha256OfFile(to)
    if (wanted.sha256 === null || wanted.sha256 === undefined ? there === wanted.bytes : sha256 === wanted.sha256)
      return { sha256, bytes: there }
    on_bytes(-there)
    await rm(to)
  }
  if (wanted.bytes !== null && wanted.bytes !== undefined && wanted.bytes > wanted.bytes_max) throw tooLarge(wanted, wanted.bytes)

  const forget = async (): Promise<void> => {
    on_bytes(-((await sizeOf(partial)) ?? 0))
    await rm(partial, { force: true })
    await rm(beside, { force: true })
  }
  const name = shownUrl(wanted.url)
  const strong = (etag: string | null): string | null => (etag === null || etag.startsWith('W/') ? null : etag)

  const once = async (moved: (bytes: number) => void): Promise<void> => {
    let have = (await sizeOf(partial)) ?? 0
    let part = have > 0 ? await readPart(beside) : null
    // Without an ETag, nor a digest to find out by, a mixture of two files could not be told from one.
    if (have > 0 && (part === null || part.url !== name || (strong(part.etag) === null && !wanted.sha256))) {
      await forget()
      have = 0
      part = null
    }
    const total_known = wanted.bytes ?? part?.total ?? null
    if (total_known !== null && have === total_known && have > 0) return
    if (total_known !== null && have > total_known) {
      await forget()
      have = 0
      part = null
    }
    const watch = openWatch(web.silence_ms ?? silence_ms_default)
    let file: FileHandle | undefined
    try {
      const etag = strong(part?.etag ?? null)
      const { url, response } = await request(
        web,
        wanted.url,
        have === 0 ? {} : { range: `bytes=${have}-`, ...(etag === null ? {} : { 'if-range': etag }) },
        watch.cut,
      )
      const { status, headers } = response
      if (status === 416) {
        await response.body?.cancel()
        await forget()
        throw new Again(`${name} has no such range; it starts again`)
      }
      const range = /^bytes (\d+)-\d+\/(\d+|\*)$/u.exec(headers.get('content-range') ?? '')
      const now = strong(headers.get('etag'))
      const goes_on =
        status === 206 &&
        have > 0 &&
        range !== null &&
        Number(range[1]) === have &&
        (etag === null || now === null || now === etag)
      if (status === 206 && !goes_on) {
        await response.body?.cancel()
        await forget()
        throw new Again(`${name} changed, or answers with another range; it starts again`)
      }
      if (!goes_on && have > 0) {
        // The server ignores ranges, or the file is another one now.
        await forget()
        have = 0
      }
      const declared = declaredBytes(response)
      const total = goes_on && range[2] !== '*' ? Number(range[2]) : declared === null ? null : have + declared
      if (total !== null && total > wanted.bytes_max) {
        await response.body?.cancel()
        throw tooLarge(wanted, total)
      }
      try {
        if (!goes_on) await writeFile(beside, JSON.stringify({ url: name, etag: headers.get('etag'), total } satisfies Part))
        file = await open(partial, goes_on ? 'a' : 'w')
      } catch (error) {
        await response.body?.cancel()
        throw storeFault(partial, error)
      }
      for await (const chunk of bodyOf(response, url, watch)) {
        have += chunk.length
        if (have > wanted.bytes_max) {
          await forget()
          throw tooLarge(wanted, have)
        }
        try {
          for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at, chunk.length - at)).bytesWritten
        } catch (error) {
          throw storeFault(partial, error)
        }
        moved(chunk.length)
        on_bytes(chunk.length)
      }
      if (total !== null && have < total) throw new Again(`the connection to ${url.origin} broke off`)
      try {
        await file.sync()
      } catch (error) {
        throw storeFault(partial, error)
      }
    } finally {
      watch.end()
      await file?.close()
    }
  }

  // What went on from an earlier try may be of an older file: then it is fetched once more from its beginning.
  for (let second = false; ; second = true) {
    const went_on = ((await sizeOf(partial)) ?? 0) > 0
    await persist(web, wanted.url, once)
    const bytes = (await sizeOf(partial)) ?? 0
    const sha256 = await sha256OfFile(partial)
    const wrong_size = wanted.bytes !== null && wanted.bytes !== undefined && bytes !== wanted.bytes
    if (!wrong_size && (!wanted.sha256 || sha256 === wanted.sha256)) {
      try {
        await rename(partial, to)
        await rm(beside, { force: true })
      } catch (error) {
        throw storeFault(to, error)
      }
      return { sha256, bytes }
    }
    await forget()
    if (went_on && !second) continue
    throw new Fault(
      'model.sha256',
      `${name} came with ${bytes} bytes and SHA-256 ${sha256}, expected is ${wrong_size ? `${wanted.bytes} bytes` : wanted.sha256}. It was thrown away: pull again; if it stays so, ask its publisher.`,
      {},
    )
  }
}
