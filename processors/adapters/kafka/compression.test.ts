import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { cappedGzip, inflateLimit, unsupported, zstd } from './compression.ts'

const text = Buffer.from('goods from every port come in, goods from every port go out. '.repeat(40))

test.each([cappedGzip, zstd])('a codec unfolds what it folded', async (codec) => {
  const folded = await codec.compress({ buffer: text })
  expect(folded.length).toBeLessThan(text.length / 2)
  expect((await codec.decompress(folded)).equals(text)).toBe(true)
})

test('a bomb stops at its bound, and is not tried again', async () => {
  const zeros = Buffer.alloc(3 << 20)
  await expect(cappedGzip.decompress(gzipSync(zeros))).rejects.toMatchObject({ code: 'limits.inflate', retriable: false })
  await expect(zstd.decompress(zstdCompressSync(zeros))).rejects.toMatchObject({ code: 'limits.inflate', retriable: false })
})

test('equal records in a small batch may compress more than 200 times', async () => {
  const honest = gzipSync(Buffer.alloc(900_000, 'a'))
  expect(900_000 / honest.length).toBeGreaterThan(200)
  expect(await cappedGzip.decompress(honest)).toHaveLength(900_000)
})

test('the bound is 1 MiB, then 200 times the size, then 64 MiB', () => {
  expect(inflateLimit(10)).toBe(1 << 20)
  expect(inflateLimit(100_000)).toBe(20_000_000)
  expect(inflateLimit(10_000_000)).toBe(64 << 20)
})

test.each([cappedGzip, zstd])('bytes that are not what the batch says are a fault', async (codec) => {
  await expect(codec.decompress(Buffer.from('neither this nor that'))).rejects.toMatchObject({ code: 'log.corrupt' })
})

test('a codec that Node lacks says what to change', async () => {
  await expect(unsupported('lz4').decompress(Buffer.alloc(1))).rejects.toMatchObject({
    code: 'log.codec',
    retriable: false,
    message: expect.stringContaining('compression.type=zstd'),
  })
})
