/** The embedded registry: a folder of schema files that people can read, with Confluent's rules for ids, versions and compatibility. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Fault } from '../../domain/fault.ts'
import type {
  Compatibility,
  RegisteredSchema,
  Schema,
  SchemaFormat,
  SchemaReference,
  SchemaRegistry,
  SubjectVersion,
} from '../../ports/schema-registry.ts'
import { incompatibilities } from './compatibility.ts'
import { lintSchema } from './lint.ts'
import { identityText, referencedBy } from './schema-graph.ts'

const extensions: Readonly<Record<SchemaFormat, string>> = { AVRO: 'avsc', JSON: 'json', PROTOBUF: 'proto' }
const default_level: Compatibility = 'BACKWARD'
const lock_wait_ms_max = 5_000
const lock_poll_ms = 20

/** ids.json: what the files alone do not say. A version exists once it stands here. */
type Catalogue = {
  ids: Record<string, { format: SchemaFormat; file: string; sha256: string; references?: readonly SchemaReference[] }>
  subjects: Record<string, { versions: number[]; compatibility?: Compatibility }>
}

/** Where schemas and catalogue are kept. */
type Store = {
  /** The catalogue, when it is new or was changed by another process since. */
  changed(): Catalogue | undefined
  text(file: string): string
  /** Runs `write` while no other process does. */
  alone<T>(write: () => Promise<T>): Promise<T>
  save(file: string, text: string): void
  commit(catalogue: Catalogue): void
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A subject as a folder name: everything but plain characters escaped, so that no subject leaves the folder. */
const folderOf = (subject: string): string =>
  encodeURIComponent(subject)
    .replace(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length))

const memoryStore = (): Store => {
  const files = new Map<string, string>()
  return {
    changed: () => undefined,
    text: (file) => files.get(file)!,
    alone: (write) => write(),
    save: (file, text) => void files.set(file, text),
    commit: () => undefined,
  }
}

