/** Row 16: JSON nested deeper than any program recurses. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 16,
  name: 'JSON depth 10^6',
  answer: 'dead letter',
  records: ({ plain, json }) => {
    const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    return [
      plain('lists 500,000 deep', deep(500_000), dead('limits.depth')),
      plain('a million deep, which is 2 MB', deep(1_000_000), dead('limits.bytes')),
      plain(
        'objects 20,000 deep',
        `{"id":"1","title":"x","more":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
        dead('limits.depth'),
      ),
      json('lists 40 deep', `{"id":"1","title":"x","more":${deep(40)}}`, dead('limits.depth')),
      plain('lists 30 deep', { more: JSON.parse(deep(30)) as unknown }, canonical()),
      plain('brackets never closed', '['.repeat(100_000), dead('limits.depth')),
    ]
  },
}
