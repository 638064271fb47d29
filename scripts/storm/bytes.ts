/** A producer of shops' records as bytes: good ones of every format, and others among them. */
import type { OutputRecord } from '../../processors/domain/record.ts'
import type { Malformed, Material } from '../malformed.ts'
import type { Site } from './site.ts'

const shops = [
  ['abt', 'items'],
  ['buy', 'items'],
  ['google_products', 'items'],
  ['harddrivesdirect', 'items'],
  ['online_retail', 'interactions'],
] as const

export const goodRecord = async (material: Material, n: number): Promise<OutputRecord> => {
  const [platform, kind] = shops[n % shops.length]!
  return {
    topic: material.topic(platform, kind),
    key: Buffer.from(`good-${n}`),
    value: await material.good(platform, kind, 1_000_000 + n),
    timestamp_ms: Date.now(),
  }
}

/** Publishes every bad record behind `good_each` good ones; `tick` is called once a thousand. */
export const openLoadOf = async (
  site: Site,
  material: Material,
  bad: readonly Malformed[],
  good_each: number,
  tick: () => void,
): Promise<{ readonly published: () => number; readonly done: Promise<void> }> => {
  const log = await site.world.log()
  let published = 0
  const work = async () => {
    let batch: OutputRecord[] = []
    const flush = async () => {
      await log.append(batch)
      const before = Math.floor(published / 1_000)
      published += batch.length
      batch = []
      if (Math.floor(published / 1_000) > before) tick()
    }
    for (const [at, { record }] of bad.entries()) {
      for (let good = 0; good < good_each; good++) batch.push(await goodRecord(material, at * good_each + good))
      batch.push(record)
      if (batch.length >= 200) await flush()
    }
    await flush()
    tick()
  }
  return { published: () => published, done: work() }
}
