/** Row 43: names of methods that every object has. */
import { avroString, protoBytes, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 43,
  name: 'keys named hasOwnProperty, toString, then',
  answer: 'accept',
  records: ({ plain, json, avro, protobuf }) => {
    const names = ['hasOwnProperty', 'toString', 'then', 'valueOf', 'toJSON', 'length']
    const attributes = Object.fromEntries(names.map((name) => [name, 'x']))
    const one = Object.fromEntries([['then', 'c']])
    const entry = Buffer.concat([protoBytes(1, 'then'), protoBytes(2, 'c')])
    return [
      plain('as attributes', { attributes }, canonical({ attributes })),
      plain('beside the fields', attributes, canonical()),
      json('behind a header', { ...attributes, attributes }, canonical({ attributes })),
      avro(
        'in an Avro map',
        [
          [
            'attributes',
            { type: 'map', values: 'string' },
            Buffer.concat([zigzag(1), avroString('then'), avroString('c'), zigzag(0)]),
          ],
        ],
        canonical({ attributes: one }),
      ),
      avro(
        'as Avro fields',
        [
          ['then', 'string', avroString('x')],
          ['toString', 'string', avroString('x')],
        ],
        canonical(),
      ),
      protobuf(
        'in a Protobuf map',
        'map<string, string> attributes = 10;',
        protoBytes(10, entry),
        canonical({ attributes: one }),
      ),
      protobuf(
        'as Protobuf fields',
        'string then = 12; string toString = 13; string hasOwnProperty = 14;',
        protoBytes(12, 'x'),
        canonical(),
      ),
    ]
  },
}
