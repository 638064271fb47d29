/** Compression of record batches: what may be read is bounded, because a few bytes can unfold into gigabytes. */
import { promisify } from 'node:util'
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import { Fault } from '../../domain/fault.ts'
import { inflateLz4 } from './lz4.ts'
import { inflateSnappy } from './snappy.ts'

/** Kafka's numbers, from the attributes of a batch. Only those of `writable` are written. */
export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type Codec = (typeof codecs)[number]
export type WritableCodec = 'none' | 'gzip' | 'zstd'

const mebibyte = 1 << 20
const inflated_bytes_max = 64 * mebibyte
const inflated_ratio_max = 200

/** Most bytes a batch may unfold into: 64 MiB, and 200 times its size where that is more than 1 MiB (small batches of equal records compress well). */
export const inflateLimit = (compressed_bytes: number): number =>
  Math.min(inflated_bytes_max, Math.max(mebibyte, compressed_bytes * inflated_ratio_max))

const gunzipped = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)
const unzstd = promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress)
const gzipped = promisify<Buffer, Buffer>(gzip)
const zstd = promisify<Buffer, Buffer>(zstdCompress)

/** The records of a batch. Throws `limits.inflate` for a bomb and `decode.invalid` for bytes that are not what the codec says. */
export const inflate = async (codec: Codec, bytes: Buffer): Promise<Buffer> => {
  const limit = inflateLimit(bytes.length)
  try {
    switch (codec) {
      case 'none':
        return bytes
      case 'gzip':
        return await gunzipped(bytes, { maxOutputLength: limit })
      case 'zstd':
        return await unzstd(bytes, { maxOutputLength: limit })
      case 'snappy':
        return inflateSnappy(bytes, limit)
      case 'lz4':
        return inflateLz4(bytes, limit)
      default:
        codec satisfies never
        return bytes
    }
  } catch (error) {
    if (error instanceof RangeError || (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE')
      throw new Fault('limits.inflate', `A ${codec} batch of ${bytes.length} bytes unfolds into more than ${limit} bytes.`, {
        codec,
        bytes: bytes.length,
      })
    throw new Fault(
      'decode.invalid',
      `A batch of ${bytes.length} bytes is marked ${codec}, but cannot be unfolded.`,
      { codec },
      error,
    )
  }
}

export const deflate = async (codec: WritableCodec, bytes: Buffer): Promise<Buffer> =>
  codec === 'none' ? bytes : codec === 'gzip' ? gzipped(bytes) : zstd(bytes)
