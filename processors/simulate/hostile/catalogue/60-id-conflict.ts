/** Row 60: one event id with two contents. */
import { canonical, dead, dropped, type Row } from '../row.ts'

export const row: Row = {
  row: 60,
  name: 'event id reused with different content',
  answer: 'dead letter',
  records: ({ click }) => [
    click('the first', { id: 'e60' }, canonical({ event_id: 'bazaar:main:e60' })),
    click('the same again', { id: 'e60' }, dropped('duplicate')),
    click('another content', { id: 'e60', item: 'another thing' }, dead('id.conflict')),
    click('the first again', { id: 'e60' }, dropped('duplicate')),
  ],
}
