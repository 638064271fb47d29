import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { schemaRegistryContract } from '../../ports/schema-registry.contract.ts'
import type { Schema } from '../../ports/schema-registry.ts'
import { openEmbeddedRegistry } from './embedded-registry.ts'

const folders: string[] = []
const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'entrepot-registry-'))
  folders.push(path)
  return path
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true })
})

schemaRegistryContract('embedded, in memory', async () => ({ registry: await openEmbeddedRegistry(null), close: async () => {} }))

schemaRegistryContract('embedded, in a folder', async () => {
  const path = mkdtempSync(join(tmpdir(), 'entrepot-registry-'))
  return {
    registry: await openEmbeddedRegistry(path),
    reopen: () => openEmbeddedRegistry(path),
    close: async () => rmSync(path, { recursive: true, force: true }),
  }
})

const schema = (field: string): Schema => ({
  format: 'AVRO',
  text: JSON.stringify({ type: 'record', name: 'R', fields: [{ name: field, type: 'string', default: '' }] }, undefined, 2),
})

describe('the folder', () => {
  test('holds schemas as they were written, by subject and version', async () => {
    const path = folder()
    const registry = await openEmbeddedRegistry(path)
    await registry.register('shop.items-value', schema('a'))
    await registry.register('shop.items-value', schema('b'))
    await registry.register('../escape', { format: 'PROTOBUF', text: 'syntax = "proto3"; message M { string a = 1; }' })
    expect(readdirSync(path).sort()).toEqual(['..%2Fescape', 'ids.json', 'shop.items-value'])
    expect(readdirSync(join(path, 'shop.items-value')).sort()).toEqual(['1.avsc', '2.avsc'])
    expect(readFileSync(join(path, 'shop.items-value', '2.avsc'), 'utf8')).toBe(schema('b').text)
    expect(existsSync(join(path, '..%2Fescape', '1.proto'))).toBe(true)
  })

  test('a schema file without an entry, as a crash leaves it, counts for nothing', async () => {
    const path = folder()
    const first = await openEmbeddedRegistry(path)
    await first.register('s-value', schema('a'))
    writeFileSync(join(path, 's-value', '2.avsc'), 'half a sche')
    const again = await openEmbeddedRegistry(path)
    expect((await again.latest('s-value'))?.version).toBe(1)
    await again.register('s-value', schema('b'))
    expect((await (await openEmbeddedRegistry(path)).latest('s-value'))?.text).toBe(schema('b').text)
  })

  test('a registered file that was edited stops the opening and is named', async () => {
    const path = folder()
    await (await openEmbeddedRegistry(path)).register('s-value', schema('a'))
    writeFileSync(join(path, 's-value', '1.avsc'), schema('b').text)
    await expect(openEmbeddedRegistry(path)).rejects.toMatchObject({ code: 'config.invalid' })
    await expect(openEmbeddedRegistry(path)).rejects.toThrow('s-value/1.avsc')
  })

  test('two processes see what the other registered, and count on from it', async () => {
    const path = folder()
    const [one, two] = [await openEmbeddedRegistry(path), await openEmbeddedRegistry(path)]
    const first = await one.register('s-value', schema('a'))
    expect((await two.byId(first))?.text).toBe(schema('a').text)
    const second = await two.register('t-value', schema('b'))
    expect(second).toBe(first + 1)
    const ids = await Promise.all([one.register('u-value', schema('c')), two.register('v-value', schema('d'))])
    expect(ids.sort()).toEqual([3, 4])
    expect(await one.subjects()).toEqual(['s-value', 't-value', 'u-value', 'v-value'])
  })

  test('a lock left by a process that died is taken over', async () => {
    const path = folder()
    const registry = await openEmbeddedRegistry(path)
    writeFileSync(join(path, 'ids.lock'), '999999999')
    expect(await registry.register('s-value', schema('a'))).toBe(1)
    expect(existsSync(join(path, 'ids.lock'))).toBe(false)
  })

  test('a catalogue that is no JSON stops the opening', async () => {
    const path = folder()
    writeFileSync(join(path, 'ids.json'), '{"ids":')
    await expect(openEmbeddedRegistry(path)).rejects.toMatchObject({ code: 'config.invalid' })
  })
})
