/** Row 1: a value of no bytes, and a message of none. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 1,
  name: 'empty value, non-null',
  answer: 'dead letter',
  records: ({ raw, framed }) => [
    raw('plain', 'plain JSON', Buffer.alloc(0), dead('decode.empty')),
    raw('avro', 'Avro without a header', Buffer.alloc(0), dead('decode.empty')),
    raw('protobuf', 'Protobuf without a header', Buffer.alloc(0), dead('decode.empty')),
    raw('json', 'JSON: a header alone', framed('json', Buffer.alloc(0)), dead('decode.empty')),
    raw('avro', 'Avro: a header alone', framed('avro', Buffer.alloc(0)), dead('decode.truncated')),
    raw(
      'protobuf',
      'Protobuf: a message of no bytes, which would be all defaults',
      framed('protobuf', Buffer.from([0])),
      dead('decode.empty'),
    ),
    raw('protobuf', 'Protobuf: a header alone', framed('protobuf', Buffer.alloc(0)), dead('decode.truncated')),
  ],
}
