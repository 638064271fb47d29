import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { loadSettings } from '../config/load.ts'
import { examine } from './doctor.ts'

const folder = mkdtempSync(join(tmpdir(), 'entrepot-doctor-'))
afterAll(() => rmSync(folder, { recursive: true }))

const verdicts = async (...set: string[]) => {
  const { settings } = loadSettings({ env: {}, set: ['platforms.enabled=abt', ...set], working_folder: folder })
  const findings = await Array.fromAsync(examine(settings))
  return Object.fromEntries(findings.map(({ check, verdict, says, remedy }) => [check, { verdict, says, remedy }]))
}

test('a fresh folder has nothing that fails, and names what is not made yet', async () => {
  const found = await verdicts(`data.folder=${join(folder, 'fresh')}`)
  expect(Object.entries(found).filter(([, { verdict }]) => verdict === 'fail')).toEqual([])
  expect(found['topics']).toMatchObject({ verdict: 'warn', remedy: 'Run `entrepot topics create`.' })
  expect(found['schemas']).toMatchObject({ verdict: 'warn', remedy: 'Run `entrepot schemas register`.' })
  expect(found['model']!.says).toContain('every file is the pinned one')
  expect(found['encoder']).toMatchObject({
    verdict: 'ok',
    says: expect.stringMatching(/^cpu, a short text in [\d.]+ ms; .*cpu, /u),
  })
}, 60_000)

test('what is wrong fails with what to do: a folder that is a file, a model that is not there', async () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const found = await verdicts(`data.folder=${file}`)
  expect(found['data folder']).toMatchObject({ verdict: 'fail', remedy: expect.stringContaining('data.folder') })
  const model = await verdicts(`data.folder=${join(folder, 'm')}`, `model.folder=${join(folder, 'no-model')}`)
  expect(model['model']).toMatchObject({ verdict: 'fail' })
}, 60_000)

test('a provider that cannot be had here is a warning with the engine’s reason; the next one is used', async () => {
  const found = await verdicts(`data.folder=${join(folder, 'p')}`, 'model.providers=tensorrt,cpu')
  // A machine with TensorRT has nothing to warn of.
  if (found['encoder']!.says.startsWith('tensorrt')) expect(found['encoder']!.verdict).toBe('ok')
  else
    expect(found['encoder']).toMatchObject({
      verdict: 'warn',
      says: expect.stringMatching(/^cpu, .*passed over: tensorrt \(.+\)$/u),
      remedy: expect.stringContaining('model.providers'),
    })
}, 60_000)
