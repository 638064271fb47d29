/** What could end a process ends none: the crash set in a child with a heap of 256 MiB, each attempt refused for its reason. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import type { Attempt } from './crash-set.ts'

type Report = { readonly attempts: readonly Attempt[]; readonly lints: readonly Attempt[] }

test('the process lives, every record is refused with its reason, every schema by the lint', async () => {
  const file = fileURLToPath(new URL('./crash.fixture.ts', import.meta.url))
  // A hang ends here; a death rejects with its signal.
  const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=256', file], {
    timeout: 240_000,
    maxBuffer: 1 << 24,
  })
  const { attempts, lints } = JSON.parse(stdout) as Report
  const taken = attempts.filter(({ ended }) => !ended.includes('.'))
  expect(taken.map(({ name, ended }) => `${name}: ${ended}`)).toEqual([
    'JSON: uniqueItems of texts: decoded',
    'map: an order of 9,999 lines: 9999 outputs',
  ])
  expect(attempts.length).toBeGreaterThanOrEqual(30)
  expect(attempts.find(({ name }) => name === 'AVRO: six bytes of nulls')?.ended).toBe('schema.hostile')
  expect(lints.length).toBeGreaterThanOrEqual(200)
  expect(lints.filter(({ ended }) => ended === 'accepted')).toEqual([])
  // Measured in scripts/hostile.ts; this is a guard against what never ends, not a measurement.
  for (const { name, blocked_ms } of [...attempts, ...lints]) expect([name, blocked_ms < 60_000]).toEqual([name, true])
}, 250_000)
