/** Row 61: offsets with holes in them. */
import { sparse } from '../market.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 61,
  name: 'compaction gaps and markers in offsets',
  answer: 'accept',
  check: sparse,
}
