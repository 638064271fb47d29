/** One simulated process on one simulated machine: the real log and vector file, opened, worked with, and ended by a crash or a close. */

import { type Machine, type OpenDatabase, openDatabaseOn } from '../../adapters/embedded/database.ts'
import { type EmbeddedLog, openEmbeddedLog } from '../../adapters/embedded/event-log.ts'
import { openVectorFile, type VectorFile } from '../../adapters/embedded/vector-file.ts'
import type { Answers, Kind, Request, Requests } from '../../adapters/embedded/writer.ts'
import type { WriterClient } from '../../adapters/embedded/writer-client.ts'
import { openWriterTurns, type Waiting } from '../../adapters/embedded/writer-turn.ts'
import { asFault, Fault } from '../../domain/fault.ts'
import type { OutputRecord } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LogTask, Subscription } from '../../ports/event-log.ts'
import type { Random } from '../../ports/random.ts'
import type { FileSystem, Outcome } from './file-system.ts'
import {
  Broken,
  checkLog,
  checkState,
  checkVectors,
  type Fold,
  folded,
  forgetTopic,
  group,
  input_partitions,
  type Ledger,
  lastKey,
  no_fold,
  note,
  remembered,
  vector_dims,
  vectorOf,
} from './ledger.ts'
import { type Computer, openComputer } from './sqlite.ts'

export const folder = 'data'
const model_digest = '0'.repeat(64)
const topics = [
  { name: 'in', partitions: input_partitions, keep: { days: 1 } },
  { name: 'out', partitions: input_partitions, keep: { days: 1 } },
  { name: 'last', partitions: 1, keep: 'latest' },
  { name: 'notes', partitions: 1, keep: { days: 1 } },
] as const

/** The process died: nothing it does counts any more. */
export class Died extends Error {}

/** Time that only the simulation moves. */
export type SimulatedClock = Clock & { advance(ms: number): void; next_ms(): number | undefined }
export const simulatedClock = (): SimulatedClock => {
  let now_ms = 0
  const sleepers = new Set<{ readonly until_ms: number; readonly wake: () => void }>()
  return {
    now_ms: () => 1_790_000_000_000 + now_ms,
    monotonic_ms: () => now_ms,
    sleep: (duration_ms, signal) =>
      new Promise((resolve) => {
        const sleeper = {
          until_ms: now_ms + duration_ms,
          wake: () => {
            sleepers.delete(sleeper)
            resolve()
          },
        }
        if (signal?.aborted) return resolve()
        sleepers.add(sleeper)
        signal?.addEventListener('abort', sleeper.wake, { once: true })
      }),
    advance: (ms) => {
      now_ms += ms
      for (const { until_ms, wake } of [...sleepers]) if (until_ms <= now_ms) wake()
    },
    next_ms: () => {
      const due = [...sleepers].map(({ until_ms }) => until_ms - now_ms).filter(Number.isFinite)
      return due.length === 0 ? undefined : Math.max(0, Math.min(...due))
    },
  }
}

/** What a life shares with those before and after it. */
export type World = {
  readonly files: FileSystem
  readonly ledger: Ledger
  readonly random: Random
  readonly clock: SimulatedClock
  readonly checkpoint_bytes: number
  /** Told what the process is about, for the names of crash points. */
  readonly doing: (what: string) => void
  /** Told what happened, for the trace. */
  readonly tell: (what: string) => void
  /** Ends what hinders the disk; called when something waits for that. */
  readonly heal: () => void
  /** Numbers for values and attempts that are never used again. */
  readonly next: () => number
}

type Captured = { readonly request: Requests['commit']; readonly partition: number }

/**
 * The writer of the embedded log without its thread: what is asked for in one turn of the event loop is done in the next, in one
 * transaction, by the code that the thread runs. `delivered` is what the next request is to call when its answer leaves the writer.
 */
