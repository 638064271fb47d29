/** A simulated file system: what programs see (the page cache), what the disk has, and what a loss of power makes of the difference. */
import type { Random } from '../../ports/random.ts'

/** What the kernel writes to the disk as one: a sector is there whole or not at all. */
export const sector_bytes = 512
/** What the kernel keeps and marks dirty as one. */
const page_bytes = 4096

export type OperationKind = 'create' | 'read' | 'write' | 'truncate' | 'sync' | 'delete'
/** One call of a program, before it is done. */
export type Operation = { readonly kind: OperationKind; readonly path: string; readonly bytes: number }

/**
 * What an operation meets: nothing, an I/O error (a write may have done a part), a full disk, or the end of the process before it.
 * On `sync` an error is said once; what was to be written is then marked clean without being on the disk, as Linux does.
 */
export type Mishap = 'error' | 'full' | 'death'

/** What may survive a loss of power of what was not synced. `process` loses nothing: only the process dies. */
export type Loss = 'process' | 'nothing-survives' | 'all-survives' | 'prefix' | 'subset' | 'torn'
export const losses: readonly Loss[] = ['process', 'nothing-survives', 'all-survives', 'prefix', 'subset', 'torn']

/** Thrown where a program would see a system call fail. */
export type Outcome = 'done' | 'error' | 'full' | 'dead'

type Content = { bytes: Uint8Array; size: number }
type Change =
  | { readonly turn: number; readonly kind: 'write'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly turn: number; readonly kind: 'truncate'; readonly size: number }

type Inode = {
  readonly cache: Content
  readonly disk: Content
  /** Changes since the disk last had everything, oldest first. */
  changes: Change[]
  /** Pages of the cache that a sync has to write. */
  readonly dirty: Set<number>
  /** Pages that are believed to be clean after a failed sync, but are not on the disk. */
  readonly forsaken: Set<number>
}

export type FileSystem = {
  /** False once the process has died; nothing is done then until `restart`. */
  alive(): boolean
  exists(path: string): boolean
  size(path: string): number
  create(path: string): Outcome
  read(path: string, into: Uint8Array, at: number): Outcome
  /** On `full` and `error` a part may have been written. */
  write(path: string, bytes: Uint8Array, at: number): Outcome
  truncate(path: string, size: number): Outcome
  /** `names` also makes creations and deletions durable. */
  sync(path: string, names: boolean): Outcome
  delete(path: string, names: boolean): Outcome
  /** Bytes all files may have together. */
  resize(capacity_bytes: number): void
  /** Ends the process between two operations. */
  kill(): void
  /** Ends the process if it is still there, with or without the power, and makes what is left ready for the next one. */
  restart(loss: Loss): void
  /** Pages that were never written back although a sync had seen them: the cache forgets them, as it may at any time. */
  evict(): void
  /** Another file system in the same state, which neither changes with this one nor dies with it. */
  fork(random: Random, mishap: (operation: Operation) => Mishap | undefined): FileSystem
  /** Digest input: everything a program could read now. */
  contents(): readonly (readonly [path: string, bytes: Uint8Array])[]
}

type Names = { readonly now: Map<string, Inode>; readonly durable: Map<string, Inode>; readonly turn: number }

const empty = (): Content => ({ bytes: new Uint8Array(0), size: 0 })
const inodeOf = (): Inode => ({ cache: empty(), disk: empty(), changes: [], dirty: new Set(), forsaken: new Set() })

const copyOf = ({ cache, disk, changes, dirty, forsaken }: Inode): Inode => ({
  cache: { bytes: cache.bytes.slice(0, cache.size), size: cache.size },
  disk: { bytes: disk.bytes.slice(0, disk.size), size: disk.size },
  changes: [...changes],
  dirty: new Set(dirty),
  forsaken: new Set(forsaken),
})

const grow = (content: Content, size: number): void => {
  if (content.bytes.length >= size) return
  const bytes = new Uint8Array(Math.max(size, content.bytes.length * 2, 16 * page_bytes))
  bytes.set(content.bytes.subarray(0, content.size))
  content.bytes = bytes
}
const resizeContent = (content: Content, size: number): void => {
  grow(content, size)
  if (size < content.size) content.bytes.fill(0, size, content.size)
  content.size = size
}
const put = (content: Content, at: number, bytes: Uint8Array): void => {
  if (at + bytes.length > content.size) resizeContent(content, at + bytes.length)
  content.bytes.set(bytes, at)
}
const copyInto = (target: Content, source: Content): void => {
  resizeContent(target, 0)
  put(target, 0, source.bytes.subarray(0, source.size))
}

