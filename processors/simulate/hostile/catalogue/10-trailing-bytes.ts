/** Row 10: bytes behind the datum. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 10,
  name: 'trailing bytes after the datum',
  answer: 'dead letter',
  records: ({ raw, good, plain, avro }) => [
    raw(
      'avro',
      'three bytes behind a good record',
      Buffer.concat([good('avro'), Buffer.from([1, 2, 3])]),
      dead('decode.trailing'),
    ),
    avro('a second datum', [], dead('decode.trailing'), Buffer.from('again')),
    plain('a second value', '{"id":"1","title":"x"} {"id":"2","title":"y"}', dead('json.syntax')),
  ],
}
