/** What is matched: real tables of ../shared/data with known matches, and the pairs of our own, as listings, queries and true matches. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { rowsOf } from '../../../processors/cli/rows.ts'
import { Fault } from '../../../processors/domain/fault.ts'
import { digestOf } from '../../../processors/domain/ids.ts'
import { pair_languages, productPairs, productTitles } from '../../model/pairs/pairs.ts'
import { shared_data } from '../../replay/tables.ts'

export type Listing = {
  readonly title: string
  readonly brand: string
  readonly part_number: string
  readonly description: string
  /** Short facts as the shop names them. */
  readonly attributes: Readonly<Record<string, string>>
}

export type RetrievalSet = {
  readonly name: string
  readonly what: string
  /** Only queries that have a match. */
  readonly queries: readonly Listing[]
  readonly corpus: readonly Listing[]
  /** Documents that match each query, by their place in the corpus. */
  readonly matches: readonly ReadonlySet<number>[]
  /** The place of the query itself in the corpus, where it is there. */
  readonly self: readonly (number | null)[]
}

const listing = (given: Partial<Listing>): Listing => ({
  title: '',
  brand: '',
  part_number: '',
  description: '',
  attributes: {},
  ...given,
})

const rows = async (file: string): Promise<readonly Readonly<Record<string, string>>[]> => {
  const all: Record<string, string>[] = []
  for await (const { row } of rowsOf(join(shared_data, file)))
    if (!(row instanceof Fault)) all.push(row as Record<string, string>)
  return all
}

const apart = (count: number): readonly null[] => new Array(count).fill(null)

/** Two tables and all their true pairs. */
const linked = async (
  name: string,
  what: string,
  folder: string,
  files: readonly [string, string],
  read: (row: Readonly<Record<string, string>>) => Listing,
): Promise<RetrievalSet> => {
  const [left, right, pairs] = await Promise.all([
    rows(`${folder}/${files[0]}`),
    rows(`${folder}/${files[1]}`),
    rows(`${folder}/gt.csv.gz`),
  ])
  const place = new Map(right.map((row, i) => [row['id']!, i]))
  const found = new Map<string, Set<number>>()
  for (const { D1, D2 } of pairs) {
    const at = place.get(D2!)
    if (at !== undefined) found.set(D1!, (found.get(D1!) ?? new Set()).add(at))
  }
  const asked = left.filter((row) => found.has(row['id']!))
  return {
    name,
    what,
    queries: asked.map(read),
    corpus: right.map(read),
    matches: asked.map((row) => found.get(row['id']!)!),
    self: apart(asked.length),
  }
}

/** Offers of one shop against those of three others; the same cluster is the same product. */
const shops = async (): Promise<RetrievalSet> => {
  const facts = ['Category', 'Sub-Category', 'Generation', 'Capacity', 'Spindle Speed']
  const read = (row: Readonly<Record<string, string>>): Listing =>
    listing({
      title: (row['title'] ?? '').trim(),
      brand: row['brand'] ?? '',
      part_number: row['Part Number'] ?? '',
      description: row['description'] ?? '',
      attributes: Object.fromEntries(facts.filter((name) => (row[name] ?? '') !== '').map((name) => [name, row[name]!])),
    })
  const folder = 'lspc-computers-4shops'
  const corpus = (
    await Promise.all(['harddrivesdirect', 'sillworks', 'usapartsdirect'].map((shop) => rows(`${folder}/${shop}.csv.gz`)))
  ).flat()
  const clusters = new Map<string, Set<number>>()
  for (const [i, row] of corpus.entries()) {
    const cluster = row['cluster_id']!
    clusters.set(cluster, (clusters.get(cluster) ?? new Set()).add(i))
  }
  const asked = (await rows(`${folder}/tweakers.csv.gz`)).filter((row) => clusters.has(row['cluster_id']!))
  return {
    name: 'lspc-4shops',
    what: 'computer parts of one shop among those of three others (attributes in several languages)',
    queries: asked.map(read),
    corpus: corpus.map(read),
    matches: asked.map((row) => clusters.get(row['cluster_id']!)!),
    self: apart(asked.length),
  }
}