/**
 * `mishap` is asked before each operation; its answers and `random` decide everything, so that the same ones repeat a run.
 * `names` of new and deleted files become durable when a log or journal is synced or the deletion says so, as SQLite does on Unix.
 */
export const openFileSystem = (random: Random, mishap: (operation: Operation) => Mishap | undefined): FileSystem =>
  fileSystemOf(random, mishap, { now: new Map(), durable: new Map(), turn: 0 })

const fileSystemOf = (random: Random, mishap: (operation: Operation) => Mishap | undefined, state: Names): FileSystem => {
  let names = state.now
  let durable_names = state.durable
  let capacity_bytes = Number.POSITIVE_INFINITY
  let alive = true
  let turn = state.turn

  const chance = (share: number): boolean => random.next() < share
  const below = (count: number): number => Math.floor(random.next() * count)
  const used = (): number => [...names.values()].reduce((sum, { cache }) => sum + cache.size, 0)
  const pagesOf = (from: number, to: number): number[] => {
    const pages: number[] = []
    for (let page = Math.floor(from / page_bytes); page * page_bytes < to; page++) pages.push(page)
    return pages
  }

  const store = (inode: Inode, at: number, bytes: Uint8Array): void => {
    if (bytes.length === 0) return
    put(inode.cache, at, bytes)
    inode.changes.push({ turn: turn++, kind: 'write', at, bytes: bytes.slice() })
    for (const page of pagesOf(at, at + bytes.length)) {
      // A page is written back whole, so that what was forsaken in it is not any longer.
      if (inode.forsaken.delete(page)) inode.changes.push(wholePage(inode, page))
      inode.dirty.add(page)
    }
  }
  const wholePage = ({ cache }: Inode, page: number): Change => ({
    turn: turn++,
    kind: 'write',
    at: page * page_bytes,
    bytes: cache.bytes.slice(page * page_bytes, Math.min((page + 1) * page_bytes, cache.size)),
  })

  /** Brings dirty pages to the disk; those that `lose` picks are forsaken instead. */
  const flush = (inode: Inode, lose: () => boolean): void => {
    const { cache, disk } = inode
    resizeContent(disk, cache.size)
    for (const page of inode.dirty) {
      const start = page * page_bytes
      if (start >= cache.size) continue
      if (lose()) inode.forsaken.add(page)
      else disk.bytes.set(cache.bytes.subarray(start, Math.min(start + page_bytes, cache.size)), start)
    }
    inode.dirty.clear()
    inode.changes = []
  }

  /** Applies to the disk what survives; every sector ends at one of the states it has been in, in order. */
  const lose = (inode: Inode, loss: Loss, cut_turn: number): void => {
    const { disk } = inode
    const ended = new Set<number>()
    const lost_share = random.next()
    for (const change of inode.changes) {
      const lost =
        loss === 'nothing-survives' ||
        (loss === 'prefix' && change.turn >= cut_turn) ||
        ((loss === 'subset' || loss === 'torn') && chance(lost_share))
      if (change.kind === 'truncate') {
        if (!lost) resizeContent(disk, change.size)
        continue
      }
      const { at, bytes } = change
      for (let sector = Math.floor(at / sector_bytes); sector * sector_bytes < at + bytes.length; sector++) {
        const torn = loss === 'torn' && chance(0.3)
        if (lost !== torn) ended.add(sector)
        if (ended.has(sector)) continue
        const from = Math.max(at, sector * sector_bytes)
        const to = Math.min(at + bytes.length, (sector + 1) * sector_bytes)
        put(disk, from, bytes.subarray(from - at, to - at))
      }
      // The new length may reach the disk before what lies there.
      if (lost && loss !== 'nothing-survives' && at + bytes.length > disk.size && chance(0.3))
        resizeContent(disk, at + bytes.length)
    }
  }

  const settle = (inode: Inode): void => {
    copyInto(inode.cache, inode.disk)
    inode.changes = []
    inode.dirty.clear()
    inode.forsaken.clear()
  }

  const at = (path: string): Inode => {
    const inode = names.get(path)
    if (inode === undefined) throw new Error(`The simulated disk has no ${path}.`)
    return inode
  }

  /** What comes of an operation; `part` does what is done of it before an error. */
  const attempt = (operation: Operation, done: () => void, part: (met: Mishap) => void = () => {}): Outcome => {
    if (!alive) return 'dead'
    const met = mishap(operation)
    if (met === undefined) {
      done()
      return 'done'
    }
    part(met)
    if (met !== 'death') return met
    alive = false
    return 'dead'
  }

  return {
    alive: () => alive,
    exists: (path) => names.has(path),
    size: (path) => at(path).cache.size,
    create: (path) => attempt({ kind: 'create', path, bytes: 0 }, () => names.set(path, inodeOf())),
    read: (path, into, from) => {
      const outcome = attempt({ kind: 'read', path, bytes: into.length }, () => {
        const { cache } = at(path)
        const found = cache.bytes.subarray(Math.min(from, cache.size), Math.min(from + into.length, cache.size))
        into.set(found)
        into.fill(0, found.length)
      })
      if (outcome !== 'done') into.fill(0)
      return outcome
    },
    write: (path, bytes, from) => {
      const inode = names.get(path)
      if (!alive || inode === undefined) return 'dead'
      const more = Math.max(0, from + bytes.length - inode.cache.size)
      const room = capacity_bytes - used()
      if (more > room) {
        // The kernel writes what fits before it says so.
        const outcome = attempt({ kind: 'write', path, bytes: bytes.length }, () =>
          store(inode, from, bytes.subarray(0, Math.max(0, bytes.length - more + Math.max(0, room)))),
        )
        return outcome === 'done' ? 'full' : outcome
      }
      return attempt(
        { kind: 'write', path, bytes: bytes.length },
        () => store(inode, from, bytes),
        () => store(inode, from, bytes.subarray(0, below(bytes.length))),
      )
    },
    truncate: (path, size) =>
      attempt({ kind: 'truncate', path, bytes: size }, () => {
        const inode = at(path)
        resizeContent(inode.cache, size)
        inode.changes.push({ turn: turn++, kind: 'truncate', size })
      }),
    sync: (path, with_names) =>
      attempt(
        { kind: 'sync', path, bytes: 0 },
        () => {
          flush(at(path), () => false)
          if (with_names) durable_names = new Map(names)
        },
        (met) => {
          // Said once: the next sync finds nothing dirty and succeeds.
          if (met !== 'death') flush(at(path), () => chance(0.7))
        },
      ),
    delete: (path, with_names) =>
      attempt({ kind: 'delete', path, bytes: 0 }, () => {
        names.delete(path)
        if (with_names) durable_names = new Map(names)
      }),
    resize: (bytes) => {
      capacity_bytes = bytes
    },
    kill: () => {
      alive = false
    },
    restart: (loss) => {
      alive = true
      if (loss === 'process') return
      const cut_turn = turn - below(Math.min(turn, 200) + 1)
      // A name without a sync is there or not; a main file whose content was synced has its name in practice.
      const kept = new Map<string, Inode>()
      for (const path of new Set([...names.keys(), ...durable_names.keys()])) {
        const [now, before] = [names.get(path), durable_names.get(path)]
        const inode =
          now === before || loss === 'nothing-survives' ? before : loss === 'all-survives' || chance(0.5) ? now : before
        if (inode !== undefined) kept.set(path, inode)
      }
      names = kept
      durable_names = new Map(kept)
      for (const inode of names.values()) {
        lose(inode, loss, cut_turn)
        settle(inode)
      }
    },
    evict: () => {
      for (const inode of names.values()) {
        const { cache, disk, forsaken } = inode
        for (const page of forsaken) {
          const start = page * page_bytes
          if (start >= cache.size) continue
          const end = Math.min(start + page_bytes, cache.size)
          cache.bytes.fill(0, start, end)
          cache.bytes.set(disk.bytes.subarray(start, Math.min(end, disk.size)), start)
        }
        forsaken.clear()
      }
    },
    fork: (other_random, other_mishap) => {
      const copies = new Map<Inode, Inode>()
      const copied = (from: Map<string, Inode>) =>
        new Map(
          [...from].map(([path, inode]) => {
            const copy = copies.get(inode) ?? copyOf(inode)
            copies.set(inode, copy)
            return [path, copy] as const
          }),
        )
      return fileSystemOf(other_random, other_mishap, { now: copied(names), durable: copied(durable_names), turn })
    },
    contents: () => [...names].map(([path, { cache }]) => [path, cache.bytes.slice(0, cache.size)] as const),
  }
}
