/** Child processes that outlive a call: started with a log file, found healthy by a probe, stopped for certain. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

export type DaemonOptions = {
  readonly command: string
  readonly args: readonly string[]
  readonly log_file: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** True: goes on when this process ends, and somebody else stops it by its pid. */
  readonly background?: boolean
}

export type Daemon = {
  readonly pid: number
  /** False once the process has ended. */
  alive(): boolean
  /** SIGTERM, then SIGKILL after ten seconds. Idempotent. */
  stop(): Promise<void>
  /** SIGKILL; resolves when the process is gone. */
  kill9(): Promise<void>
}

const running = new Set<ChildProcess>()
let watches_exit = false

/** Starts a process whose output goes to `log_file`. Unless in the background, it is killed when this process exits. */
export const startDaemon = (options: DaemonOptions): Daemon => {
  const log = openSync(options.log_file, 'a')
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
    detached: options.background === true,
  })
  closeSync(log)
  if (child.pid === undefined) throw new Error(`${options.command} cannot be started: is it installed and on PATH?`)
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  if (options.background === true) child.unref()
  else {
    running.add(child)
    void gone.then(() => running.delete(child))
    if (!watches_exit) {
      watches_exit = true
      process.once('exit', () => {
        for (const left of running) left.kill('SIGKILL')
      })
    }
  }
  const alive = () => child.exitCode === null && child.signalCode === null
  const end = async (signal: NodeJS.Signals, patience_ms: number) => {
    if (!alive()) return
    child.kill(signal)
    await Promise.race([gone, sleep(patience_ms, undefined, { ref: false })])
  }
  return {
    pid: child.pid,
    alive,
    stop: async () => {
      await end('SIGTERM', 10_000)
      await end('SIGKILL', 5_000)
    },
    kill9: () => end('SIGKILL', 5_000),
  }
}

/** Ends a process that another run started: SIGTERM, then SIGKILL after ten seconds. */
export const stopPid = async (pid: number): Promise<void> => {
  const alive = () => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }
  const signal = (name: NodeJS.Signals) => {
    if (alive()) process.kill(pid, name)
  }
  signal('SIGTERM')
  for (let waited_ms = 0; alive() && waited_ms < 10_000; waited_ms += 100) await sleep(100)
  signal('SIGKILL')
}

/** Ports on loopback that nobody listens on at this moment. */
export const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('No port was given by the system.')
    return address.port
  })
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  return ports
}

/** Calls `probe` until it says true; throws with the tail of the log when the daemon ends or the patience does. */
export const untilHealthy = async (
  name: string,
  daemon: Daemon,
  log_file: string,
  patience_ms: number,
  probe: () => Promise<boolean>,
): Promise<void> => {
  const ends = performance.now() + patience_ms
  while (performance.now() < ends && daemon.alive()) {
    if (await probe().catch(() => false)) return
    await sleep(100)
  }
  const tail = existsSync(log_file) ? readFileSync(log_file, 'utf8').slice(-3000) : ''
  const why = daemon.alive() ? `did not answer within ${Math.round(patience_ms / 1000)} s` : 'ended while starting'
  throw new Error(`${name} ${why}. The end of its log:\n${tail}`)
}

/** Runs a tool to its end; an error carries what it printed. */
export const runTool = async (command: string, args: readonly string[], cwd?: string): Promise<string> => {
  try {
    const { stdout } = await execFileAsync(command, [...args], { cwd, maxBuffer: 64 * 1024 * 1024 })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '', message = '' } = error as { stdout?: string; stderr?: string; message?: string }
    throw new Error(`${command} ${args[0] ?? ''} failed: ${message}\n${`${stdout}${stderr}`.slice(-3000)}`)
  }
}
