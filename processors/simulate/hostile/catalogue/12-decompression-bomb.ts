/** Row 12: batches that unfold into far more than they are. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { cappedGzip, zstd } from '../../../adapters/kafka/compression.ts'
import { seededRandom } from '../../../adapters/system/random.ts'
import type { Fault } from '../../../domain/fault.ts'
import type { Row } from '../row.ts'

const randomOf = (length: number): Buffer => {
  const random = seededRandom(12)
  return Buffer.from(Uint8Array.from({ length }, () => random.next() * 256))
}

export const row: Row = {
  row: 12,
  name: 'record batch decompresses to more than 64 MiB or 200:1',
  answer: 'stop',
  otherwise: 'The subscription ends with the reason and the place: to skip a batch nobody could read is the operator’s decision.',
  check: async () => {
    const zeros = Buffer.alloc(70 << 20)
    const dense = randomOf(1 << 20)
    const sparse = Buffer.concat([zeros.subarray(0, 30 << 20), dense.subarray(0, 1024)])
    const wrong: string[] = []
    const expectInflate = async (what: string, unfold: Promise<Buffer>): Promise<void> => {
      const outcome = await unfold.then(
        () => 'unfolded',
        (error: Fault) => error.code,
      )
      if (outcome !== 'limits.inflate') wrong.push(`${what}: ${outcome}`)
    }
    await expectInflate('gzip, 70 MiB of zeros', cappedGzip.decompress(gzipSync(zeros, { level: 1 })))
    await expectInflate('zstd, 70 MiB of zeros', zstd.decompress(zstdCompressSync(zeros)))
    await expectInflate('gzip, 30 MiB from little', cappedGzip.decompress(gzipSync(sparse, { level: 9 })))
    await expectInflate('zstd, 30 MiB from little', zstd.decompress(zstdCompressSync(sparse)))
    const back = await cappedGzip.decompress(gzipSync(dense))
    if (!back.equals(dense)) wrong.push('an honest batch does not come back')
    return wrong
  },
}
