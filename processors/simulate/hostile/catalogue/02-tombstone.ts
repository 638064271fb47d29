/** Row 2: a null value deletes what its key names. */
import { canonical, dead, dropped, type Row } from '../row.ts'

export const row: Row = {
  row: 2,
  name: 'null value (tombstone)',
  answer: 'accept',
  records: ({ raw, good }) => [
    raw('plain', 'an item that will be deleted', good('plain', { id: 'gone' }), canonical({ op: 'UPSERT' })),
    raw('plain', 'its deletion', null, canonical({ op: 'DELETE', source_variant_id: 'gone' }), { key: Buffer.from('gone') }),
    raw('avro', 'the deletion of something never seen', null, dropped('unknown_item')),
    raw('clicks', 'a deletion among events', null, dropped('tombstone')),
    raw('protobuf', 'a deletion of nobody knows what', null, dead('key.missing'), { key: null }),
    raw('json', 'a deletion with an empty key', null, dead('key.missing'), { key: Buffer.alloc(0) }),
  ],
}
