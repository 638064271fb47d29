/** What every SchemaRegistry must do. An adapter's test file is one call of schemaRegistryContract. */
import { afterEach, describe, expect, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import type { Compatibility, Schema, SchemaRegistry } from './schema-registry.ts'

/** A registry and the way back into the same storage. */
export type OpenedRegistry = {
  readonly registry: SchemaRegistry
  /** Forgets all memory and opens the same storage again; undefined where there is none to come back to. */
  readonly reopen?: () => Promise<SchemaRegistry>
  close(): Promise<void>
}

export type ContractOptions = {
  /** Laws that this adapter does not keep, by name, with the reason; they are shown as skipped. */
  readonly known?: Readonly<Record<string, string>>
}

/** Subjects of one run differ from those of any other, since a real registry keeps them. */
let runs = 0
const run_id = `${process.pid.toString(36)}${performance.timeOrigin.toString(36).replace('.', '')}`
const fresh = (name: string): string => `contract.${run_id}.${++runs}.${name}-value`

const avro = (name: string, ...fields: readonly (readonly [name: string, type: unknown, fallback?: unknown])[]): Schema => ({
  format: 'AVRO',
  text: JSON.stringify({
    type: 'record',
    name,
    namespace: 'contract',
    fields: fields.map(([field, type, fallback]) => ({
      name: field,
      type,
      ...(fallback === undefined ? {} : { default: fallback }),
    })),
  }),
})
const json = (properties: object, required: readonly string[] = []): Schema => ({
  format: 'JSON',
  text: JSON.stringify({
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties,
    required,
    additionalProperties: false,
  }),
})
const proto = (...fields: readonly string[]): Schema => ({
  format: 'PROTOBUF',
  text: `syntax = "proto3";\npackage contract;\n\nmessage Thing {\n${fields.map((field) => `  ${field};\n`).join('')}}\n`,
})

const codeOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call
  } catch (error) {
    return error instanceof Fault || (error as Fault).name === 'Fault' ? (error as Fault).code : `not a fault: ${String(error)}`
  }
  return 'nothing'
}

