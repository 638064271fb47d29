/** Row 35: Protobuf that ends too early, which protobufjs would accept. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 35,
  name: 'truncated Protobuf string',
  answer: 'dead letter',
  records: ({ protobuf, raw, good }) => [
    raw('protobuf', 'the last two bytes are missing', good('protobuf').subarray(0, -2), dead('decode.truncated')),
    protobuf('a string cut', 'string brand = 4;', Buffer.from([0x22, 200, 1, 65]), dead('decode.truncated')),
    protobuf('a varint cut', 'int64 stock = 8;', Buffer.from([0x40, 0x80]), dead('decode.truncated')),
    protobuf('a double cut', 'double price = 6;', Buffer.from([0x31, 1, 2]), dead('decode.truncated')),
    protobuf('a field nobody knows cut', '', Buffer.from([0x7a, 200, 1, 65]), dead('decode.truncated')),
    protobuf(
      'an inner message longer than the outer',
      'N n = 7;---message N { string s = 2; }',
      Buffer.from([0x3a, 3, 0x12, 9, 65]),
      dead('decode.truncated'),
    ),
    protobuf('a tag alone', 'int64 stock = 8;', Buffer.from([0x40]), dead('decode.truncated')),
  ],
}
