/** Row 46: barcodes that identify nothing. */
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 46,
  name: 'GTIN wrong checksum, all zeros, shared placeholder',
  answer: 'accept with a flag',
  records: ({ plain }) => [
    plain(
      'a wrong check digit',
      { gtin: '4006381333932' },
      canonical({ gtin: null, gtin_status: 'BAD_CHECK' }, 'gtin.check_digit'),
    ),
    plain('all zeros', { gtin: '0000000000000' }, canonical({ gtin: null, gtin_status: 'ABSENT' }, 'gtin.zeros')),
    plain('no barcode at all', { gtin: 'n/a' }, canonical({ gtin: null, gtin_status: 'ABSENT' }, 'gtin.not_a_gtin')),
    plain('one for use inside a shop', { gtin: '2000000000008' }, canonical({ gtin_status: 'RESTRICTED' }, 'gtin.restricted')),
  ],
  not_yet: { issue: 6, what: 'An identifier that links more than 50 products is demoted by the matcher.' },
}
