/** Row 20: numbers beyond a double, and minus zero. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 20,
  name: 'JSON 1e400 and -0',
  answer: 'dead letter',
  records: ({ plain }) => [
    plain('1e400', '{"id":"1","title":"x","price":1e400}', dead('number.range')),
    plain('400 digits', `{"id":"1","title":"x","more":${'9'.repeat(400)}}`, dead('number.range')),
    plain('-0 as a price', '{"id":"20a","title":"x","price":-0}', canonical({ price_minor: 0 })),
    plain('5e-324 as a price', '{"id":"20b","title":"x","price":5e-324}', dead('semantics.price')),
  ],
}
