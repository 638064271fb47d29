/** Row 39: Unicode forms, case and what cannot be seen. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 39,
  name: 'NFC/NFD, case, trailing, zero-width and RTL characters',
  answer: 'accept',
  records: ({ plain }) => [
    plain('a composed id', { id: 'caf\u00e9' }, canonical({ source_variant_id: 'caf\u00e9' })),
    plain('the same, decomposed, is another id', { id: 'cafe\u0301' }, canonical({ source_variant_id: 'cafe\u0301' })),
    plain('blanks around an id stay', { id: ' 39 ' }, canonical({ source_variant_id: ' 39 ' })),
    plain('upper case is another id', { id: 'CAF\u00c9' }, canonical({ source_variant_id: 'CAF\u00c9' })),
    plain('a control character in an id', { id: 'a\u0007b' }, dead('decode.utf8')),
    plain(
      'a title is composed, and its original kept',
      { title: 'Cafe\u0301' },
      canonical({ title: 'Caf\u00e9', title_original: 'Cafe\u0301' }, 'text'),
    ),
    plain(
      'zero-width and direction characters in a title',
      { title: '\u202eTea\u200b pot\u2066 ' },
      canonical({ title: 'Tea pot' }, 'text'),
    ),
  ],
}
