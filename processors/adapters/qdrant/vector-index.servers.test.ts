/**
 * The laws of VectorIndex on a real Qdrant: at QDRANT_URL, or from a `qdrant` binary on PATH.
 * With RECORD=1 what was said is written to contract.recorded.json, which the unit tests play back.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import { QdrantClient } from '@qdrant/js-client-rest'
import type { QdrantServer } from '../../../scripts/servers/qdrant.ts'
import { startQdrant } from '../../../scripts/servers/qdrant.ts'
import type { OpenedIndex } from '../../ports/vector-index.contract.ts'
import { vectorIndexContract } from '../../ports/vector-index.contract.ts'
import type { ImageSpace } from '../../ports/vector-index.ts'
import type { Exchange, Recording, Tape } from './exchanges.ts'
import { condensed, not_kept, recordingTo, unrecorded } from './exchanges.ts'
import { openQdrantIndex } from './vector-index.ts'

const started = process.env['QDRANT_URL'] ? undefined : await startQdrant()
const url = process.env['QDRANT_URL'] ?? started?.url
const api_key = process.env['QDRANT_API_KEY']
const collection = 'entrepot-contract'
const model_digest = 'c0ffee'.padEnd(64, '0')
const recording = process.env['RECORD'] === '1'

/** Larger than this a law's exchanges are not kept: they are the same request over and over. */
const law_bytes_max = 150_000

const remove = async (at: string): Promise<void> => {
  const client = new QdrantClient({ url: at, checkCompatibility: false, ...(api_key ? { headers: { 'api-key': api_key } } : {}) })
  const { collections } = await client.getCollections()
  for (const { name } of collections)
    if (name.startsWith(`${collection}-${model_digest.slice(0, 8)}`)) await client.deleteCollection(name)
}

const recorded: Record<string, readonly Exchange[]> = {}
const lawName = (): string => (expect.getState().currentTestName ?? '').replace(/^VectorIndex: qdrant /, '')

type Recorder = Tape & { readonly exchanges: readonly Exchange[] }

const opened = (dims: number, images: ImageSpace | undefined, of: string, through: Recorder | undefined): OpenedIndex => {
  const { index, admin } = openQdrantIndex({
    url: through?.url ?? of,
    api_key: api_key ?? null,
    collection,
    model_digest,
    dims,
    timeout_ms: 30_000,
    ...(images === undefined ? {} : { images }),
  })
  const law = lawName()
  return {
    index,
    admin,
    async close() {
      await admin.close()
      await through?.close()
      if (through !== undefined) recorded[law] = through.exchanges
      await remove(of)
    },
    async reopen(again, images_again) {
      await admin.close()
      return opened(again, images_again, of, through)
    },
  }
}

const open = async (dims: number, images: ImageSpace | undefined, of: string): Promise<OpenedIndex> => {
  await remove(of)
  return opened(dims, images, of, recording ? await recordingTo(of, api_key) : undefined)
}

if (url === undefined)
  test('the laws of VectorIndex were not checked on Qdrant', () => {
    const laws = Object.keys(unrecorded).map((law) => `\n  - ${law}`)
    const said = `Neither QDRANT_URL is set nor is \`qdrant\` on PATH. Of Qdrant only recorded exchanges were checked, and not at all:${laws.join('')}`
    process.stderr.write(`${said}\n`)
    expect(started).toBeUndefined()
  })
else {
  vectorIndexContract('qdrant', (dims, images) => open(dims, images, url), { known: not_kept })

  describe('a real server', () => {
    test('a key is asked for, and a server that answers without one is told of', async () => {
      const locked: QdrantServer | undefined = await startQdrant({ api_key: 'canary' })
      if (locked === undefined) {
        process.stderr.write('No `qdrant` on PATH: keys were not checked.\n')
        expect(process.env['QDRANT_URL']).toBeDefined()
        return
      }
      const settings = { collection, model_digest, dims: 4 }
      try {
        const { admin } = openQdrantIndex({ ...settings, url: locked.url, api_key: 'canary' })
        await admin.ensure()
        expect(await admin.probe()).toEqual({ version: locked.version, warnings: [] })
        const unlocked = openQdrantIndex({ ...settings, url: locked.url, api_key: 'wrong', tries_max: 1 })
        await expect(unlocked.admin.ensure()).rejects.toMatchObject({ code: 'index.version' })
        await expect(
          unlocked.index.search([{ space: 'items', vector: Float32Array.of(1, 0, 0, 0), limit: 1 }]),
        ).rejects.toMatchObject({
          code: 'index.version',
        })
      } finally {
        await locked.stop()
      }
      const open_to_all = openQdrantIndex({ ...settings, url, api_key: api_key ?? 'not needed' })
      if (started !== undefined)
        expect((await open_to_all.admin.probe()).warnings).toEqual([expect.stringContaining('without a key')])
    }, 60_000)

    test('a second model gets its own collection, and the alias moves when it is told to', async () => {
      const first = openQdrantIndex({ url, api_key: api_key ?? null, collection, model_digest, dims: 4 })
      const second = openQdrantIndex({ url, api_key: api_key ?? null, collection, model_digest: 'beef'.padEnd(64, '0'), dims: 8 })
      const client = new QdrantClient({ url, checkCompatibility: false, ...(api_key ? { headers: { 'api-key': api_key } } : {}) })
      const aliased = async () => {
        const { aliases } = await client.getAliases()
        return aliases.find(({ alias_name }) => alias_name === collection)?.collection_name
      }
      await first.admin.ensure()
      await second.admin.ensure()
      try {
        expect(await aliased()).toBe((await first.admin.describe()).collection)
        await second.admin.promote()
        await second.admin.promote()
        expect(await aliased()).toBe((await second.admin.describe()).collection)
        await first.admin.ensure()
        expect(await aliased()).toBe((await second.admin.describe()).collection)
      } finally {
        for (const { admin } of [first, second]) await client.deleteCollection((await admin.describe()).collection)
      }
    }, 60_000)
  })
}

afterAll(async () => {
  if (recording && url !== undefined) {
    const kept = Object.fromEntries(
      Object.entries(recorded).filter(
        ([law, exchanges]) => !(law in unrecorded) && JSON.stringify(exchanges).length < law_bytes_max,
      ),
    )
    const { version, commit } = (await (await fetch(url, { headers: api_key ? { 'api-key': api_key } : {} })).json()) as {
      version: string
      commit?: string
    }
    const written: Recording = {
      how: 'RECORD=1 node --experimental-vm-modules node_modules/jest/bin/jest.js --selectProjects=servers --testPathPatterns=adapters/qdrant',
      server: `Qdrant ${version}${commit === undefined ? '' : ` (${commit.slice(0, 8)})`}`,
      client: '@qdrant/js-client-rest 1.19.0',
      ...condensed(kept),
    }
    const lines = written.exchanges.map((exchange) => JSON.stringify(exchange)).join(',\n')
    const head = JSON.stringify({ ...written, exchanges: [] }, null, 1)
    writeFileSync(
      join(import.meta.dirname, 'contract.recorded.json'),
      `${head.replace('"exchanges": []', `"exchanges": [\n${lines}\n]`)}\n`,
    )
  }
  await started?.stop()
}, 30_000)
