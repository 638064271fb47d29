/** The catalogue of bad inputs against the real runtime, decoders and maps: each record ends as its row says, and takes no good one along. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { systemClock } from '../../adapters/system/clock.ts'
import { seededRandom } from '../../adapters/system/random.ts'
import { catalogue } from './catalogue.ts'
import { judge } from './market.ts'

const bench = {
  clock: systemClock,
  random: seededRandom(64),
  schemas_folder: fileURLToPath(new URL('../../../schemas/canonical', import.meta.url)),
}

test('every row of the table is there, once, in its own file', () => {
  expect(catalogue.map(({ row }) => row)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
  const files = readdirSync(new URL('./catalogue', import.meta.url)).map((name) => Number(name.slice(0, 2)))
  expect(files.sort((a, b) => a - b)).toEqual(catalogue.map(({ row }) => row))
})

test('a row that is not answered yet says whose it is', () => {
  for (const { answer, not_yet, records, check } of catalogue)
    if (answer === 'not yet') expect(not_yet?.what).toBeTruthy()
    else expect(records ?? check).toBeDefined()
})

test.each(catalogue.filter(({ answer }) => answer !== 'not yet').map((row) => [row.row, row.name, row] as const))(
  'row %i: %s',
  async (_, __, row) => {
    const { wrong } = await judge(row, bench)
    expect(wrong).toEqual([])
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
  },
  // Nothing here takes long; a hang ends here.
  60_000,
)
