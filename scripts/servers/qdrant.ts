/** Qdrant from a `qdrant` binary on PATH, with a storage folder of its own, on loopback. */
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { freePorts, startDaemon, untilHealthy } from './daemon.ts'

export type QdrantServer = {
  /** REST URL, for QDRANT_URL. */
  readonly url: string
  readonly version: string
  readonly pid: number
  /** Clean stop; removes the storage unless the folder was given. Idempotent. */
  stop(): Promise<void>
  /** SIGKILL, as a crash. The storage stays for a start in the same folder. */
  kill9(): Promise<void>
}

export type QdrantOptions = {
  /** Storage that outlives the server; otherwise a temporary folder. */
  readonly folder?: string
  readonly api_key?: string
  readonly port?: number
  /** True: the server goes on when this process ends, and its storage stays. */
  readonly background?: boolean
}

const onPath = (name: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

/**
 * Where a server that ends with this process keeps its storage: in memory where there is a gigabyte of it, since Qdrant syncs
 * dozens of files for each collection, and a busy disk makes seconds of that.
 */
const shortLived = (): string => {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > 2 ** 30 ? memory : tmpdir()
}

/** Starts an empty Qdrant and resolves when it answers (about 1 s); undefined when there is no `qdrant` on PATH. */
export const startQdrant = async (options: QdrantOptions = {}): Promise<QdrantServer | undefined> => {
  const command = onPath('qdrant')
  if (command === undefined) return undefined
  const folder = options.folder ?? mkdtempSync(join(options.background === true ? tmpdir() : shortLived(), 'entrepot-qdrant-'))
  const [http, grpc] = await freePorts(2)
  const port = options.port ?? http!
  const url = `http://127.0.0.1:${port}`
  const log_file = join(folder, 'qdrant.log')
  const daemon = startDaemon({
    command,
    args: ['--disable-telemetry'],
    log_file,
    cwd: folder,
    background: options.background === true,
    env: {
      QDRANT__SERVICE__HOST: '127.0.0.1',
      QDRANT__SERVICE__HTTP_PORT: String(port),
      QDRANT__SERVICE__GRPC_PORT: String(grpc!),
      QDRANT__STORAGE__STORAGE_PATH: join(folder, 'storage'),
      QDRANT__STORAGE__SNAPSHOTS_PATH: join(folder, 'snapshots'),
      QDRANT__LOG_LEVEL: 'WARN',
      ...(options.api_key === undefined ? {} : { QDRANT__SERVICE__API_KEY: options.api_key }),
    },
  })
  let version = ''
  try {
    await untilHealthy('Qdrant', daemon, log_file, 30_000, async () => {
      const headers = options.api_key === undefined ? {} : { 'api-key': options.api_key }
      const answer = await fetch(url, { headers, signal: AbortSignal.timeout(1_000) })
      version = ((await answer.json()) as { version: string }).version
      return (await fetch(`${url}/readyz`, { headers, signal: AbortSignal.timeout(1_000) })).ok
    })
  } catch (error) {
    await daemon.kill9()
    throw error
  }
  return {
    url,
    version,
    pid: daemon.pid,
    async stop() {
      await daemon.stop()
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
    kill9: daemon.kill9,
  }
}
