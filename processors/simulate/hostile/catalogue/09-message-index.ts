/** Row 9: paths to messages that are not there. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 9,
  name: 'Protobuf message-index array negative, 2^31 long or out of range',
  answer: 'dead letter',
  records: ({ raw, framed }) =>
    Object.entries({
      'a negative index': Buffer.concat([zigzag(1), zigzag(-1)]),
      'a negative count': zigzag(-3),
      '2^31 entries': zigzag(2 ** 31),
      '17 entries': Buffer.concat([zigzag(17), Buffer.alloc(17)]),
      'out of range': Buffer.concat([zigzag(1), zigzag(32), Buffer.from('x')]),
      'a number longer than 5 bytes': Buffer.alloc(9, 0xff),
    }).map(([what, bytes]) => raw('protobuf', what, framed('protobuf', bytes), dead('decode.index'))),
}
