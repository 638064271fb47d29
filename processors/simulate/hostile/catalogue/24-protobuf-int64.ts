/** Row 24: 64-bit integers of Protobuf. */
import { protoVarint } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 24,
  name: 'Protobuf int64 as Long',
  answer: 'accept',
  records: ({ protobuf }) => [
    protobuf('2^53+1 as a brand', 'int64 brand = 4;', protoVarint(4, 2n ** 53n + 1n), canonical({ brand: '9007199254740993' })),
    protobuf(
      'uint64 2^64-1 as a brand',
      'uint64 brand = 4;',
      protoVarint(4, 2n ** 64n - 1n),
      canonical({ brand: '18446744073709551615' }),
    ),
    protobuf('-1 as a brand', 'int64 brand = 4;', protoVarint(4, -1n), canonical({ brand: '-1' })),
    protobuf('2^53+1 as a stock', 'int64 stock = 8;', protoVarint(8, 2n ** 53n + 1n), dead('number.unsafe')),
    protobuf(
      'a varint of 70 bits',
      'int64 stock = 8;',
      Buffer.concat([Buffer.from([0x40]), Buffer.alloc(9, 0xff), Buffer.from([2])]),
      dead('decode.invalid'),
    ),
  ],
}
