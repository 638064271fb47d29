/** The embedded log and vector file over lives that end badly: one seed decides the work, the faults, the crashes and what they leave. */
import { createHash } from 'node:crypto'
import { seededRandom } from '../../adapters/system/random.ts'
import { asFault } from '../../domain/fault.ts'
import { type FileSystem, type Loss, losses, type Mishap, type Operation, openFileSystem } from './file-system.ts'
import { Broken, copyOf, type Ledger, openLedger, type Violation } from './ledger.ts'
import { Died, type Life, openLife, simulatedClock, type World } from './life.ts'
import { abandonComputer } from './sqlite.ts'

export type DiskResult = {
  readonly seed: number
  /** Digest of every file operation with its outcome, and of what came of it: equal for equal seeds. */
  readonly trace: string
  readonly violation: Violation | undefined
  readonly operations: number
  readonly lives: number
  /** How often each kind of fault was injected: `error write`, `full write`, `loss torn`, ... */
  readonly faults: Readonly<Record<string, number>>
  /** Where the process died, by name: what it was doing, the operation, and the file. */
  readonly crash_points: Readonly<Record<string, number>>
}

const fileKind = (path: string): string =>
  path.endsWith('-wal')
    ? `${path.includes('vectors') ? 'vectors ' : ''}wal`
    : path.endsWith('-journal')
      ? 'journal'
      : path.includes('vectors')
        ? 'vectors'
        : 'log'

const counter = () => {
  const counts: Record<string, number> = {}
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1
  }
  return { counts, count }
}

/** Numbers of a purpose of their own, so that one more drawn here changes nothing there. */
const streamOf = (seed: number, purpose: string) =>
  seededRandom(createHash('sha256').update(`${seed} ${purpose}`).digest().readUInt32LE(0))

/** Shares of operations that meet an error, in a life that has them. */
const error_shares: Readonly<Record<Operation['kind'], number>> = {
  create: 0.03,
  read: 0.006,
  write: 0.01,
  truncate: 0.03,
  sync: 0.1,
  delete: 0.03,
}

/**
 * Some lives, each opened on what the one before left, then one in which nothing goes wrong. Runs share one SQLite and may not
 * overlap. The outcome says what was broken first, if anything.
 */
export const runDiskSeed = async (seed: number): Promise<DiskResult> => {
  const trace = createHash('sha256')
  const tell = (what: string): void => void trace.update(`${what}\n`)
  const faults = counter()
  const points = counter()
  const chances = streamOf(seed, 'faults')
  const chance = (share: number) => chances.next() < share
  const below = (count: number) => Math.floor(chances.next() * count)
  let activity = ''
  let operations = 0
  let die_at = Number.POSITIVE_INFINITY
  let error_factor = 0

  const mishap = (operation: Operation): Mishap | undefined => {
    const { kind, path, bytes } = operation
    operations++
    let met: Mishap | undefined
    if (operations >= die_at) met = 'death'
    else if (
      error_factor > 0 &&
      chance(error_shares[kind] * error_factor * (kind === 'read' && activity.endsWith('open') ? 5 : 1))
    )
      met = kind === 'write' && chance(0.3) ? 'full' : 'error'
    // What a process should do that is told of a failed sync.
    if (met === 'error' && kind === 'sync' && chance(0.4)) die_at = operations + 1 + below(6)
    tell(`${kind} ${path} ${bytes} ${met ?? ''}`)
    if (met === 'death') points.count(`${activity}: ${kind} ${fileKind(path)}`)
    else if (met !== undefined) faults.count(`${met} ${kind}`)
    return met
  }
  const files = openFileSystem(streamOf(seed, 'disk'), mishap)
  let number = 0
  const heal = (): void => {
    error_factor = 0
    files.resize(Number.POSITIVE_INFINITY)
  }
  const world: World = {
    files,
    ledger: openLedger(),
    random: streamOf(seed, 'work'),
    clock: simulatedClock(),
    checkpoint_bytes: (1 + below(chance(0.5) ? 60 : 2000)) * 4096,
    doing: (what) => {
      activity = what
    },
    tell,
    heal,
    next: () => ++number,
  }
  const result = (violation: Violation | undefined, lives: number): DiskResult => {
    files.kill()
    abandonComputer()
    return { seed, trace: trace.digest('hex'), violation, operations, lives, faults: faults.counts, crash_points: points.counts }
  }

  const count = 3 + below(4)
  for (let turn = 0; turn <= count; turn++) {
    const last = turn === count
    heal()
    const opens_ill = !last && chance(0.3)
    const ill = !last && (opens_ill || chance(0.4)) ? 0.2 + chances.next() : 0
    if (opens_ill) error_factor = ill
    die_at = !last && chance(0.85) ? operations + 1 + below(chance(0.2) ? 80 : 600) : Number.POSITIVE_INFINITY
    let life: Life | undefined
    try {
      life = await openLife(world)
      error_factor = ill
      const steps = last ? 6 : 10 + below(30)
      for (let step = 0; step < steps; step++) {
        if (!last && chance(0.08)) {
          const used = files.contents().reduce((sum, [, bytes]) => sum + bytes.length, 0)
          files.resize(chance(0.5) ? Number.POSITIVE_INFINITY : used + below(40_000))
          faults.count('space limited')
        }
        await life.step()
      }
      if (last) await life.drain()
      if (last || chance(0.5)) {
        heal()
        await life.check()
      }
      await life.close()
    } catch (error) {
      if (error instanceof Broken) return result(error.violation, turn + 1)
      if (!(error instanceof Died) && files.alive()) {
        const { code, message } = asFault(error)
        tell(`ended ${code}`)
        // A disk that errs ends a process; one that is well must not.
        if (last || (error_factor === 0 && code !== 'log.full'))
          return result(
            { check: code === 'log.corrupt' ? 'damaged file' : 'unexpected fault', detail: `${code}: ${message}` },
            turn + 1,
          )
      }
    }
    // Processes die more often than the power.
    const loss = chance(0.3) ? 'process' : losses[below(losses.length)]!
    faults.count(`loss ${loss}`)
    tell(`loss ${loss}`)
    files.kill()
    abandonComputer()
    files.restart(loss)
    if (chance(0.5)) files.evict()
  }
  return result(undefined, count + 1)
}

