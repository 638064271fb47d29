import { expect, test } from '@jest/globals'
import { stateStoreContract } from '../../ports/state-store.contract.ts'
import { memoryStateStore } from './state-store.ts'

stateStoreContract('memory', async () => ({ store: memoryStateStore(), close: async () => {} }))

test('many keys stay in order whatever order they came in', () => {
  const store = memoryStateStore()
  const keys = Array.from({ length: 5000 }, (_, i) => `${(i * 7919) % 5000}`)
  store.apply(keys.map((key) => ({ key, value: Buffer.from(key) })))
  store.apply(keys.filter((key) => Number(key) % 3 === 0).map((key) => ({ key, value: null })))
  const left = keys.filter((key) => Number(key) % 3 !== 0).toSorted()
  expect(store.entries('', 10_000).map(([key]) => key)).toEqual(left)
  expect(store.entries('42', 10_000).map(([key]) => key)).toEqual(left.filter((key) => key.startsWith('42')))
})
