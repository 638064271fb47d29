/** Row 4: a first byte that is not 0. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 4,
  name: 'wrong magic byte (JSON in an Avro topic)',
  answer: 'dead letter',
  records: ({ raw }) => [
    raw('avro', 'JSON in an Avro topic', Buffer.from('{"id":"1","title":"x"}'), dead('decode.magic')),
    raw('protobuf', 'text in a Protobuf topic', Buffer.from('hello'), dead('decode.magic')),
    raw('json', 'JSON without a header', Buffer.from('{"id":"1","title":"x"}'), dead('decode.magic')),
    raw('avro', 'magic byte 1', Buffer.from([1, 0, 0, 0, 1, 2, 65]), dead('decode.magic')),
    raw('plain', 'a header where none belongs', Buffer.from([0, 0, 0, 0, 1, 0x7b, 0x7d]), dead('json.syntax')),
  ],
}
