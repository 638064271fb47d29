/** Deterministic identifiers: the same input gives the same id on every machine and every replay. */
import { createHash, createHmac, hash as oneShot } from 'node:crypto'

/** SHA-256 over length-prefixed fields, so that ('a:b','c') and ('a','b:c') differ. Hex, 64 characters. */
export const digestOf = (...fields: readonly (string | Uint8Array)[]): string => {
  const hash = createHash('sha256')
  for (const field of fields) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  return hash.digest('hex')
}

const namespaces = new Map<string, Buffer>()

/** UUID version 5 (RFC 9562 section 5.5) in a namespace given as UUID. */
export const uuid5 = (namespace: string, name: string): string => {
  let space = namespaces.get(namespace)
  if (space === undefined) {
    space = Buffer.from(namespace.replaceAll('-', ''), 'hex')
    if (namespaces.size < 100) namespaces.set(namespace, space)
  }
  const message = Buffer.allocUnsafe(16 + Buffer.byteLength(name))
  space.copy(message)
  message.write(name, 16, 'utf8')
  const bytes = oneShot('sha1', message, 'buffer')
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The namespace of every UUID v5 that Entrepot derives. */
export const namespace_entrepot = '6f1c2d1e-6f5a-5c1b-9a55-3d0c8d9b7a10'

/** `<platform>:<merchant>:<source variant id>`; `%` and `:` inside the parts are escaped so that the id splits back. */
export const itemId = (platform: string, merchant: string, variant: string): string =>
  [platform, merchant, variant].map((part) => part.replaceAll('%', '%25').replaceAll(':', '%3A')).join(':')

/** The user's pseudonym: `<key version>.<HMAC-SHA-256 over platform and id, base64url, 128 bits>` (ENISA 2019, chapter 3). */
export const userKey = (secret: Uint8Array, key_version: string, platform: string, id_type: string, id: string): string => {
  const fields = [platform, id_type, id]
  const message = Buffer.allocUnsafe(fields.reduce((sum, field) => sum + 4 + Buffer.byteLength(field), 0))
  let at = 0
  for (const field of fields) {
    const length = message.write(field, at + 4, 'utf8')
    message.writeUInt32BE(length, at)
    at += 4 + length
  }
  const mac = createHmac('sha256', secret).update(message)
  return `${key_version}.${mac.digest().subarray(0, 16).toString('base64url')}`
}
