/** Row 7: a schema of another subject. */
import { avroString } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 7,
  name: 'schema id of another subject or platform',
  answer: 'dead letter',
  records: ({ raw, strange }) => [
    raw(
      'avro',
      'another shop’s Avro',
      strange(avroString('x'), { format: 'AVRO', text: '"string"' }),
      dead('schema.subject_mismatch'),
    ),
    raw(
      'json',
      'another shop’s JSON',
      strange(Buffer.from('{}'), { format: 'JSON', text: '{}' }),
      dead('schema.subject_mismatch'),
    ),
  ],
}
