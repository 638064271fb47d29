/** Row 55: a click that nobody was shown. */
import type { Row } from '../row.ts'

export const row: Row = {
  row: 55,
  name: 'click without a valid impression token',
  answer: 'not yet',
  not_yet: { issue: 7, what: 'Impressions are not signed yet: a click counts whether it was shown or not.' },
}
