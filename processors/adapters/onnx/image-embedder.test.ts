/** The image encoder's thread on a graph of one node: formats, turning, transparency, bombs, broken files, cards that lie. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import sharp from 'sharp'
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import type { ImageEmbedder } from '../../ports/image-embedder.ts'
import { imageModelOf, parseImageCard, readImageCard } from './image-card.ts'
import { openImageEmbedder } from './image-embedder.ts'
import { writeTinyImageModel } from './tiny-image-model.fixture.ts'

const folders: string[] = []
const folderOf = (card: Readonly<Record<string, unknown>> = {}): string => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-image-'))
  folders.push(folder)
  writeTinyImageModel(folder, card)
  return folder
}
let embedder: ImageEmbedder
beforeAll(async () => {
  embedder = await openImageEmbedder({ folder: folderOf() })
}, 30_000)
let other: ImageEmbedder | undefined
afterEach(async () => {
  await other?.close()
  other = undefined
})
afterAll(async () => {
  await embedder.close()
  for (const folder of folders) rmSync(folder, { recursive: true })
})

const picture = (background: string | { r: number; g: number; b: number; alpha: number }, width = 40, height = 20) =>
  sharp({ create: { width, height, channels: typeof background === 'object' ? 4 : 3, background } })
const embedded = async (...images: Uint8Array[]) =>
  (await embedder.embed(images)).map((one) =>
    one instanceof Fault ? one.code : [...(one as Vector)].map((x) => Math.round(x * 50) / 50),
  )

test('every format gives the colour of its picture, of unit length, in order', async () => {
  const red = picture('#ff0000')
  const files = [red.clone().png(), red.clone().jpeg(), red.clone().webp(), red.clone().gif(), red.clone().avif()]
  const found = await embedded(
    ...(await Promise.all(files.map((file) => file.toBuffer()))),
    await picture('#00ff00').png().toBuffer(),
  )
  expect(found).toEqual([...files.map(() => [1, 0, 0]), [0, 1, 0]])
  expect(await embedder.embed([])).toEqual([])
})

test('what is transparent is white, grey has three equal channels, and a picture is turned before it is cut', async () => {
  const third = Math.round(Math.sqrt(1 / 3) * 50) / 50
  const clear = await picture({ r: 255, g: 0, b: 0, alpha: 0 }).png().toBuffer()
  const grey = await picture('#808080').greyscale().png().toBuffer()
  expect(await embedded(clear, grey)).toEqual([
    [third, third, third],
    [third, third, third],
  ])
  // Red above, blue below: the middle of 20 x 60 holds both; of a file that says "turn me", the same.
  const half = await picture('#0000ff', 20, 30).png().toBuffer()
  const tall = await picture('#ff0000', 20, 60)
    .composite([{ input: half, left: 0, top: 30 }])
    .png()
    .toBuffer()
  const turned = await sharp(tall)
    .rotate(90)
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .withMetadata({ orientation: 8 })
    .toBuffer()
  const [upright, by_exif] = await embedder.embed([tall, turned])
  for (let d = 0; d < 3; d++) expect((by_exif as Vector)[d]).toBeCloseTo((upright as Vector)[d]!, 1)
})

test('files that are broken, of other kinds, or bombs are faults of their own; their neighbours have vectors', async () => {
  const good = await picture('#0000ff').png().toBuffer()
  const bomb = await sharp({
    create: { width: 12_000, height: 12_000, channels: 3, background: '#fff' },
    limitInputPixels: false,
  })
    .png({ compressionLevel: 9 })
    .toBuffer()
  expect(bomb.length).toBeLessThan(1_000_000)
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')
  const black = await picture('#000000').png().toBuffer()
  expect(await embedded(good.subarray(0, 60), svg, bomb, Buffer.from('GIF89a'), new Uint8Array(0), black, good)).toEqual([
    'image.broken',
    'image.refused',
    'image.refused',
    'image.broken',
    'image.refused',
    'embed.degenerate',
    [0, 0, 1],
  ])
}, 30_000)

test('a card is held to its weights and its graph, and its digest to all that a vector depends on', async () => {
  const folder = folderOf()
  const card = await readImageCard(folder)
  const { digest } = imageModelOf(card)
  expect(imageModelOf({ ...card, name: 'renamed', licence: 'MIT' }).digest).toBe(digest)
  const changes = [{ mean: [0, 0, 0.1] }, { width: 17 }, { fit: 'fill' as const }, { resampling: 'lanczos' as const }]
  for (const change of changes) expect(imageModelOf({ ...card, ...change }).digest).not.toBe(digest)
  await expect(openImageEmbedder({ folder: folderOf({ output: 'other' }) })).rejects.toMatchObject({ code: 'model.shape' })
  await expect(openImageEmbedder({ folder: folderOf({ dims: 4 }) })).rejects.toMatchObject({ code: 'model.shape' })
  writeFileSync(join(folder, 'tiny.onnx'), 'altered')
  await expect(openImageEmbedder({ folder })).rejects.toMatchObject({ code: 'model.sha256' })
  await expect(openImageEmbedder({ folder: tmpdir() })).rejects.toMatchObject({ code: 'model.missing' })
  const whole = { ...card, height: 16 }
  for (const bad of [
    { model: { name: '../x', sha256: 'a'.repeat(64) } },
    { mean: [0, 0] },
    { deviation: [0, 1, 1] },
    { fit: 'x' },
    { dims: 0 },
  ])
    expect(() => parseImageCard(JSON.stringify({ ...whole, ...bad }), 'card')).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
}, 30_000)

test('a closed encoder says so', async () => {
  other = await openImageEmbedder({ folder: folderOf() })
  await other.close()
  await expect(other.embed([new Uint8Array(1)])).rejects.toMatchObject({ code: 'embedder.unavailable' })
}, 30_000)
