/** The durable half of the embedded index: points in one SQLite file, guarded by version in SQL. */
import { join } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import { fromBytes, toBytes } from '../../domain/vector.ts'
import type { ImageSpace, Payload, Space, StoredPoint } from '../../ports/vector-index.ts'
import { type Handle, type OpenDatabase, openDatabase, sqliteFault } from './database.ts'
import type { Layout } from './vector-lists.ts'

/** Rows of the table name their space by number. */
const space_numbers: Readonly<Record<Space, number>> = { items: 0, users: 1, images: 2 }

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS layouts (
    space INTEGER PRIMARY KEY,
    centroids BLOB NOT NULL,
    probes TEXT NOT NULL,
    rows_at_training INTEGER NOT NULL
  ) STRICT;
`

/** Points live in a table of their own, so that a rebuild fills another one and changes the names. */
const pointsTable = (name: string): string => `
  CREATE TABLE IF NOT EXISTS ${name} (
    space INTEGER NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    vector BLOB,
    payload TEXT NOT NULL,
    PRIMARY KEY (space, id)
  ) STRICT;
`
const tombstoneIndex = (name: string, table: string): string =>
  `CREATE INDEX ${name} ON ${table} (space, version) WHERE vector IS NULL;`

/** The name of a table's index of tombstones. An index keeps its name when its table gets another. */
const tombstonesOf = (database: Handle, table: string): string | undefined =>
  database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND name LIKE 'tombstones%'")
    .pluck()
    .get(table) as string | undefined

/** Rows of a replaced table that are deleted in one turn; a table dropped at once would hold the process for as long as it is large. */
const cleared_rows = 500

/** A point as it goes into the file: checked, of unit length, its payload as JSON. */
export type FilePoint = {
  readonly space: Space
  readonly id: string
  readonly vector: Vector | null
  readonly payload_json: string
}

export type FileVersion = { readonly row: number; readonly id: string; readonly version: number; readonly deleted: boolean }

/** A point to be written where the stored version is the one that was seen; see VectorIndexAdmin.correct. */
export type FileCorrection = FilePoint & { readonly version: number; readonly seen: number | null }

/** One table of points. */
export type VectorTable = {
  /** Writes in one transaction, on disk when it returns; says of each point whether it was newer than what was stored. */
  write(points: readonly FilePoint[], version: number): readonly boolean[]
  /** The same with a guard of each point's own. */
  correct(points: readonly FileCorrection[]): readonly boolean[]
  get(space: Space, id: string): StoredPoint | undefined
  /** Every live point, its vector to be read before the next. Nothing else may be asked of the file until the iteration ends. */
  live(space: Space): IterableIterator<{ readonly id: string; readonly vector: Vector; readonly payload: Payload }>
  /** The versions of up to `limit` points of a space that come after the row number `after`, in the order of rows. */
  versions(space: Space, after: number, limit: number): readonly FileVersion[]
  purge(space: Space, version: number): number
}

export type VectorFile = VectorTable & {
  /** What the file was made for. */
  readonly dims: number
  readonly model_digest: string
  /** Makes an empty table beside the live one; one that was left there is deleted. */
  stage(): VectorTable
  /** Puts the staged table in the place of the live one, in one transaction, with its layouts and no others. */
  promote(layouts: ReadonlyMap<Space, Layout>): void
  /** Deletes the staged table, if any. */
  discard(): void
  /** Deletes some rows of the table that was replaced; false when nothing is left of it. */
  clearReplaced(): boolean
  /** Makes the space of images one of this model: what is there of another is deleted. True when something was. */
  claimImages(images: ImageSpace): boolean
  layout(space: Space): Layout | undefined
  saveLayout(space: Space, layout: Layout): void
  close(): void
}

/** The index is a view: what would lose a log only makes the view wait, or be rebuilt. */
const indexFault = (path: string, error: unknown): Fault => {
  const fault = sqliteFault(path, error)
  if (fault.code === 'log.corrupt')
    return new Fault(
      'log.corrupt',
      `${path} is damaged; delete it and run \`entrepot repair\`: it is refilled from the log.`,
      fault.detail,
      error,
    )
  if (fault.kind === 'misconfigured') return fault
  return new Fault('index.unavailable', fault.message, fault.detail, error)
}

