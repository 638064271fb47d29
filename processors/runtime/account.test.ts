import { describe, expect, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import type { Outcome } from '../flow/processor.ts'
import { topic } from '../flow/topic.ts'
import { account } from './account.ts'

const out = topic<unknown>('out', { key: 'id', schema: 'item', partitions: 1, keep: 'latest', holds: 'x' })
const other = topic<unknown>('other', { key: 'id', schema: 'item', partitions: 1, keep: 'latest', holds: 'x' })
const processor = { name: 'verb', drops: ['stale'] }
const malformed = new Fault('json.syntax', 'no')
const emit = (...causes: number[]) => ({ to: out, key: 'k', value: {}, causes })
const point = { space: 'items', id: 'a', vector: null, payload: {} } as const

const codeOf = (outcome: Outcome, offsets = [1, 2]) => {
  try {
    return account(processor, offsets, outcome, [out])
  } catch (error) {
    return (error as Fault).code
  }
}

describe('each offset ends once', () => {
  test.each<[string, Outcome, unknown]>([
    ['all emitted', { emit: [emit(1), emit(2)] }, { emitted: 2, kept: 0, dropped: 0, dead: 0 }],
    ['one emit for two causes', { emit: [emit(1, 2)] }, { emitted: 2, kept: 0, dropped: 0, dead: 0 }],
    ['two emits of one cause', { emit: [emit(1), emit(1), emit(2)] }, { emitted: 2, kept: 0, dropped: 0, dead: 0 }],
    [
      'dropped and dead',
      {
        emit: [],
        dropped: [
          { at: 1, reason: 'stale' },
          { at: 2, fault: malformed },
        ],
      },
      { emitted: 0, kept: 0, dropped: 1, dead: 1 },
    ],
    [
      'kept in state',
      { emit: [emit(2)], state: [{ key: 'w', value: null, causes: [1] }] },
      { emitted: 1, kept: 1, dropped: 0, dead: 0 },
    ],
    [
      'a parked record of an earlier batch',
      { emit: [emit(1, 2)], dropped: [{ at: 0, fault: malformed, original: { key: 'k', bytes: null } }] },
      { emitted: 2, kept: 0, dropped: 0, dead: 0 },
    ],
    ['one lost', { emit: [emit(1)] }, 'outcome.lost'],
    ['emitted and dropped', { emit: [emit(1), emit(2)], dropped: [{ at: 1, reason: 'stale' }] }, 'outcome.invalid'],
    [
      'dropped twice',
      {
        emit: [emit(2)],
        dropped: [
          { at: 1, reason: 'stale' },
          { at: 1, reason: 'stale' },
        ],
      },
      'outcome.invalid',
    ],
    ['an offset nobody read', { emit: [emit(1), emit(2), emit(3)] }, 'outcome.invalid'],
    ['an undeclared reason', { emit: [emit(1)], dropped: [{ at: 2, reason: 'bored' }] }, 'outcome.invalid'],
    [
      'a dead letter that may yet succeed',
      { emit: [emit(1)], dropped: [{ at: 2, fault: new Fault('index.unavailable', 'later') }] },
      'outcome.invalid',
    ],
    ['a topic outside the stage', { emit: [{ ...emit(1, 2), to: other }] }, 'outcome.invalid'],
    ['an index write without the right', { emit: [emit(1, 2)], points: [point] }, 'outcome.invalid'],
  ])('%s', (_, outcome, expected) => expect(codeOf(outcome)).toEqual(expected))
})
