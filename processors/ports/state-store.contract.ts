/** The laws of a state store, run against every adapter: a map with ordered prefixes, seen through a model. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { StateChange, StateStore } from './state-store.ts'

export type OpenedStore = { readonly store: StateStore; close(): Promise<void> }

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
const shown = (entries: readonly (readonly [string, Buffer])[]) => entries.map(([key, value]) => [key, value.toString('utf8')])
const byCodeUnit = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : a > b ? 1 : 0)

/** Numbers that look random and are the same in every run (Numerical Recipes' LCG). */
const lcg = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

/** Registers the suite; each law opens an empty store. */
export const stateStoreContract = (name: string, open: () => Promise<OpenedStore>): void => {
  describe(`state store contract: ${name}`, () => {
    let opened: OpenedStore
    let store: StateStore
    beforeEach(async () => {
      opened = await open()
      store = opened.store
    })
    afterEach(() => opened.close())

    test('what was applied is read, what was deleted is gone, the rest is undefined', () => {
      expect(store.get('a')).toBeUndefined()
      store.apply([
        { key: 'a', value: bytes('1') },
        { key: 'b', value: bytes('2') },
        { key: 'empty', value: Buffer.alloc(0) },
      ])
      expect(store.get('a')?.toString()).toBe('1')
      expect(store.get('empty')?.length).toBe(0)
      expect(store.size()).toBe(3)
      store.apply([
        { key: 'a', value: null },
        { key: 'absent', value: null },
        { key: 'b', value: bytes('3') },
      ])
      expect(store.get('a')).toBeUndefined()
      expect(store.get('b')?.toString()).toBe('3')
      expect(store.size()).toBe(2)
      store.apply([])
      expect(store.size()).toBe(2)
    })

    test('within one apply the last change of a key wins', () => {
      store.apply([
        { key: 'a', value: bytes('1') },
        { key: 'b', value: bytes('1') },
        { key: 'a', value: null },
        { key: 'b', value: bytes('2') },
        { key: 'c', value: null },
        { key: 'c', value: bytes('3') },
      ])
      expect(shown(store.entries('', 10))).toEqual([
        ['b', '2'],
        ['c', '3'],
      ])
      expect(store.size()).toBe(2)
    })

    test('what the caller does to its buffer afterwards changes nothing', () => {
      const mine = bytes('before')
      store.apply([{ key: 'a', value: mine }])
      mine.fill(0)
      expect(store.get('a')?.toString()).toBe('before')
      expect(shown(store.entries('a', 1))).toEqual([['a', 'before']])
    })

    test('entries come by prefix, in code-unit order, at most so many', () => {
      const keys = [
        '',
        'a',
        'a:',
        'a:1',
        'a:10',
        'a:2',
        'a;',
        'b',
        'ä',
        '日',
        '\uffff',
        '\ue000',
        '😀',
        '\ud83d',
        'z\u0000',
        'z\u0000a',
        'z%_',
      ]
      store.apply(keys.map((key) => ({ key, value: bytes(JSON.stringify(key)) })))
      for (const prefix of ['', 'a', 'a:', 'a:1', 'b', 'c', 'z', 'z\u0000', 'z%', '\ud83d', '\uffff', 'ä'])
        for (const limit of [0, 1, 2, 100]) {
          const wanted = keys.filter((key) => key.startsWith(prefix)).toSorted((a, b) => byCodeUnit([a, 0], [b, 0]))
          expect(shown(store.entries(prefix, limit))).toEqual(wanted.slice(0, limit).map((key) => [key, JSON.stringify(key)]))
        }
    })

    test('clear forgets everything and the store goes on', () => {
      store.apply([{ key: 'a', value: bytes('1') }])
      expect(store.get('a')?.toString()).toBe('1')
      store.clear()
      expect(store.get('a')).toBeUndefined()
      expect(store.entries('', 10)).toEqual([])
      expect(store.size()).toBe(0)
      store.apply([{ key: 'a', value: bytes('2') }])
      expect(store.get('a')?.toString()).toBe('2')
    })

    test.each([1, 2, 3])('it answers as a map does, seed %i', (seed) => {
      const random = lcg(seed)
      const model = new Map<string, string>()
      for (let round = 0; round < 40; round++) {
        const changes: StateChange[] = Array.from({ length: 1 + Math.floor(random() * 60) }, () => {
          const key = `${'abc'[Math.floor(random() * 3)]}${Math.floor(random() * 150)}`
          const value = random() < 0.35 ? null : `${round}:${'x'.repeat(Math.floor(random() * 200))}`
          if (value === null) model.delete(key)
          else model.set(key, value)
          return { key, value: value === null ? null : bytes(value) }
        })
        store.apply(changes)
        expect(store.size()).toBe(model.size)
        const key = `a${Math.floor(random() * 150)}`
        expect(store.get(key)?.toString()).toBe(model.get(key))
        const prefix = ['', 'b', 'c1'][Math.floor(random() * 3)]!
        const limit = Math.floor(random() * 50)
        const wanted = [...model].filter(([each]) => each.startsWith(prefix)).sort(byCodeUnit)
        expect(shown(store.entries(prefix, limit))).toEqual(wanted.slice(0, limit))
      }
    })
  })
}