const syncFolder = (folder: string): void => {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Written beside, flushed, moved into place, folder flushed: after a crash the file is the old one or the new one, whole. */
const writeDurably = (path: string, text: string): void => {
  const beside = `${path}.tmp`
  const handle = openSync(beside, 'w')
  try {
    writeSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(beside, path)
  syncFolder(dirname(path))
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The process that holds a lock, or 0 when it was just released or taken. */
const holderOf = (lock: string): number => {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}

const folderStore = (folder: string): Store => {
  const path = join(folder, 'ids.json')
  const lock = join(folder, 'ids.lock')
  let seen = ''

  const stamp = (): string => {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? '' : `${stat.ino}:${stat.size}:${stat.mtimeNs}`
  }

  const acquire = async (): Promise<void> => {
    for (let waited_ms = 0; ; waited_ms += lock_poll_ms) {
      try {
        const handle = openSync(lock, 'wx')
        writeSync(handle, String(process.pid))
        closeSync(handle)
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const holder = holderOf(lock)
      // A lock without a holder is one that a killed process left; an empty one may be in the making.
      if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true })
      else if (waited_ms >= lock_wait_ms_max)
        throw new Fault('log.locked', `Process ${holder} holds ${lock}: stop it, or remove the file if it is not an Entrepot.`)
      await wait(lock_poll_ms)
    }
  }

  mkdirSync(folder, { recursive: true })
  return {
    changed() {
      const now = stamp()
      if (now === seen) return undefined
      seen = now
      try {
        return JSON.parse(readFileSync(path, 'utf8')) as Catalogue
      } catch (error) {
        throw new Fault('config.invalid', `${path} is not readable: restore it from a copy.`, {}, error)
      }
    },
    text: (file) => readFileSync(join(folder, file), 'utf8'),
    async alone(write) {
      await acquire()
      try {
        return await write()
      } finally {
        rmSync(lock, { force: true })
      }
    },
    save(file, text) {
      const target = join(folder, file)
      mkdirSync(dirname(target), { recursive: true })
      writeDurably(target, text)
      syncFolder(folder)
    },
    commit(catalogue) {
      writeDurably(path, `${JSON.stringify(catalogue, undefined, 2)}\n`)
      seen = stamp()
    },
  }
}

/**
 * Opens the registry kept in `folder` (created when absent), or one in memory for null. Ids count up from 1, the same schema has one id
 * under every subject; compatibility is BACKWARD unless set. Other processes may register into the same folder; each sees what the others did.
 * Throws `config.invalid` where a registered file was changed: a registered schema never changes.
 */
export const openEmbeddedRegistry = async (folder: string | null): Promise<SchemaRegistry> => {
  const store = folder === null ? memoryStore() : folderStore(folder)
  let catalogue: Catalogue = { ids: {}, subjects: {} }
  const schemas = new Map<number, RegisteredSchema>()
  const idByIdentity = new Map<string, number>()

  const identityOf = (schema: Schema): string =>
    `${schema.format}\n${JSON.stringify(schema.references ?? [])}\n${identityText(schema)}`

  const remember = (id: number, schema: Schema): void => {
    const references = schema.references ?? []
    schemas.set(id, { id, format: schema.format, text: schema.text, ...(references.length > 0 ? { references } : {}) })
    idByIdentity.set(identityOf(schema), id)
  }

  /** Takes over what other processes registered. */
  const refresh = (): void => {
    const changed = store.changed()
    if (changed === undefined) return
    catalogue = changed
    for (const [key, entry] of Object.entries(changed.ids)) {
      const id = Number(key)
      if (schemas.has(id)) continue
      const text = store.text(entry.file)
      if (sha256(text) !== entry.sha256)
        throw new Fault(
          'config.invalid',
          `${entry.file} was changed after it was registered as id ${id}: undo it, and register a new version.`,
        )
      remember(id, { format: entry.format, text, ...(entry.references === undefined ? {} : { references: entry.references }) })
    }
  }

  const versionOf = (subject: string, version: number): SubjectVersion | undefined => {
    const id = own(catalogue.subjects, subject)?.versions[version - 1]
    return id === undefined ? undefined : { ...schemas.get(id)!, subject, version }
  }
  const version = async (subject: string, number: number): Promise<SubjectVersion | undefined> => {
    refresh()
    return versionOf(subject, number)
  }
  const whole = async (schema: Schema) => ({ schema, referenced: await referencedBy(schema, version) })

  const reasonsAgainst = async (subject: string, schema: Schema): Promise<readonly string[]> => {
    const entry = own(catalogue.subjects, subject)
    if (entry === undefined || entry.versions.length === 0) return []
    const earlier = await Promise.all(entry.versions.map((id) => whole(schemas.get(id)!)))
    return incompatibilities(entry.compatibility ?? default_level, await whole(schema), earlier)
  }

  // One change at a time, in the order in which they were asked for.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const turn = last.then(() =>
      store.alone(() => {
        refresh()
        return change()
      }),
    )
    last = turn.catch(() => undefined)
    return turn
  }

  refresh()
  return {
    register: (subject, schema) =>
      inTurn(async () => {
        const known = idByIdentity.get(identityOf(schema))
        const versions = own(catalogue.subjects, subject)?.versions ?? []
        if (known !== undefined && versions.includes(known)) return known
        await assertLinted(subject, schema, version)
        const reasons = await reasonsAgainst(subject, schema)
        if (reasons.length > 0) throw incompatible(subject, reasons)
        const id = known ?? schemas.size + 1
        const file = `${folderOf(subject)}/${versions.length + 1}.${extensions[schema.format]}`
        const next = structuredClone(catalogue)
        const references = schema.references ?? []
        next.ids[id] ??= {
          format: schema.format,
          file,
          sha256: sha256(schema.text),
          ...(references.length > 0 ? { references } : {}),
        }
        const entry = own(next.subjects, subject) ?? { versions: [] }
        entry.versions = [...versions, id]
        put(next.subjects, subject, entry)
        store.save(file, schema.text)
        store.commit(next)
        catalogue = next
        remember(id, schemas.get(id) ?? schema)
        return id
      }),
    async byId(id) {
      if (!schemas.has(id)) refresh()
      return schemas.get(id)
    },
    async latest(subject) {
      refresh()
      return versionOf(subject, own(catalogue.subjects, subject)?.versions.length ?? 0)
    },
    version,
    async subjectsOf(id) {
      refresh()
      return Object.keys(catalogue.subjects)
        .filter((subject) => catalogue.subjects[subject]!.versions.includes(id))
        .sort()
    },
    async subjects() {
      refresh()
      return Object.keys(catalogue.subjects)
        .filter((subject) => catalogue.subjects[subject]!.versions.length > 0)
        .sort()
    },
    async compatible(subject, schema) {
      refresh()
      const findings = lintSchema(schema, undefined, await referencedBy(schema, version))
      const reasons = findings.length > 0 ? findings.map(({ message }) => message) : await reasonsAgainst(subject, schema)
      return { compatible: reasons.length === 0, reasons }
    },
    setCompatibility: (subject, level) =>
      inTurn(async () => {
        const next = structuredClone(catalogue)
        put(next.subjects, subject, { ...(own(next.subjects, subject) ?? { versions: [] }), compatibility: level })
        store.commit(next)
        catalogue = next
      }),
    async ping() {
      refresh()
    },
  }
}

/** Subjects are names of others: they are looked up and stored as own properties only. */
const own = <T>(record: Record<string, T>, key: string): T | undefined => (Object.hasOwn(record, key) ? record[key] : undefined)
const put = <T>(record: Record<string, T>, key: string, value: T): void => {
  Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true })
}

/** Throws `schema.lint` with the first finding. */
export const assertLinted = async (subject: string, schema: Schema, version: SchemaRegistry['version']): Promise<void> => {
  const [finding] = lintSchema(schema, undefined, await referencedBy(schema, version))
  if (finding !== undefined)
    throw new Fault('schema.lint', `The schema for ${subject} is refused at ${finding.path || 'its root'}: ${finding.message}`, {
      subject,
      path: finding.path,
      rule: finding.rule,
    })
}

/** The fault of a schema that breaks its subject's compatibility. */
export const incompatible = (subject: string, reasons: readonly string[], cause?: unknown): Fault =>
  new Fault(
    'schema.incompatible',
    `The schema cannot follow the registered versions of ${subject}: ${reasons.slice(0, 5).join(' ')}`,
    { subject, reasons: reasons.slice(0, 5).join('; ') },
    cause,
  )
