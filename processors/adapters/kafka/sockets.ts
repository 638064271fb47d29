/** Sockets of a client, all known: what kafkajs opens while it is being closed, or forgets over a rebalance, is ended as well. */
import net from 'node:net'
import tls from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

export type Sockets = {
  readonly factory: ISocketFactory
  /** Ends every socket that is left, and at once whatever is opened from now on. */
  end(): void
}

const keep_alive_ms = 60_000

export const openSockets = (): Sockets => {
  const open = new Set<net.Socket>()
  let ended = false
  return {
    factory: ({ host, port, ssl, onConnect }) => {
      const socket = ssl
        ? tls.connect({ host, port, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
        : net.connect({ host, port }, onConnect)
      socket.setKeepAlive(true, keep_alive_ms)
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      if (ended) socket.destroy()
      return socket
    },
    end: () => {
      ended = true
      for (const socket of open) socket.destroy()
    },
  }
}