/** Titles of many web shops: what the labels join, directly or through others, is one product. */
const web = async (subject: 'cameras' | 'computers'): Promise<RetrievalSet> => {
  const parent = new Map<string, string>()
  const head = (title: string): string => {
    let at = title
    while (parent.get(at) !== undefined && parent.get(at) !== at) at = parent.get(at)!
    parent.set(title, at)
    return at
  }
  const asked = new Set<string>()
  for (const file of ['train_medium', 'valid_medium', 'test'])
    for await (const { row } of rowsOf(join(shared_data, `wdc-lspc-${subject}/${file}.jsonl.gz`))) {
      if (row instanceof Fault) continue
      const pair = row as unknown as Record<'left' | 'right', { readonly title: string }> & { readonly label: number }
      const left = head(pair.left.title)
      const right = head(pair.right.title)
      if (Number(pair.label) !== 1 || pair.left.title === pair.right.title) continue
      parent.set(left, right)
      asked.add(pair.left.title)
    }
  const corpus = [...parent.keys()]
  const groups = new Map<string, Set<number>>()
  for (const [i, title] of corpus.entries()) groups.set(head(title), (groups.get(head(title)) ?? new Set()).add(i))
  const place = new Map(corpus.map((title, i) => [title, i]))
  const queries = [...asked]
  return {
    name: `wdc-${subject}`,
    what: `${subject} in many web shops, titles in several languages`,
    queries: queries.map((title) => listing({ title })),
    corpus: corpus.map((title) => listing({ title })),
    matches: queries.map((title) => groups.get(head(title))!),
    self: queries.map((title) => place.get(title)!),
  }
}

const paired = (name: string, what: string, from: readonly string[], to: readonly string[]): RetrievalSet => ({
  name,
  what,
  queries: from.map((title) => listing({ title })),
  corpus: to.map((title) => listing({ title })),
  matches: from.map((_, i) => new Set([i])),
  self: apart(from.length),
})

/** English titles of our own among those of each other language, and back. */
export const languageSets = (): readonly {
  readonly language: string
  readonly from: RetrievalSet
  readonly to: RetrievalSet
}[] => {
  const products = productTitles()
  const titles = (language: string): readonly string[] => products.map((product) => product.titles[language]!)
  return pair_languages.map((language) => ({
    language,
    from: paired(`en-${language}`, `English to ${language}`, titles('en'), titles(language)),
    to: paired(`${language}-en`, `${language} to English`, titles(language), titles('en')),
  }))
}

/**
 * A part of a set for a slow machine: at most `queries_max` queries, drawn by a hash of their titles, their matches, and others to make
 * twice as many documents. Easier than the whole, so figures of two parts of different size do not compare.
 */
export const sampled = (set: RetrievalSet, queries_max: number): RetrievalSet => {
  if (set.queries.length <= queries_max) return set
  const drawn = (listings: readonly Listing[]): readonly number[] => {
    const by = listings.map(({ title }, i) => digestOf(title, String(i)))
    return [...by.keys()].sort((a, b) => (by[a]! < by[b]! ? -1 : 1))
  }
  const queries = drawn(set.queries).slice(0, queries_max)
  const kept = new Set(queries.flatMap((i) => [...set.matches[i]!, ...(set.self[i] === null ? [] : [set.self[i]!])]))
  for (const document of drawn(set.corpus)) {
    if (kept.size >= 2 * queries_max) break
    kept.add(document)
  }
  const corpus = [...kept].sort((a, b) => a - b)
  const place = new Map(corpus.map((document, i) => [document, i]))
  return {
    ...set,
    queries: queries.map((i) => set.queries[i]!),
    corpus: corpus.map((document) => set.corpus[document]!),
    matches: queries.map((i) => new Set([...set.matches[i]!].map((document) => place.get(document)!))),
    self: queries.map((i) => (set.self[i] === null ? null : place.get(set.self[i]!)!)),
  }
}

const own = {
  'zh-en': async () => {
    const pairs = productPairs()
    return paired(
      'zh-en',
      'Chinese titles of our own, to English',
      pairs.map(({ zh }) => zh),
      pairs.map(({ en }) => en),
    )
  },
  'en-zh': async () => {
    const pairs = productPairs()
    return paired(
      'en-zh',
      'the same, English to Chinese',
      pairs.map(({ en }) => en),
      pairs.map(({ zh }) => zh),
    )
  },
} as const

const shared = {
  'abt-buy': () =>
    linked('abt-buy', 'consumer electronics', 'abt-buy-full', ['abt.csv.gz', 'buy.csv.gz'], ({ name, description }) =>
      listing({ title: name ?? '', description: description ?? '' }),
    ),
  'amazon-google': () =>
    linked(
      'amazon-google',
      'software',
      'amazon-google-full',
      ['amazon.csv.gz', 'gp.csv.gz'],
      ({ title, manufacturer, description }) =>
        listing({ title: title ?? '', brand: manufacturer ?? '', description: description ?? '' }),
    ),
  'lspc-4shops': shops,
  'wdc-cameras': () => web('cameras'),
  'wdc-computers': () => web('computers'),
} as const

export const set_names = [...Object.keys(shared), ...Object.keys(own)] as readonly (keyof typeof shared | keyof typeof own)[]
export type SetName = (typeof set_names)[number]

/** Whether the real tables are beside the repository. */
export const sharedIsHere = (): boolean => existsSync(shared_data)

/** Whether a set is made of the real tables. */
export const isShared = (name: SetName): boolean => name in shared

/** Reads one set. Throws where its files are absent. */
export const readSet = (name: SetName): Promise<RetrievalSet> => ({ ...shared, ...own })[name]()
