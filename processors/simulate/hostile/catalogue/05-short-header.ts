/** Row 5: fewer than the five bytes of the header. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 5,
  name: 'magic ok, less than 5 bytes',
  answer: 'dead letter',
  records: ({ raw }) =>
    (['avro', 'protobuf', 'json'] as const).flatMap((kind) =>
      [1, 2, 3, 4].map((length) => raw(kind, `${kind} of ${length} bytes`, Buffer.alloc(length), dead('decode.truncated'))),
    ),
}
