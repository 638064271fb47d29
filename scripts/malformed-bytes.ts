/**
 * Makes malformed records of the kinds in the bad-input catalogue (reliability reference §4) for a source topic, to be mixed into a
 * replay: each with the code it has to be dead-lettered with. The same seed makes the same records.
 */
import { frame, header_bytes, messagePathBytes } from '../processors/adapters/registry/framing.ts'
import { protoTag, varint, zigzag } from '../processors/adapters/registry/wire-bytes.ts'
import type { FaultCode } from '../processors/domain/fault.ts'
import type { SourceFormat } from '../processors/ports/schema-registry.ts'

export type Malformed = {
  readonly bytes: Buffer
  readonly expected_code: FaultCode
  /** Row of the catalogue and what is wrong. */
  readonly kind: string
}

/** The topic the records are for. Kinds that need what is not given are left out. */
export type MalformedTarget = {
  readonly format: SourceFormat
  /** A sound record of the topic as it stands on the wire; framed formats need one. */
  readonly sample?: Buffer
  /** An id that the registry does not know. */
  readonly unknown_id?: number
  /** A registered id of the topic's format, under another subject only. */
  readonly other_subject_id?: number
  /** A registered id of another format. */
  readonly other_format_id?: number
}

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

type Kind = readonly [kind: string, expected_code: FaultCode, make: (random: () => number) => Buffer]

const upTo = (random: () => number, count: number): number => Math.floor(random() * count)
const repeated = (count: number, make: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => make(i)).join(',')

/** JSON texts that no strict reader takes, with a random part each so that no two are alike. */
const json_kinds: readonly Kind[] = [
  ['10: text behind a JSON value', 'json.syntax', (random) => Buffer.from(`{"n":${random()}} {"n":2}`)],
  ['11: JSON cut', 'json.syntax', (random) => Buffer.from(`{"n":${random()},"title":"never end`)],
  [
    '16: JSON nested too deep',
    'limits.depth',
    (random) => {
      const levels = 33 + upTo(random, 5_000)
      return Buffer.from(`${'{"a":['.repeat(levels)}${random()}${']}'.repeat(levels)}`)
    },
  ],
  [
    '17: too many keys',
    'limits.items',
    (random) => Buffer.from(`{${repeated(1_001 + upTo(random, 50), (i) => `"k${i}":${i}`)}}`),
  ],
  ['17: too many items', 'limits.items', (random) => Buffer.from(`[${repeated(10_001 + upTo(random, 50), String)}]`)],
  ['17: string too long', 'limits.string', (random) => Buffer.from(`{"n":${random()},"title":"${'x'.repeat(65_537)}"}`)],
  ['18: a key twice', 'json.dup_key', (random) => Buffer.from(`{"uid":"a${random()}","uid":"b"}`)],
  ['20: number beyond a double', 'number.range', (random) => Buffer.from(`{"price":1e${309 + upTo(random, 500)}}`)],
  [
    '37: key that is not UTF-8',
    'decode.utf8',
    (random) => Buffer.concat([Buffer.from(`{"n":${random()},"a`), Buffer.from([0xff]), Buffer.from('":1}')]),
  ],
  [
    '38: half a surrogate pair in a key',
    'decode.utf8',
    (random) => Buffer.from(`{"n":${random()},"\\ud8${upTo(random, 10)}0":1}`),
  ],
  [
    '41: byte order mark',
    'json.syntax',
    (random) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(`{"n":${random()}}`)]),
  ],
  ['42: __proto__', 'json.proto', (random) => Buffer.from(`{"__proto__":{"admin":${random()}}}`)],
  ['42: constructor, nested', 'json.proto', (random) => Buffer.from(`{"a":[{"constructor":${random()}}]}`)],
]

