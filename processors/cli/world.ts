/** What a command works with once the settings have chosen the adapters: one object, opened and closed as a whole. */
import type { EmbeddedLog } from '../adapters/embedded/event-log.ts'
import type { Platform } from '../canonicalize/platform.ts'
import type { Settings } from '../config/spec.ts'
import type { Fault } from '../domain/fault.ts'
import type { Topology } from '../flow/topology.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder, ModelCard } from '../ports/embedder.ts'
import type { EventLog, EventLogAdmin } from '../ports/event-log.ts'
import type { Random } from '../ports/random.ts'
import type { SchemaRegistry, Serdes, SourceDecoder } from '../ports/schema-registry.ts'
import type { VectorIndex, VectorIndexAdmin } from '../ports/vector-index.ts'
import type { Observer } from '../runtime/events.ts'
import type { Supervisor } from '../runtime/supervise.ts'
import type { imageTopicsOf, topicsOf } from '../topology.ts'
import type { Lane } from './lanes.ts'

/** Stages at work, and why those that were refused at the start do not run. */
export type RunningStages = Supervisor & { refused(): readonly Fault[] }

/** The log; where it is one folder of ours, topics and groups can be deleted as well. */
export type OpenedLog = EventLog & EventLogAdmin & Partial<Pick<EmbeddedLog, 'deleteTopic' | 'deleteGroup'>>

/** The index of a lane; `promote` makes it the one that is found by those who know no model, where an index has such. */
export type LaneIndex = VectorIndex & VectorIndexAdmin & { readonly promote?: () => Promise<void> }

/** The adapters of one mode (embedded or servers), and what stands on them. Parts are opened on first use. */
export interface World {
  readonly settings: Settings
  readonly clock: Clock
  readonly random: Random
  readonly platforms: readonly Platform[]
  readonly topology: Topology
  /** Our topics by what they hold. */
  readonly topics: ReturnType<typeof topicsOf> & { readonly images?: NonNullable<ReturnType<typeof imageTopicsOf>> }
  /** The generation of vectors it works with, and what the groups of its stages begin with. */
  readonly lane: Lane
  readonly group_prefix: string
  /** The topic that says which lane is live. */
  readonly lanes_topic: string
  /** The encoder's card; its weights are loaded by embedder() alone. */
  readonly model: ModelCard
  log(): Promise<OpenedLog>
  registry(): Promise<SchemaRegistry>
  serdes(): Promise<Serdes>
  decoder(): Promise<SourceDecoder>
  /** Faults with `model.changed` where the settings name no model that made the live vectors. */
  index(): Promise<LaneIndex>
  embedder(): Promise<Embedder>
  /** Registers canonical and source schemas where they are missing; returns how many there are. Throws `schema.incompatible`. */
  registerSchemas(): Promise<number>
  /** Creates topics, registers canonical and source schemas, creates the collection; each only where missing. */
  prepare(): Promise<{ readonly topics: readonly string[]; readonly schemas: number }>
  /** Starts stages in this process; `observe` sees every runtime event. */
  start(stages: readonly string[], observe: Observer): Promise<RunningStages>
  /** Closes what belongs to the lane, index and encoder; the rest stays open for worlds that share it. */
  leaveLane(): Promise<void>
  /** Closes what was opened, last first. */
  close(): Promise<void>
}
