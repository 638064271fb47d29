/** SQLite on a simulated file system, with the part of better-sqlite3's face that the embedded adapters use. */
import sqlite3InitModule from '@sqlite.org/sqlite-wasm'
import type { Handle } from '../../adapters/embedded/database.ts'
import type { Random } from '../../ports/random.ts'
import type { FileSystem, Outcome } from './file-system.ts'

type Sqlite = Awaited<ReturnType<typeof sqlite3InitModule>>

/** The machine a database runs on: its files, the memory that its connections share, and its locks. */
export type Computer = {
  readonly files: FileSystem
  /** Opens a connection. */
  connect(path: string, options: { readonly readonly: boolean; readonly must_exist: boolean }): Handle
}

const shm_locks = 8
/** Flags of xShmLock, from sqlite3.h; the build does not name them. */
const shm_unlock = 1
const shm_exclusive = 8
type Shared = {
  regions: number[]
  /** Per lock: how many hold it together, or -1 for one that holds it alone. */
  readonly locks: number[]
}
type OpenFile = {
  readonly path: string
  readonly temporary: boolean
  /** 0 none, 1 shared, 2 reserved, 3 pending, 4 exclusive. */
  level: number
  readonly held: Map<number, 'shared' | 'alone'>
}

/** What the calls of SQLite are answered from; one at a time, because a WebAssembly instance has one default file system. */
let current:
  | {
      files: FileSystem
      random: Random
      open: Map<number, OpenFile>
      shared: Map<string, Shared>
      now_ms: number
      abandon: () => void
    }
  | undefined
let loaded: Promise<Sqlite> | undefined

