/** One SQLite file with one owner: opened, locked, checked and closed in one way. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { Fault } from '../../domain/fault.ts'

export type Handle = Database.Database

/** `own` locks the file against other processes; `read` looks on while its owner may be writing. */
export type Access = 'own' | 'read'

export type DatabaseOptions = {
  /** File name inside the folder. */
  readonly file?: string
  readonly access?: Access
  /** Bytes the file may grow to; `log.full` beyond. */
  readonly file_bytes_max?: number
  /** Bytes of pages one connection keeps in memory. */
  readonly cache_bytes?: number
}

/** What a database needs of the machine it runs on. */
export type Machine = {
  /** Opens a connection; with `existing` the file has to be there. */
  connect(path: string, options: { readonly readonly: boolean; readonly existing: boolean }): Handle
  /** Takes the lock of a file against other processes and returns what releases it. Throws `log.locked`. */
  lock(path: string): () => void
  makeFolder(folder: string): void
  /** Undefined for a missing file. */
  fileBytes(path: string): number | undefined
  /** Writes the bytes of a file over themselves and syncs it; nothing for a missing file. Throws `log.full`, `log.unavailable`. */
  rewrite(path: string): void
}

export type EmbeddedDatabase = {
  readonly path: string
  readonly access: Access
  readonly options: Required<Omit<DatabaseOptions, 'file' | 'access'>>
  /** Reads and writes at once, on the caller's thread. Two connections that write one file wait for each other: use one. */
  readonly handle: Handle
  /** Reads the whole file. Throws `log.corrupt`. About a second per gigabyte. */
  check(): void
  /** Releases file and lock. Idempotent. */
  close(): void
}

/**
 * 4 KiB: a random key costs the write-ahead log and the file a page each, so that half the page is nearly half the writing (measured:
 * 8.8 against 16.2 KB a key). Records and values lie in tables with row ids, which larger pages would not speed up by more than noise.
 */
export const page_bytes = 4096
/** Beyond this the check at opening is left to `check()`, so that a start takes less than a second. */
const check_bytes_max = 256 << 20
/** What is left of the write-ahead log's file after a burst. */
const wal_kept_bytes = 64 << 20
const busy_ms = 5000
/** Read and written at a time when a log is written over itself. */
const rewritten_bytes = 1 << 20
const cache_bytes_default = 32 << 20

/** What SQLite said, as a fault. `writing` tells a failed commit, whose outcome is not known, from a failed read. */
export const sqliteFault = (path: string, error: unknown, writing = false): Fault => {
  if (error instanceof Fault) return error
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  const message = error instanceof Error ? error.message : String(error)
  const detail = { path, sqlite: code }
  const starts = (...codes: readonly string[]) => codes.some((prefix) => code.startsWith(prefix))
  if (starts('SQLITE_FULL')) return new Fault('log.full', `No space is left for ${path}.`, detail, error)
  if (starts('SQLITE_CORRUPT', 'SQLITE_NOTADB'))
    return new Fault('log.corrupt', `${path} is damaged (${message}). Restore the folder from a copy.`, detail, error)
  if (starts('SQLITE_IOERR') && writing)
    return new Fault('commit.unknown', `Writing to ${path} failed midway (${message}).`, detail, error)
  if (
    starts(
      'SQLITE_IOERR',
      'SQLITE_BUSY',
      'SQLITE_LOCKED',
      'SQLITE_NOMEM',
      'SQLITE_READONLY',
      'SQLITE_CANTOPEN',
      'SQLITE_PROTOCOL',
    )
  )
    return new Fault('log.unavailable', `${path} cannot be used now (${message}).`, detail, error)
  return new Fault('defect.unexpected', `${path}: ${message}`, detail, error)
}

/** SQLITE_IOERR, below which lie the kinds of it. */
const sqlite_ioerr = 10

/** The check of a file goes on where a page cannot be read, and lists it among the damages with the error's number. */
const isReadError = (found: string | undefined): boolean =>
  (Number(found?.match(/error code=(\d+)/)?.[1] ?? 0) & 0xff) === sqlite_ioerr

/** Runs statements, and says what went wrong as a fault. */
export const sqliteGuard = <T>(path: string, work: () => T, writing = false): T => {
  try {
    return work()
  } catch (error) {
    throw sqliteFault(path, error, writing)
  }
}

/**
 * Sets up a connection. WAL: one fsync a commit, readers beside the writer. FULL: that fsync happens before the commit answers
 * (better-sqlite3 is built with NORMAL for WAL, which would lose commits when the power fails). No mmap: an I/O error would be
 * a SIGBUS, and mapped pages count as resident. Temporary data stays in memory, bounded by the batch.
 */
export const configure = (handle: Handle, options: { cache_bytes: number; file_bytes_max: number }): void => {
  handle.pragma(`page_size = ${page_bytes}`)
  // To its end, not to its first row: that says "wal" before the change is committed, and a failed commit would go unnoticed.
  const [{ journal_mode: mode }] = handle.pragma('journal_mode = WAL') as [{ journal_mode: string }]
  if (mode !== 'wal')
    throw new Fault(
      'config.invalid',
      `${handle.name} lies on a file system without shared memory (journal mode ${mode}). Use a local disk.`,
    )
  handle.pragma('synchronous = FULL')
  handle.pragma(`cache_size = ${-Math.ceil(options.cache_bytes / 1024)}`)
  handle.pragma(`journal_size_limit = ${wal_kept_bytes}`)
  handle.pragma('mmap_size = 0')
  handle.pragma('temp_store = MEMORY')
  if (Number.isFinite(options.file_bytes_max))
    handle.pragma(`max_page_count = ${Math.floor(options.file_bytes_max / page_bytes)}`)
}