/** The vector in a row's bytes without a copy where its place in memory allows: for reading at once, not for keeping. */
const viewOf = (bytes: Buffer): Vector =>
  bytes.byteOffset % 4 === 0 ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) : fromBytes(bytes)

/**
 * Opens or creates `vectors.db` in `folder`; a new one is for vectors [dims] of the model with this digest.
 * Faults: log.locked, log.corrupt, index.unavailable.
 */
export const openVectorFile = (
  folder: string,
  dims: number,
  model_digest: string,
  file_bytes_max = Number.POSITIVE_INFINITY,
  open: OpenDatabase = openDatabase,
): VectorFile => {
  const guarded = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw indexFault(join(folder, 'vectors.db'), error)
    }
  }

  const opened = guarded(() => open(folder, { file: 'vectors.db', cache_bytes: 8 << 20, file_bytes_max }))
  const { path, handle: database } = opened
  try {
    guarded(() => {
      // What a rebuild left behind that did not come to its end.
      database.exec(`${schema}${pointsTable('points')}DROP TABLE IF EXISTS points_staged;`)
      if (tombstonesOf(database, 'points') === undefined) database.exec(tombstoneIndex('tombstones', 'points'))
      database
        .prepare("INSERT INTO meta VALUES ('dims', ?), ('model_digest', ?) ON CONFLICT DO NOTHING")
        .run(String(dims), model_digest)
    })
  } catch (error) {
    opened.close()
    throw error
  }

  const meta = (name: string): string =>
    (database.prepare('SELECT value FROM meta WHERE name = ?').pluck().get(name) as string) ?? ''
  const selectLayout = database.prepare('SELECT centroids, probes, rows_at_training FROM layouts WHERE space = ?').raw()
  const upsertLayout = database.prepare('INSERT OR REPLACE INTO layouts VALUES (?, ?, ?, ?)')

  const tableOf = (table: string): VectorTable => {
    const upsert = database.prepare(`
    INSERT INTO ${table} (space, id, version, vector, payload) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (space, id) DO UPDATE SET version = excluded.version, vector = excluded.vector, payload = excluded.payload
    WHERE excluded.version > ${table}.version`)
    const replace = database.prepare(`
    INSERT INTO ${table} (space, id, version, vector, payload) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (space, id) DO UPDATE SET version = excluded.version, vector = excluded.vector, payload = excluded.payload
    WHERE ${table}.version = ?`)
    const select = database.prepare(`SELECT version, vector, payload FROM ${table} WHERE space = ? AND id = ?`).raw()
    const selectLive = database.prepare(`SELECT id, vector, payload FROM ${table} WHERE space = ? AND vector IS NOT NULL`).raw()
    const selectVersions = database
      .prepare(`SELECT rowid, id, version, vector IS NULL FROM ${table} WHERE space = ? AND rowid > ? ORDER BY rowid LIMIT ?`)
      .raw()
    const remove = database.prepare(`DELETE FROM ${table} WHERE space = ? AND vector IS NULL AND version < ?`)
    const writeAll = database.transaction((points: readonly FilePoint[], version: number) =>
      points.map(
        ({ space, id, vector, payload_json }) =>
          upsert.run(space_numbers[space], id, version, vector === null ? null : toBytes(vector), payload_json).changes === 1,
      ),
    )

    const correctAll = database.transaction((points: readonly FileCorrection[]) =>
      points.map(
        ({ space, id, version, vector, payload_json, seen }) =>
          replace.run(space_numbers[space], id, version, vector === null ? null : toBytes(vector), payload_json, seen).changes ===
          1,
      ),
    )

    return {
      write: (points, version) => guarded(() => writeAll.immediate(points, version)),
      correct: (points) => guarded(() => correctAll.immediate(points)),
      get: (space, id) =>
        guarded(() => {
          const row = select.get(space_numbers[space], id) as [number, Buffer | null, string] | undefined
          if (row === undefined) return undefined
          const [version, bytes, payload] = row
          return {
            id,
            version,
            deleted: bytes === null,
            vector: bytes === null ? null : fromBytes(bytes),
            payload: JSON.parse(payload) as Payload,
          }
        }),
      *live(space) {
        try {
          for (const row of selectLive.iterate(space_numbers[space])) {
            const [id, bytes, payload] = row as [string, Buffer, string]
            yield { id, vector: viewOf(bytes), payload: JSON.parse(payload) as Payload }
          }
        } catch (error) {
          throw indexFault(path, error)
        }
      },
      versions: (space, after, limit) =>
        guarded(() =>
          (selectVersions.all(space_numbers[space], after, limit) as [number, string, number, number][]).map(
            ([row, id, version, deleted]) => ({ row, id, version, deleted: deleted === 1 }),
          ),
        ),
      purge: (space, version) => guarded(() => remove.run(space_numbers[space], version).changes),
    }
  }

  const live = guarded(() => tableOf('points'))
  const tables = (): readonly string[] =>
    database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'points%'").pluck().all() as string[]
  const promoteAll = database.transaction((layouts: ReadonlyMap<Space, Layout>) => {
    database.exec(
      'ALTER TABLE points RENAME TO points_replaced; ALTER TABLE points_staged RENAME TO points; DELETE FROM layouts;',
    )
    for (const [space, { centroids, probes, rows_at_training }] of layouts)
      upsertLayout.run(space_numbers[space], toBytes(centroids), JSON.stringify(probes), rows_at_training)
  })

  const claim = database.transaction(({ dims, model_digest }: ImageSpace): boolean => {
    const wanted = `${dims} ${model_digest}`
    if (meta('images') === wanted) return false
    const { changes } = database.prepare('DELETE FROM points WHERE space = ?').run(space_numbers.images)
    database.prepare('DELETE FROM layouts WHERE space = ?').run(space_numbers.images)
    database.prepare("INSERT OR REPLACE INTO meta VALUES ('images', ?)").run(wanted)
    return changes > 0
  })

  return {
    ...live,
    claimImages: (images) => guarded(() => claim.immediate(images)),
    dims: Number(meta('dims')),
    model_digest: meta('model_digest'),
    stage: () =>
      guarded(() => {
        database.exec('DROP TABLE IF EXISTS points_staged; DROP TABLE IF EXISTS points_replaced;')
        const index = tombstonesOf(database, 'points') === 'tombstones' ? 'tombstones_2' : 'tombstones'
        database.exec(pointsTable('points_staged') + tombstoneIndex(index, 'points_staged'))
        return tableOf('points_staged')
      }),
    promote: (layouts) => guarded(() => promoteAll.immediate(layouts)),
    discard: () => guarded(() => void database.exec('DROP TABLE IF EXISTS points_staged;')),
    clearReplaced: () =>
      guarded(() => {
        if (!tables().includes('points_replaced')) return false
        const { changes } = database
          .prepare('DELETE FROM points_replaced WHERE rowid IN (SELECT rowid FROM points_replaced LIMIT ?)')
          .run(cleared_rows)
        if (changes === cleared_rows) return true
        database.exec('DROP TABLE points_replaced;')
        return false
      }),
    layout: (space) =>
      guarded(() => {
        const row = selectLayout.get(space_numbers[space]) as [Buffer, string, number] | undefined
        if (row === undefined) return undefined
        return { centroids: fromBytes(row[0]), probes: JSON.parse(row[1]) as number[], rows_at_training: row[2] }
      }),
    saveLayout: (space, layout) =>
      guarded(() => {
        upsertLayout.run(space_numbers[space], toBytes(layout.centroids), JSON.stringify(layout.probes), layout.rows_at_training)
      }),
    close: opened.close,
  }
}
