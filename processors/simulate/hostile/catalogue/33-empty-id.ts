/** Row 33: defaults that hide a missing id. */
import { protoBytes } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 33,
  name: 'default masks a missing id',
  answer: 'dead letter',
  records: ({ click, plain, protobuf, raw, framed }) => [
    click('an empty user', { user: '' }, dead('semantics.user')),
    click('no user', { user: null }, dead('semantics.user')),
    plain('an empty id', { id: '' }, dead('map.missing')),
    click('an empty item', { item: '' }, dead('map.missing')),
    raw(
      'protobuf',
      'an id left at its default',
      framed('protobuf', Buffer.concat([Buffer.from([0]), protoBytes(2, 'A thing')])),
      dead('map.missing'),
    ),
    protobuf('a title left at its default', '', protoBytes(2, ''), dead('map.missing')),
  ],
}