/**
 * Takes the lock of a file: an exclusive SQLite lock on an empty file beside it. The system drops it when its process dies, so
 * that a killed owner leaves nothing stale, and a reused process id cannot be mistaken for the owner.
 */
const lock = (path: string): (() => void) => {
  const pid_path = `${path}.pid`
  const holder = new Database(`${path}.lock`, { timeout: 0 })
  try {
    holder.pragma('journal_mode = MEMORY')
    holder.pragma('locking_mode = EXCLUSIVE')
    holder.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    holder.close()
    const fault = sqliteFault(`${path}.lock`, error)
    if (fault.code !== 'log.unavailable' || !String(fault.detail['sqlite']).startsWith('SQLITE_BUSY')) throw fault
    let pid = ''
    try {
      pid = readFileSync(pid_path, 'utf8').trim()
    } catch (unread) {
      throw new Fault('log.locked', `Another process has ${path} open. Stop it, or use another folder.`, { path }, unread)
    }
    throw new Fault('log.locked', `Process ${pid} has ${path} open. Stop it, or use another folder.`, { path, pid })
  }
  rmSync(pid_path, { force: true })
  try {
    writeFileSync(`${pid_path}.new`, `${process.pid}\n`)
    renameSync(`${pid_path}.new`, pid_path)
  } catch (error) {
    // On a full disk the log can still be read; only the message of `log.locked` will name no process.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) {
      holder.close()
      throw new Fault(
        'config.invalid',
        `${pid_path} cannot be written. Name a folder that this user may write to.`,
        { path },
        error,
      )
    }
  }
  return () => holder.close()
}

const makeFolder = (folder: string): void => {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new Fault(
      'config.invalid',
      `The folder ${folder} cannot be created. Name one that this user may write to.`,
      { folder },
      error,
    )
  }
}

const rewrite = (path: string): void => {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return
  try {
    const file = openSync(path, 'r+')
    try {
      const bytes = Buffer.allocUnsafe(rewritten_bytes)
      for (let at = 0; ; ) {
        const count = readSync(file, bytes, 0, bytes.length, at)
        if (count === 0) break
        for (let written = 0; written < count; ) written += writeSync(file, bytes, written, count - written, at + written)
        at += count
      }
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'ENOSPC') throw new Fault('log.full', `No space is left for ${path}.`, { path }, error)
    throw new Fault('log.unavailable', `${path} cannot be written (${code}). Look at the disk it lies on.`, { path }, error)
  }
}

/** This process and its disk. */
export const this_machine: Machine = {
  connect: (path, { readonly, existing }) => new Database(path, { timeout: busy_ms, readonly, fileMustExist: existing }),
  lock,
  makeFolder,
  fileBytes: (path) => statSync(path, { throwIfNoEntry: false })?.size,
  rewrite,
}

export type OpenDatabase = (folder: string, options?: DatabaseOptions) => EmbeddedDatabase

/**
 * Opens or creates a database file in a folder. After a crash SQLite recovers by itself: frames of the write-ahead log carry
 * checksums, a torn tail ends it, and pages of the file are replaced only by frames that were synced before.
 * Faults: `log.locked` with the owner's process id, `log.corrupt`, `log.unavailable`, `log.full`.
 */
export const openDatabase: OpenDatabase = (folder, options = {}) => openDatabaseOn(this_machine, folder, options)

/** The same on another machine: a simulated one. */
export const openDatabaseOn = (machine: Machine, folder: string, options: DatabaseOptions): EmbeddedDatabase => {
  const { file = 'log.db', access = 'own' } = options
  const path = join(folder, file)
  const settings = {
    file_bytes_max: options.file_bytes_max ?? Number.POSITIVE_INFINITY,
    cache_bytes: options.cache_bytes ?? cache_bytes_default,
  }
  if (access === 'own') machine.makeFolder(folder)
  else if (machine.fileBytes(path) === undefined)
    throw new Fault('config.invalid', `There is no ${path} to read: nothing has run in this folder yet.`, { path })
  const unlock = access === 'own' ? machine.lock(path) : () => {}
  const opening: Handle[] = []
  const check = (handle: Handle): void => {
    const [found] = sqliteGuard(path, () => handle.pragma('quick_check(1)', { simple: false })) as { quick_check: string }[]
    if (isReadError(found?.quick_check))
      throw new Fault('log.unavailable', `${path} cannot be read (${found?.quick_check}). Look at the disk it lies on.`, { path })
    if (found?.quick_check !== 'ok')
      throw new Fault('log.corrupt', `${path} is damaged (${found?.quick_check}). Restore the folder from a copy.`, { path })
  }
  try {
    return sqliteGuard(path, () => {
      // What an earlier process has logged may be readable without being on the disk: it died before its fsync, or the fsync failed,
      // after which the system counts the pages as clean and never writes them again. Believed as it is, it would vanish with the
      // power, or be a hole before what is committed next.
      if (access === 'own') for (const log of ['-wal', '-journal']) machine.rewrite(`${path}${log}`)
      const handle = machine.connect(path, { readonly: access === 'read', existing: access === 'read' })
      opening.push(handle)
      if (access === 'own') {
        configure(handle, settings)
        if ((machine.fileBytes(path) ?? 0) <= check_bytes_max) check(handle)
      }
      let closed = false
      return {
        path,
        access,
        options: settings,
        handle,
        check: () => check(handle),
        close: () => {
          if (closed) return
          closed = true
          handle.close()
          unlock()
        },
      }
    })
  } catch (error) {
    for (const handle of opening) handle.close()
    unlock()
    throw error
  }
}
