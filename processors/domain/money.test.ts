import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { amountIn, convertMinor, currencyIn, exponentOf, minorOf, numberStyleOf } from './money.ts'

describe('minorOf', () => {
  test.each([
    ['19.99', 2, 1999],
    ['5', 2, 500],
    ['5.0', 2, 500],
    ['0', 2, 0],
    ['0.10', 2, 10],
    ['007.5', 2, 750],
    ['1200', 0, 1200],
    ['1200.00', 0, 1200],
    ['1.234', 3, 1234],
    ['4.35', 2, 435],
    ['1.1', 2, 110],
    ['-0', 2, 0],
  ])('%s with %i digits is %i', (text, exponent, minor) => expect(minorOf(text, exponent)).toEqual({ minor, rounded: false }))
  test.each([
    ['0.005', 0],
    ['0.015', 2],
    ['0.0251', 3],
    ['2.675', 268],
    ['0.0049999999', 0],
  ])('%s is rounded half to even', (text, minor) => expect(minorOf(text, 2)).toEqual({ minor, rounded: true }))
  test.each(['', ' ', '1,234.50', '1.234,50', '$5', '5 EUR', '1e3', '.5', '5.', 'NaN', '٣', '0x10'])('%j is no decimal', (text) =>
    expect(minorOf(text, 2)).toBe('not_decimal'),
  )
  test('negative and absurd prices are told apart', () => {
    expect(minorOf('-1', 2)).toBe('negative')
    expect(minorOf('-0.001', 2)).toBe('negative')
    expect(minorOf('1000000000001', 2)).toBe('absurd')
    expect(minorOf('9'.repeat(40), 2)).toBe('absurd')
  })
  test('moves digits, never multiplies', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 47 }), fc.constantFrom(0, 2, 3, 4), (minor, exponent) => {
        const digits = String(minor).padStart(exponent + 1, '0')
        const text = exponent === 0 ? digits : `${digits.slice(0, -exponent)}.${digits.slice(-exponent)}`
        const read = minorOf(text, exponent)
        if (Number(digits.slice(0, digits.length - exponent)) > 1e12) expect(read).toBe('absurd')
        else expect(read).toEqual({ minor, rounded: false })
      }),
    )
  })
})

test('exponents follow ISO 4217', () => {
  expect([exponentOf('JPY'), exponentOf('EUR'), exponentOf('KWD'), exponentOf('CLF')]).toEqual([0, 2, 3, 4])
  expect([exponentOf('eur'), exponentOf('XXX'), exponentOf('BTC'), exponentOf('')]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('conversion crosses exponents and rounds half to even', () => {
  expect(convertMinor(1999, 2, 2, 0.92)).toBe(1839)
  expect(convertMinor(1200, 0, 2, 0.0061)).toBe(732)
  expect(convertMinor(100, 2, 0, 163.5)).toBe(164)
  expect(convertMinor(50, 2, 0, 1)).toBe(0)
  expect(convertMinor(150, 2, 0, 1)).toBe(2)
  expect(convertMinor(2 ** 52, 0, 4, 1e9)).toBeNull()
})

describe('amountIn', () => {
  const us = numberStyleOf('1,234.56')!
  const nl = numberStyleOf('1.234,56')!
  test.each([
    ['$124.74 CAD CAD', '124.74'],
    ['USD, $1,295.95', '1295.95'],
    ['\u00a0$9.90 USD', '9.90'],
    ['399', '399'],
    ['38.99 gbp', '38.99'],
    ['1234567.5', '1234567.5'],
  ])('%s, US style', (text, amount) => expect(amountIn(text, us)).toBe(amount))
  test.each([
    ['€ 1.234,93', '1234.93'],
    ['€ 12,-', '12'],
    ['€ 1.299,-', '1299'],
    ['€ 1.299', '1299'],
  ])('%s, Dutch style', (text, amount) => expect(amountIn(text, nl)).toBe(amount))
  test('no digit is no amount; two numbers, a wrong style or a minus are not certain', () => {
    expect(amountIn('USD', us)).toBeUndefined()
    expect(amountIn('', us)).toBeUndefined()
    for (const text of ['10 - 20', '$10 or $12', '1.234,93', '-5.00', '(5.00)', '-$5.00', '1,23.4', '1,2345'])
      expect([text, amountIn(text, us)]).toEqual([text, null])
    expect(amountIn('12.34', nl)).toBeNull()
  })
  test('answers fast on long digit strings', () => {
    expect(amountIn('1'.repeat(60_000), us)).toBe('1'.repeat(60_000))
    expect(amountIn('1,'.repeat(30_000), us)).toBeNull()
  })
  test('reads what it is told to read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 0, max: 99 }), (whole, cents) => {
        const text = `${whole.toLocaleString('en-US')}.${String(cents).padStart(2, '0')}`
        expect(amountIn(`USD ${text}`, us)).toBe(`${whole}.${String(cents).padStart(2, '0')}`)
      }),
    )
  })
  test('a style is declared by a sample', () => {
    expect(numberStyleOf('1234.56')).toEqual({ group: '', sign: '.' })
    expect(numberStyleOf("1'234.56")).toEqual({ group: "'", sign: '.' })
    expect([numberStyleOf('1,234,56'), numberStyleOf('12.5')]).toEqual([undefined, undefined])
  })
})

test('currencyIn reads codes and unambiguous signs only', () => {
  expect(currencyIn('CAD, $177.92 CAD')).toBe('CAD')
  expect(currencyIn('38.99 gbp')).toBe('GBP')
  expect(currencyIn('€ 5')).toBe('EUR')
  expect(currencyIn('$5')).toBeUndefined()
  expect(currencyIn('100')).toBeUndefined()
  expect(currencyIn('5 EUR (6 USD)')).toBeNull()
})
