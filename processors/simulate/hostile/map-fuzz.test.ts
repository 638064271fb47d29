/** Changed golden inputs against all shipped maps: each ends as canonical, dropped or malformed, and what is canonical can be written. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { openSerdes, registerCanonical } from '../../adapters/registry/serdes.ts'
import { seededRandom } from '../../adapters/system/random.ts'
import { loadPlatforms, shipped_platforms } from '../../config/platforms.ts'
import type { Header } from '../../domain/record.ts'
import { topicsOf } from '../../topology.ts'
import { openAnyRegistry } from './bazaar.ts'
import { fuzzMaps, type GoldenInput } from './map-fuzz.ts'

type Case = {
  readonly input?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly time?: string
  readonly steps?: readonly Case[]
}

const goldenInputs = (platform: string, kind: string, topic: string): readonly GoldenInput[] => {
  const file = join(shipped_platforms, platform, `${kind}.cases.yaml`)
  if (!readdirSync(join(shipped_platforms, platform)).includes(`${kind}.cases.yaml`)) return []
  const cases = parse(readFileSync(file, 'utf8'), { intAsBigInt: false }) as readonly Case[]
  return cases
    .flatMap((one) => [one, ...(one.steps ?? [])])
    .filter(({ input }) => typeof input === 'object' && input !== null)
    .map(({ input, headers, time }) => ({
      topic,
      value: input,
      headers: Object.entries(headers ?? {}).map(([name, value]): Header => [name, Buffer.from(value)]),
      time_ms: time === undefined ? Date.UTC(2026, 10, 1, 12) : Date.parse(time),
    }))
}

test('no value makes a map throw, and nothing canonical cannot be written', async () => {
  const platforms = await loadPlatforms({ folder: null, enabled: [] }, { shops: {} })
  const inputs = platforms.flatMap(({ name, sources }) => sources.flatMap(({ kind, topic }) => goldenInputs(name, kind, topic)))
  expect(inputs.length).toBeGreaterThan(60)
  const topics = topicsOf({ prefix: '', partitions: 1 })
  const schemas_folder = fileURLToPath(new URL('../../../schemas/canonical', import.meta.url))
  const registry = openAnyRegistry()
  const written = [topics.items, topics.interactions]
  await registerCanonical(
    registry,
    written.map(({ name, schema }) => ({ topic: name, schema })),
    schemas_folder,
  )
  const serdes = openSerdes(registry, { schemas_folder })
  const by_topic = new Map(
    await Promise.all(written.map(async ({ name, schema }) => [name, await serdes.of<unknown>(name, schema)] as const)),
  )
  const { ended, wrong } = await fuzzMaps(platforms, inputs, 5_000, by_topic, seededRandom(7))
  expect(wrong).toEqual([])
  expect(ended['canonical']).toBeGreaterThan(500)
  expect(Object.keys(ended).length).toBeGreaterThan(15)
}, 120_000)
