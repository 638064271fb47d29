/** Row 25: a boolean that is neither 0 nor 1. */
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 25,
  name: 'Avro boolean byte 7',
  answer: 'accept',
  records: ({ avro }) => [
    avro('7', [['more', 'boolean', Buffer.from([7])]], canonical()),
    avro('0xff', [['more', 'boolean', Buffer.from([0xff])]], canonical()),
  ],
}
