/** The embedded log and vector file over lives that end badly: one seed decides the work, the faults, the crashes and what they leave. */
import { createHash } from 'node:crypto'
import { seededRandom } from '../../adapters/system/random.ts'
import { asFault } from '../../domain/fault.ts'
import { losses, type Mishap, type Operation, openFileSystem } from './file-system.ts'
import { Broken, openLedger, type Violation } from './ledger.ts'
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
  create: 0.01,
  read: 0.004,
  write: 0.01,
  truncate: 0.02,
  sync: 0.04,
  delete: 0.02,
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
    else if (error_factor > 0 && chance(error_shares[kind] * error_factor))
      met = kind === 'write' && chance(0.3) ? 'full' : 'error'
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
    checkpoint_bytes: (1 + below(60)) * 4096,
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

  const count = 2 + below(4)
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
    const loss = losses[below(losses.length)]!
    faults.count(`loss ${loss}`)
    tell(`loss ${loss}`)
    files.kill()
    abandonComputer()
    files.restart(loss)
    if (chance(0.5)) files.evict()
  }
  return result(undefined, count + 1)
}
