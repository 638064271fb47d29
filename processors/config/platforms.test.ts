/** Every shipped map, held to its golden cases twice: as the case is written, and through the platform's own format and schema. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { openEmbeddedRegistry } from '../adapters/registry/embedded-registry.ts'
import { openSourceDecoder } from '../adapters/registry/source-decoder.ts'
import { openSourceEncoder } from '../adapters/registry/source-encoder.ts'
import type { CaseCodec } from '../canonicalize/cases.ts'
import { findingText } from '../domain/document.ts'
import { Fault } from '../domain/fault.ts'
import { explainMap, lintPlatforms, loadPlatforms, platformNames, testMap } from './platforms.ts'

const names = await platformNames()

/** Writes each input by the map's schema, as the platform would, and reads it as the processor does. */
const throughBytes = async (): Promise<CaseCodec> => {
  const registry = await openEmbeddedRegistry(null)
  const encoder = openSourceEncoder(registry)
  const decoder = openSourceDecoder(registry)
  return async (source, input) => {
    if (source.schema !== null && source.subject !== null) await registry.register(source.subject, source.schema)
    try {
      const bytes = await encoder.encode(source.topic, source.format, input)
      return (await decoder.decode(source.topic, source.format, [bytes]))[0]!
    } catch (error) {
      if (error instanceof Fault && error.kind === 'malformed') return error
      throw error
    }
  }
}

test('the shipped maps have no finding, and every map its cases', async () => {
  expect((await lintPlatforms()).map(findingText)).toEqual([])
})

describe.each(names)('%s', (name) => {
  test('keeps its golden cases, as written and through its own format', async () => {
    for (const codec of [undefined, await throughBytes()]) {
      const results = await testMap(name, codec)
      const failed = results
        .filter((result) => !result.passed)
        .map((result) => [result.kind, result.name, result.place.line, ...result.differences])
      expect(failed).toEqual([])
      expect(results.length).toBeGreaterThan(1)
    }
  })
  test('can be explained', async () => {
    const text = await explainMap(name)
    for (const map of (await loadPlatforms({ folder: null, enabled: [name] }, { shops: {} }))[0]!.maps)
      expect(text).toContain(map.source.topic)
  })
})

test('the items maps of the large platforms have twelve cases or more, all three schema formats are used', async () => {
  for (const name of ['shopify', 'woocommerce', 'amazon', 'taobao', 'tiktok'])
    expect((await testMap(name)).filter(({ kind }) => kind === 'items').length).toBeGreaterThanOrEqual(12)
  const platforms = await loadPlatforms({ folder: null, enabled: [] }, { shops: {} })
  const formats = new Set(platforms.flatMap(({ sources }) => sources.map(({ format }) => format)))
  expect([...formats].sort()).toEqual(['AVRO', 'JSON', 'PLAIN_JSON', 'PROTOBUF'])
})

