/** Row 27: symbols that the reader does not know. */
import { protoVarint, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 27,
  name: 'enum symbol unknown to the reader',
  answer: 'dead letter',
  otherwise:
    'Source records are read by their writer’s schema, so an Avro symbol is always known; a Protobuf number outside is UNKNOWN.',
  records: ({ avro, protobuf }) => {
    const brands = { type: 'enum', name: 'Brand', symbols: ['ACME', 'OTHER'] }
    return [
      avro('an index out of range', [['brand', brands, zigzag(2)]], dead('decode.invalid')),
      avro('a negative index', [['brand', brands, zigzag(-1)]], dead('decode.invalid')),
      avro(
        'a symbol of a newer writer',
        [['brand', { ...brands, symbols: ['ACME', 'OTHER', 'NEW'] }, zigzag(2)]],
        canonical({ brand: 'NEW' }),
      ),
      protobuf(
        'number 99',
        'Brand brand = 4;---enum Brand { ACME = 0; OTHER = 1; }',
        protoVarint(4, 99),
        canonical({ brand: 'UNKNOWN' }),
      ),
    ]
  },
}
