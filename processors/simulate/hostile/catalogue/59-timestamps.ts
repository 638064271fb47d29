/** Row 59: append times that cannot be. */
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 59,
  name: 'record timestamp -1, 0, year 9999',
  answer: 'accept with a flag',
  records: ({ raw, good }) =>
    [-1, 0, 253_402_300_799_000, 8.7e15].flatMap((timestamp_ms) =>
      (['avro', 'clicks'] as const).map((kind) =>
        raw(kind, `${kind} at ${timestamp_ms}`, good(kind), canonical({}, 'time.append'), { timestamp_ms }),
      ),
    ),
}
