import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { deflate, inflate, inflateLimit } from './compression.ts'

const text = Buffer.from('goods from every port come in, goods from every port go out. '.repeat(40))

test.each(['none', 'gzip', 'zstd'] as const)('%s unfolds what it folded', async (codec) => {
  expect((await inflate(codec, await deflate(codec, text))).equals(text)).toBe(true)
})

test('a bomb stops at its bound', async () => {
  const zeros = Buffer.alloc(3 << 20)
  await expect(inflate('gzip', gzipSync(zeros))).rejects.toMatchObject({ code: 'limits.inflate' })
  await expect(inflate('zstd', zstdCompressSync(zeros))).rejects.toMatchObject({ code: 'limits.inflate' })
  await expect(inflate('snappy', Buffer.from([0x80, 0x80, 0x80, 0x01, 0x00, 0x61]))).rejects.toMatchObject({
    code: 'limits.inflate',
  })
  await expect(inflate('lz4', lz4Bomb(3 << 20))).rejects.toMatchObject({ code: 'limits.inflate' })
})

test('equal records in a small batch may compress more than 200 times', async () => {
  const honest = gzipSync(Buffer.alloc(900_000, 'a'))
  expect(900_000 / honest.length).toBeGreaterThan(200)
  expect(await inflate('gzip', honest)).toHaveLength(900_000)
})

test('the bound is 1 MiB, then 200 times the size, then 64 MiB', () => {
  expect(inflateLimit(10)).toBe(1 << 20)
  expect(inflateLimit(100_000)).toBe(20_000_000)
  expect(inflateLimit(10_000_000)).toBe(64 << 20)
})

test.each(['gzip', 'zstd', 'snappy', 'lz4'] as const)('bytes that are not %s are a fault', async (codec) => {
  await expect(inflate(codec, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]))).rejects.toMatchObject({
    code: 'decode.invalid',
  })
})

// Bytes written by snappy-java 1.1.10 and lz4-java as Kafka 4.1's console producer sends them are read in kafka-log.servers.test.ts.
test('snappy: literals, short and long copies, and overlapping ones', async () => {
  // length 10, literal "ab", copy of 8 bytes from 2 back.
  expect((await inflate('snappy', Buffer.from([10, 0x04, 0x61, 0x62, 0x11, 0x02]))).toString()).toBe('ababababab')
  // length 6, literal "abc", 2-byte copy of 3 from 3 back.
  expect((await inflate('snappy', Buffer.from([6, 0x08, 0x61, 0x62, 0x63, 0x0a, 0x03, 0x00]))).toString()).toBe('abcabc')
})

test('lz4: stored and compressed blocks, and matches into earlier blocks', async () => {
  const frame = (...blocks: Buffer[]) =>
    Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]), ...blocks, Buffer.alloc(4)])
  const block = (bytes: readonly number[], stored = false) => {
    const size = Buffer.alloc(4)
    size.writeUInt32LE((bytes.length | (stored ? 0x80000000 : 0)) >>> 0)
    return Buffer.concat([size, Buffer.from(bytes)])
  }
  expect((await inflate('lz4', frame(block([...Buffer.from('plain')], true)))).toString()).toBe('plain')
  // 2 literals "ab", match of 6 from 2 back, then 1 literal "c".
  expect((await inflate('lz4', frame(block([0x22, 0x61, 0x62, 0x02, 0x00, 0x10, 0x63])))).toString()).toBe('ababababc')
  // A second block whose match lies in the first.
  expect(
    (await inflate('lz4', frame(block([...Buffer.from('wxyz')], true), block([0x10, 0x2d, 0x05, 0x00, 0x10, 0x21])))).toString(),
  ).toBe('wxyz-wxyz!')
})

/** One LZ4 block whose single match says it is this long. */
const lz4Bomb = (length: number): Buffer => {
  const body = [0x1f, 0x00, 0x01, 0x00]
  for (let left = length - 19; ; left -= 255) {
    body.push(Math.min(left, 255))
    if (left < 255) break
  }
  const size = Buffer.alloc(4)
  size.writeUInt32LE(body.length)
  return Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73]), size, Buffer.from(body), Buffer.alloc(4)])
}
