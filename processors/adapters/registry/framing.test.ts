import { expect, test } from '@jest/globals'
import * as fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import { frame, header_bytes, messagePathBytes, messagePathOf, schemaIdOf } from './framing.ts'

test('the header is magic byte 0 and the id, big-endian', () => {
  expect(frame(0x01020304, Buffer.from('ab')).toString('hex')).toBe('00010203046162')
  expect(schemaIdOf(frame(2_147_483_647, Buffer.alloc(0)))).toBe(2_147_483_647)
})

test('message paths are written as Confluent writes them and read back', () => {
  expect(messagePathBytes([0]).toString('hex')).toBe('00')
  expect(messagePathBytes([1]).toString('hex')).toBe('0202')
  expect(messagePathBytes([1, 0]).toString('hex')).toBe('040200')
  expect(messagePathBytes([200]).toString('hex')).toBe('029003')
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { minLength: 1, maxLength: 16 }), (indexes) => {
      const bytes = frame(1, messagePathBytes(indexes))
      expect(messagePathOf(bytes)).toEqual({ indexes, offset: bytes.length })
    }),
  )
})

test('an empty path stands for the first message', () => {
  expect(messagePathOf(Buffer.from([0, 0, 0, 0, 1, 0, 9]))).toEqual({ indexes: [0], offset: header_bytes + 1 })
})

test('any bytes are a header or a fault, a path or a fault', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const value = Buffer.from(bytes)
      const id = schemaIdOf(value)
      if (id instanceof Fault) expect(id.kind).toBe('malformed')
      else {
        const path = messagePathOf(value)
        if (path instanceof Fault) expect(path.kind).toBe('malformed')
        else expect(path.indexes.length).toBeLessThanOrEqual(16)
      }
    }),
  )
})
