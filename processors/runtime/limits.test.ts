import { expect, test } from '@jest/globals'
import { backoffMs, default_limits, InFlightBudget } from './limits.ts'

const limits = { ...default_limits, in_flight_records_max: 10, in_flight_bytes_max: 100 }
const never = new AbortController().signal

test('holds what fits, makes the rest wait in order, and gives back', async () => {
  const budget = new InFlightBudget(limits)
  const first = await budget.take(8, 10, never)
  const order: string[] = []
  const large = budget.take(9, 10, never).then((share) => {
    order.push('large')
    return share
  })
  const small = budget.take(1, 1, never).then((share) => {
    order.push('small')
    return share
  })
  await Promise.resolve()
  expect([budget.records, budget.bytes, order]).toEqual([8, 10, []])
  first!.release()
  first!.release()
  const [held_large, held_small] = await Promise.all([large, small])
  expect(order).toEqual(['large', 'small'])
  expect([budget.records, budget.bytes]).toEqual([10, 11])
  held_large!.release()
  held_small!.release()
  expect([budget.records, budget.bytes]).toEqual([0, 0])
})

test('a share larger than the whole budget is cut to it instead of waiting for ever', async () => {
  const budget = new InFlightBudget(limits)
  await budget.take(1_000, 1_000_000, never)
  expect([budget.records, budget.bytes]).toEqual([10, 100])
})

test('an abort ends the wait and lets the next one through', async () => {
  const budget = new InFlightBudget(limits)
  const first = await budget.take(6, 1, never)
  const abort = new AbortController()
  const blocked = budget.take(10, 1, abort.signal)
  const behind = budget.take(4, 1, never)
  abort.abort()
  expect(await blocked).toBeNull()
  expect(await behind).not.toBeNull()
  first!.release()
})

test('backs off exponentially between half and the whole of the ceiling', () => {
  expect([0, 1, 2, 50].map((attempt) => backoffMs(default_limits, attempt, 1))).toEqual([100, 200, 400, 10_000])
  expect(backoffMs(default_limits, 2, 0)).toBe(200)
})
