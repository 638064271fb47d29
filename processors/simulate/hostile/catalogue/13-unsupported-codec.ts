/** Row 13: batches in a compression that is not here. */
import { unsupported } from '../../../adapters/kafka/compression.ts'
import { Fault } from '../../../domain/fault.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 13,
  name: 'unsupported codec',
  answer: 'stop',
  otherwise:
    'Zstandard is supported; Snappy and LZ4 end the subscription with the setting that brokers recompress by. There is no check at the start.',
  check: async () => {
    const wrong: string[] = []
    for (const name of ['snappy', 'lz4']) {
      const outcome = await unsupported(name)
        .decompress(Buffer.alloc(10))
        .then(
          () => undefined,
          (error: unknown) => error,
        )
      if (!(outcome instanceof Fault) || outcome.code !== 'log.codec' || !outcome.message.includes('compression.type=zstd'))
        wrong.push(`${name}: ${String(outcome)}`)
    }
    return wrong
  },
}