const framedKinds = (target: MalformedTarget, sample: Buffer): readonly Kind[] => {
  const id = sample.readInt32BE(1)
  const datum = sample.subarray(header_bytes)
  const reframed = (other: number | undefined, kind: string, code: FaultCode): readonly Kind[] =>
    other === undefined ? [] : [[kind, code, () => frame(other, datum)]]
  const always: readonly Kind[] = [
    ['4: no magic byte', 'decode.magic', (random) => Buffer.from(`{"n":${random()}}`)],
    [
      '4: another magic byte',
      'decode.magic',
      (random) => Buffer.concat([Buffer.from([1 + upTo(random, 255)]), sample.subarray(1)]),
    ],
    ['5: header cut', 'decode.truncated', (random) => Buffer.from(sample.subarray(0, 1 + upTo(random, 4)))],
    ...reframed(target.unknown_id, '6: unknown schema id', 'schema.unknown'),
    ...reframed(target.other_subject_id, '7: schema of another subject', 'schema.subject_mismatch'),
    ...reframed(target.other_format_id, '8: schema of another format', 'schema.type'),
  ]
  switch (target.format) {
    case 'JSON':
      return [
        ...always,
        ['1: no bytes behind the header', 'decode.empty', () => frame(id, Buffer.alloc(0))],
        ...json_kinds.map(([kind, code, make]): Kind => [kind, code, (random) => frame(id, make(random))]),
      ]
    case 'AVRO':
      return [
        ...always,
        [
          '10: bytes behind the datum',
          'decode.trailing',
          (random) => Buffer.concat([sample, Buffer.alloc(1 + upTo(random, 20), upTo(random, 256))]),
        ],
        [
          '11: datum cut',
          'decode.truncated',
          (random) => Buffer.from(sample.subarray(0, header_bytes + upTo(random, datum.length))),
        ],
      ]
    default: {
      const path = messagePathBytes([0])
      const with_path = (bytes: Buffer): Buffer => frame(id, Buffer.concat([path, bytes]))
      const append = (...bytes: readonly Buffer[]): Buffer => Buffer.concat([sample, ...bytes])
      const unknown_field = (random: () => number): number => 20_000 + upTo(random, 100_000)
      return [
        ...always,
        ['1: message without bytes', 'decode.empty', () => with_path(Buffer.alloc(0))],
        ['5: message index missing', 'decode.truncated', () => frame(id, Buffer.alloc(0))],
        [
          '9: negative message index',
          'decode.index',
          (random) => frame(id, Buffer.concat([zigzag(1), zigzag(-1 - upTo(random, 1_000))])),
        ],
        [
          '9: message index too long',
          'decode.index',
          (random) => frame(id, Buffer.concat([zigzag(17 + upTo(random, 1e9)), Buffer.alloc(20)])),
        ],
        [
          '9: message index out of range',
          'decode.index',
          (random) => frame(id, Buffer.concat([zigzag(1), zigzag(10_000 + upTo(random, 1_000)), datum])),
        ],
        ['10: a field of number 0', 'decode.invalid', (random) => append(varint(upTo(random, 6)), Buffer.from([1]))],
        ['35: last field cut', 'decode.truncated', () => Buffer.from(sample.subarray(0, sample.length - 1))],
        [
          '35: string longer than the record',
          'decode.truncated',
          (random) => append(protoTag(unknown_field(random), 2), varint(2 + upTo(random, 1e6)), Buffer.from('A')),
        ],
        [
          '36: nested too deep',
          'limits.depth',
          (random) => {
            const number = unknown_field(random)
            return append(...Array.from({ length: 33 + upTo(random, 2_000) }, () => protoTag(number, 3)))
          },
        ],
      ]
    }
  }
}

/** The kinds there are for a target, in order. */
const kindsOf = (target: MalformedTarget): readonly Kind[] => {
  const empty: Kind = ['1: no bytes at all', 'decode.empty', () => Buffer.alloc(0)]
  if (target.format === 'PLAIN_JSON') return [empty, ...json_kinds]
  if (target.sample === undefined) throw new Error(`A ${target.format} topic needs a sample of a sound record.`)
  return [empty, ...framedKinds(target, target.sample)]
}

/** `count` malformed records for the target, every kind in turn in an order of the seed's. */
export const malformedRecords = (count: number, seed: number, target: MalformedTarget): readonly Malformed[] => {
  const random = seeded(seed)
  const kinds = [...kindsOf(target)]
  for (let i = kinds.length - 1; i > 0; i--) {
    const j = upTo(random, i + 1)
    ;[kinds[i], kinds[j]] = [kinds[j]!, kinds[i]!]
  }
  return Array.from({ length: count }, (_, i) => {
    const [kind, expected_code, make] = kinds[i % kinds.length]!
    return { bytes: make(random), expected_code, kind }
  })
}
