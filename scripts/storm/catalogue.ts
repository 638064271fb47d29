/**
 * The catalogue of every storm: few texts, embedded once by the shipped model in embedded mode, and kept as a folder with the index and as
 * the records of the topic of vectors. Members get copies, so that a scenario about the log need not wait for the model.
 */
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openWorld } from '../../processors/cli/compose.ts'
import { platformsWithOwnTopics } from '../../processors/cli/own-topics.fixture.ts'
import { openPublisher, type ToPublish } from '../../processors/cli/publish.ts'
import { all_stages, underWay, waitUntil } from '../../processors/cli/quiet.ts'
import { openTally } from '../../processors/cli/tally.ts'
import { loadSettings } from '../../processors/config/load.ts'

/** Items of the shop, and how many texts they share. */
export const items_count = 48
export const texts_count = 24

export const shops = {
  woocommerce: { currency: 'EUR', market: 'DE', language: 'de', merchant_id: 'hafenladen' },
  segment: { currency: 'EUR', market: 'DE', catalog_platform: 'woocommerce', catalog_merchant_id: 'hafenladen' },
} as const

const words = ['Becher', 'Teller', 'Kanne', 'Schale', 'Vase', 'Lampe', 'Kissen', 'Decke', 'Uhr', 'Spiegel', 'Korb', 'Messer']

/** A product of the shop; its text depends on its number alone, its price on the edition. */
export const product = (number: number, edition: number, at_ms: number): ToPublish => {
  const text = number % texts_count
  return {
    platform: 'woocommerce',
    kind: 'items',
    key: String(number),
    value: {
      id: number,
      name: `${words[text % words.length]} Serie ${Math.floor(text / words.length)}`,
      type: 'simple',
      status: 'publish',
      description: `<p>${words[(text * 5) % words.length]} aus Steingut</p>`,
      price: ((1_000 + edition) / 100).toFixed(2),
      stock_status: 'instock',
      date_modified_gmt: '2026-10-01T10:00:00',
    },
    timestamp_ms: at_ms,
  }
}

export type Catalogue = {
  /** Values of the topic of vectors, unframed, by item id. */
  readonly vectors: readonly { readonly key: string; readonly value: Buffer }[]
  /** Puts the index into a data folder. */
  copyTo(data_folder: string): void
}

/** Embeds the catalogue in a folder of its own (about 5 s). */
export const openCatalogue = async (folder: string): Promise<Catalogue> => {
  mkdirSync(folder, { recursive: true })
  platformsWithOwnTopics(join(folder, 'platforms'), ['segment', 'woocommerce'], '')
  const file = join(folder, 'entrepot.yaml')
  const data = join(folder, 'data')
  writeFileSync(
    file,
    JSON.stringify({
      mode: 'embedded',
      data: { folder: data },
      platforms: { enabled: ['woocommerce'], shops: { woocommerce: shops.woocommerce } },
      http: { enabled: false },
    }),
  )
  const world = await openWorld(loadSettings({ file, env: {} }).settings)
  const vectors: { key: string; value: Buffer }[] = []
  try {
    await world.prepare()
    const tally = openTally(all_stages, () => performance.now())
    const running = await world.start(['canonicalize', 'embed', 'index'], tally.observe)
    const publisher = await openPublisher(world)
    await publisher.publish(Array.from({ length: items_count }, (_, at) => product(at + 1, 0, Date.now())))
    const never = new AbortController().signal
    await waitUntil(world.clock, running, never, () => underWay(tally, world.topics, items_count) === 0)
    await running.stop()
    const log = await world.log()
    for await (const { key, value } of log.scan({ topic: world.topics.vectors.name, partition: 0 }, 0))
      if (key !== null && value !== null) vectors.push({ key: key.toString('utf8'), value: Buffer.from(value.subarray(5)) })
  } finally {
    await world.close()
  }
  const files = readdirSync(data).filter((name) => name.startsWith('vectors'))
  return {
    vectors,
    copyTo: (data_folder) => {
      mkdirSync(data_folder, { recursive: true })
      for (const name of files) cpSync(join(data, name), join(data_folder, name), { recursive: true })
    },
  }
}
