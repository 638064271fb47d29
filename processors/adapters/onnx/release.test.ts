/** Memory of bytes is given back; bytes that share theirs are left alone. */
import { expect, test } from '@jest/globals'
import { release } from './release.ts'

test('bytes with a buffer of their own are empty afterwards, also when released twice', () => {
  const bytes = new Uint8Array(1_000).fill(7)
  release(bytes)
  release(bytes)
  expect([bytes.length, bytes.buffer.detached]).toEqual([0, true])
})

test('a part of a buffer, and shared memory, stay as they are', () => {
  const whole = new Uint8Array(10).fill(7)
  release(whole.subarray(2, 4))
  expect(whole.length).toBe(10)
  const shared = new Uint8Array(new SharedArrayBuffer(4))
  release(shared)
  expect(shared.length).toBe(4)
})
