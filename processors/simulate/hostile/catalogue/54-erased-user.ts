/** Row 54: a click of somebody who was erased. */
import type { Row } from '../row.ts'

export const row: Row = {
  row: 54,
  name: 'click for an erased user',
  answer: 'not yet',
  not_yet: { issue: null, what: 'There is no erasure yet (guarantee G14): a user’s events age out of the topics only.' },
}
