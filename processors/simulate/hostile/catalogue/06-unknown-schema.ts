/** Row 6: a schema id the registry does not know, and a registry that is away. */
import { frame } from '../../../adapters/registry/framing.ts'
import { outage } from '../market.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 6,
  name: 'unknown schema id, registry healthy or down',
  answer: 'dead letter',
  otherwise:
    'A healthy registry that does not know an id is believed at once, not after 60 s: the letter is replayed once the schema is there. Down: the partition pauses.',
  records: ({ raw }) => [
    raw('avro', 'an id nobody gave', frame(1_900_000_000, Buffer.from([2, 65])), dead('schema.unknown')),
    raw('protobuf', 'a negative id', frame(-1, Buffer.from([0, 10, 1, 65])), dead('schema.unknown')),
    raw('json', 'id 0', frame(0, Buffer.from('{}')), dead('schema.unknown')),
  ],
  check: outage,
}
