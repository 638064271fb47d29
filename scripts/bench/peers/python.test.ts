import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { peerPython } from './python.ts'
import { openPeer } from './sentence-transformers.ts'

const folder = mkdtempSync(join(tmpdir(), 'peer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a Python that is not there, or lacks the packages, is said in one line', async () => {
  const named = join(folder, 'no-python')
  const found = await peerPython({ folder, named })
  expect(found).toEqual({ missing: expect.stringContaining(named) })
  const peer = await openPeer({ python: named })
  expect(peer).toEqual({ missing: expect.stringMatching(/^[^\n]+$/) })
})

test('nothing is downloaded when that is not allowed', async () => {
  const before = process.env['ENTREPOT_BENCH_PYTHON']
  delete process.env['ENTREPOT_BENCH_PYTHON']
  try {
    expect(await peerPython({ folder: join(folder, 'none'), install: false })).toEqual({
      missing: expect.stringContaining('none'),
    })
  } finally {
    if (before !== undefined) process.env['ENTREPOT_BENCH_PYTHON'] = before
  }
})
