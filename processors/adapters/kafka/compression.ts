/** Compression codecs for kafkajs: what may be read is bounded, because a few bytes can unfold into gigabytes. */
import { promisify } from 'node:util'
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import { Fault } from '../../domain/fault.ts'

/** As kafkajs takes them. It hands over an encoder to fold, and bytes to unfold. */
export type Codec = {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(bytes: Buffer): Promise<Buffer>
}

const mebibyte = 1 << 20
const inflated_bytes_max = 64 * mebibyte
const inflated_ratio_max = 200

/** Most bytes a batch may unfold into: 64 MiB, and 200 times its size where that is more than 1 MiB (small batches of equal records compress well). */
export const inflateLimit = (compressed_bytes: number): number =>
  Math.min(inflated_bytes_max, Math.max(mebibyte, compressed_bytes * inflated_ratio_max))

/** kafkajs would try again; the bytes stay what they are. */
const forGood = (fault: Fault): Fault => Object.assign(fault, { retriable: false })

type Unfold = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const capped =
  (name: string, unfold: Unfold) =>
  async (bytes: Buffer): Promise<Buffer> => {
    const limit = inflateLimit(bytes.length)
    try {
      return await unfold(bytes, { maxOutputLength: limit })
    } catch (error) {
      const detail = { codec: name, bytes: bytes.length }
      if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE')
        throw forGood(
          new Fault('limits.inflate', `A ${name} batch of ${bytes.length} bytes unfolds into more than ${limit} bytes.`, detail),
        )
      throw forGood(
        new Fault('log.corrupt', `A batch of ${bytes.length} bytes is marked ${name}, but cannot be unfolded.`, detail, error),
      )
    }
  }

const gzipped = promisify<Buffer, Buffer>(gzip)
const zstandard = promisify<Buffer, Buffer>(zstdCompress)

export const cappedGzip: Codec = {
  compress: (encoder) => gzipped(encoder.buffer),
  decompress: capped('gzip', promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)),
}
export const zstd: Codec = {
  compress: (encoder) => zstandard(encoder.buffer),
  decompress: capped('zstd', promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress)),
}

/** Node has neither Snappy nor LZ4: such a topic stops its readers with a fault that says what to change. */
export const unsupported = (name: string): Codec => {
  const refuse = async (): Promise<never> => {
    throw forGood(
      new Fault(
        'log.codec',
        `A batch is compressed with ${name}: set compression.type=zstd on the topic (brokers then recompress what comes in), or in its producers.`,
        { codec: name },
      ),
    )
  }
  return { compress: refuse, decompress: refuse }
}
