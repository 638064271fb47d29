/** Row 48: a chain of likenesses that ends in one cluster of all. */
import type { Row } from '../row.ts'

export const row: Row = {
  row: 48,
  name: 'link chain explosion',
  answer: 'not yet',
  not_yet: { issue: 6, what: 'Clusters are capped at 200 members; what is beyond goes to review.' },
}
