/** Reads the product pairs that lie beside this file: one product as shops of several languages title it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type ProductPair = { readonly id: string; readonly zh: string; readonly en: string; readonly category: string }

/** One product, titled in each language of `languages`. */
export type ProductTitles = {
  readonly id: string
  readonly category: string
  readonly titles: Readonly<Record<string, string>>
}

const rowsOf = (file: string): readonly (readonly string[])[] =>
  readFileSync(join(import.meta.dirname, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'))

/** Throws when a line does not have the columns of the head line. */
const tableOf = (
  file: string,
): { readonly head: readonly string[]; readonly rows: readonly Readonly<Record<string, string>>[] } => {
  const [head = [], ...rows] = rowsOf(file)
  for (const [i, row] of rows.entries())
    if (row.length !== head.length)
      throw new Error(`${file}, line ${i + 2}: ${row.length} columns, the head line has ${head.length}`)
  return { head, rows: rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]!]))) }
}

/** Chinese and English titles of the same products. */
export const productPairs = (): readonly ProductPair[] =>
  tableOf('zh-en.tsv').rows.map(({ id, zh, en, category }) => ({ id: id!, zh: zh!, en: en!, category: category! }))

/** The languages of productTitles, ISO 639-1; English first. */
export const pair_languages = ['en', ...tableOf('languages.tsv').head.slice(3)] as const

/** The same products in all of pair_languages. */
export const productTitles = (): readonly ProductTitles[] =>
  tableOf('languages.tsv').rows.map(({ product, category, ...titles }) => ({ id: product!, category: category!, titles }))
