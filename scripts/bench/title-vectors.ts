/** Vectors of the real titles in ../shared/data, as the shipped model makes them; kept in .cache, so that they are computed once. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { encoderDigest } from '../../processors/adapters/onnx/card.ts'
import { openOnnxEmbedder } from '../../processors/adapters/onnx/embedder.ts'
import { readCard, shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { rowsOf } from '../../processors/cli/rows.ts'
import { Fault } from '../../processors/domain/fault.ts'
import { digestOf } from '../../processors/domain/ids.ts'
import { fromBytes, toBytes, type Vector } from '../../processors/domain/vector.ts'

const root = join(import.meta.dirname, '../..')
const shared = join(root, '../shared/data')

/** Whether there are titles to be read here. */
export const titlesAreHere = (): boolean => existsSync(shared)

/** Every distinct title of the shared data sets, in the order of a hash, so that any part of them is a fair sample. */
export const titles = async (): Promise<readonly string[]> => {
  const found = new Set<string>()
  const take = (value: unknown): void => {
    if (typeof value === 'string' && value.trim() !== '') found.add(value.trim())
    else if (Array.isArray(value)) value.forEach(take)
    else if (typeof value === 'object' && value !== null)
      for (const [name, inner] of Object.entries(value)) if (['title', 'name', 'left', 'right'].includes(name)) take(inner)
  }
  for (const file of readdirSync(shared, { recursive: true, encoding: 'utf8' }).sort())
    if (/\.(csv|jsonl)\.gz$/.test(file) && !/events|sequences|gt\.csv/.test(file))
      for await (const { row } of rowsOf(join(shared, file))) if (!(row instanceof Fault)) take(row)
  return [...found]
    .map((title) => ({ title, by: digestOf(title) }))
    .sort((a, b) => (a.by < b.by ? -1 : 1))
    .map(({ title }) => title)
}

export type TitleVectors = {
  readonly model: string
  readonly dims: number
  /** How many there are. */
  readonly count: number
  /** Unit length, float32 [dims], a copy. */
  readonly at: (i: number) => Vector
}

/** The vectors of the first `count_max` titles; what no earlier run has left is computed (about 200 titles a second and core). */
export const titleVectors = async (count_max: number): Promise<TitleVectors> => {
  const card = await readCard(shipped_model.folder)
  const { name, dims } = card
  const file = join(root, `.cache/bench/titles-${encoderDigest(card).slice(0, 12)}.f32`)
  const row_bytes = dims * 4
  mkdirSync(join(root, '.cache/bench'), { recursive: true })
  const bytes_known = existsSync(file) ? statSync(file).size : 0
  let known = Math.floor(bytes_known / row_bytes)
  // A row cut short by a killed process.
  if (bytes_known > known * row_bytes) truncateSync(file, known * row_bytes)
  if (known < count_max) {
    const texts = (await titles()).slice(0, count_max)
    if (known < texts.length) {
      console.log(`embedding ${texts.length - known} titles with ${name}`)
      const embedder = await openOnnxEmbedder({ workers: 2, clock: systemClock })
      try {
        for (; known < texts.length; known = Math.min(texts.length, known + 1_024)) {
          const vectors = await embedder.embed(texts.slice(known, known + 1_024))
          // A title of which the model makes nothing gets its neighbour's vector, so that rows and titles stay in step.
          let last: Vector | undefined = vectors.find((vector) => !(vector instanceof Fault)) as Vector
          const rows = vectors.map((vector) => {
            last = vector instanceof Fault ? last! : vector
            return toBytes(last)
          })
          appendFileSync(file, Buffer.concat(rows))
        }
      } finally {
        await embedder.close()
      }
    }
  }
  const all = fromBytes(readFileSync(file))
  return { model: name, dims, count: Math.min(count_max, all.length / dims), at: (i) => all.slice(i * dims, (i + 1) * dims) }
}