const install = (sqlite: Sqlite): void => {
  const { capi, wasm } = sqlite
  const at = () => {
    if (current === undefined) throw new Error('SQLite was called without a simulated computer.')
    return current
  }
  const fileOf = (pointer: unknown): OpenFile | undefined => at().open.get(Number(pointer))
  const code = (outcome: Outcome, on_error: number): number =>
    outcome === 'done' ? 0 : outcome === 'full' ? capi.SQLITE_FULL : on_error
  const others = (pointer: unknown, path: string): OpenFile[] =>
    [...at().open].filter(([key, file]) => key !== Number(pointer) && file.path === path).map(([, file]) => file)
  const pathOf = (pointer: unknown): string => wasm.cstrToJs(pointer as never) ?? ''
  const heap = (pointer: unknown, bytes: number): Uint8Array => wasm.heap8u().subarray(Number(pointer), Number(pointer) + bytes)
  const isLog = (path: string) => path.endsWith('-wal') || path.endsWith('-journal')

  const io = new capi.sqlite3_io_methods()
  const vfs = new capi.sqlite3_vfs()
  const io_methods = {
    xClose: (p: number) => {
      const file = fileOf(p)
      at().open.delete(Number(p))
      if (file?.temporary && at().files.exists(file.path)) at().files.delete(file.path, false)
      return 0
    },
    xRead: (p: number, into: number, bytes: number, offset: bigint) => {
      const { path } = fileOf(p)!
      const { files } = at()
      if (!files.alive()) return capi.SQLITE_IOERR_READ
      const from = Number(offset)
      const short = from + bytes > files.size(path)
      const outcome = files.read(path, heap(into, bytes), from)
      return outcome === 'done' && short ? capi.SQLITE_IOERR_SHORT_READ : code(outcome, capi.SQLITE_IOERR_READ)
    },
    xWrite: (p: number, from: number, bytes: number, offset: bigint) =>
      code(at().files.write(fileOf(p)!.path, heap(from, bytes), Number(offset)), capi.SQLITE_IOERR_WRITE),
    xTruncate: (p: number, size: bigint) => code(at().files.truncate(fileOf(p)!.path, Number(size)), capi.SQLITE_IOERR_TRUNCATE),
    xSync: (p: number) => {
      const { path } = fileOf(p)!
      return code(at().files.sync(path, isLog(path)), capi.SQLITE_IOERR_FSYNC)
    },
    xFileSize: (p: number, out: number) => {
      const { files } = at()
      if (!files.alive()) return capi.SQLITE_IOERR_FSTAT
      wasm.poke(out as never, BigInt(files.size(fileOf(p)!.path)) as never, 'i64')
      return 0
    },
    xLock: (p: number, level: number) => {
      const file = fileOf(p)!
      if (file.level >= level) return 0
      const rivals = others(p, file.path)
      if (level === 1 && rivals.some((rival) => rival.level >= 3)) return capi.SQLITE_BUSY
      if (level >= 2 && rivals.some((rival) => rival.level >= 2)) return capi.SQLITE_BUSY
      if (level === 4 && rivals.some((rival) => rival.level >= 1)) {
        file.level = 3
        return capi.SQLITE_BUSY
      }
      file.level = level
      return 0
    },
    xUnlock: (p: number, level: number) => {
      fileOf(p)!.level = level
      return 0
    },
    xCheckReservedLock: (p: number, out: number) => {
      wasm.poke32(out as never, others(p, fileOf(p)!.path).some((rival) => rival.level >= 2) ? 1 : 0)
      return 0
    },
    xFileControl: () => capi.SQLITE_NOTFOUND,
    xSectorSize: () => 4096,
    // As the Unix file system of SQLite says: a write does not harm bytes beside it.
    xDeviceCharacteristics: () => capi.SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    xShmMap: (p: number, region: number, bytes: number, extend: number, out: number) => {
      const { path } = fileOf(p)!
      const shared: Shared = at().shared.get(path) ?? { regions: [], locks: new Array<number>(shm_locks).fill(0) }
      at().shared.set(path, shared)
      while (extend !== 0 && shared.regions.length <= region) {
        const memory = Number(wasm.alloc(bytes))
        heap(memory, bytes).fill(0)
        shared.regions.push(memory)
      }
      wasm.pokePtr(out as never, (shared.regions[region] ?? 0) as never)
      return 0
    },
    xShmLock: (p: number, first: number, count: number, flags: number) => {
      const file = fileOf(p)!
      const shared = at().shared.get(file.path)
      if (shared === undefined) return capi.SQLITE_IOERR_SHMLOCK
      const slots = Array.from({ length: count }, (_, i) => first + i)
      const alone = (flags & shm_exclusive) !== 0
      if ((flags & shm_unlock) !== 0) {
        for (const slot of slots) {
          const held = file.held.get(slot)
          if (held === undefined) continue
          file.held.delete(slot)
          shared.locks[slot] = held === 'alone' ? 0 : shared.locks[slot]! - 1
        }
        return 0
      }
      for (const slot of slots) {
        const others_hold = shared.locks[slot]! - (file.held.get(slot) === 'shared' ? 1 : 0)
        if (alone ? shared.locks[slot] !== 0 : others_hold < 0) return capi.SQLITE_BUSY
      }
      for (const slot of slots) {
        if (file.held.has(slot)) continue
        file.held.set(slot, alone ? 'alone' : 'shared')
        shared.locks[slot] = alone ? -1 : shared.locks[slot]! + 1
      }
      return 0
    },
    xShmBarrier: () => {},
    xShmUnmap: (p: number) => {
      const file = fileOf(p)!
      const shared = at().shared.get(file.path)
      for (const [slot, held] of file.held)
        if (shared !== undefined) shared.locks[slot] = held === 'alone' ? 0 : shared.locks[slot]! - 1
      file.held.clear()
      if (others(p, file.path).length > 0 || shared === undefined) return 0
      for (const memory of shared.regions) wasm.dealloc(memory as never)
      at().shared.delete(file.path)
      return 0
    },
  }
  const vfs_methods = {
    xOpen: (_vfs: number, name: number, p: number, flags: number, out_flags: number) => {
      const { files, open } = at()
      const temporary = Number(name) === 0
      const path = temporary ? `temporary-${open.size}` : pathOf(name)
      wasm.pokePtr(p as never, 0 as never)
      if (!files.alive()) return capi.SQLITE_CANTOPEN
      if (!files.exists(path)) {
        if ((flags & capi.SQLITE_OPEN_CREATE) === 0) return capi.SQLITE_CANTOPEN
        if (files.create(path) !== 'done') return capi.SQLITE_CANTOPEN
      }
      wasm.pokePtr(p as never, io.pointer as never)
      open.set(Number(p), {
        path,
        temporary: temporary || (flags & capi.SQLITE_OPEN_DELETEONCLOSE) !== 0,
        level: 0,
        held: new Map(),
      })
      if (Number(out_flags) !== 0) wasm.poke32(out_flags as never, flags)
      return 0
    },
    xDelete: (_vfs: number, name: number, sync_folder: number) => {
      const { files } = at()
      if (!files.alive()) return capi.SQLITE_IOERR_DELETE
      if (!files.exists(pathOf(name))) return capi.SQLITE_IOERR_DELETE_NOENT
      return code(files.delete(pathOf(name), sync_folder !== 0), capi.SQLITE_IOERR_DELETE)
    },
    xAccess: (_vfs: number, name: number, _flags: number, out: number) => {
      const { files } = at()
      if (!files.alive()) return capi.SQLITE_IOERR_ACCESS
      // An empty log is as good as none, which is what the Unix file system of SQLite says too.
      wasm.poke32(out as never, files.exists(pathOf(name)) && files.size(pathOf(name)) > 0 ? 1 : 0)
      return 0
    },
    xFullPathname: (_vfs: number, name: number, bytes: number, out: number) =>
      wasm.cstrncpy(out as never, name as never, bytes) > 0 ? 0 : capi.SQLITE_CANTOPEN,
    xRandomness: (_vfs: number, bytes: number, out: number) => {
      const { random } = at()
      const into = heap(out, bytes)
      for (let i = 0; i < bytes; i++) into[i] = Math.floor(random.next() * 256)
      return bytes
    },
    xSleep: () => 0,
    xCurrentTime: (_vfs: number, out: number) => {
      wasm.poke(out as never, (2440587.5 + at().now_ms / 86_400_000) as never, 'double')
      return 0
    },
    xCurrentTimeInt64: (_vfs: number, out: number) => {
      wasm.poke(out as never, BigInt(210_866_760_000_000 + at().now_ms) as never, 'i64')
      return 0
    },
    xGetLastError: () => 0,
  }
  // The declared types leave out the dollar signs and brand every pointer; here they are the numbers they are.
  Object.assign(io, { $iVersion: 2 })
  const { sizeof } = (capi.sqlite3_file as unknown as { structInfo: { sizeof: number } }).structInfo
  Object.assign(vfs, { $iVersion: 2, $szOsFile: sizeof, $mxPathname: 512 })
  sqlite.vfs.installVfs({
    io: { struct: io, methods: io_methods },
    vfs: { struct: vfs, methods: vfs_methods, name: 'simulated', asDefault: true },
  } as unknown as Parameters<typeof sqlite.vfs.installVfs>[0])
}

