import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isZone, offsetMinutesOf, parseTime, timeOfNumber } from './time.ts'

const utc = (text: string): number => Date.parse(text)

describe('parseTime', () => {
  test.each([
    ['2026-02-03T04:05:06Z', null, '2026-02-03T04:05:06.000Z'],
    ['2026-02-03T04:05:06.789Z', null, '2026-02-03T04:05:06.789Z'],
    ['2026-02-03T04:05:06.789123Z', null, '2026-02-03T04:05:06.789Z'],
    ['2026-02-03T04:05:06-05:00', null, '2026-02-03T09:05:06.000Z'],
    ['2026-02-03T04:05:06+0530', null, '2026-02-02T22:35:06.000Z'],
    ['2026-02-03 04:05:06', '+08:00', '2026-02-02T20:05:06.000Z'],
    ['2026-02-03T04:05:06', 'UTC', '2026-02-03T04:05:06.000Z'],
    ['2026-02-03', 'UTC', '2026-02-03T00:00:00.000Z'],
    ['2024-02-29 12:00', 'Z', '2024-02-29T12:00:00.000Z'],
    ['2026-06-30 23:59:60', 'Z', '2026-06-30T23:59:59.000Z'],
    ['2026-01-15 12:00:00', 'America/New_York', '2026-01-15T17:00:00.000Z'],
    ['2026-07-15 12:00:00', 'America/New_York', '2026-07-15T16:00:00.000Z'],
    ['2026-07-15 12:00:00+00:00', 'America/New_York', '2026-07-15T12:00:00.000Z'],
    ['2026-07-15 12:00:00', 'Asia/Kolkata', '2026-07-15T06:30:00.000Z'],
  ])('%s in %s', (text, zone, expected) => expect(parseTime(text, zone)).toBe(utc(expected)))

  test.each([
    '',
    'now',
    '2026-02-30',
    '2025-02-29',
    '2026-13-01',
    '2026-00-01',
    '2026-01-01 24:00:00',
    '2026-01-01T10',
    '1767225600',
    '01/02/2026',
    '2026-1-1',
  ])('%j is no time', (text) => expect(parseTime(text, 'UTC')).toBeUndefined())
  test('without any zone a time is unknown', () => expect(parseTime('2026-02-03 04:05:06', null)).toBeUndefined())
  test('a skipped local time is none, a repeated one is the earlier', () => {
    expect(parseTime('2026-03-29 02:30:00', 'Europe/Berlin')).toBeUndefined()
    expect(parseTime('2026-10-25 02:30:00', 'Europe/Berlin')).toBe(utc('2026-10-25T00:30:00Z'))
    expect(parseTime('2026-10-25 03:30:00', 'Europe/Berlin')).toBe(utc('2026-10-25T02:30:00Z'))
  })
  test('agrees with the platform on every UTC second', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_799 }), (second) => {
        const text = new Date(second * 1000).toISOString()
        expect(parseTime(text, null)).toBe(second * 1000)
        expect(parseTime(text.slice(0, 19).replace('T', ' '), '+00:00')).toBe(second * 1000)
      }),
    )
  })
})

test('numbers by their declared unit', () => {
  expect(timeOfNumber(1_770_000_000, 's')).toBe(1_770_000_000_000)
  expect(timeOfNumber(1_770_000_000.5, 's')).toBe(1_770_000_000_500)
  expect(timeOfNumber(1_770_000_000_123, 'ms')).toBe(1_770_000_000_123)
  expect(timeOfNumber(1_770_000_000_123_456, 'us')).toBe(1_770_000_000_123)
  expect(timeOfNumber(1_770_000_000_123_456_789n, 'ns')).toBe(1_770_000_000_123)
  expect(timeOfNumber(1_770_000_000n, 's')).toBe(1_770_000_000_000)
})

test('zones', () => {
  expect([offsetMinutesOf('Z'), offsetMinutesOf('+08:00'), offsetMinutesOf('-0330'), offsetMinutesOf('+99:00')]).toEqual([
    0,
    480,
    -210,
    undefined,
  ])
  expect([isZone('Europe/Berlin'), isZone('+01:00'), isZone('Mars/Olympus'), isZone('')]).toEqual([true, true, false, false])
})
