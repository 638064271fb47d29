/** Row 28: unions whose branches look alike. */
import { avroString, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 28,
  name: 'two-record union',
  answer: 'accept',
  records: ({ avro }) => {
    const record = (name: string) => ({ type: 'record', name, fields: [{ name: 'x', type: 'string' }] })
    return [
      avro(
        'the second of two records',
        [['attributes', [record('A'), record('B')], Buffer.concat([zigzag(1), avroString('red')])]],
        canonical({ attributes: { x: 'red' } }),
      ),
      avro(
        'long of int and long',
        [['stock', ['int', 'long'], Buffer.concat([zigzag(1), zigzag(5)])]],
        canonical({ quantity: 5 }),
      ),
      avro(
        'bytes of string and bytes',
        [['brand', ['string', 'bytes'], Buffer.concat([zigzag(0), avroString('Acme')])]],
        canonical({ brand: 'Acme' }),
      ),
    ]
  },
}
