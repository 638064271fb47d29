/** What a command works with once the settings have chosen the adapters: one object, opened and closed as a whole. */
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
import type { topicsOf } from '../topology.ts'

/** Stages at work, and why those that were refused at the start do not run. */
export type RunningStages = Supervisor & { refused(): readonly Fault[] }

/** The adapters of one mode (embedded or servers), and what stands on them. Parts are opened on first use. */
export interface World {
  readonly settings: Settings
  readonly clock: Clock
  readonly random: Random
  readonly platforms: readonly Platform[]
  readonly topology: Topology
  /** Our topics by what they hold. */
  readonly topics: ReturnType<typeof topicsOf>
  /** The encoder's card; its weights are loaded by embedder() alone. */
  readonly model: ModelCard
  log(): Promise<EventLog & EventLogAdmin>
  registry(): Promise<SchemaRegistry>
  serdes(): Promise<Serdes>
  decoder(): Promise<SourceDecoder>
  index(): Promise<VectorIndex & VectorIndexAdmin>
  embedder(): Promise<Embedder>
  /** Registers canonical and source schemas where they are missing; returns how many there are. Throws `schema.incompatible`. */
  registerSchemas(): Promise<number>
  /** Creates topics, registers canonical and source schemas, creates the collection; each only where missing. */
  prepare(): Promise<{ readonly topics: readonly string[]; readonly schemas: number }>
  /** Starts stages in this process; `observe` sees every runtime event. */
  start(stages: readonly string[], observe: Observer): Promise<RunningStages>
  /** Closes what was opened, last first. */
  close(): Promise<void>
}
