/** Expressions: what they give, and that nothing one can write does more than fail at its place. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../domain/fault.ts'
import { compileExpression } from './evaluate.ts'
import { parseExpression } from './expression.ts'
import { instant } from './functions.ts'
import { default_settings, shopOf } from './settings.ts'
import type { Env } from './values.ts'

const record = {
  a: 'A',
  empty: '',
  none: null,
  zero: 0,
  n: 7,
  big: 9007199254740993n,
  yes: true,
  list: ['x', '', null, 'y'],
  rows: [
    { k: 'p', v: 1, tags: ['s', 't'] },
    { k: 'q', v: 2, tags: [] },
    { k: 'p', v: 3, tags: ['u'] },
  ],
  deep: { er: { still: 'here' } },
  'odd name': 'odd',
  html: '<p>a &amp; b</p>',
  or: 'a field named like a word',
}

const envOf = (): Env => ({
  record,
  current: record,
  scopes: [],
  lets: [],
  shop: shopOf('corner', null, { currency: 'EUR', time_zone: '+08:00' }, default_settings.shops),
  run: { shopOf: () => undefined as never, keyed: (...fields) => `keyed ${fields.join('|')}`, userKey: () => '', rates: null },
  headers: [['X-Topic', Buffer.from('update')]],
  log: { topic: 't', partition: 0, offset: 5, time: Date.UTC(2026, 10, 1), key: 'the key', schema_id: null },
  change: null,
  ordinal: 0,
  has_version: false,
  field: 'title',
  rewrites: [],
  bytes: 0,
  work: 0,
})
const context = {
  names: { scopes: new Map(), lets: new Map(), shop: new Set(['currency', 'time_zone', 'merchant_id']), has_change: false },
  suggest: () => '',
  table: () => ({ name: 'sizes', entries: new Map([['7', 'seven']]), fallback: undefined }),
}
const evaluate = (text: string): unknown => compileExpression(parseExpression(text), context)(envOf())

describe('values', () => {
  test.each<[string, unknown]>([
    ['a', 'A'],
    ['deep.er.still', 'here'],
    ['deep.nothing.at.all', undefined],
    ["this['odd name']", 'odd'],
    ['record.n', 7],
    ['list[0]', 'x'],
    ['list[-1]', 'y'],
    ['rows[0].k', 'p'],
    ['rows[9].k', undefined],
    ['rows[].v', [1, 2, 3]],
    ['rows[].tags[]', ['s', 't', 'u']],
    ["rows[k == 'p'].v", [1, 3]],
    ["rows[k == 'p'][0].v", 1],
    ["rows[k == 'p'][-1].v", 3],
    ['rows[v > 1 and v < 3].k', ['q']],
    ['empty ?? none ?? missing ?? a', 'A'],
    ['zero ?? a', 0],
    ['none ?? list', ['x', '', null, 'y']],
    ["'it\\'s'", "it's"],
    ['-1.5', -1.5],
    ['shop.currency', 'EUR'],
    ["header['x-topic']", 'update'],
    ['log.key', 'the key'],
    ['log.time', instant(Date.UTC(2026, 10, 1))],
    ["n == '7'", true],
    ['big == 9007199254740993', false],
    ["big == '9007199254740993'", true],
    ['none == missing', true],
    ['none == zero', false],
    ["a != 'B'", true],
    ["a in ('A', 'B')", true],
    ["a not in ('A', 'B')", false],
    ['not zero', true],
    ['yes and not none or zero', true],
    ['n >= 7 and n <= 7', true],
    ['missing > 1', false],
    ['a | lower', 'a'],
    ["list | join('-')", 'x-y'],
    ["'a,b , ,c' | split(',')", ['a', 'b', 'c']],
    ["'gid://shop/Product/12' | gid", '12'],
    ["list('g/1', 'g/2') | gid", ['1', '2']],
    ["format('{}:{}', a, n)", 'A:7'],
    ["format('{}:{}', a, none)", undefined],
    ['words(a, none, n)', 'A 7'],
    ["'a:b:c' | before(':')", 'a'],
    ["'a:b:c' | after(':')", 'c'],
    ["'abc' | after(':')", 'abc'],
    ['zero | except(0)', undefined],
    ["n | table('sizes')", 'seven'],
    ["known(a, 'sizes')", false],
    ['if(yes, a)', 'A'],
    ['if(zero, a)', undefined],
    ['present(list)', true],
    ['missing(empty)', true],
    ['rows[].v | sum', 6],
    ['rows | count', 3],
    ['add(n, 1, 2)', 10],
    ['n | scale(0, 14)', 0.5],
    ["contains(list, 'y')", true],
    ["contains(a, 'B')", false],
    ["pairs(rows, 'k', 'v')", { p: '1, 3', q: '2' }],
    ["pick(pairs(rows, 'k', 'v'), 'Q')", '2'],
    ["zip(list('a', 'b'), row(none, n))", { b: '7' }],
    ["'20000:1:品牌:A#cln#B#scln#C;2:3:x:y' | taobao_prop('20000')", 'A:B;C'],
    ["'1:2:x:y;bad;3:4:x:z' | taobao_props", { x: 'y, z' }],
    ['hash(a, n)', 'keyed A|7'],
    ['hash(none, missing)', undefined],
    ["time(1793491200, 's')", instant(1_793_491_200_000)],
    ["'2026-11-01 08:00:00' | time(shop.time_zone)", instant(1_793_491_200_000)],
    ["clock_fix('2026-11-01T00:00:00Z', '2026-11-01T00:00:02Z', '2026-11-01T01:00:02Z')", instant(1_793_494_800_000)],
    ['html | html', 'a & b'],
    ["'ab👍' | short(3)", 'ab'],
    ['((((a))))', 'A'],
  ])('%s', (text, value) => expect(evaluate(text)).toEqual(value))
})

test.each([
  ['a.b', 'map.type'],
  ['rows.k', 'map.type'],
  ['a | number', 'map.type'],
  ['deep | lower', 'map.type'],
  ["a | table('sizes')", 'semantics.enum'],
  ["n | time('UTC')", 'time.invalid'],
  ["'2026-02-30' | time('UTC')", 'time.invalid'],
  ["'1,2,3' | amount('1,234.56')", 'semantics.price'],
  ['divide(n, 0)', 'number.range'],
  ['big | number', 'number.unsafe'],
])('%s is refused as %s', (text, code) => {
  try {
    evaluate(text)
  } catch (error) {
    expect(error).toMatchObject({ code, kind: 'malformed' })
    // Faults are logged: they hold no value of the record.
    expect((error as Fault).message).not.toMatch(/9007199254740993|1,2,3|2026-02-30/u)
    return
  }
  throw new Error('nothing was refused')
})

test('any text parses or fails at a place inside it; any parsed expression compiles or fails so too, and runs without a defect', () => {
  const word = fc.constantFrom(
    'a',
    'list',
    'rows',
    'none',
    '.',
    '[',
    ']',
    '(',
    ')',
    '??',
    '|',
    ',',
    "'x'",
    '1',
    'and',
    'not',
    'in',
    '==',
    'k',
    'lower',
    'join',
    'this',
    'record',
    '[]',
    '<',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')),
      ),
      (text) => {
        try {
          evaluate(text)
        } catch (error) {
          expect(error).toBeInstanceOf(Fault)
          const { code, detail } = error as Fault
          if (code === 'map.invalid') {
            expect(detail['at']).toBeGreaterThanOrEqual(0)
            expect(detail['at']).toBeLessThanOrEqual(text.length)
          }
        }
      },
    ),
    { numRuns: 3_000 },
  )
})

test('nesting is bounded', () => {
  expect(() => parseExpression('('.repeat(10_000))).toThrow(/nests too deeply/u)
  expect(() => parseExpression('not '.repeat(100_000))).toThrow(/nests too deeply/u)
})
