import { expect, test } from '@jest/globals'
import { digestOf, itemId, namespace_entrepot, userKey, uuid5 } from './ids.ts'

test('fields are length-prefixed, so that no two lists of fields share a digest', () => {
  expect(digestOf('a:b', 'c')).not.toBe(digestOf('a', 'b:c'))
  expect(digestOf('ab')).not.toBe(digestOf('a', 'b'))
  expect(digestOf('é')).toBe(digestOf(Buffer.from('é')))
})

test('uuid5 gives the vector of RFC 9562, appendix A.4', () => {
  expect(uuid5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com')).toBe('2ed6657d-e927-568b-95e1-2665a8aea6a2')
  expect(uuid5(namespace_entrepot, 'x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('item ids split back whatever the parts hold', () => {
  const parts = ['shop', 'a:b', '1%3A2']
  expect(itemId(parts[0]!, parts[1]!, parts[2]!).split(':').map(decodeURIComponent)).toEqual(parts)
})

test('a user key depends on secret, realm, kind and id, carries the key version, and does not show the id', () => {
  const secret = Buffer.from('0123456789abcdef0123456789abcdef')
  const key = userKey(secret, 'k1', 'shop', 'LOGIN', 'ann@example.com')
  expect(key).toMatch(/^k1\.[A-Za-z0-9_-]{22}$/)
  expect(
    new Set([
      key,
      userKey(secret, 'k1', 'shop', 'DEVICE', 'ann@example.com'),
      userKey(secret, 'k1', 'other', 'LOGIN', 'ann@example.com'),
    ]).size,
  ).toBe(3)
  expect(userKey(Buffer.from('another-secret-another-secret-00'), 'k1', 'shop', 'LOGIN', 'ann@example.com')).not.toBe(key)
})