export type EnumerationResult = {
  readonly violation: (Violation & { readonly operation: number; readonly loss: Loss }) | undefined
  /** How many operations of the run the process died before, and how many disks were looked at. */
  readonly operations: number
  readonly disks: number
  readonly crash_points: Readonly<Record<string, number>>
}

/** Disks kept at a time: each is some hundred kilobytes. */
const forks_max = 100

/**
 * One life of so many steps without a fault, and then as many lives as it had file operations: each finds the disk as it is when the
 * process dies right before that operation, and what is lost with the power takes turns. Enumerated, not drawn.
 */
export const crashEverywhere = async (seed: number, steps: number): Promise<EnumerationResult> => {
  const points = counter()
  let disks = 0
  type Fork = { readonly files: FileSystem; readonly ledger: Ledger; readonly operation: number; readonly clock_ms: number }

  /** The run, again from its start, keeping the disks before the operations from `first` on. */
  const record = async (first: number): Promise<{ readonly forks: readonly Fork[]; readonly operations: number }> => {
    const forks: Fork[] = []
    let operations = 0
    let activity = ''
    let number = 0
    const ledger = openLedger()
    const clock = simulatedClock()
    const files: FileSystem = openFileSystem(streamOf(seed, 'disk'), ({ kind, path }) => {
      // Reading changes nothing: the disk is as before the next operation that does.
      if (kind === 'read') return undefined
      if (operations >= first && forks.length < forks_max) {
        points.count(`${activity}: ${kind} ${fileKind(path)}`)
        forks.push({
          files: files.fork(streamOf(seed, `disk ${operations}`), () => undefined),
          ledger: copyOf(ledger),
          operation: operations,
          clock_ms: clock.monotonic_ms(),
        })
      }
      operations++
      return undefined
    })
    const life = await openLife({
      files,
      ledger,
      clock,
      random: streamOf(seed, 'work'),
      checkpoint_bytes: 25 * 4096,
      doing: (what) => {
        activity = what
      },
      tell: () => {},
      heal: () => {},
      next: () => ++number,
    })
    for (let step = 0; step < steps; step++) await life.step()
    await life.check()
    await life.close()
    files.kill()
    abandonComputer()
    return { forks, operations }
  }

  for (let first = 0; ; ) {
    const { forks, operations } = await record(first)
    for (const { files, ledger, operation, clock_ms } of forks) {
      const loss = losses[operation % losses.length]!
      const clock = simulatedClock()
      clock.advance(clock_ms)
      let number = 1_000_000
      disks++
      try {
        files.kill()
        files.restart(loss)
        const life = await openLife({
          files,
          ledger,
          clock,
          random: streamOf(seed, `work ${operation}`),
          checkpoint_bytes: 25 * 4096,
          doing: () => {},
          tell: () => {},
          heal: () => {},
          next: () => ++number,
        })
        // Opening has compared everything; that it can go on from there is tried on some.
        if (operation % 7 === 0) {
          await life.drain()
          await life.check()
          await life.close()
        }
      } catch (error) {
        const { check, detail }: Violation =
          error instanceof Broken ? error.violation : { check: 'unexpected fault', detail: asFault(error).message }
        return { violation: { check, detail, operation, loss }, operations, disks, crash_points: points.counts }
      } finally {
        files.kill()
        abandonComputer()
      }
    }
    first += forks_max
    if (first >= operations) return { violation: undefined, operations, disks, crash_points: points.counts }
  }
}
