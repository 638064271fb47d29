/** Row 56: one impression clicked twice, or by another. */
import type { Row } from '../row.ts'

export const row: Row = {
  row: 56,
  name: 'impression clicked twice, of another user, expired',
  answer: 'not yet',
  otherwise: 'The same event twice counts once by its id (row 60).',
  not_yet: { issue: 7, what: 'Impression tokens do not exist yet.' },
}