const openWriter = (world: World, computer: Computer) => {
  const hooks: {
    delivered: ((answer: Answers[Kind]) => void) | undefined
    commit: ((asked: Requests['commit']) => void) | undefined
    client: WriterClient | undefined
    broken: Broken | undefined
  } = { delivered: undefined, commit: undefined, client: undefined, broken: undefined }
  type Pending = { resolve(answer: Answers[Kind]): void; reject(error: unknown): void; kind: Kind; hook: typeof hooks.delivered }
  const open = (settings: Parameters<typeof openWriterTurns>[1]): WriterClient => {
    const { path } = settings
    const pending = new Map<number, Pending>()
    let waiting: Waiting[] = []
    let next_id = 0
    const start = () =>
      openWriterTurns(computer.connect(path, { readonly: false, must_exist: true }), {
        ...settings,
        checkpoint_bytes: world.checkpoint_bytes,
      })
    let turns: ReturnType<typeof start> | undefined
    const fail = (error: unknown): void => {
      for (const { kind, reject } of pending.values())
        reject(
          new Fault(kind === 'append' || kind === 'commit' ? 'commit.unknown' : 'log.unavailable', 'The writer died.', {}, error),
        )
      pending.clear()
    }
    const work = (): void => {
      const now = waiting
      waiting = []
      try {
        turns ??= start()
        turns.work(now, (answers) => {
          // A dead process answers nobody.
          if (!world.files.alive()) return
          for (const [id, answer] of answers) {
            const { resolve, reject, hook } = pending.get(id)!
            pending.delete(id)
            if ('fault' in answer) reject(new Fault(answer.fault.code, answer.fault.message, answer.fault.detail))
            else {
              hook?.(answer.ok)
              resolve(answer.ok)
            }
          }
        })
      } catch (error) {
        if (error instanceof Broken) hooks.broken = error
        turns = undefined
        fail(error)
      }
      if (!world.files.alive()) fail(new Died())
    }
    /** An epoch is given once, whatever became of those who had the one before. */
    const claimed = ({ group: by, partition }: Requests['claim'], { epoch }: Answers['claim']): void => {
      const { epochs } = world.ledger
      if (by !== group) return
      if (epoch <= epochs[partition]!)
        throw new Broken('epoch given twice', `in/${partition}: epoch ${epoch} after ${epochs[partition]}.`)
      epochs[partition] = epoch
    }
    const client: WriterClient = {
      ask: (kind, body) =>
        new Promise((resolve, reject) => {
          const hook: typeof hooks.delivered =
            kind === 'claim' ? (answer) => claimed(body as Requests['claim'], answer as Answers['claim']) : hooks.delivered
          hooks.delivered = undefined
          if (kind === 'commit') hooks.commit?.(body as Requests['commit'])
          const id = next_id++
          pending.set(id, { resolve: resolve as Pending['resolve'], reject, kind, hook })
          waiting.push({ id, request: { kind, body } as Request })
          if (waiting.length === 1) Promise.resolve().then(work).catch(fail)
        }),
      close: async () => turns?.close(),
    }
    hooks.client = client
    return client
  }
  return { open, hooks }
}

export type Life = {
  readonly log: EmbeddedLog
  /** Something at random. Throws `Died`, `Broken`. */
  step(): Promise<void>
  /** Reads all input. */
  drain(): Promise<void>
  /** Everything against the ledger. */
  check(): Promise<void>
  close(): Promise<void>
}

