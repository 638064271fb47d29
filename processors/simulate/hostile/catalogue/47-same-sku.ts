/** Row 47: one SKU at two shops. */
import { itemId } from '../../../domain/ids.ts'
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 47,
  name: 'same SKU on two platforms, different products',
  answer: 'accept',
  records: ({ plain, avro }) => [
    plain('a SKU', { id: 'SKU-1' }, canonical({ item_id: 'bazaar:main:SKU-1' })),
    plain('a SKU with the separator in it', { id: 'a:b%' }, canonical({ item_id: 'bazaar:main:a%3Ab%25' })),
    avro('an item beside it', [], canonical()),
  ],
  check: async () =>
    new Set([itemId('a', 'b', 'c'), itemId('a:b', 'c', ''), itemId('a', 'b:c', ''), itemId('b', 'b', 'c')]).size === 4
      ? []
      : ['two shops share an item id'],
  not_yet: { issue: 6, what: 'Links between shops are made by the matcher, on evidence.' },
}
