import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Row, rowFormatOf, rowsOf } from './rows.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-rows-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const read = async (name: string, bytes: string | Buffer): Promise<Row[]> => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return Array.fromAsync(rowsOf(path))
}
const plain = (rows: readonly Row[]) => rows.map(({ line, row }) => [line, row instanceof Error ? row.code : { ...row }])

test('quotes, doubled quotes, line breaks in cells, CRLF, a byte order mark and a last line without an end', async () => {
  const rows = await read('a.csv', '\ufeffid,title\r\n1,"He said ""hi"""\r\n2,"two\nlines"\r\n\r\n3,plain')
  expect(plain(rows)).toEqual([
    [2, { id: '1', title: 'He said "hi"' }],
    [3, { id: '2', title: 'two\nlines' }],
    [6, { id: '3', title: 'plain' }],
  ])
})

test('empty cells are left out; a row of another width and an open quote are told by line', async () => {
  const rows = await read('b.csv', 'id,title,price\n1,,3\n2,x\n3,"y"z,1\n4,z,"open')
  expect(plain(rows)).toEqual([
    [2, { id: '1', price: '3' }],
    [3, 'map.type'],
    [4, 'map.type'],
    [5, 'decode.truncated'],
  ])
})

test('JSONL keeps integers beyond 2^53, skips blank lines and tells bad ones by line', async () => {
  const rows = await read('c.jsonl', '{"id":788032119674292922}\n\n{"id":\n[1]\n{"id":"x"}')
  expect(plain(rows)).toEqual([
    [1, { id: 788032119674292922n }],
    [3, 'json.syntax'],
    [4, 'map.type'],
    [5, { id: 'x' }],
  ])
})

test('gzip is read the same, and progress ends at the size of the file', async () => {
  const stored = gzipSync(`id\n${Array.from({ length: 5_000 }, (_, i) => i).join('\n')}\n`)
  const rows = await read('d.csv.gz', stored)
  expect(rows.length).toBe(5_000)
  expect(rows.at(-1)).toMatchObject({ line: 5_001, read_bytes: stored.length })
})

test('a cut gzip file throws, naming the file', async () => {
  const stored = gzipSync(Buffer.from(`id\n${'x\n'.repeat(100_000)}`))
  await expect(read('e.csv.gz', stored.subarray(0, stored.length - 20))).rejects.toMatchObject({ code: 'config.invalid' })
})

test('unknown endings and absent files are refused', async () => {
  expect(() => rowFormatOf('items.xlsx')).toThrow(expect.objectContaining({ code: 'config.invalid' }))
  await expect(Array.fromAsync(rowsOf(join(folder, 'absent.csv')))).rejects.toMatchObject({ code: 'config.missing' })
})

test('what a CSV writer quotes, the reader gives back', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', 'é', ' '), minLength: 1, maxLength: 8 })
  const cells = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 20 })
  let n = 0
  await fc.assert(
    fc.asyncProperty(cells, async (table) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
      const rows = await read(`p${n++ % 4}.csv`, `a,b\n${table.map(([a, b]) => `${quoted(a)},${quoted(b)}`).join('\n')}\n`)
      expect(rows.map(({ row }) => ({ ...row }))).toEqual(table.map(([a, b]) => ({ a, b })))
    }),
    { numRuns: 50 },
  )
})