/** Opens the folder as a process does at its start. Throws a fault where the disk hinders it, `Died`, `Broken`. */
export const openLife = async (world: World): Promise<Life> => {
  const { files, ledger, random, clock, doing } = world
  const computer = await openComputer(files, random)
  const chance = (share: number) => random.next() < share
  const below = (count: number) => Math.floor(random.next() * count)
  /** Called after each wait: nothing a dead process does counts. */
  const alive = (): void => {
    if (hooks.broken !== undefined) throw hooks.broken
    if (!files.alive()) throw new Died()
  }

  /** Waits for something that may wait for time to pass, or for the disk to be well again. */
  const settled = async <T>(work: Promise<T>): Promise<T> => {
    let done = false
    const watched = work.finally(() => {
      done = true
    })
    watched.catch(() => {})
    for (let slept = 0; ; ) {
      for (let turns = 0; turns < 100 && !done; turns++) await null
      alive()
      if (done) return watched
      const next_ms = clock.next_ms()
      if (next_ms === undefined) return watched
      if (++slept === 5) world.heal()
      if (slept > 50) throw new Broken('stuck', 'Something goes on waiting although the disk is well.')
      clock.advance(next_ms)
    }
  }
  /** What a fault means to the caller: nothing happened, or nobody knows. Others end the run. */
  const refusedFor = (error: unknown): 'certain' | 'unknown' => {
    alive()
    if (error instanceof Broken || error instanceof Died) throw error
    const fault = asFault(error)
    world.tell(`fault ${fault.code}`)
    if (fault.code === 'log.full' || fault.code === 'log.unavailable' || fault.code === 'topic.missing') return 'certain'
    if (fault.code === 'commit.unknown' || fault.code === 'task.fenced' || fault.code === 'index.unavailable') return 'unknown'
    throw new Broken(fault.code === 'log.corrupt' ? 'damaged file' : 'unexpected fault', `${fault.code}: ${fault.message}`)
  }

  const locked = new Set<string>()
  const machine: Machine = {
    connect: (path, { readonly, existing }) => computer.connect(path, { readonly, must_exist: existing }),
    lock: (path) => {
      if (locked.has(path)) throw new Fault('log.locked', `${path} is open.`, { path })
      locked.add(path)
      return () => locked.delete(path)
    },
    makeFolder: () => {},
    fileBytes: (path) => (files.exists(path) ? files.size(path) : undefined),
    rewrite: (path) => {
      if (!files.exists(path)) return
      const bytes = new Uint8Array(files.size(path))
      const calls = [() => files.read(path, bytes, 0), () => files.write(path, bytes, 0), () => files.sync(path, true)]
      // One after the other, and none after one that failed.
      let failed: Outcome | undefined
      for (const call of calls) {
        const outcome: Outcome = failed ?? call()
        if (outcome !== 'done') failed = outcome
      }
      if (failed !== undefined)
        throw new Fault(failed === 'full' ? 'log.full' : 'log.unavailable', `${path}: ${failed}.`, { path })
    },
  }
  const openHere: OpenDatabase = (where, options = {}) => {
    const opened = openDatabaseOn(machine, where, options)
    const mode = options.access === 'read' ? 'wal' : opened.handle.pragma('journal_mode', { simple: true })
    // In the other mode a loss of power may bring a deleted journal back, which takes back a commit.
    if (files.alive() && mode !== 'wal') {
      // Kept as well as thrown: the vector file takes whatever is thrown here for a fault of its own.
      hooks.broken = new Broken('no write-ahead log', `${opened.path} is open in journal mode ${mode}.`)
      throw hooks.broken
    }
    return opened
  }

  const { open: openWriterHere, hooks } = openWriter(world, computer)
  doing('open')
  const database = openHere(folder)
  const log = openEmbeddedLog(database, { clock, trim_ms: Number.POSITIVE_INFINITY, openWriter: openWriterHere })
  let vectors: VectorFile | undefined
  const vectorFile = (): VectorFile => {
    doing('vectors open')
    vectors ??= openVectorFile(folder, vector_dims, model_digest, undefined, openHere)
    doing('vectors')
    return vectors
  }

  const tasks = new Map<number, LogTask>()
  let subscription: Subscription | undefined
  let latest: Captured | undefined
  let onlooker: { readonly rows: Iterator<unknown>; readonly close: () => void } | undefined
  const pads = (bytes: number) => 'x'.repeat(bytes)

  const check = async (): Promise<void> => {
    doing('check')
    const tolerant = async (work: Promise<void>): Promise<void> => {
      try {
        await settled(work)
      } catch (error) {
        refusedFor(error)
      }
    }
    await tolerant(checkLog(ledger, log))
    for (const task of tasks.values()) await tolerant((async () => checkState(ledger, task))())
    await tolerant((async () => checkVectors(ledger, vectorFile()))())
  }

  const join = async (): Promise<void> => {
    doing('claim')
    subscription = await settled(
      log.subscribe(group, ['in'], {
        assigned: (task) => void tasks.set(task.input.partition, task),
        revoked: async () => {},
        failed: (error) => world.tell(`failed ${asFault(error).code}`),
      }),
    )
  }
  const reacquire = async (partition: number): Promise<void> => {
    doing('claim')
    await tasks.get(partition)?.release()
    tasks.delete(partition)
    for (let turn = 0; !tasks.has(partition); turn++) {
      if (turn === 3) world.heal()
      if (turn === 6) throw new Broken('stuck', `in/${partition} cannot be claimed although the disk is well.`)
      await settled(subscription!.reacquire({ topic: 'in', partition }))
    }
  }

  const append = async (records: readonly (OutputRecord & { readonly partition: number })[]): Promise<void> => {
    hooks.delivered = (answer) => {
      // Tables are answered in the order in which they were first named.
      const written = [...(answer as Answers['append']).written]
      const ends = new Map<string, number>()
      for (const { topic, partition, key, value } of records) {
        const place = `${topic}/${partition}`
        const offset = ends.get(place) ?? written.shift()!.first
        ends.set(place, offset + 1)
        note(ledger, { topic, partition, offset }, `${key}`, `${value}`)
      }
    }
    try {
      await settled(log.append(records))
    } catch (error) {
      hooks.delivered = undefined
      if (refusedFor(error) === 'certain') for (const { value } of records) ledger.refused.add(`${value}`)
    }
  }

  const work = async (partition: number): Promise<void> => {
    const task = tasks.get(partition)
    if (task === undefined) return
    const attempt = world.next()
    try {
      const { records } = await task.poll(
        { records_max: 1 + below(4), bytes_max: 1 << 20, linger_ms: 0, wait_ms: 0 },
        new AbortController().signal,
      )
      alive()
      if (records.length === 0) return
      let fold: Fold =
        task.position() === 0
          ? no_fold
          : { count: Number(task.state.get('count')), chain: `${task.state.get('chain')}`.split(' ')[0]! }
      const state = new Map<string, Buffer | null>()
      for (const { offset, key, value } of records) {
        note(ledger, { topic: 'in', partition, offset }, `${key}`, `${value}`)
        fold = folded(fold, `${value}`)
        state.set(`seen ${`${value}`.split(' ')[0]}`, Buffer.from(pads(below(600))))
        const forgotten = ledger.inputs[partition]!.get(offset - remembered)
        if (forgotten !== undefined) state.set(`seen ${forgotten.split(' ')[0]}`, null)
      }
      state.set('count', Buffer.from(`${fold.count}`))
      state.set('chain', Buffer.from(`${fold.chain} ${pads(below(2500))}`))
      const position = records.at(-1)!.offset + 1
      hooks.commit = (request) => {
        latest = { request, partition }
        hooks.commit = undefined
      }
      hooks.delivered = () => {
        ledger.positions[partition] = position
      }
      await task.commit({
        outputs: records.flatMap(({ value, timestamp_ms: _ }) => [
          { topic: 'out', partition, key: null, value, timestamp_ms: attempt },
          { topic: 'last', partition: 0, key: Buffer.from(lastKey(`${value}`)), value, timestamp_ms: attempt },
        ]),
        state: [...state].map(([key, value]) => ({ key, value })),
        position,
      })
    } catch (error) {
      hooks.commit = undefined
      hooks.delivered = undefined
      if (refusedFor(error) === 'certain') {
        ledger.refused_attempts.add(attempt)
        task.rewind()
      } else await reacquire(partition)
    }
  }

  const inputsOf = (partition: number, count: number) =>
    Array.from({ length: count }, () => ({
      topic: 'in',
      partition,
      key: null,
      value: Buffer.from(`v${world.next()} ${pads(chance(0.1) ? below(9000) : below(300))}`),
      timestamp_ms: clock.now_ms(),
    }))
  /** A commit of an owner that lost the partition since, arriving late. */
  const zombie = async (): Promise<void> => {
    if (latest === undefined) return
    const { request, partition } = latest
    if (chance(0.7)) await reacquire(partition)
    if (tasks.get(partition) === undefined || request.epoch >= (ledger.epochs[partition] ?? 0)) return
    doing('zombie')
    try {
      await settled(hooks.client!.ask('commit', request))
    } catch (error) {
      alive()
      const { code } = asFault(error)
      world.tell(`zombie ${code}`)
      if (code !== 'task.fenced' && code !== 'log.full' && code !== 'log.unavailable' && code !== 'commit.unknown')
        throw new Broken('unexpected fault', `A late commit met ${code}.`)
      return
    }
    throw new Broken(
      'zombie commit',
      `in/${partition}: a commit of epoch ${request.epoch} was taken in epoch ${ledger.epochs[partition]}.`,
    )
  }

  let scratch = false
  const actions: readonly (readonly [weight: number, act: () => Promise<void>])[] = [
    [
      5,
      async () => {
        doing('append')
        await append(
          chance(0.4) ? [...inputsOf(0, 1 + below(2)), ...inputsOf(1, 1 + below(2))] : inputsOf(below(2), 1 + below(3)),
        )
      },
    ],
    [
      8,
      async () => {
        doing('commit')
        await work(below(input_partitions))
      },
    ],
    [
      4,
      async () => {
        // Several at once share a transaction.
        doing('group')
        await Promise.all([
          append(inputsOf(below(2), 1)),
          work(0),
          work(1),
          append([{ topic: 'notes', partition: 0, key: null, value: Buffer.from(`n${world.next()}`), timestamp_ms: 1 }]),
        ])
      },
    ],
    [
      2,
      async () => {
        doing('trim')
        // A group that has claimed nothing yet is not waited for, and would begin at what is left.
        if (tasks.size < input_partitions) return
        clock.advance(chance(0.3) ? 90_000_000 : 700_000)
        try {
          await settled(log.trim(true))
        } catch (error) {
          refusedFor(error)
        }
      },
    ],
    [
      1,
      async () => {
        doing('cut')
        const partition = below(input_partitions)
        try {
          await settled(log.deleteRecords({ topic: 'in', partition }, below(ledger.positions[partition]! + 1)))
        } catch (error) {
          refusedFor(error)
        }
      },
    ],
    [
      1,
      async () => {
        doing('topics')
        try {
          if (scratch) {
            forgetTopic(ledger, 'scratch')
            await settled(log.deleteTopic('scratch'))
            scratch = false
          } else {
            await settled(log.createTopics([{ name: 'scratch', partitions: 2, keep: { days: 1 } }]))
            scratch = true
            await append([{ topic: 'scratch', partition: 1, key: null, value: Buffer.from(`s${world.next()}`), timestamp_ms: 1 }])
          }
        } catch (error) {
          refusedFor(error)
        }
      },
    ],
    [1, async () => reacquire(below(input_partitions))],
    [2, zombie],
    [
      3,
      async () => {
        const newest = world.next()
        // Some come late, after a newer one.
        const version = chance(0.3) ? 1 + below(newest) : newest
        const ids = Array.from({ length: 1 + below(4) }, () => `p${below(12)}`)
        const points = [...new Set(ids)]
        for (const id of points) {
          const versions = ledger.vectors.get(id) ?? { least: 0, most: 0 }
          ledger.vectors.set(id, { least: versions.least, most: Math.max(versions.most, version) })
        }
        try {
          vectorFile().write(
            points.map((id) => ({
              space: 'items' as const,
              id,
              vector: vectorOf(id, version),
              payload_json: JSON.stringify({ id, version }),
            })),
            version,
          )
          // On disk when it returns, even if nothing else comes of this process.
          if (files.alive())
            for (const id of points) {
              const { least, most } = ledger.vectors.get(id)!
              ledger.vectors.set(id, { least: Math.max(least, version), most })
            }
        } catch (error) {
          if (error instanceof Broken) throw error
          refusedFor(error)
        }
      },
    ],
    [
      1,
      async () => {
        // Another process looks on: copying the log into the file stops where it reads.
        doing('look on')
        if (onlooker !== undefined) {
          onlooker.rows.return?.()
          onlooker.close()
          onlooker = undefined
          return
        }
        try {
          const seen = openHere(folder, { access: 'read' })
          const rows = seen.handle.prepare('SELECT * FROM partitions').iterate()
          onlooker = { rows, close: seen.close }
          rows.next()
        } catch (error) {
          alive()
          world.tell(`onlooker ${asFault(error).code}`)
        }
      },
    ],
  ]
  const weights = actions.reduce((sum, [weight]) => sum + weight, 0)

  const life: Life = {
    log,
    check,
    step: async () => {
      let left = below(weights)
      for (const [weight, act] of actions) {
        left -= weight
        if (left >= 0) continue
        await act()
        alive()
        return
      }
    },
    drain: async () => {
      for (let idle = 0, turn = 0; idle < input_partitions; turn++) {
        if (turn > 2000) throw new Broken('stuck', 'The input cannot be read to its end although the disk is well.')
        doing('commit')
        const partition = turn % input_partitions
        const before = ledger.positions[partition]
        await work(partition)
        alive()
        idle = ledger.positions[partition] === before ? idle + 1 : 0
      }
    },
    close: async () => {
      doing('close')
      onlooker?.rows.return?.()
      onlooker?.close()
      vectors?.close()
      await settled(log.close())
      database.close()
      alive()
    },
  }
  await check()
  doing('topics')
  await settled(log.createTopics(topics))
  scratch = (await log.listTopics()).includes('scratch')
  await join()
  await check()
  return life
}
