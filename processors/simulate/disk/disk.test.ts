/** The embedded log and vector file on a simulated disk: every operation of a run as the last one, and seeds of faults and crashes. */
import { describe, expect, test } from '@jest/globals'
import { seededRandom } from '../../adapters/system/random.ts'
import { type Mishap, openFileSystem } from './file-system.ts'
import { disk_mutations } from './mutations.ts'
import { crashEverywhere, runDiskSeed } from './run.ts'

test('a crash before every file operation of a run loses nothing that was acknowledged, and tears nothing', async () => {
  const { violation, operations, disks, crash_points } = await crashEverywhere(1, 30)
  expect(violation).toBeUndefined()
  expect(disks).toBe(operations)
  expect(operations).toBeGreaterThan(300)
  // Created, written, synced, copied and deleted files, by what the process was about.
  expect(Object.keys(crash_points).length).toBeGreaterThanOrEqual(25)
}, 120_000)

test('seeds of faults, crashes and losses break no promise, and meet every kind of them', async () => {
  const met: Record<string, number> = {}
  const points = new Set<string>()
  for (let seed = 1; seed <= 15; seed++) {
    const { violation, faults, crash_points } = await runDiskSeed(seed)
    expect({ seed, violation }).toEqual({ seed, violation: undefined })
    for (const [kind, times] of Object.entries(faults)) met[kind] = (met[kind] ?? 0) + times
    for (const point of Object.keys(crash_points)) points.add(point)
  }
  expect(Object.keys(met)).toEqual(
    expect.arrayContaining(['error read', 'error write', 'error sync', 'full write', 'space limited']),
  )
  expect(Object.keys(met)).toEqual(expect.arrayContaining(['loss process', 'loss prefix', 'loss subset', 'loss torn']))
  expect(points.size).toBeGreaterThanOrEqual(25)
}, 120_000)

test('the same seed makes the same file operations; another makes others', async () => {
  const first = await runDiskSeed(7)
  expect(await runDiskSeed(7)).toEqual(first)
  expect((await runDiskSeed(8)).trace).not.toBe(first.trace)
}, 30_000)

describe('seeds that found a fault, which is mended', () => {
  test.each([
    [62, 'a page that could not be read during the check at opening was told as damage'],
    [9, 'a commit behind one whose fsync had failed before a restart was gone after a loss of power'],
    [16, 'a change to the write-ahead log whose commit failed went unnoticed, and the file stayed in the journal mode before'],
  ])(
    '%i: %s',
    async (seed) => {
      expect((await runDiskSeed(seed)).violation).toBeUndefined()
    },
    30_000,
  )
})

test('each planted bug has a name of its own', () => {
  expect(new Set(disk_mutations.map(({ name }) => name)).size).toBe(disk_mutations.length)
})

describe('the simulated disk', () => {
  const bytes = (text: string) => Buffer.from(text)
  const opened = (mishaps: (Mishap | undefined)[] = []) => {
    const files = openFileSystem(seededRandom(1), () => mishaps.shift())
    const text = (path: string): string => {
      const into = new Uint8Array(files.size(path))
      files.read(path, into, 0)
      return `${Buffer.from(into)}`
    }
    return { files, text }
  }

  test('keeps what was synced, and without power loses what was not', () => {
    const { files, text } = opened()
    files.create('a')
    files.write('a', bytes('synced'), 0)
    files.sync('a', true)
    files.write('a', bytes('UNSYNC'), 0)
    expect(text('a')).toBe('UNSYNC')
    files.kill()
    expect(files.write('a', bytes('dead'), 0)).toBe('dead')
    files.restart('process')
    expect(text('a')).toBe('UNSYNC')
    files.restart('nothing-survives')
    expect(text('a')).toBe('synced')
  })

  test('forgets a file whose name was never synced, and brings back one whose deletion was not', () => {
    const { files, text } = opened()
    files.create('old')
    files.write('old', bytes('x'), 0)
    files.sync('old', true)
    files.create('new')
    files.delete('old', false)
    files.restart('nothing-survives')
    expect(files.exists('new')).toBe(false)
    expect(text('old')).toBe('x')
  })

  test('says once that a sync failed: what it did not write is readable, believed to be clean, and gone with the power', () => {
    const { files, text } = opened([undefined, undefined, 'error'])
    const pages = 40
    files.create('a')
    files.write('a', Buffer.alloc(pages * 4096, 'x'), 0)
    expect(files.sync('a', true)).toBe('error')
    expect(files.sync('a', true)).toBe('done')
    expect(text('a')).toBe('x'.repeat(pages * 4096))
    files.restart('all-survives')
    const left = text('a').replaceAll('\0', '').length / 4096
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(pages)
  })

  test('writes what fits on a full disk, and all again when there is space', () => {
    const { files } = opened()
    files.create('a')
    files.resize(10)
    expect(files.write('a', bytes('0123456789ab'), 0)).toBe('full')
    expect(files.size('a')).toBe(10)
    files.resize(20)
    expect(files.write('a', bytes('0123456789ab'), 0)).toBe('done')
  })

  test('tears a write at sectors, never within one', () => {
    let torn = 0
    for (let seed = 1; seed <= 15; seed++) {
      const files = openFileSystem(seededRandom(seed), () => undefined)
      files.create('a')
      files.write('a', Buffer.alloc(4096, 'o'), 0)
      files.sync('a', true)
      files.write('a', Buffer.alloc(4096, 'n'), 0)
      files.restart('torn')
      const into = new Uint8Array(4096)
      files.read('a', into, 0)
      const sectors = Array.from({ length: 8 }, (_, i) => `${Buffer.from(into.subarray(i * 512, (i + 1) * 512))}`)
      for (const sector of sectors) expect(['o'.repeat(512), 'n'.repeat(512)]).toContain(sector)
      if (new Set(sectors).size === 2) torn++
    }
    expect(torn).toBeGreaterThan(5)
  })
})
