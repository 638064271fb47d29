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
import { canonicalize } from '../canonicalize/processor.ts'
import { default_settings } from '../canonicalize/settings.ts'
import { findingText } from '../domain/document.ts'
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Item } from '../domain/item.ts'
import type { Topic } from '../flow/topic.ts'
import type { SourceDecoder, SourceValue } from '../ports/schema-registry.ts'
import type { StateReader } from '../ports/state-store.ts'
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

test('nothing that identifies a person passes any map of events, neither into outputs nor into state nor into messages', async () => {
  const canary = {
    email: 'canary.mail@example.com',
    phone: '+49 151 77777777',
    ip: '203.0.113.77',
    login: 'canary-login-1',
    device: 'canary-device-2',
    session: 'canary-session-3',
    name: 'Canary Person',
    street: '7 Canary Street',
  }
  const address = { first_name: canary.name, address1: canary.street, email: canary.email, phone: canary.phone }
  const at = '2026-11-01T11:59:00Z'
  const payloads: Record<string, unknown> = {
    'source.shopify.orders': {
      id: 1,
      currency: 'EUR',
      processed_at: at,
      customer: { id: 77_777_777_777, email: canary.email },
      email: canary.email,
      phone: canary.phone,
      browser_ip: canary.ip,
      cart_token: canary.session,
      landing_site: `/?u=${canary.login}`,
      billing_address: address,
      line_items: [{ id: 2, variant_id: 3, quantity: 1, price: '5.00' }],
    },
    'source.shopify.carts': {
      token: canary.session,
      updated_at: at,
      note: canary.name,
      line_items: [{ variant_id: 3, quantity: 1 }],
    },
    'source.woocommerce.orders': {
      id: 1,
      status: 'completed',
      currency: 'EUR',
      customer_id: 0,
      order_key: canary.session,
      customer_ip_address: canary.ip,
      billing: address,
      line_items: [{ id: 1, product_id: 5, quantity: 1, total: '5.00', price: 5 }],
    },
    'source.ga4.events': {
      client_id: canary.device,
      user_id: canary.email,
      timestamp_micros: Date.parse(at) * 1_000,
      events: [
        { name: 'view_item', params: { session_id: canary.session, currency: 'EUR', items: [{ item_id: 'a', price: 5 }] } },
      ],
    },
    'source.segment.events': {
      type: 'track',
      event: 'Product Viewed',
      messageId: `m-${canary.device}`,
      userId: canary.login,
      anonymousId: canary.device,
      timestamp: at,
      context: { ip: canary.ip, traits: { email: canary.email, name: canary.name } },
      properties: { product_id: 'a' },
    },
  }
  const platforms = await loadPlatforms({ folder: null, enabled: [] }, { shops: {} })
  const topic = <V>(name: string): Topic<V> => ({ name, key: '', schema: '', partitions: 1, keep: 'latest', holds: '' })
  const processor = canonicalize(
    platforms,
    { items: topic<Item>('items'), interactions: topic<Interaction>('interactions') },
    { ...default_settings, user_secret: Buffer.alloc(32, 3), user_key_version: 'k1', shops: { shopify: { currency: 'EUR' } } },
  )
  for (const [name, payload] of Object.entries(payloads)) {
    const state: StateReader = { get: () => undefined, entries: () => [] }
    const sources: SourceDecoder = { decode: async () => [{ value: payload as SourceValue, schema_id: null }] }
    const outcome = await processor.run(
      {
        topic: name,
        partition: 0,
        now_ms: Date.parse('2026-11-02T00:00:00Z'),
        records: [
          {
            offset: 0,
            key: canary.session,
            value: { bytes: Buffer.alloc(1) },
            bytes: null,
            timestamp_ms: Date.parse(at),
            headers: [],
          },
        ],
      },
      processor.reads({ sources } as never, state),
    )
    expect([name, outcome.emit.length]).toEqual([name, 1])
    const out = JSON.stringify([outcome.emit, (outcome.state ?? []).map(({ key, value }) => [key, value?.toString('latin1')])])
    for (const [what, value] of Object.entries({ ...canary, customer: '77777777777' }))
      expect([name, what, out.includes(value)]).toEqual([name, what, false])
  }
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
      `${good.replace('name', "name | table('stcok')")}tables:\n  stock: { a: b }\n`,
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
      `${good.replace('PLAIN_JSON', 'AVRO')}schema: none.avsc\n`,
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

  test.each([
    [
      'AVRO',
      '{"type":"record","name":"R","fields":[{"name":"id","type":"string"},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"title","type":"string"}]}}}]}',
      'error',
    ],
    [
      'PROTOBUF',
      'syntax = "proto3"; message R { string id = 1; repeated L lines = 2; } message L { string title = 1; }',
      'error',
    ],
    [
      'JSON',
      '{"type":"object","properties":{"id":{"type":"string"},"lines":{"type":"array","items":{"$ref":"#/definitions/l"}}},"definitions":{"l":{"properties":{"title":{"type":"string"}}}}}',
      'warning',
    ],
  ])('a path that the %s schema does not have is found, with the nearest name', async (format, schema, severity) => {
    const map = `emits: items\nformat: ${format}\nschema: r.txt\nlet:\n  all: lines[title == 'x'].titel\nemit:\n  - each: { line: lines }\n    fields:\n      source_variant_id: record.id\n      title: line.titel ?? title ?? line.title\n      brand: brnd\n`
    await write('r.txt', schema)
    await write('items.yaml', map)
    const findings = (await lintPlatforms(folder)).filter(({ message }) => message.includes('schema has no field'))
    expect(findings.map(({ place, message, severity: how }) => [place.line, place.column, how, message])).toEqual([
      [5, 28, severity, '`let all`: the schema has no field `titel` here. Did you mean `title`?'],
      [10, 19, severity, '`title`: the schema has no field `titel` here. Did you mean `title`?'],
      [11, 14, severity, '`brand`: the schema has no field `brnd` here.'],
    ])
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
