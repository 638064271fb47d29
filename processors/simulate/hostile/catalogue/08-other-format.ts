/** Row 8: a schema of another format under the right subject. */
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 8,
  name: 'schema type differs (id is Protobuf, topic Avro)',
  answer: 'dead letter',
  records: ({ raw, framed }) => {
    const message = { format: 'PROTOBUF', text: 'syntax = "proto3"; message Other { string id = 1; }' } as const
    return [
      raw('avro', 'Protobuf in an Avro topic', framed('avro', Buffer.from([0, 10, 1, 65]), message), dead('schema.type')),
      raw('json', 'Protobuf in a JSON topic', framed('json', Buffer.from([0, 10, 1, 65]), message), dead('schema.type')),
      raw(
        'protobuf',
        'Avro in a Protobuf topic',
        framed('protobuf', Buffer.from([2, 65]), { format: 'AVRO', text: '"string"' }),
        dead('schema.type'),
      ),
    ]
  },
}
