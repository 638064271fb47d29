/** A process of `entrepot run` as users start it, handled from outside: signals, its log, its memory and descriptors. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const launcher = fileURLToPath(new URL('../../processors/cli/entrepot.js', import.meta.url))

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }
/** A line of the member's log. */
export type LogLine = { readonly code?: string; readonly message?: string; readonly [field: string]: unknown }

export type Usage = { readonly rss_mb: number; readonly descriptors: number }

export type Member = {
  readonly name: string
  readonly log_file: string
  pid(): number
  alive(): boolean
  /** Starts the process (again); its log goes on in the same file. */
  start(...more: readonly string[]): void
  /** Waits until the process has joined its groups, or has ended. */
  ready(): Promise<void>
  signal(name: NodeJS.Signals): void
  /** SIGKILL, and gone when it resolves. */
  kill9(): Promise<void>
  /** SIGTERM; resolves with its exit and the seconds it took. */
  term(): Promise<Exit & { readonly seconds: number }>
  /** The end of the process that runs now, or ran last. */
  readonly exited: () => Promise<Exit>
  /** Everything logged since the first start, or since byte `from`. */
  lines(from?: number): readonly LogLine[]
  /** Bytes logged so far, for `lines(from)`. */
  logged(): number
  /** How often a code was logged. */
  count(code: string, from?: number): number
  /** Of the process that runs now; undefined where /proc cannot say. */
  usage(): Usage | undefined
  /** Base URL of its HTTP side. */
  http(): string | undefined
}

/** The variables by which a developer's own servers would be found instead of the scenario's. */
const foreign = /^(KAFKA_|SCHEMA_REGISTRY_|QDRANT_|ENTREPOT_|LOG_LEVEL$|PORT$)/u

export const cleanEnv = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))),
  ...more,
})

const living = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** Runs a command of `entrepot` to its end. */
export const entrepot = (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit & { readonly output: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [launcher, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnv(env) })
    living.add(child)
    let output = ''
    const take = (chunk: Buffer) => {
      output += chunk.toString('utf8')
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('close', (code, signal) => {
      living.delete(child)
      resolve({ code, signal, output })
    })
  })

export type MemberOptions = {
  readonly name: string
  readonly config: string
  readonly log_file: string
  /** After `run --config FILE`. */
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export const openMember = ({ name, config, log_file, args, env = {} }: MemberOptions): Member => {
  let child: ChildProcess | undefined
  let exited: Promise<Exit> = Promise.resolve({ code: null, signal: null })
  let began_at = 0
  const alive = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const logged = () => (existsSync(log_file) ? readFileSync(log_file).length : 0)
  const lines = (from = 0): readonly LogLine[] => {
    if (!existsSync(log_file)) return []
    return readFileSync(log_file)
      .subarray(from)
      .toString('utf8')
      .split('\n')
      .flatMap((line): LogLine[] => {
        if (line === '') return []
        try {
          return [JSON.parse(line) as LogLine]
        } catch {
          // A line cut by SIGKILL, or what the command line prints for people.
          return [{ message: line }]
        }
      })
  }
  const signal = (which: NodeJS.Signals) => {
    if (alive()) child!.kill(which)
  }
  return {
    name,
    log_file,
    pid: () => child?.pid ?? 0,
    alive,
    start: (...more) => {
      began_at = logged()
      const output = openSync(log_file, 'a')
      const started = spawn(process.execPath, [launcher, 'run', '--config', config, ...args, ...more], {
        stdio: ['ignore', output, output],
        env: cleanEnv(env),
      })
      closeSync(output)
      child = started
      living.add(started)
      exited = new Promise((resolve) => {
        started.once('exit', (code, which) => {
          living.delete(started)
          resolve({ code, signal: which })
        })
      })
    },
    ready: async () => {
      while (alive() && !lines(began_at).some(({ code }) => code === 'run.started')) await sleep(25)
    },
    signal,
    kill9: async () => {
      signal('SIGKILL')
      await exited
    },
    term: async () => {
      const began_ms = performance.now()
      signal('SIGTERM')
      const exit = await exited
      return { ...exit, seconds: (performance.now() - began_ms) / 1000 }
    },
    exited: () => exited,
    lines,
    logged,
    count: (code, from) => lines(from).filter((line) => line.code === code).length,
    usage: () => {
      const proc = `/proc/${child?.pid ?? 0}`
      try {
        const rss_kb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1] ?? Number.NaN)
        // A process that is ending has no memory any more.
        if (Number.isNaN(rss_kb)) return undefined
        return { rss_mb: Math.round(rss_kb / 1024), descriptors: readdirSync(`${proc}/fd`).length }
      } catch {
        return undefined
      }
    },
    http: () => {
      const url = lines(began_at).findLast(({ code }) => code === 'run.started')?.['http']
      return typeof url === 'string' ? url : undefined
    },
  }
}
