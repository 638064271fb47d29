/** The planting of bugs: in the process and in its threads, and loudly when the patch does not fit. */
import { spawnSync } from 'node:child_process'
import { expect, test } from '@jest/globals'
import { misfit_status, type Patch, patched, planted } from './plant.ts'

const module_url = new URL('../../processors/adapters/embedded/state-key.ts', import.meta.url).href
/** Says how a key is stored, in the main thread or in a thread. */
const script = (where: 'main' | 'thread') => {
  const say = `import(${JSON.stringify(module_url)}).then(({ keyBytes }) => process.stdout.write(typeof keyBytes('a')))`
  // A thread whose code is given as text, by `eval`, would not preload anything.
  const thread_url = JSON.stringify(`data:text/javascript,${encodeURIComponent(say)}`)
  return where === 'main' ? say : `new (require('node:worker_threads').Worker)(new URL(${thread_url}))`
}
const patch: Patch = {
  name: 'keys-are-numbers',
  file: 'adapters/embedded/state-key.ts',
  find: 'export const keyBytes =',
  replace: "export const keyBytes = (key: string): number => key.length + '$&'.length\nconst unused =",
}
const run = (where: 'main' | 'thread', what: Patch) => {
  const { node_arguments, env } = planted(what)
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node_arguments, '-e', script(where)], { env })
  return { status, stdout: `${stdout}`, stderr: `${stderr}` }
}

test('a patch is in force in the process and in its threads', () => {
  for (const where of ['main', 'thread'] as const) {
    const { status, stdout, stderr } = run(where, patch)
    expect({ where, status, stdout, stderr }).toEqual({
      where,
      status: 0,
      stdout: 'number',
      stderr: 'planted keys-are-numbers in adapters/embedded/state-key.ts\n',
    })
  }
})

test('a patch that fits nowhere, or at two places, ends the process with a status of its own', () => {
  for (const find of ['no such text', 'const'])
    expect(run('main', { ...patch, find })).toMatchObject({ status: misfit_status, stdout: '' })
})

test('the replacement is taken as it is, and has to change something', () => {
  expect(patched('a b c', { file: 'x', find: 'b', replace: '$& $1' })).toBe('a $& $1 c')
  expect(() => patched('a b c', { file: 'x', find: 'b', replace: 'b' })).toThrow('changes nothing')
})
