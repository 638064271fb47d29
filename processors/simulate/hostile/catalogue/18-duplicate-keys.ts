/** Row 18: one key twice in an object. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 18,
  name: 'JSON duplicate keys',
  answer: 'dead letter',
  records: ({ plain, json }) => [
    plain('an id twice', '{"id":"a","id":"b","title":"x"}', dead('json.dup_key')),
    json('an id twice, behind a header', '{"id":"a","id":"b","title":"x"}', dead('json.dup_key')),
    plain('once written with an escape', '{"id":"a","\\u0069d":"b","title":"x"}', dead('json.dup_key')),
    plain('deep inside', '{"id":"a","title":"x","more":[{"k":1,"k":1}]}', dead('json.dup_key')),
    plain('colons in texts are no keys', '{"id":"a:b","title":"c: \\":\\" d"}', canonical({ source_variant_id: 'a:b' })),
  ],
}
