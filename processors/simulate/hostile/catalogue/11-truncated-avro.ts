/** Row 11: Avro that ends too early or says it is longer than it is. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 11,
  name: 'truncated Avro; negative or 2^31 string length',
  answer: 'dead letter',
  records: ({ raw, good, avro, framed }) => [
    raw('avro', 'the last two bytes are missing', good('avro').subarray(0, -2), dead('decode.truncated')),
    raw('avro', 'a negative length', framed('avro', zigzag(-3)), dead('decode.invalid')),
    raw(
      'avro',
      'a length of 2^31',
      framed('avro', Buffer.concat([zigzag(2n ** 31n), Buffer.from('a')])),
      dead('decode.truncated'),
    ),
    avro('bytes of 2^62', [['more', 'bytes', zigzag(2n ** 62n)]], dead('decode.truncated')),
    avro('an integer of 11 bytes', [['more', 'long', Buffer.alloc(11, 0xff)]], dead('decode.invalid')),
  ],
}
