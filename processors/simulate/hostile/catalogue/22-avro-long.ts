/** Row 22: Avro longs beyond 2^53. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 22,
  name: 'Avro long beyond 2^53',
  answer: 'accept',
  records: ({ avro }) => [
    avro('2^53-1 as a stock', [['stock', 'long', zigzag(2n ** 53n - 1n)]], canonical({ quantity: Number.MAX_SAFE_INTEGER })),
    avro('2^53+1 in a field nobody reads', [['more', 'long', zigzag(2n ** 53n + 1n)]], canonical()),
    avro('2^53+1 as a brand', [['brand', 'long', zigzag(2n ** 53n + 1n)]], canonical({ brand: '9007199254740993' })),
    avro('2^53+1 as a stock', [['stock', 'long', zigzag(2n ** 53n + 1n)]], dead('number.unsafe')),
    avro(
      '-2^63 in a union',
      [['brand', ['null', 'long'], Buffer.concat([zigzag(1), zigzag(-(2n ** 63n))])]],
      canonical({ brand: '-9223372036854775808' }),
    ),
  ],
}
