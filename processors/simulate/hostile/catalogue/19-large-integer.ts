/** Row 19: integers that a double rounds. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 19,
  name: 'JSON integer 2^53+1',
  answer: 'accept',
  otherwise: 'Integers are read exactly, so an id of 2^53+1 is kept as it is; where a number is needed it is refused.',
  records: ({ plain }) => [
    plain('as an id', '{"id":9007199254740993,"title":"x"}', canonical({ source_variant_id: '9007199254740993' })),
    plain(
      'of twenty digits',
      '{"id":-12345678901234567890,"title":"x"}',
      canonical({ source_variant_id: '-12345678901234567890' }),
    ),
    plain('as a stock', '{"id":"19a","title":"x","stock":9007199254740993}', dead('number.unsafe')),
    plain(
      'the last safe one as a stock',
      '{"id":"19b","title":"x","stock":9007199254740991}',
      canonical({ quantity: 9007199254740991 }),
    ),
    plain('written as a float, as an id', '{"id":9007199254740993.0,"title":"x"}', dead('number.unsafe')),
  ],
}
