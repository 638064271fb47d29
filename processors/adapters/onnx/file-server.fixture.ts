/** Real HTTP servers on the loopback: files with ETag and Range, with the faults that networks have, and a model hub before them. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Seen = { readonly path: string; readonly range: string | undefined; readonly authorization: string | undefined }

export type FileServer = {
  readonly origin: string
  /** By path without the leading slash; may be changed while it serves. */
  readonly files: Record<string, Buffer>
  readonly seen: Seen[]
  /** What goes wrong, by path; may be changed while it serves. */
  readonly faults: Record<
    string,
    {
      cut_after?: number
      cuts?: number
      no_range?: boolean
      status?: number
      statuses?: number
      no_length?: boolean
      weak?: boolean
    }
  >
  readonly redirects: Record<string, string>
  close(): Promise<void>
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const listen = async (answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const openFileServer = async (files: Record<string, Buffer> = {}): Promise<FileServer> => {
  const seen: Seen[] = []
  const faults: FileServer['faults'] = {}
  const redirects: Record<string, string> = {}
  const server = await listen((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://x').pathname.slice(1))
    const { range, authorization } = request.headers
    seen.push({ path, range, authorization })
    const fault = faults[path] ?? {}
    if (fault.status !== undefined && (fault.statuses ?? Number.POSITIVE_INFINITY) > 0) {
      if (fault.statuses !== undefined) fault.statuses--
      response.writeHead(fault.status).end()
      return
    }
    const to = redirects[path]
    if (to !== undefined) {
      response.writeHead(302, { location: to }).end()
      return
    }
    const file = files[path]
    if (file === undefined) {
      response.writeHead(404).end('no such file')
      return
    }
    const etag = `${fault.weak === true ? 'W/' : ''}"${sha256(file).slice(0, 16)}"`
    const asked = /^bytes=(\d+)-$/u.exec(range ?? '')
    const same = request.headers['if-range'] === undefined || request.headers['if-range'] === etag
    let from = asked !== null && same && fault.no_range !== true ? Number(asked[1]) : 0
    if (from > 0 && from >= file.length) {
      response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end()
      return
    }
    if (asked === null) from = 0
    const body = file.subarray(from)
    response.writeHead(from > 0 ? 206 : 200, {
      etag,
      ...(fault.no_length === true ? {} : { 'content-length': body.length }),
      ...(from > 0 ? { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` } : {}),
    })
    if (fault.cut_after !== undefined && (fault.cuts ?? 1) > 0) {
      fault.cuts = (fault.cuts ?? 1) - 1
      response.write(body.subarray(0, fault.cut_after), () => setTimeout(() => response.destroy(), 20))
      return
    }
    response.end(body)
  })
  return { ...server, files, seen, faults, redirects }
}

export type FakeHub = FileServer & {
  /** Where large files lie, at another origin. */
  readonly cdn: FileServer
  readonly commit: string
  /** What the API says; may be changed while it serves. */
  readonly listing: {
    siblings: { rfilename: string; size?: number; lfs?: { sha256: string; size: number } }[]
    cardData: Record<string, unknown>
  }
  /** Puts other bytes behind a path, and into the listing. */
  put(path: string, bytes: Buffer): void
}

/** A hub with one repository at one commit; `.onnx` files are in large-file storage, behind a redirect to another origin. */
export const openFakeHub = async (id: string, repository: Record<string, Buffer>): Promise<FakeHub> => {
  const commit = 'c0ffee'.repeat(7).slice(0, 40)
  const hub = await openFileServer()
  const cdn = await openFileServer()
  const listing: FakeHub['listing'] = { siblings: [], cardData: { license: 'mit', language: ['en'] } }
  const tell = (): void => {
    hub.files[`api/models/${id}/revision/main`] = Buffer.from(JSON.stringify({ id, sha: commit, ...listing }))
    hub.files[`api/models/${id}/revision/${commit}`] = hub.files[`api/models/${id}/revision/main`]!
  }
  const put = (path: string, bytes: Buffer): void => {
    const at = listing.siblings.findIndex(({ rfilename }) => rfilename === path)
    const large = path.endsWith('.onnx')
    const entry = {
      rfilename: path,
      size: bytes.length,
      ...(large ? { lfs: { sha256: sha256(bytes), size: bytes.length } } : {}),
    }
    if (at < 0) listing.siblings.push(entry)
    else listing.siblings[at] = entry
    if (large) {
      cdn.files[path] = bytes
      hub.redirects[`${id}/resolve/${commit}/${path}`] = `${cdn.origin}/${path}?signature=of-the-cdn`
    } else hub.files[`${id}/resolve/${commit}/${path}`] = bytes
    tell()
  }
  for (const [path, bytes] of Object.entries(repository)) put(path, bytes)
  const live = new Proxy(listing, {
    set: (target, key, value) => {
      Reflect.set(target, key, value)
      tell()
      return true
    },
  })
  return {
    ...hub,
    cdn,
    commit,
    listing: live,
    put,
    close: async () => {
      await hub.close()
      await cdn.close()
    },
  }
}
