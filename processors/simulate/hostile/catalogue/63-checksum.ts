/** Row 63: a batch whose checksum is wrong. */
import type { Row } from '../row.ts'

export const row: Row = {
  row: 63,
  name: 'CRC-bad batch from the broker',
  answer: 'not yet',
  otherwise: 'Brokers check what producers send, and the embedded log checks every block it reads (log.corrupt).',
  not_yet: { issue: 4, what: 'kafkajs reads the checksum of a fetched batch and does not compare it.' },
}
