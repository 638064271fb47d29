import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { fault_codes } from '../processors/domain/fault.ts'
import { errorsMarkdown, printedPages, root, topologyMarkdown } from './docs.ts'

test.each(Object.entries(await printedPages()))('%s is fresh', (path, text) => {
  const stored = readFileSync(join(root, path), 'utf8')
  // Not toEqual: a diff of a whole page hides what to do.
  if (stored !== text) throw new Error(`${path} is stale: run \`npm run docs\` and commit the result.`)
  expect(stored.length).toBeGreaterThan(1_000)
})

test('errors.md has exactly one heading for each code', () => {
  const headings = [...errorsMarkdown().matchAll(/^### (\S+)$/gmu)].map((match) => match[1])
  expect([...headings].sort()).toEqual(Object.keys(fault_codes).sort())
})

test('tables on printed pages have as many cells in each row as in their head', async () => {
  for (const [path, text] of Object.entries(await printedPages())) {
    if (!path.endsWith('.md')) continue
    let cells = 0
    for (const line of text.split('\n')) {
      if (!line.startsWith('|')) {
        cells = 0
        continue
      }
      const count = line.replaceAll('\\|', '').split('|').length
      if (cells === 0) cells = count
      expect([line, count]).toEqual([line, cells])
    }
  }
})

test('README.md shows the topology as it is', async () => {
  const { graph } = await topologyMarkdown()
  if (!readFileSync(join(root, 'README.md'), 'utf8').includes(graph))
    throw new Error('The graph in README.md is stale: copy the one of docs/reference/topology.md into it.')
  expect(graph).toContain('recommendations.v1')
})
