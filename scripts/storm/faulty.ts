/**
 * A server between a client and its HTTP server that can refuse, fall silent, lie and dawdle. The blackhole: connections stay open, new ones
 * are taken by the kernel, no byte comes back and no reset is sent. Needs no rights and no tool, so it works on any machine.
 */
import { type Agent, createServer, Agent as HttpAgent, request, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { freePorts } from '../servers/daemon.ts'

export type Mode =
  | { readonly how: 'pass' }
  /** Nobody listens: connections are refused, those that stand are reset. */
  | { readonly how: 'refuse' }
  | { readonly how: 'blackhole' }
  | { readonly how: 'answer'; readonly status: number; readonly type: string; readonly body: string }
  /** The real answer, late. */
  | { readonly how: 'slow'; readonly delay_ms: number }

export type FaultyServer = {
  readonly url: string
  set(mode: Mode): Promise<void>
  /** Requests since the last `set` whose path matches. */
  count(path: RegExp): number
  /** Answers of its own for some paths, whatever the mode; undefined leaves a path alone. */
  override(answer: (path: string) => { readonly status: number; readonly body: string } | undefined): void
  close(): Promise<void>
}

/** In front of the server at `target`, whose path stays part of `url`. */
export const openFaulty = async (target: string): Promise<FaultyServer> => {
  const to = new URL(target)
  const [port] = await freePorts(1)
  const agent: Agent = new HttpAgent({ keepAlive: true, maxSockets: 64 })
  const sockets = new Set<Socket>()
  let mode: Mode = { how: 'pass' }
  let paths: string[] = []
  let own: Parameters<FaultyServer['override']>[0] = () => undefined
  let server: Server | undefined

  const listen = () =>
    new Promise<void>((resolve, reject) => {
      const made = createServer((incoming, answer) => {
        const path = incoming.url ?? '/'
        paths.push(path)
        const now = mode
        // Neither read nor answered.
        if (now.how === 'blackhole') return
        const mine = own(path)
        if (mine !== undefined || now.how === 'answer') {
          incoming.resume()
          const { status, body } = mine ?? (now as { status: number; body: string })
          const type = mine === undefined && now.how === 'answer' ? now.type : 'application/json'
          answer.writeHead(status, { 'content-type': type }).end(body)
          return
        }
        const forward = () => {
          const out = request(
            {
              host: to.hostname,
              port: to.port,
              path,
              method: incoming.method,
              headers: { ...incoming.headers, host: to.host },
              agent,
            },
            (back) => {
              answer.writeHead(back.statusCode ?? 502, back.headers)
              back.pipe(answer)
            },
          )
          out.on('error', () => answer.destroy())
          answer.on('close', () => out.destroy())
          incoming.pipe(out)
        }
        if (now.how === 'slow') setTimeout(forward, now.delay_ms)
        else forward()
      })
      made.on('connection', (socket) => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
        if (mode.how === 'blackhole') socket.pause()
      })
      made.once('error', reject)
      made.listen(port, '127.0.0.1', () => {
        server = made
        resolve()
      })
    })
  const shut = async () => {
    const closing = server
    server = undefined
    if (closing === undefined) return
    const closed = new Promise<void>((resolve) => closing.close(() => resolve()))
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }
  await listen()
  return {
    url: `http://127.0.0.1:${port}${to.pathname === '/' ? '' : to.pathname}`,
    set: async (next) => {
      const was = mode
      mode = next
      paths = []
      if (next.how === 'refuse') return shut()
      if (server === undefined) await listen()
      if (next.how === 'blackhole') for (const socket of sockets) socket.pause()
      // What was swallowed is never answered: its connections end with the blackhole, as when a route comes back.
      else if (was.how === 'blackhole') for (const socket of sockets) socket.resetAndDestroy()
    },
    count: (path) => paths.filter((one) => path.test(one)).length,
    override: (answer) => {
      own = answer
    },
    close: async () => {
      await shut()
      agent.destroy()
    },
  }
}
