/** The files of one platform as they were read: what config/platforms.ts hands to the compiler of maps. */
import type { DocumentNode, MapNode } from './document.ts'

export type MapFile = {
  /** The file's name without extension: the kind of the source topic. */
  readonly kind: string
  readonly document: MapNode
  /** The file's text, for the map's version. */
  readonly text: string
  /** The schema it names, as found; null when it names none or the file is not there. */
  readonly schema: { readonly file: string; readonly text: string } | null
}

export type CaseFile = { readonly kind: string; readonly file: string; readonly document: DocumentNode }

export type PlatformFiles = {
  /** The folder's name. */
  readonly name: string
  /** What all maps of the platform share (`platform.yaml`), or null. */
  readonly common: { readonly document: MapNode; readonly text: string } | null
  readonly maps: readonly MapFile[]
  readonly cases: readonly CaseFile[]
}
