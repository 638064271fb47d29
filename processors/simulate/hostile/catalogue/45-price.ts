/** Row 45: prices that are none. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 45,
  name: 'price negative, 10^12, unknown currency, 1,234.50',
  answer: 'dead letter',
  records: ({ plain, click }) => [
    ...[-3, 1e15, '1,234.50', '12,50', 'about 3', '€3', '0x10', '1e3x'].map((price) =>
      plain(`a price of ${price}`, { price }, dead('semantics.price')),
    ),
    plain('an unknown currency', { price: 3, currency: 'XQZ' }, dead('semantics.currency')),
    plain(
      'a price of 10^12, which some currencies have',
      { price: 1e12, currency: 'IRR' },
      canonical({ price_minor: 100_000_000_000_000 }),
    ),
    click('a negative price', { price: '-0.01' }, dead('semantics.price')),
  ],
}
