/** Row 62: a record larger than a consumer asks for. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 62,
  name: 'record larger than the consumer’s fetch',
  answer: 'dead letter',
  otherwise:
    'A broker answers with at least one whole batch whatever was asked for, so nothing is stuck; our topics take 4 MiB, so that the letter fits. A source topic that takes more stops its reader at the first such record.',
  records: ({ raw }) =>
    [1_200_000, 3_500_000].map((bytes) =>
      raw(
        'plain',
        `${bytes} bytes`,
        Buffer.concat([Buffer.from('"'), Buffer.alloc(bytes, 0x61), Buffer.from('"')]),
        dead('limits.bytes'),
      ),
    ),
}
