/** Row 17: more keys, items, characters or bytes than a record may have. */
import { avroString, protoBytes } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 17,
  name: 'JSON of 200k keys, 1 M elements, a 10 MB string',
  answer: 'dead letter',
  records: ({ plain, json, avro, protobuf }) => {
    const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 0]))
    const items = (count: number) => Array.from({ length: count }, () => 0)
    const lists = Array.from({ length: 11 }, () => items(9_500))
    return [
      plain('an object of 2,000 keys', { more: keys(2_000) }, dead('limits.items')),
      plain('an object of 60,000 keys', { more: keys(60_000) }, dead('limits.items')),
      plain('a list of 10,001', { more: items(10_001) }, dead('limits.items')),
      plain('eleven lists of 9,500', { more: lists }, dead('limits.items')),
      json('a string of 70,000', { description: 'x'.repeat(70_000) }, dead('limits.string')),
      plain('10 MB of string', { description: 'x'.repeat(10_000_000) }, dead('limits.bytes')),
      avro('Avro: a string of 70,000', [['description', 'string', avroString('x'.repeat(70_000))]], dead('limits.string')),
      protobuf(
        'Protobuf: a string of 70,000',
        'string description = 3;',
        protoBytes(3, 'x'.repeat(70_000)),
        dead('limits.string'),
      ),
      avro('Avro: 1.1 MB of bytes', [['more', 'bytes', avroString(Buffer.alloc(1_100_000))]], dead('limits.bytes')),
    ]
  },
}
