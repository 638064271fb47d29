/** Row 41: JSON behind a byte order mark. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 41,
  name: 'BOM-prefixed JSON',
  answer: 'dead letter',
  records: ({ plain, json }) => [
    plain('plain', '\ufeff{"id":"1","title":"x"}', dead('json.syntax')),
    json('behind a header', '\ufeff{"id":"1","title":"x"}', dead('json.syntax')),
    plain('UTF-16', Buffer.from('\ufeff{"id":"1","title":"x"}', 'utf16le'), dead('json.syntax')),
  ],
}
