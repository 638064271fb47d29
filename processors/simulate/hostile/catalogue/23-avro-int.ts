/** Row 23: an int of 41 bits. */
import { protoVarint, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 23,
  name: 'Avro int carrying 2^40',
  answer: 'dead letter',
  records: ({ avro, protobuf }) => [
    avro('2^40', [['stock', 'int', zigzag(2n ** 40n)]], dead('number.range')),
    avro('-2^31-1', [['stock', 'int', zigzag(-(2n ** 31n) - 1n)]], dead('number.range')),
    protobuf('Protobuf int32 2^40', 'int32 stock = 8;', protoVarint(8, 2n ** 40n), dead('number.range')),
    avro('2^31-1', [['stock', 'int', zigzag(2 ** 31 - 1)]], canonical({ quantity: 2_147_483_647 })),
  ],
}