describe('a platform of one’s own', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'entrepot-platforms-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(join(folder, 'corner'), { recursive: true })
    await writeFile(join(folder, 'corner', name), text)
  }
  const good = `emits: items
format: PLAIN_JSON
fields:
  source_variant_id: id
  title: name
`

  test('needs a map and nothing else, and may have a topic of its own', async () => {
    await write('items.yaml', `${good}topic: legacy-items\n`)
    const found = await loadPlatforms({ folder, enabled: ['corner'] }, { shops: { corner: { currency: 'EUR' } } })
    expect(found.map(({ name, sources }) => [name, sources[0]!.topic, sources[0]!.format])).toEqual([
      ['corner', 'legacy-items', 'PLAIN_JSON'],
    ])
    expect((await lintPlatforms(folder)).map(({ severity, message }) => [severity, message])).toEqual([
      ['warning', 'The map has no golden cases: write items.cases.yaml beside it.'],
    ])
  })

  test('runs its cases', async () => {
    await write('items.yaml', good)
    await write(
      'items.cases.yaml',
      `- name: right\n  input: { id: 1, name: Mug }\n  expect: [{ title: Mug }]\n- name: wrong\n  input: { id: 1, name: Mug }\n  expect: [{ title: Cup }]\n`,
    )
    const results = await testMap('corner', undefined, folder)
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ['right', true],
      ['wrong', false],
    ])
    expect(results[1]!.differences).toEqual(['emits[0].title: "Cup" is wanted, found "Mug"'])
    expect(results[1]!.place.line).toBe(4)
    await rm(join(folder, 'corner', 'items.cases.yaml'))
  })

  test.each([
    ['an unknown key', `${good}tabels: {}\n`, '6:1', 'A map has no `tabels`. Did you mean `tables`?'],
    ['an unknown field', good.replace('title: name', 'titel: name'), '5:3', 'Did you mean `title`?'],
    ['a field that is made from others', `${good}  category_id: a\n`, '6:3', 'set source_category'],
    ['an unknown function', good.replace('name', 'name | lowr'), '5:17', 'there is no function `lowr`. Did you mean `lower`?'],
    ['too few arguments', good.replace('name', 'name | split'), '5:17', "`split(x, 'sign')` takes 2 values"],
    ['a word too many', good.replace('name', 'name other'), '5:15', '`other` is one word too many'],
    ['an open bracket', good.replace('name', 'names[0'), '5:17', '`]` is missing'],
    ['an open quote', good.replace('name', "name ?? 'x"), '5:18', 'a quote is never closed'],
    [
      'an unknown table',
      good.replace('name', "name | table('stcok')") + 'tables:\n  stock: { a: b }\n',
      '5:23',
      'Did you mean `stock`?',
    ],
    ['a closed list', `${good}  availability: "IN_STOK"\n`, '6:17', 'Did you mean `IN_STOCK`?'],
    ['an unknown reason', `${good}drop:\n  tset_order: test\n`, '7:3', 'Did you mean `test_order`?'],
    ['an unknown shop setting', `${good}  market: shop.markt\n`, '6:16', '`shop` has no `markt`. Did you mean `market`?'],
    ['an unknown unit', `${good}  weight_g: unit(w, 'stone')\n`, '6:21', '`stone` is no unit'],
    ['an unknown zone', `${good}  source_updated_at: t | time('Mars')\n`, '6:31', 'neither a unit'],
    ['a missing title', good.replace('  title: name\n', ''), '1:1', '`title` is required'],
    [
      'a schema that is not there',
      good.replace('PLAIN_JSON', 'AVRO') + 'schema: none.avsc\n',
      '6:9',
      'There is no schema file `none.avsc`',
    ],
    ['a key twice', `${good}format: JSON\n`, '6:1', 'unique'],
    ['broken YAML', 'emits: [items\n', '2:1', ''],
    ['a list where one value belongs', `${good}  brand: [a, b]\n`, '6:10', 'write fallbacks with `??`'],
    ['rules of events in a map of items', `${good}user: { login: a }\n`, '6:1', '`user` is for maps of interactions'],
    ['a hostile field name', good.replace('name', 'name.__proto__'), '5:15', 'no field may be called `__proto__`'],
  ])('%s is found at its place', async (_what, text, place, message) => {
    await write('items.yaml', text)
    const errors = (await lintPlatforms(folder)).filter(({ severity }) => severity === 'error').map(findingText)
    const [file, ...rest] = errors[0]!.split('items.yaml:')
    expect(file).toContain('corner')
    expect(rest.join('items.yaml:').startsWith(`${place}: `)).toBe(true)
    expect(errors.join('\n')).toContain(message)
    await expect(loadPlatforms({ folder, enabled: ['corner'] }, { shops: {} })).rejects.toMatchObject({ code: 'map.invalid' })
  })

  test('names and settings that nobody has are refused with the nearest', async () => {
    await write('items.yaml', good)
    await expect(loadPlatforms({ folder, enabled: ['cornr'] }, { shops: {} })).rejects.toMatchObject({
      code: 'config.invalid',
      message: 'platforms.enabled: there is no platform cornr. Did you mean corner?',
    })
    await expect(loadPlatforms({ folder, enabled: [] }, { shops: { shopfy: {} } })).rejects.toMatchObject({
      message: 'platforms.shops.shopfy: there is no platform shopfy. Did you mean shopify?',
    })
    await expect(loadPlatforms({ folder, enabled: [] }, { shops: { 'shopify/a': { currency: 'euro' } } })).rejects.toMatchObject({
      message: 'platforms.shops.shopify/a.currency: an ISO 4217 code in capitals is wanted, such as EUR.',
    })
  })
})

test('the worked example of docs/reference/maps.md does what the page says', async () => {
  const folder = fileURLToPath(new URL('../../docs/reference/maps-example/', import.meta.url))
  expect((await lintPlatforms(folder)).map(findingText)).toEqual([])
  const results = await testMap('corner', undefined, folder)
  expect(results.filter(({ passed }) => !passed)).toEqual([])
  expect(results.length).toBe(5)
})