export const schemaRegistryContract = (
  name: string,
  open: () => Promise<OpenedRegistry>,
  { known = {} }: ContractOptions = {},
): void => {
  describe(`SchemaRegistry: ${name}`, () => {
    let opened: OpenedRegistry | undefined
    const start = async (): Promise<SchemaRegistry> => {
      opened = await open()
      return opened.registry
    }
    afterEach(async () => {
      await opened?.close()
      opened = undefined
    })
    const law = (title: string, check: () => Promise<void>): void => {
      const reason = known[title]
      if (reason === undefined) test(title, check)
      else test.skip(`${title} (not kept: ${reason})`, check)
    }

    law('the same text has one id, under one subject and under two', async () => {
      const registry = await start()
      const [one, two] = [fresh('one'), fresh('two')]
      const schema = avro('Same', ['a', 'string'])
      const id = await registry.register(one, schema)
      expect(Number.isInteger(id) && id > 0).toBe(true)
      expect(await registry.register(one, schema)).toBe(id)
      expect(await registry.register(two, schema)).toBe(id)
      expect((await registry.latest(one))?.version).toBe(1)
      expect(await registry.subjectsOf(id)).toEqual(expect.arrayContaining([one, two]))
    })

    law('different texts have different ids', async () => {
      const registry = await start()
      const first = await registry.register(fresh('a'), avro('First', ['a', 'string']))
      const second = await registry.register(fresh('b'), avro('Second', ['a', 'string']))
      expect(second).not.toBe(first)
    })

    law('versions count up from 1, and latest is the newest', async () => {
      const registry = await start()
      const subject = fresh('versions')
      const [one, two] = [avro('V', ['a', 'string']), avro('V', ['a', 'string'], ['b', 'int', 0])]
      expect(await registry.latest(subject)).toBeUndefined()
      const first = await registry.register(subject, one)
      const second = await registry.register(subject, two)
      expect(await registry.version(subject, 1)).toMatchObject({ id: first, subject, version: 1, format: 'AVRO' })
      expect(await registry.latest(subject)).toMatchObject({ id: second, subject, version: 2 })
      expect(JSON.parse((await registry.version(subject, 2))!.text)).toEqual(JSON.parse(two.text))
      expect(await registry.version(subject, 3)).toBeUndefined()
      expect(await registry.subjects()).toContain(subject)
    })

    law('an older version registered again keeps its id and adds no version', async () => {
      const registry = await start()
      const subject = fresh('again')
      const first = await registry.register(subject, avro('W', ['a', 'string']))
      await registry.register(subject, avro('W', ['a', 'string'], ['b', 'int', 0]))
      expect(await registry.register(subject, avro('W', ['a', 'string']))).toBe(first)
      expect((await registry.latest(subject))?.version).toBe(2)
    })

    law('a schema is found by its id; an unknown id is undefined', async () => {
      const registry = await start()
      const schema = avro('ById', ['a', 'long'])
      const id = await registry.register(fresh('by-id'), schema)
      const found = await registry.byId(id)
      expect(found).toMatchObject({ id, format: 'AVRO' })
      expect(JSON.parse(found!.text)).toEqual(JSON.parse(schema.text))
      expect(await registry.byId(2_000_000_000)).toBeUndefined()
      expect(await registry.subjectsOf(2_000_000_000)).toEqual([])
    })

    law('ids and versions survive a reopening', async () => {
      const registry = await start()
      if (opened?.reopen === undefined) return expect(name).toContain('memory')
      const subject = fresh('reopen')
      const first = await registry.register(subject, avro('R', ['a', 'string']))
      const second = await registry.register(subject, avro('R', ['a', 'string'], ['b', 'int', 0]))
      const again = await opened.reopen()
      expect(await again.version(subject, 1)).toMatchObject({ id: first })
      expect(await again.latest(subject)).toMatchObject({ id: second, version: 2 })
      expect(await again.byId(first)).toMatchObject({ id: first })
      expect(await again.register(subject, avro('R', ['a', 'string']))).toBe(first)
      const other = await again.register(fresh('reopen'), avro('Other', ['a', 'string']))
      expect([first, second]).not.toContain(other)
    })

    law('a subject is held to BACKWARD unless it is told otherwise', async () => {
      const registry = await start()
      const subject = fresh('default')
      await registry.register(subject, avro('D', ['a', 'string']))
      expect(await codeOf(registry.register(subject, avro('D', ['a', 'string'], ['b', 'string'])))).toBe('schema.incompatible')
    })

    /** What a level accepts and refuses after a first version with one field. */
    const levels: readonly [Compatibility, accepted: Schema, refused: Schema | undefined][] = [
      ['NONE', avro('L', ['b', 'int']), undefined],
      ['BACKWARD', avro('L', ['a', 'string'], ['b', 'int', 0]), avro('L', ['a', 'string'], ['b', 'int'])],
      ['FORWARD', avro('L', ['a', 'string'], ['b', 'int']), avro('L', ['b', 'int', 0])],
      ['FULL', avro('L', ['a', 'string'], ['b', 'int', 0]), avro('L', ['a', 'string'], ['b', 'int'])],
    ]
    for (const [level, accepted, refused] of levels)
      law(`${level} accepts what it should and gives reasons for what it refuses`, async () => {
        const registry = await start()
        const subject = fresh(level.toLowerCase())
        await registry.register(subject, avro('L', ['a', 'string']))
        await registry.setCompatibility(subject, level)
        if (refused !== undefined) {
          const verdict = await registry.compatible(subject, refused)
          expect(verdict.compatible).toBe(false)
          expect(verdict.reasons.join()).not.toBe('')
          expect(await codeOf(registry.register(subject, refused))).toBe('schema.incompatible')
          expect((await registry.latest(subject))?.version).toBe(1)
        }
        expect(await registry.compatible(subject, accepted)).toEqual({ compatible: true, reasons: [] })
        await registry.register(subject, accepted)
        expect((await registry.latest(subject))?.version).toBe(2)
      })

    law('BACKWARD looks at the newest version, BACKWARD_TRANSITIVE at all', async () => {
      const registry = await start()
      const subject = fresh('transitive')
      await registry.register(subject, avro('T', ['a', 'string']))
      await registry.setCompatibility(subject, 'BACKWARD')
      await registry.register(subject, avro('T', ['a', 'string'], ['b', 'int', 0]))
      // Without its default, b can be read from the second version but not from the first.
      const next = avro('T', ['a', 'string'], ['b', 'int'])
      expect((await registry.compatible(subject, next)).compatible).toBe(true)
      await registry.setCompatibility(subject, 'BACKWARD_TRANSITIVE')
      expect((await registry.compatible(subject, next)).compatible).toBe(false)
      expect(await codeOf(registry.register(subject, next))).toBe('schema.incompatible')
      await registry.setCompatibility(subject, 'BACKWARD')
      await registry.register(subject, next)
      expect((await registry.latest(subject))?.version).toBe(3)
    })

    law('a subject that does not exist takes any sound schema', async () => {
      const registry = await start()
      expect(await registry.compatible(fresh('nobody'), avro('N', ['a', 'string']))).toEqual({ compatible: true, reasons: [] })
    })

    law('Avro schemas build on named types of other subjects', async () => {
      const registry = await start()
      const [money, offer] = [fresh('money'), fresh('offer')]
      await registry.register(money, avro('Money', ['minor', 'long'], ['currency', 'string']))
      const references = [{ name: 'contract.Money', subject: money, version: 1 }]
      const schema = { ...avro('Offer', ['price', 'contract.Money']), references }
      const id = await registry.register(offer, schema)
      expect(await registry.register(offer, schema)).toBe(id)
      expect((await registry.byId(id))?.references).toEqual(references)
      expect((await registry.latest(offer))?.references).toEqual(references)
    })

    law('JSON Schemas are registered and held to compatibility', async () => {
      const registry = await start()
      const subject = fresh('json')
      const id = await registry.register(subject, json({ a: { type: 'string' } }))
      expect(await registry.byId(id)).toMatchObject({ format: 'JSON' })
      await registry.setCompatibility(subject, 'BACKWARD')
      const narrowed = json({ a: { type: 'integer' } })
      const demanding = json({ a: { type: 'string' }, b: { type: 'string' } }, ['b'])
      expect(await codeOf(registry.register(subject, narrowed))).toBe('schema.incompatible')
      expect(await codeOf(registry.register(subject, demanding))).toBe('schema.incompatible')
      await registry.register(subject, json({ a: { type: 'string' }, b: { type: 'string' } }))
      expect(await registry.latest(subject)).toMatchObject({ format: 'JSON', version: 2 })
    })

    law('Protobuf schemas are registered and held to compatibility', async () => {
      const registry = await start()
      const subject = fresh('proto')
      const id = await registry.register(subject, proto('string a = 1'))
      expect(await registry.byId(id)).toMatchObject({ format: 'PROTOBUF', id })
      await registry.setCompatibility(subject, 'BACKWARD')
      expect(await codeOf(registry.register(subject, proto('int64 a = 1')))).toBe('schema.incompatible')
      await registry.register(subject, proto('string a = 1', 'string b = 2'))
      expect((await registry.latest(subject))?.version).toBe(2)
    })

    law('what is no schema is refused as ours to correct', async () => {
      const registry = await start()
      expect(await codeOf(registry.register(fresh('bad'), { format: 'AVRO', text: '{"type":"recor' }))).toBe('schema.lint')
      expect(await codeOf(registry.register(fresh('bad'), avro('Bad', ['a', 'contract.Nowhere'])))).toBe('schema.lint')
      expect(await codeOf(registry.register(fresh('bad'), { format: 'PROTOBUF', text: 'message {' }))).toBe('schema.lint')
    })

    law('subjects may have any name', async () => {
      const registry = await start()
      for (const odd of ['with space', 'a%2Fb', 'ünïcode', '__proto__', '..']) {
        const subject = fresh(odd)
        const id = await registry.register(subject, avro('Odd', ['a', 'string']))
        expect((await registry.latest(subject))?.id).toBe(id)
      }
    })

    law('registrations at one time are all kept', async () => {
      const registry = await start()
      const subjects = Array.from({ length: 8 }, (_, i) => fresh(`race${i}`))
      const ids = await Promise.all(subjects.map((subject, i) => registry.register(subject, avro(`Race${i}`, ['a', 'string']))))
      expect(new Set(ids).size).toBe(8)
      for (const [i, subject] of subjects.entries()) expect((await registry.latest(subject))?.id).toBe(ids[i])
    })

    law('ping answers', async () => {
      const registry = await start()
      await expect(registry.ping()).resolves.toBeUndefined()
    })
  })
}
