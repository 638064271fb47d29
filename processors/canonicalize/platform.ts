/** A platform as the runtime sees it: its source topics, and for each a compiled map from decoded value to canonical drafts. */
import type { Header } from '../domain/record.ts'
import type { SchemaFormat, SourceFormat } from '../ports/schema-registry.ts'
import type { InteractionDraft } from './interaction.ts'
import type { ItemDraft } from './item.ts'
import type { MapDropReason } from './reasons.ts'
import type { Env, LogPlace, MapRun, Value } from './values.ts'

/** One source topic of a platform. */
export type PlatformSource = {
  readonly topic: string
  readonly platform: string
  /** The map's file name without extension. */
  readonly kind: string
  readonly emits: 'items' | 'interactions'
  readonly format: SourceFormat
  /** The schema to register, with its file name; null for plain JSON. */
  readonly schema: { readonly file: string; readonly format: SchemaFormat; readonly text: string } | null
  /** `<topic>-value`; null for plain JSON. */
  readonly subject: string | null
}

export type Platform = {
  readonly name: string
  readonly sources: readonly PlatformSource[]
  /** In the order of `sources`. */
  readonly maps: readonly CompiledMap[]
}

export type MapInput = {
  readonly value: Value
  readonly headers: readonly Header[]
  /** Length of the value as it came. */
  readonly bytes: number
  readonly log: LogPlace
}

/** A listing's group as one record shows it: every member it names, complete. */
export type GroupReading = { readonly id: string; readonly members: readonly string[] }

/** What a deletion names: variants, or a whole group. */
export type Removal = { readonly variants: readonly string[]; readonly group: string | null; readonly version: number | null }

/** One line of a snapshot, e.g. of a cart. */
export type SnapshotLine = { readonly line: string; readonly quantity: number; readonly element: Value }
export type SnapshotReading = {
  /** Keyed digest of the snapshot's identity; the identity itself does not leave. */
  readonly id: string
  readonly version: number
  readonly lines: readonly SnapshotLine[]
}
export type LineChange = {
  readonly line: string
  /** How many more (ADD_TO_CART) or fewer (REMOVE_FROM_CART), above 0. */
  readonly quantity: number
  readonly type: 'ADD_TO_CART' | 'REMOVE_FROM_CART'
  /** How many there are now. */
  readonly now: number
  /** The line as the snapshot shows it; null when it is gone. */
  readonly element: Value
}

/** What a record turns out to be. */
export type Reading =
  | { readonly kind: 'drop'; readonly reason: MapDropReason | 'no_lines' }
  | {
      readonly kind: 'items'
      readonly items: readonly ItemDraft[]
      readonly has_version: boolean
      readonly group: GroupReading | null
    }
  | { readonly kind: 'removal'; readonly removal: Removal }
  | { readonly kind: 'interactions'; readonly interactions: readonly InteractionDraft[] }
  | {
      readonly kind: 'snapshot'
      readonly snapshot: SnapshotReading
      /** The interaction of one changed line, or why the map drops the line. Throws malformed faults. */
      readonly change: (change: LineChange) => InteractionDraft | MapDropReason
    }

export type CompiledMap = {
  readonly source: PlatformSource
  /** `<version>.<digest of the map's text>`. */
  readonly version: string
  /** What every field is made of, for `explain-map`. */
  readonly explained: readonly ExplainedRule[]
  /** Opens a record for reading: shop found, nothing else read yet. */
  readonly open: (input: MapInput, run: MapRun) => Env
  /** Applies the map. Throws malformed faults that name the field and never its value. */
  readonly read: (env: Env) => Reading
  /** What a tombstone with this key removes; null for maps of events. */
  readonly tombstone: ((env: Env) => Removal) | null
}

/** One line of `explain-map`. */
export type ExplainedRule = {
  /** Canonical field, or a part of the map such as `drop test_order`. */
  readonly field: string
  /** Source paths read, as written. */
  readonly paths: readonly string[]
  /** Functions applied, in order, and the field's own type. */
  readonly steps: readonly string[]
  /** The rule as written. */
  readonly text: string
}
