/** Row 26: branches of a union that are not there. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 26,
  name: 'union index out of range',
  answer: 'dead letter',
  records: ({ avro }) => [
    avro('5 of 2', [['brand', ['null', 'string'], zigzag(5)]], dead('decode.invalid')),
    avro('-1', [['brand', ['null', 'string'], zigzag(-1)]], dead('decode.invalid')),
    avro('2^62', [['brand', ['null', 'string'], zigzag(2n ** 62n)]], dead('decode.invalid')),
  ],
}
