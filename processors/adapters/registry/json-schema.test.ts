import { describe, expect, test } from '@jest/globals'
import { decodeJson } from './json.ts'
import { jsonValidator } from './json-schema.ts'
import { decode_limits } from './limits.ts'

const check = (schema: unknown, value: unknown): string => {
  const bytes = Buffer.from(JSON.stringify(value))
  const { rounded, entries } = decodeJson(bytes, 0, decode_limits)
  const fault = jsonValidator(JSON.stringify(schema))(rounded, { entries, bytes: bytes.length })
  return fault === undefined ? 'ok' : `${fault.code} ${String(fault.detail['schema_path'] ?? '')}`
}

test('says which rule of the schema a value breaks', () => {
  const schema = { type: 'object', required: ['id'], properties: { id: { type: 'integer' }, price: { minimum: 0 } } }
  expect(check(schema, { id: 1, price: 2 })).toBe('ok')
  expect(check(schema, {})).toBe('schema.validation #/required')
  expect(check(schema, { id: 'x' })).toBe('schema.validation #/properties/id/type')
  expect(check(schema, { id: 1, price: -1 })).toBe('schema.validation #/properties/price/minimum')
})

test('a missing property that Object has does not count as there', () => {
  expect(check({ required: ['toString'] }, {})).toBe('schema.validation #/required')
})

test('patterns run in linear time, and as ECMA-262 means them', () => {
  expect(check({ pattern: '^(a+)+$' }, `${'a'.repeat(20_000)}!`)).toBe('schema.validation #/pattern')
  expect(check({ pattern: 'b' }, 'abc')).toBe('ok')
  expect(check({ pattern: '^\\d{3}$' }, '12٣')).toBe('schema.validation #/pattern')
  expect(check({ patternProperties: { '^p\\d': { type: 'string' } } }, { p1: 1 })).toMatch(
    'schema.validation #/patternProperties',
  )
})

test('formats of the list are checked, others are annotations', () => {
  const cases: Readonly<Record<string, readonly [good: string, bad: string]>> = {
    date: ['2024-02-29', '2026-02-30'],
    time: ['23:59:59Z', '24:00:00Z'],
    'date-time': ['2026-11-20T09:30:00.5+02:00', '2026-11-20 noon'],
    uuid: ['1b4e28ba-2fa1-5d2f-883f-0016d3cca427', '1b4e28ba'],
    ipv4: ['203.0.113.7', '203.0.113.256'],
    email: ['a@b.example', 'a b@c'],
    uri: ['https://shop.example/p?q=1', 'no scheme'],
  }
  for (const [format, [good, bad]] of Object.entries(cases)) {
    expect([format, check({ format }, good)]).toEqual([format, 'ok'])
    expect([format, check({ format }, bad)]).toEqual([format, 'schema.validation #/format'])
  }
  expect(check({ format: 'int64' }, 'anything')).toBe('ok')
})

test('each draft is read as itself', () => {
  const tuple_2020 = { $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }], items: false }
  expect(check(tuple_2020, ['a'])).toBe('ok')
  expect(check(tuple_2020, ['a', 'b'])).toBe('schema.validation #/items')
  const dependent = { $schema: 'https://json-schema.org/draft/2019-09/schema', dependentRequired: { a: ['b'] } }
  expect(check(dependent, { a: 1 })).toBe('schema.validation #/dependentRequired')
  const draft06 = { $schema: 'http://json-schema.org/draft-06/schema#', exclusiveMinimum: 1 }
  expect(check(draft06, 1)).toBe('schema.validation #/exclusiveMinimum')
  const tuple_07 = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'string' }], additionalItems: false }
  expect(check(tuple_07, ['a', 'b'])).toBe('schema.validation #/additionalItems')
})

test('a recursive schema follows the value as deep as it may be', () => {
  const tree = { properties: { value: { type: 'integer' }, next: { $ref: '#' } } }
  let value: unknown = { value: 1 }
  for (let i = 0; i < 30; i++) value = { value: i, next: value }
  expect(check(tree, value)).toBe('ok')
  let wrong: unknown = { value: 'x' }
  for (let i = 0; i < 30; i++) wrong = { value: i, next: wrong }
  expect(check(tree, wrong)).toMatch('schema.validation')
})

test('two schemas of one id do not meet', () => {
  const first = jsonValidator('{"$id":"http://x/s","type":"string"}')
  const second = jsonValidator('{"$id":"http://x/s","type":"number"}')
  const small = { entries: 0, bytes: 3 }
  expect([first('a', small), second(1, small)]).toEqual([undefined, undefined])
})

test('each pattern of a schema is its own', () => {
  const schema = { properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } }, patternProperties: { '^x': { pattern: '^c$' } } }
  expect(check(schema, { a: 'a', b: 'b', x: 'c' })).toBe('ok')
  expect(check(schema, { a: 'a', b: 'a' })).toBe('schema.validation #/properties/b/pattern')
  expect(check(schema, { x: 'a' })).toBe('schema.validation #/patternProperties/%5Ex/pattern')
})

describe('no value keeps a schema busy for seconds', () => {
  const refs = (count: number) => Array.from({ length: count }, () => ({ $ref: '#/definitions/one' }))
  const each = (one: unknown, count: number) => ({ definitions: { one }, type: 'array', items: { allOf: refs(count) } })
  const wide = Array.from({ length: 2_000 }, (_, i) => `${'s'.repeat(60)}${i}`)
  const long = Array.from({ length: 15 }, () => 'é'.repeat(32_000))
  test.each<[string, unknown, unknown]>([
    [
      'an enum of 2,000, a hundred times, for 9,000 items',
      each({ not: { enum: wide } }, 100),
      Array.from({ length: 9_000 }, () => 's'.repeat(61)),
    ],
    ['a length counted 1,000 times', each({ minLength: 1 }, 1_000), long],
    ['a format tried 1,000 times', each({ format: 'email' }, 1_000), long],
    ['a large pattern tried 500 times', each({ pattern: '[\\p{L}\\p{N}]{300}' }, 500), long],
    ['a list compared 1,000 times', each({ not: { const: Array.from({ length: 9_000 }, () => 1) } }, 1_000), long],
  ])('%s', (_, schema, value) => {
    const outcome = check(schema, value)
    expect(outcome).toMatch('limits.items')
  })
})
