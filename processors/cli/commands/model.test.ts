/** The commands on models as a person runs them: what they print, with --json too, and how they exit. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { type FakeHub, openFakeHub } from '../../adapters/onnx/file-server.fixture.ts'
import { shipped_model } from '../../adapters/onnx/pinned.ts'
import { tinyFolder, tinyRepository } from '../../adapters/onnx/tiny-model.fixture.ts'
import { no_log } from '../../telemetry/log.ts'
import { runCommandLine } from '../frame.ts'
import { openTerminal } from '../terminal.ts'
import { model_ls, model_pull, model_verify } from './model.ts'
import { model_bench } from './model-bench.ts'

jest.setTimeout(60_000)

let folder: string
let hub: FakeHub
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-model-cli-'))
  hub = await openFakeHub('kettle-lab/tiny', tinyRepository())
})
afterEach(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})

const run = async (
  argv: readonly string[],
  env: Record<string, string> = {},
  isTTY = false,
  stopping: () => AbortSignal = () => new AbortController().signal,
) => {
  const printed = { out: '', err: '' }
  const terminal = (to: 'out' | 'err') =>
    openTerminal({ write: (text: string) => (printed[to] += text), isTTY, columns: 160 }, { NO_COLOR: '1' })
  const code = await runCommandLine({
    commands: [model_ls, model_pull, model_verify, model_bench],
    argv: ['model', ...argv, '--data', folder],
    env: { HF_ENDPOINT: hub.origin, ...env },
    out: terminal('out'),
    err: terminal('err'),
    version: '9.9.9',
    working_folder: folder,
    openLog: () => no_log,
    stopping,
  })
  return { code, ...printed }
}
const json = async (argv: readonly string[]) => {
  const { code, out } = await run([...argv, '--json'])
  return { code, value: JSON.parse(out) as Record<string, unknown> & Record<string, unknown>[] }
}

test('a model is pulled with a progress line, listed, chosen by name, and pulled no second time', async () => {
  const pulled = await run(['pull', 'kettle-lab/tiny'], { HF_TOKEN: 'hf_secret' }, true)
  expect(pulled).toMatchObject({ code: 0, out: expect.stringContaining('✓ tiny is there') })
  for (const part of ['MIT; README.md', 'mean of tokens', 'at most 32 tokens', '--set model.name=tiny'])
    expect(pulled.out).toContain(part)
  expect(pulled.err).toMatch(/tiny {2}█+ 100 % {2}[\d.]+ kB\/[\d.]+ kB {2}[\d.]+ [kMG]?B\/s/u)
  expect(pulled.out + pulled.err).not.toContain('hf_secret')
  expect(hub.seen[0]!.authorization).toBe('Bearer hf_secret')

  const { out } = await run(['ls'])
  const lines = out.split('\n')
  expect(lines[0]).toMatch(/name +where +dims +tokens +precision +size +languages +licence +digest/u)
  expect(lines[1]).toMatch(
    new RegExp(`^\\* +${shipped_model.name} +ships +384 +256 .*MIT +${shipped_model.digest.slice(0, 12)}`, 'u'),
  )
  expect(lines[3]).toMatch(/^ +tiny +pulled +8 +32 +fp32 +[\d.]+ kB +en +MIT +[0-9a-f]{12}$/u)
  expect((await run(['ls', '--set', 'model.name=tiny'])).out).toMatch(/^\* +tiny/mu)

  const { value } = await json(['pull', 'kettle-lab/tiny'])
  expect(value).toMatchObject({ name: 'tiny', unchanged: true, in_use: false })
  expect((await json(['ls'])).value[2]).toMatchObject({ name: 'tiny', in_use: false, digest: value['digest'], languages: ['en'] })
})

test('what is refused exits by its kind, and says what to do', async () => {
  expect(await run(['pull', 'kettle-lab/none'])).toMatchObject({ code: 78, err: expect.stringContaining('model.refused') })
  expect(await run(['pull', 'kettle-lab/tiny', '--sha256', 'x'])).toMatchObject({ code: 2, err: expect.stringContaining('64') })
  expect(await run(['pull', 'kettle-lab/tiny', '--pooling', 'max'])).toMatchObject({ code: 2 })
  expect(await run(['pull'])).toMatchObject({ code: 2, err: expect.stringContaining('source is missing') })
  expect(await run(['verify', 'none'])).toMatchObject({ code: 78, err: expect.stringContaining('entrepot model pull') })
  expect(await run(['bench', '--budget', 'many'])).toMatchObject({ code: 2 })
  const both = await run(['ls', '--set', 'model.name=tiny', '--set', `model.folder=${folder}`])
  expect(both).toMatchObject({ code: 78, err: expect.stringContaining('exclude each other') })
})

test('a pull that is stopped says that it can go on, and exits with 75', async () => {
  const stopped = await run(['pull', 'kettle-lab/tiny'], {}, false, () => AbortSignal.abort())
  expect(stopped).toMatchObject({ code: 75, out: '', err: expect.stringContaining('the same command goes on') })
})

test('verify passes a sound model, and exits 1 on a tampered one', async () => {
  await run(['pull', 'kettle-lab/tiny'])
  const sound = await run(['verify', 'tiny'])
  expect([sound.code, sound.err]).toEqual([0, ''])
  expect(sound.out.match(/^ok /gmu)).toHaveLength(10)
  expect(sound.out).toContain('All is well.')
  const weights = join(folder, 'models', 'tiny', 'model.onnx')
  const bytes = readFileSync(weights)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(weights, bytes)
  const tampered = await run(['verify', 'tiny'])
  expect(tampered.code).toBe(1)
  expect(tampered.out).toMatch(/^fail {2}files +.*SHA-256/mu)
  expect(tampered.out).toContain('entrepot model pull kettle-lab/tiny@')
  const { code, value } = await json(['verify', 'tiny'])
  expect([code, value['sound']]).toEqual([1, false])
})

test('verify of the model that ships finds it sound', async () => {
  const { code, value } = await json(['verify'])
  expect([code, value['name'], value['sound']]).toEqual([0, shipped_model.name, true])
  const findings = value['findings'] as { check: string; verdict: string }[]
  expect(findings.filter(({ check }) => check === 'batches')).toEqual([expect.objectContaining({ verdict: 'ok' })])
})

test('bench measures every length that fits, for each budget, on a model of a folder', async () => {
  const own = join(folder, 'own')
  for (const [name, bytes] of Object.entries(tinyFolder())) {
    mkdirSync(dirname(join(own, name)), { recursive: true })
    writeFileSync(join(own, name), bytes)
  }
  const { out, code } = await run(['bench', own, '--seconds', '1', '--budget', '64', '--budget', '128'])
  expect(code).toBe(0)
  expect(out).toMatch(/texts\/CPU s +tokens\/CPU s/u)
  const { value } = await json(['bench', own, '--seconds', '1', '--budget', '64'])
  const cells = value['cells'] as { length: number; tokens_per_text: number; texts_per_s: number; texts_per_cpu_s: number }[]
  // The tiny model takes at most 32 tokens.
  expect(cells.map(({ length, tokens_per_text }) => [length, tokens_per_text])).toEqual([
    [8, 8],
    [20, 20],
  ])
  for (const { texts_per_s, texts_per_cpu_s } of cells) expect(Math.min(texts_per_s, texts_per_cpu_s)).toBeGreaterThan(0)
  expect(value).toMatchObject({ complete: true, workers: 1, model: { name: 'tiny', dims: 8 } })
})
