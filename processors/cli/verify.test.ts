/** When the index is verified, by whom, and what is told of it. */
import { expect, test } from '@jest/globals'
import { openMemoryVectorIndex } from '../adapters/memory/vector-index.ts'
import { Fault } from '../domain/fault.ts'
import { drift_kinds } from '../index/reconcile.ts'
import { dims, openView, topics, vectorOf, vectors } from '../index/view.fixture.ts'
import type { Clock } from '../ports/clock.ts'
import type { RuntimeEvent } from '../runtime/events.ts'
import { no_log } from '../telemetry/log.ts'
import { metrics, type Telemetry } from '../telemetry/metrics.ts'
import { openVerifier } from './verify.ts'

/** Time that passes only when everybody sleeps; `at` runs at moments of it. */
const opened = async (options: { readonly verify_hours?: number; readonly first_after_ms?: number } = {}) => {
  const { index, admin } = openMemoryVectorIndex({ dims })
  const view = await openView(index, admin)
  for (let n = 0; n < 300; n++) await view.put('items', `i${n}`, n)
  await view.settle()
  let now = 0
  let up = true
  const moments = new Map<number, () => unknown>()
  const stop = new AbortController()
  const clock: Clock = {
    now_ms: () => 1_700_000_000_000 + now,
    monotonic_ms: () => now,
    sleep: async (duration_ms) => {
      const until = now + duration_ms
      for (const [at, happen] of [...moments].sort(([a], [b]) => a - b))
        if (at <= until) {
          moments.delete(at)
          now = Math.max(now, at)
          await happen()
        }
      now = until
    },
  }
  const told: { readonly at_ms: number; readonly name: string; readonly labels: object; readonly value: number }[] = []
  const tell = (name: string, labels: object, value = 1) => {
    if (value > 0 || name.endsWith('remaining')) told.push({ at_ms: now, name, labels, value })
  }
  const telemetry: Telemetry = { count: tell, set: tell, observe: tell, forget: () => undefined }
  const warned: string[] = []
  const down =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (!up) throw new Fault('index.unavailable', 'down')
      return work(...args)
    }
  const verifier = openVerifier({
    ports: { ...view.ports, admin: { ...admin, describe: down(admin.describe) }, clock },
    topics,
    verify_hours: 24,
    first_after_ms: 600_000,
    telemetry,
    log: { ...no_log, warn: (code) => warned.push(code), fault: ({ code }) => warned.push(code) },
    ...options,
  })
  const event = (name: 'assigned' | 'revoked' | 'resumed', partition = 0) =>
    verifier.observe({ event: name, stage: 'index', input: { topic: vectors.name, partition } } as RuntimeEvent)
  return {
    view,
    verifier,
    event,
    told,
    warned,
    at: (at_ms: number, happen: () => unknown) => void moments.set(at_ms, happen),
    up: (is: boolean) => {
      up = is
    },
    run: async (until_ms: number) => {
      moments.set(until_ms, () => stop.abort())
      await verifier.run(stop.signal)
    },
    /** Minutes at which a verification ended. */
    verified: () =>
      told
        .filter(({ name }) => name === 'entrepot_index_verified_timestamp_seconds')
        .map(({ at_ms }) => Math.round(at_ms / 60_000)),
    lose: async (...ids: string[]) => {
      for (const id of ids) {
        const seen = (await index.points('items', [id])).get(id)!.version
        await admin.correct([{ space: 'items', id, vector: null, payload: {}, version: seen, seen }])
      }
    },
  }
}
const hour_ms = 3_600_000

test('the kinds of drift are the label values', () => {
  expect(metrics.entrepot_index_drift_total.labels.kind.values).toEqual(drift_kinds)
})

test('the owner of partition 0 verifies after the start and then each day, and counts what it finds', async () => {
  const v = await opened()
  v.event('assigned')
  v.at(30 * hour_ms, () => v.lose('i1', 'i2'))
  await v.run(50 * hour_ms)
  expect(v.verified()).toEqual([10, 24 * 60 + 10, 48 * 60 + 10])
  const counted = v.told.filter(({ name }) => /drift_total|repaired|remaining/u.test(name))
  expect(counted.filter(({ value }) => value > 0)).toEqual([
    { at_ms: 48 * hour_ms + 600_000, name: 'entrepot_index_drift_total', labels: { space: 'items', kind: 'missing' }, value: 2 },
    { at_ms: 48 * hour_ms + 600_000, name: 'entrepot_index_repaired_total', labels: {}, value: 2 },
  ])
  expect(v.told).toContainEqual(
    expect.objectContaining({ name: 'entrepot_index_points', labels: { space: 'items' }, value: 300 }),
  )
  expect(v.warned).toEqual(['index.drift'])
  expect(await v.view.held()).toEqual(await v.view.wanted())
})

test('a process that does not own partition 0 verifies nothing, and takes over in its own time', async () => {
  const v = await opened()
  v.event('assigned', 1)
  v.at(20 * hour_ms, () => v.event('assigned'))
  v.at(30 * hour_ms, () => v.event('revoked'))
  await v.run(100 * hour_ms)
  expect(v.verified()).toEqual([24 * 60 + 10])
})

test('after an outage that a task met, or that nobody met, it verifies soon', async () => {
  const v = await opened()
  v.event('assigned')
  const fault = new Fault('index.unavailable', 'away')
  const input = { topic: vectors.name, partition: 0 }
  v.at(2 * hour_ms, () => v.verifier.observe({ event: 'paused', stage: 'index', input, fault, retry_in_ms: 1 }))
  v.at(2 * hour_ms + 300_000, () => v.event('resumed'))
  v.at(4 * hour_ms, () => v.up(false))
  v.at(5 * hour_ms, () => v.lose('i1'))
  v.at(5 * hour_ms + 1_000, () => v.up(true))
  await v.run(10 * hour_ms)
  const [start, met, seen, ...more] = v.verified()
  expect([start, more]).toEqual([10, []])
  expect(met! - 125).toBeLessThanOrEqual(2)
  expect(seen! - 300).toBeLessThanOrEqual(3)
  expect(await v.view.held()).toEqual(await v.view.wanted())
})

test('what would empty the index is left to a person, and told', async () => {
  const v = await opened({ first_after_ms: 0 })
  v.event('assigned')
  for (let n = 0; n < 150; n++) await v.view.index.write([{ space: 'items', id: `old${n}`, vector: vectorOf(n), payload: {} }], 0)
  await v.run(hour_ms)
  expect(v.told).toContainEqual(expect.objectContaining({ name: 'entrepot_index_drift_remaining', value: 50 }))
  expect(v.warned).toContain('index.withheld')
})

test('0 hours switch it off, and a log that is away is tried again', async () => {
  const off = await opened({ verify_hours: 0 })
  off.event('assigned')
  await off.run(hour_ms)
  expect(off.verified()).toEqual([])
  const v = await opened()
  v.event('assigned')
  await v.view.log.close()
  v.at(hour_ms, () => undefined)
  v.view.log.deleteTopic(vectors.name)
  await v.run(hour_ms)
  expect(v.verified()).toEqual([])
  expect(v.warned.length).toBeGreaterThan(5)
  expect(new Set(v.warned)).toEqual(new Set(['topic.missing']))
})
