import { expect, test } from '@jest/globals'
import { recent, singleFlight } from './cache.ts'

test('the entries that were used last are kept', () => {
  const cache = recent<string, number>(2)
  cache.set('a', 1)
  cache.set('b', 2)
  expect(cache.get('a')).toBe(1)
  cache.set('c', 3)
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, undefined, 3])
  cache.set('a', 9)
  cache.delete('c')
  expect([cache.get('a'), cache.get('c')]).toEqual([9, undefined])
})

test('simultaneous callers share one flight, later ones start another', async () => {
  let flights = 0
  const fetch = singleFlight(async (key: string) => `${key}${++flights}`)
  expect(await Promise.all([fetch('a'), fetch('a'), fetch('b')])).toEqual(['a1', 'a1', 'b2'])
  expect(await fetch('a')).toBe('a3')
})

test('a failure is shared and not kept', async () => {
  let calls = 0
  const fetch = singleFlight(async (_key: number) => {
    if (++calls === 1) throw new Error('down')
    return calls
  })
  expect(await Promise.allSettled([fetch(1), fetch(1)])).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
  expect(await fetch(1)).toBe(2)
})
