/** A world of the bench's own: settings in a fresh folder, topics nobody else has, the embedder that was asked for. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openWorld } from '../../processors/cli/compose.ts'
import { platformsWithOwnTopics } from '../../processors/cli/own-topics.fixture.ts'
import type { World } from '../../processors/cli/world.ts'
import { loadSettings } from '../../processors/config/load.ts'
import type { Embedder } from '../../processors/ports/embedder.ts'
import { shop_platforms, shop_settings } from './shop.ts'

export type RiverOptions = {
  readonly mode: 'embedded' | 'servers'
  /** The folder in which a folder of the run is made. */
  readonly under: string
  readonly partitions: number
  /** Stages that the caller starts; all when left out. */
  readonly stages?: readonly string[]
  /** Undefined: the shipped model. */
  readonly embedder?: Embedder
  readonly set?: readonly string[]
  /** Reads the source topics of the river with this prefix, in a group and to topics of its own. */
  readonly sources_of?: string
}

export type River = {
  readonly world: World
  /** Before every topic and group of this river's own. */
  readonly prefix: string
  close(): Promise<void>
}

/** Opens a prepared world; `close` also removes what it left on disk. Servers come from KAFKA_BROKERS, SCHEMA_REGISTRY_URL, QDRANT_URL. */
export const openRiver = async (options: RiverOptions): Promise<River> => {
  mkdirSync(options.under, { recursive: true })
  const folder = mkdtempSync(join(options.under, 'entrepot-bench-'))
  const prefix = options.mode === 'servers' ? `bench-${randomBytes(4).toString('hex')}.` : ''
  platformsWithOwnTopics(join(folder, 'platforms'), shop_platforms, options.sources_of ?? prefix)
  const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, QDRANT_URL } = process.env
  if (options.mode === 'servers' && (KAFKA_BROKERS === undefined || SCHEMA_REGISTRY_URL === undefined))
    throw new Error(
      '--mode servers needs KAFKA_BROKERS and SCHEMA_REGISTRY_URL: `node scripts/servers.ts up` starts and prints them.',
    )
  const settings = {
    mode: options.mode,
    data: { folder: join(folder, 'data') },
    ...(options.mode === 'servers'
      ? {
          kafka: { brokers: KAFKA_BROKERS!.split(','), group_prefix: `${prefix}entrepot` },
          registry: { url: SCHEMA_REGISTRY_URL },
          ...(QDRANT_URL === undefined ? {} : { qdrant: { url: QDRANT_URL, collection: prefix.replaceAll('.', '') } }),
        }
      : {}),
    identity: { secret_file: join(folder, 'identity.key') },
    topics: { prefix, partitions: options.partitions },
    platforms: { folder: join(folder, 'platforms'), enabled: shop_platforms, shops: shop_settings },
    log: { level: 'warn' },
  }
  writeFileSync(join(folder, 'identity.key'), randomBytes(32).toString('hex'), { mode: 0o600 })
  const file = join(folder, 'entrepot.yaml')
  writeFileSync(file, JSON.stringify(settings))
  const world = await openWorld(loadSettings({ file, env: {}, set: [...(options.set ?? [])] }).settings, {
    ...(options.embedder === undefined ? {} : { embedder: options.embedder }),
    ...(options.stages === undefined ? {} : { stages: options.stages }),
  })
  const close = async (): Promise<void> => {
    await world.close()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await world.prepare()
  } catch (error) {
    await close()
    throw error
  }
  return { world, prefix, close }
}
