/** The real tables that replay:real publishes: which file is whose, and in which order. None of them is part of the repository. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type Table = {
  readonly platform: string
  readonly kind: 'items' | 'interactions'
  /** Path below the folder of shared data. */
  readonly file: string
  /** Column that keys the records. */
  readonly key: string
}

/** Where the data lies beside the repository, if it does. */
export const shared_data = fileURLToPath(new URL('../../../shared/data/', import.meta.url))

const items = (platform: string, file: string, key = 'id'): Table => ({ platform, kind: 'items', file, key })

/** Nine platforms' catalogues. */
export const catalogues: readonly Table[] = [
  items('harddrivesdirect', 'lspc-computers-4shops/harddrivesdirect.csv.gz'),
  items('sillworks', 'lspc-computers-4shops/sillworks.csv.gz'),
  items('tweakers', 'lspc-computers-4shops/tweakers.csv.gz'),
  items('usapartsdirect', 'lspc-computers-4shops/usapartsdirect.csv.gz'),
  items('abt', 'abt-buy-full/abt.csv.gz'),
  items('buy', 'abt-buy-full/buy.csv.gz'),
  items('amazon_products', 'amazon-google-full/amazon.csv.gz'),
  items('google_products', 'amazon-google-full/gp.csv.gz'),
  items('online_retail', 'online-retail-y1/items.csv.gz', 'item_id'),
]

/** The ninth's purchases, one line of an invoice each, in the order of time. */
export const purchases: Table = {
  platform: 'online_retail',
  kind: 'interactions',
  file: 'online-retail-y1/events.csv.gz',
  key: 'user_id',
}

export const tablePath = (table: Table): string => join(shared_data, table.file)

/** The files that are not there. */
export const missingFiles = (): readonly string[] => [...catalogues, purchases].map(tablePath).filter((path) => !existsSync(path))
