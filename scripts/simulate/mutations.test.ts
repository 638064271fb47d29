/** The planted bugs: each fits the sources as they are now. That each is noticed is `npm run simulate -- --mutations`. */
import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { disk_mutations } from '../../processors/simulate/disk/mutations.ts'
import { kafka_mutations, qdrant_mutations } from '../../processors/simulate/mutations.ts'
import { patched } from './plant.ts'

const all = [...kafka_mutations, ...qdrant_mutations, ...disk_mutations]

test('there are at least fifteen, and no two share a name', () => {
  expect(all.length).toBeGreaterThanOrEqual(15)
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
})

test.each(all.map((mutation) => [mutation.name, mutation] as const))('%s fits its file once', (_, mutation) => {
  const text = readFileSync(new URL(`../../processors/${mutation.file}`, import.meta.url), 'utf8')
  expect(patched(text, mutation)).not.toBe(text)
})
