/** Schemas that nobody means well with: deep, wide, endless, cyclic, slow to match, or with names that are code. */

export type HostileSchema = { readonly name: string; readonly format: 'AVRO' | 'JSON' | 'PROTOBUF'; readonly text: string }

const record = (name: string, fields: readonly unknown[]): unknown => ({ type: 'record', name, fields })
const item = (fields: readonly unknown[]): string => JSON.stringify(record('Item', fields))

const nestedAvro = (depth: number): string => {
  const open = Array.from({ length: depth }, (_, at) => `{"type":"record","name":"R${at}","fields":[{"name":"f","type":`).join('')
  return `${open}"string"${'}]}'.repeat(depth)}`
}
const nestedJson = (depth: number): string => `${'{"type":"object","properties":{"a":'.repeat(depth)}{}${'}}'.repeat(depth)}`
const nestedProto = (depth: number): string => {
  const open = Array.from({ length: depth }, (_, at) => `message M${at} {`).join(' ')
  return `syntax = "proto3"; ${open} string id = 1; ${'}'.repeat(depth)}`
}
const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
const injected = [
  "x');process.exit(1);('",
  '__proto__',
  'constructor',
  'a\nb',
  'a"]=process.exit(2);b["',
  '$'.concat('{process.exit(3)}'),
  '',
  '0a',
  'toString()',
]

type Kind = { readonly name: string; readonly format: HostileSchema['format']; readonly make: (n: number) => string }
const avro = (name: string, make: Kind['make']): Kind => ({ name: `avro ${name}`, format: 'AVRO', make })
const json = (name: string, make: Kind['make']): Kind => ({ name: `json ${name}`, format: 'JSON', make })
const proto = (name: string, make: Kind['make']): Kind => ({ name: `protobuf ${name}`, format: 'PROTOBUF', make })
const slow_patterns = ['^(a+)+$', '^(a|aa)+$', '^(a*)*b$', '(?=a)a', '^([a-zA-Z]+)*$', '(a+)\\1', '^(.*a){20}$']

const kinds: readonly Kind[] = [
  avro('records in records', (n) => nestedAvro(1_000 + 500 * n)),
  avro('arrays in arrays', (n) =>
    item([{ name: 'f', type: JSON.parse(`${'{"type":"array","items":'.repeat(500 + n)}"null"${'}'.repeat(500 + n)}`) }]),
  ),
  avro('many fields', (n) => item(many(20_000 + n, (at) => ({ name: `f${at}`, type: 'string' })))),
  avro('an array of nothing', () => item([{ name: 'f', type: { type: 'array', items: 'null' } }])),
  avro('an array of empty records', (n) => item([{ name: 'f', type: { type: 'array', items: record(`E${n}`, []) } }])),
  avro('a fixed of no bytes in an array', (n) =>
    item([{ name: 'f', type: { type: 'array', items: { type: 'fixed', name: `Z${n}`, size: 0 } } }]),
  ),
  avro('a record that holds itself', (n) => item([{ name: `f${n}`, type: 'Item' }])),
  avro('an enum without end', (n) =>
    item([{ name: 'f', type: { type: 'enum', name: 'E', symbols: many(50_000 + n, (at) => `S${at}`) } }]),
  ),
  avro('a union of thousands', (n) => item([{ name: 'f', type: many(5_000 + n, (at) => record(`U${at}`, [])) }])),
  avro('a field name that is code', (n) => item([{ name: injected[n % injected.length], type: 'string' }])),
  avro('a record name that is code', (n) =>
    JSON.stringify(record(injected[n % injected.length]!, [{ name: 'f', type: 'string' }])),
  ),
  avro('an alias that is code', (n) => item([{ name: 'f', aliases: [injected[n % injected.length]], type: 'string' }])),
  avro('an enum symbol that is code', (n) =>
    item([{ name: 'f', type: { type: 'enum', name: 'E', symbols: [injected[n % injected.length], 'B'] } }]),
  ),
  avro('a text of a megabyte', (n) =>
    JSON.stringify({ ...(record('Item', [{ name: 'f', type: 'string' }]) as object), doc: 'x'.repeat(1_000_000 + n) }),
  ),
  avro('no schema', (n) => ['', '{', '[]', 'null', '"no such type"', '{"type":"record"}'][n % 6]!),
  avro('a fixed of gigabytes', (n) => item([{ name: 'f', type: { type: 'fixed', name: 'F', size: 2 ** 31 - 1 - n } }])),
  json('objects in objects', (n) => nestedJson(1_000 + 200 * n)),
  json('many properties', (n) =>
    JSON.stringify({ type: 'object', properties: Object.fromEntries(many(20_000 + n, (at) => [`p${at}`, { type: 'string' }])) }),
  ),
  json('a slow pattern', (n) =>
    JSON.stringify({
      type: 'object',
      required: ['id'],
      properties: { title: { type: 'string', pattern: slow_patterns[n % slow_patterns.length] } },
    }),
  ),
  json('a reference to a network', (n) => JSON.stringify({ $ref: `http://169.254.169.254/latest/meta-data/${n}` })),
  json('a reference to a file', () => JSON.stringify({ $ref: 'file:///etc/passwd' })),
  json('references in a circle', (n) =>
    JSON.stringify({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, title: String(n) }),
  ),
  json('references that fan out', (n) =>
    JSON.stringify({
      $ref: '#/$defs/d0',
      $defs: Object.fromEntries(
        many(20 + (n % 5), (at) => [
          `d${at}`,
          at === 19 ? { type: 'string' } : { allOf: many(10, () => ({ $ref: `#/$defs/d${at + 1}` })) },
        ]),
      ),
    }),
  ),
  json('unique items that are objects', () =>
    JSON.stringify({
      type: 'object',
      required: ['id'],
      properties: { title: { type: 'array', uniqueItems: true, items: { type: 'object' } } },
    }),
  ),
  json('an enum without end', (n) => JSON.stringify({ enum: many(50_000 + n, (at) => `v${at}`) })),
  json('no schema', (n) => ['', '{', '[]', '7', '{"type":"no such"}'][n % 5]!),
  proto('messages in messages', (n) => nestedProto(200 + 50 * n)),
  proto(
    'many fields',
    (n) => `syntax = "proto3"; message Item { ${many(20_000 + n, (at) => `string f${at} = ${at + 1};`).join(' ')} }`,
  ),
  proto('an import', (n) => `syntax = "proto3"; import "../../../../etc/passwd${n}"; message Item { string id = 1; }`),
  proto(
    'names that are code',
    (n) =>
      `syntax = "proto3"; message Item { string ${['x){process.exit(1)}function(', 'a;process.exit(2)//', 'a"b'][n % 3]} = 1; }`,
  ),
  proto('no schema', (n) => ['', 'message', 'syntax = "proto9"; message Item {}', '\u0000\u0001'][n % 4]!),
]

/** `count` of them, each kind in turn, each its own. */
export const hostileSchemas = (count: number): readonly HostileSchema[] =>
  many(count, (at) => {
    const { name, format, make } = kinds[at % kinds.length]!
    const n = Math.floor(at / kinds.length)
    return { name: `${name} ${n}`, format, text: make(n) }
  })