const load = (): Promise<Sqlite> => {
  loaded ??= sqlite3InitModule().then((sqlite) => {
    install(sqlite)
    return sqlite
  })
  return loaded
}

/** As better-sqlite3 throws: the extended result code by name. */
class SqliteError extends Error {
  readonly code: string
  constructor(message: string, code: string) {
    super(message)
    this.name = 'SqliteError'
    this.code = code
  }
}

type Bound = number | bigint | string | Uint8Array | null
type Row = unknown[] | Record<string, unknown>

/**
 * One computer at a time: opening the next ends the one before. The same random numbers and the same calls write the same bytes.
 * SQLite itself is the version better-sqlite3 has, from its makers, compiled to WebAssembly; two connections share memory as they would
 * in a process, so that the write-ahead log works as it does in production.
 */
export const openComputer = async (files: FileSystem, random: Random): Promise<Computer> => {
  const sqlite = await load()
  const { capi, wasm } = sqlite
  abandonComputer()
  current = { files, random, open: new Map(), shared: new Map(), now_ms: 1_790_000_000_000, abandon: () => {} }
  // Forgets the numbers of the last computer: the next are drawn from this one's.
  capi.sqlite3_randomness(0, 0 as never)
  const closers = new Set<() => void>()
  current.abandon = () => {
    for (const close of [...closers]) close()
  }

  const connect: Computer['connect'] = (path, { readonly, must_exist }) => {
    const db_at = wasm.allocPtr(1)
    const flags = readonly ? capi.SQLITE_OPEN_READONLY : capi.SQLITE_OPEN_READWRITE | (must_exist ? 0 : capi.SQLITE_OPEN_CREATE)
    const rc = capi.sqlite3_open_v2(path, db_at as never, flags, null as never)
    const db = wasm.peekPtr(db_at) as never
    wasm.dealloc(db_at)
    const fail = (code: number): never => {
      throw new SqliteError(String(capi.sqlite3_errmsg(db)), capi.sqlite3_js_rc_str(code) ?? `SQLITE_${code}`)
    }
    if (rc !== 0) {
      const error = new SqliteError(`unable to open ${path}`, capi.sqlite3_js_rc_str(rc) ?? 'SQLITE_CANTOPEN')
      capi.sqlite3_close_v2(db)
      throw error
    }
    capi.sqlite3_extended_result_codes(db, 1)
    const statements = new Set<number>()
    /** As better-sqlite3 says it; what a dead process still tries must not reach freed memory. */
    const ensureOpen = (is_open: boolean): void => {
      if (!is_open) throw new SqliteError('The database connection is not open', 'SQLITE_MISUSE')
    }
    const check = (code: number): void => {
      if (code !== 0) fail(capi.sqlite3_extended_errcode(db))
    }

    const prepare = (sql: string) => {
      ensureOpen(closers.has(close))
      const out = wasm.allocPtr(1)
      const prepared = capi.sqlite3_prepare_v2(db, sql, -1, out as never, null as never)
      const statement = wasm.peekPtr(out) as never
      wasm.dealloc(out)
      check(prepared)
      statements.add(Number(statement))
      let shape: 'row' | 'raw' | 'pluck' = 'row'

      const bind = (values: readonly Bound[]): void => {
        values.forEach((value, i) => {
          const place = i + 1
          if (value === null) check(capi.sqlite3_bind_null(statement, place))
          else if (typeof value === 'bigint') check(capi.sqlite3_bind_int64(statement, place, value))
          else if (typeof value === 'number')
            // As better-sqlite3: a number is a float to SQLite, which stores it as an integer where the column is one.
            check(capi.sqlite3_bind_double(statement, place, value))
          else {
            const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
            const memory = wasm.alloc(Math.max(1, bytes.length))
            heapOf(memory, bytes.length).set(bytes)
            const bound = (typeof value === 'string' ? capi.sqlite3_bind_text : capi.sqlite3_bind_blob) as (
              ...values: unknown[]
            ) => number
            check(bound(statement, place, memory, bytes.length, capi.SQLITE_TRANSIENT))
            wasm.dealloc(memory)
          }
        })
      }
      const heapOf = (pointer: unknown, bytes: number) => wasm.heap8u().subarray(Number(pointer), Number(pointer) + bytes)
      const column = (i: number): unknown => {
        switch (capi.sqlite3_column_type(statement, i)) {
          case capi.SQLITE_INTEGER:
            return Number(capi.sqlite3_column_int64(statement, i))
          case capi.SQLITE_FLOAT:
            return capi.sqlite3_column_double(statement, i)
          case capi.SQLITE_TEXT:
            return capi.sqlite3_column_text(statement, i)
          case capi.SQLITE_BLOB: {
            const pointer = capi.sqlite3_column_blob(statement, i)
            return Buffer.from(heapOf(pointer, capi.sqlite3_column_bytes(statement, i)).slice().buffer)
          }
          default:
            return null
        }
      }
      const row = (): unknown => {
        const count = capi.sqlite3_column_count(statement)
        if (shape === 'pluck') return column(0)
        if (shape === 'raw') return Array.from({ length: count }, (_, i) => column(i)) satisfies Row
        return Object.fromEntries(Array.from({ length: count }, (_, i) => [capi.sqlite3_column_name(statement, i), column(i)]))
      }
      const rows = function* (values: readonly Bound[]): Generator<unknown, void> {
        ensureOpen(statements.has(Number(statement)))
        try {
          bind(values)
          for (;;) {
            ensureOpen(statements.has(Number(statement)))
            const code = capi.sqlite3_step(statement)
            if (code === capi.SQLITE_DONE) return
            if (code !== capi.SQLITE_ROW) fail(capi.sqlite3_extended_errcode(db))
            yield row()
          }
        } finally {
          // Its answer repeats the error of the step, which was thrown. After the end of the process there is nothing to reset.
          if (statements.has(Number(statement))) capi.sqlite3_reset(statement)
        }
      }
      const self = {
        run: (...values: Bound[]) => {
          for (const _ of rows(values));
          return { changes: capi.sqlite3_changes(db), lastInsertRowid: Number(capi.sqlite3_last_insert_rowid(db)) }
        },
        get: (...values: Bound[]) => {
          for (const found of rows(values)) return found
          return undefined
        },
        all: (...values: Bound[]) => [...rows(values)],
        iterate: (...values: Bound[]) => rows(values),
        raw: () => {
          shape = 'raw'
          return self
        },
        pluck: () => {
          shape = 'pluck'
          return self
        },
      }
      return self
    }
    const exec = (sql: string): void => {
      ensureOpen(closers.has(close))
      check(capi.sqlite3_exec(db, sql, 0 as never, 0 as never, 0 as never))
    }
    const finalize = (pointer: number): void => {
      statements.delete(pointer)
      capi.sqlite3_finalize(pointer as never)
    }
    const close = (): void => {
      if (!closers.delete(close)) return
      for (const pointer of statements) finalize(pointer)
      capi.sqlite3_close_v2(db)
    }
    closers.add(close)

    const handle = {
      name: path,
      prepare,
      exec,
      pragma: (source: string, { simple = false }: { simple?: boolean } = {}) => {
        const statement = prepare(`PRAGMA ${source}`)
        const found = simple ? statement.pluck().get() : statement.all()
        for (const pointer of [...statements].slice(-1)) finalize(pointer)
        return found
      },
      transaction: (work: (...values: unknown[]) => unknown) => {
        const around =
          (begin: string) =>
          (...values: unknown[]) => {
            exec(begin)
            try {
              const answer = work(...values)
              exec('COMMIT')
              return answer
            } catch (error) {
              if (capi.sqlite3_get_autocommit(db) === 0) exec('ROLLBACK')
              throw error
            }
          }
        return Object.assign(around('BEGIN'), { immediate: around('BEGIN IMMEDIATE') })
      },
      get inTransaction() {
        return closers.has(close) && capi.sqlite3_get_autocommit(db) === 0
      },
      close,
    }
    return handle as unknown as Handle
  }

  return { files, connect }
}

/** Drops every connection that is still open, as the end of a process does: call it once its file system is dead. */
export const abandonComputer = (): void => {
  current?.abandon()
}
