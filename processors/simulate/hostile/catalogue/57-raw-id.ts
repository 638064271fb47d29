/** Row 57: addresses of people where ids belong. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 57,
  name: 'user id is an e-mail or phone',
  answer: 'dead letter',
  records: ({ click }) => [
    click(
      'an e-mail address for a user becomes a pseudonym',
      { user: 'alice@example.com' },
      { ...canonical({ user_id_type: 'LOGIN' }), hides: 'alice' },
    ),
    click('an e-mail address for an item', { item: 'alice@example.com' }, dead('privacy.raw_id')),
    click('a phone number in a query', { query: 'call +49 170 1234567' }, dead('privacy.raw_id')),
    click('an e-mail address in a query', { query: 'gift for bob@example.org please' }, dead('privacy.raw_id')),
    click(
      'a user id of an id card',
      { user: '4006381333931' },
      { ...canonical({ user_id_type: 'LOGIN' }), hides: '4006381333931' },
    ),
  ],
}
