/** The same story on Kafka and a schema registry, and on Qdrant where that is there too. Skips with a message where they are not there. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { loadSettings } from '../config/load.ts'
import { laneFolder } from './compose.ts'
import { upgradeStory } from './upgrade.fixture.ts'

const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, QDRANT_URL } = process.env
const there = KAFKA_BROKERS !== undefined && SCHEMA_REGISTRY_URL !== undefined
if (!there) console.warn('KAFKA_BROKERS and SCHEMA_REGISTRY_URL are not set: a take-over is not tested on servers.')
else if (QDRANT_URL === undefined) console.warn('QDRANT_URL is not set: a take-over is tested with the embedded index.')

const aliases = async (): Promise<readonly { readonly alias_name: string; readonly collection_name: string }[]> => {
  const answer = (await (await fetch(`${QDRANT_URL}/aliases`)).json()) as {
    result: { aliases: readonly { readonly alias_name: string; readonly collection_name: string }[] }
  }
  return answer.result.aliases
}

const onServers = there ? test : test.skip
onServers(
  'a new model is filled beside the old one, takes over by alias, and can be taken back',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-upgrade-'))
    const prefix = `upgrade-${randomBytes(4).toString('hex')}`
    try {
      const { settings } = loadSettings({
        env: {
          ENTREPOT_IDENTITY_SECRET: randomBytes(32).toString('hex'),
          KAFKA_BROKERS,
          SCHEMA_REGISTRY_URL,
          ...(QDRANT_URL === undefined ? {} : { QDRANT_URL }),
        },
        set: [
          `data.folder=${folder}`,
          `topics.prefix=${prefix}.`,
          `kafka.group_prefix=${prefix}.entrepot`,
          `qdrant.collection=${prefix}`,
          'topics.partitions=2',
          'topics.replication_factor=1',
          'platforms.enabled=shopify',
          'model.reembed_share=1',
          'stages.embed.records_max=8',
          'recommend.debounce_ms=0',
        ],
        working_folder: folder,
      })
      const lane = await upgradeStory(settings)
      if (QDRANT_URL === undefined) return expect(existsSync(laneFolder(settings, lane))).toBe(true)
      // Taken back: the alias of those who know no model leads to the first model again; the other's collection is still there.
      const found = (await aliases()).filter(({ alias_name }) => alias_name.startsWith(prefix))
      const target = found.find(({ alias_name }) => alias_name === prefix)!.collection_name
      expect(found.map(({ alias_name }) => alias_name)).toContain(`${prefix}-${lane}`)
      expect(target.startsWith(`${prefix}-${lane}`)).toBe(false)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
  400_000,
)
