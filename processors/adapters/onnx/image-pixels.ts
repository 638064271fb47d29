/** From an image file that nobody vouches for to the numbers a CLIP-class encoder takes. */
import sharp from 'sharp'
import { Fault } from '../../domain/fault.ts'
import type { ImageCard } from './image-card.ts'

/** Larger pictures are refused before a pixel is decoded: a file of some kilobytes can hold billions. */
export const pixels_max = 40_000_000
const seconds_max = 10

const ascii = (bytes: Uint8Array, from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('latin1')

/** What the first bytes say a file is; undefined for all that is not taken. The name and the server's word are not asked. */
export const formatOf = (bytes: Uint8Array): 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | undefined => {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpeg'
  if (ascii(bytes, 0, 8) === '\x89PNG\r\n\x1a\n') return 'png'
  if (ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === 'WEBP') return 'webp'
  if (/^GIF8[79]a/u.test(ascii(bytes, 0, 6))) return 'gif'
  if (ascii(bytes, 4, 8) === 'ftyp' && /avi[fs]/u.test(ascii(bytes, 8, 32))) return 'avif'
  return undefined
}

// One thread, nothing kept; and no loader but those of the formats above, whatever a file may look like.
sharp.concurrency(1)
sharp.cache(false)
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadNsgif', 'VipsForeignLoadHeif'],
})

const kernels = { bicubic: 'cubic', bilinear: 'linear', lanczos: 'lanczos3' } as const

/**
 * float32 [3, height, width], red first: turned as its EXIF says, first frame, on white where it is transparent, sRGB, fitted, scaled by
 * mean and deviation. Faults: `image.refused`, `image.broken`.
 */
export const pixelsOf = async (bytes: Uint8Array, card: ImageCard): Promise<Float32Array> => {
  const { height, width, fit, resampling, mean, deviation } = card
  if (formatOf(bytes) === undefined) throw new Fault('image.refused', 'The file is no JPEG, PNG, WebP, GIF or AVIF.')
  let raw: Buffer
  try {
    const opened = sharp(bytes, { limitInputPixels: false, failOn: 'error', pages: 1 })
    const found = await opened.metadata()
    if (found.width * found.height > pixels_max)
      throw new Fault(
        'image.refused',
        `The picture has ${found.width} x ${found.height} pixels; at most ${pixels_max} are decoded.`,
      )
    raw = await sharp(bytes, { limitInputPixels: pixels_max, failOn: 'error', pages: 1 })
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .resize(width, height, { fit, position: 'centre', kernel: kernels[resampling] })
      .removeAlpha()
      .timeout({ seconds: seconds_max })
      .raw()
      .toBuffer()
  } catch (error) {
    if (error instanceof Fault) throw error
    throw new Fault('image.broken', 'The picture cannot be decoded.', {}, error)
  }
  const plane = width * height
  // A grey picture stays of one channel through toColourspace in some formats.
  const channels = raw.length / plane
  if (channels !== 1 && channels !== 3) throw new Fault('image.broken', `The picture was decoded to ${channels} channels.`)
  const out = new Float32Array(3 * plane)
  for (let c = 0; c < 3; c++) {
    const channel = channels === 1 ? 0 : c
    for (let i = 0; i < plane; i++) out[c * plane + i] = (raw[i * channels + channel]! / 255 - mean[c]!) / deviation[c]!
  }
  return out
}
