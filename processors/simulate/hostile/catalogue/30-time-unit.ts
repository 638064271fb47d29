/** Row 30: seconds, milliseconds and microseconds taken for each other. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 30,
  name: 'timestamp in s, ms or µs',
  answer: 'dead letter',
  records: ({ click, avro, now_ms }) => {
    const seconds = Math.floor(now_ms / 1_000) - 60
    const timed = (logicalType: string, value: bigint) => [['at', { type: 'long', logicalType }, zigzag(value)]] as const
    return [
      click('seconds', { at: null, seconds }, canonical({ occurred_at: seconds * 1_000 })),
      click('milliseconds for seconds', { at: null, seconds: seconds * 1_000 }, dead('time.invalid')),
      click('microseconds for seconds', { at: null, seconds: seconds * 1_000_000 }, dead('time.invalid')),
      click('1970', { at: null, seconds: 86_400 }, dead('time.invalid')),
      avro('µs where ms are declared', timed('timestamp-millis', 1_763_900_000_000_000n), dead('time.invalid')),
      avro('s where ms are declared', timed('timestamp-millis', 1_763_900_000n), dead('time.invalid')),
      avro(
        'µs declared as such',
        timed('timestamp-micros', 1_763_900_000_000_999n),
        canonical({ source_updated_at: 1_763_900_000_000 }),
      ),
    ]
  },
}
