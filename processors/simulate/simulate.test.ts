/** The simulator itself, and the fixed seeds that every change has to weather. Seeds run outside jest, whose module realm costs them double. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

const script = fileURLToPath(new URL('../../scripts/simulate.ts', import.meta.url))
const simulate = (...options: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...options], { encoding: 'utf8', maxBuffer: 1 << 28 })
  return { status, stdout, stderr }
}

test('one seed twice is one trace, line by line', () => {
  for (const seed of ['3', '17', '256']) {
    const [first, second] = [
      simulate('--seed', seed, '--trace', '--events', '60'),
      simulate('--seed', seed, '--trace', '--events', '60'),
    ]
    expect(first.stderr).toMatch(/trace [0-9a-f]{8}/)
    expect(first.stdout.split('\n').length).toBeGreaterThan(300)
    expect(second).toEqual(first)
  }
}, 60_000)

test('twenty seeds are the same alone and in company', () => {
  const hashes = (text: string) => /traces ([0-9a-f]+)/.exec(text)?.[1]
  const together = simulate('--seeds', '20', '--events', '60', '--workers', '2')
  const alone = simulate('--seeds', '20', '--events', '60', '--workers', '1')
  expect(hashes(together.stdout)).toMatch(/^[0-9a-f]{8}$/)
  expect(hashes(alone.stdout)).toBe(hashes(together.stdout))
}, 60_000)

test('a thousand fixed seeds hold', () => {
  const { status, stdout, stderr } = simulate('--seeds', '1000', '--events', '40')
  expect(stderr).not.toContain('fails')
  expect(stdout).toContain('All 1000 seeds hold.')
  expect(status).toBe(0)
}, 600_000)
