/** Row 31: times that do not exist. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, dropped, type Row } from '../row.ts'

export const row: Row = {
  row: 31,
  name: 'Date beyond 8.64e15, year 0, 2026-02-30, no zone',
  answer: 'dead letter',
  records: ({ click, avro }) => [
    ...[
      '2026-02-30T00:00:00Z',
      '0000-01-01T00:00:00Z',
      '2025-11-01T08:00:00',
      '+275761-01-01T00:00:00Z',
      'yesterday',
      '2025-11-01T25:00:00Z',
    ].map((at) => click(at, { at }, dead('time.invalid'))),
    click('a bare number', { at: 8_640_000_000_000_001 }, dead('time.invalid')),
    click('an object that calls itself an instant', { at: { epoch_ms: 1_763_900_000_000 } }, dead('time.invalid')),
    avro(
      'a timestamp beyond dates',
      [['at', { type: 'long', logicalType: 'timestamp-millis' }, zigzag(8_640_000_000_000_001n)]],
      dead('time.invalid'),
    ),
    click('a leap second', { at: '2016-12-31T23:59:60Z' }, dropped('late')),
  ],
}
