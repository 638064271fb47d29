/** Row 51: vectors of a model that fails. */
import { degenerate_titles } from '../moody.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 51,
  name: 'vector zero, NaN, wrong length, norm 1e30',
  answer: 'dead letter',
  records: ({ plain }) =>
    Object.keys(degenerate_titles).map((title) => plain(title, { title }, { dead: 'embed.degenerate', by: 'embed' })),
}
