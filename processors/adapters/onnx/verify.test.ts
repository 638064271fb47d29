/** Verifying finds what is altered, absent, of two models, and what computes otherwise than its card says or alone. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { systemClock } from '../system/clock.ts'
import { type EncoderCard, parseCard } from './card.ts'
import { assertCheck, check_tolerance, checkDifference, checkTextOf } from './check.ts'
import { type TinyTraits, tiny_config, tinyFolder } from './tiny-model.fixture.ts'
import { verifyModel } from './verify.ts'

jest.setTimeout(60_000)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-verify-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')
const make = (traits: TinyTraits = {}, card: Record<string, unknown> = {}): void => {
  for (const [name, bytes] of Object.entries(tinyFolder(traits, card))) writeFileSync(join(folder, name), bytes)
}
const verdicts = async (digest: string | null = null): Promise<Record<string, string>> => {
  const found: Record<string, string> = {}
  for await (const { check, verdict, says, remedy } of verifyModel(
    { name: 'tiny', folder, where: 'folder', digest },
    { clock: systemClock },
  )) {
    found[check] = verdict
    expect(says).not.toBe('')
    expect(remedy === undefined).toBe(verdict === 'ok')
  }
  return found
}

const all_well = {
  card: 'ok',
  files: 'ok',
  digest: 'ok',
  documents: 'ok',
  licence: 'ok',
  vocabulary: 'ok',
  trial: 'ok',
  vectors: 'warn',
  batches: 'ok',
  finite: 'ok',
}

test('a sound model passes, but for vectors that its card does not have', async () => {
  make()
  expect(await verdicts()).toEqual(all_well)
})

test('a tampered file fails and nothing of it is run; the papers are looked at all the same', async () => {
  make()
  writeFileSync(join(folder, 'tokenizer.json'), '{}')
  expect(await verdicts()).toEqual({ card: 'ok', files: 'fail', digest: 'ok', documents: 'ok', licence: 'ok' })
})

test('no card, and one of another digest', async () => {
  expect(await verdicts()).toEqual({ card: 'fail' })
  make()
  expect((await verdicts('a'.repeat(64)))['digest']).toBe('fail')
})

test('a document that is altered or gone fails; no licence, or none of its text, is a warning', async () => {
  const readme = { name: 'README.md', sha256: sha256(tinyFolder()['README.md']!) }
  make({}, { documents: [readme, { name: 'NOTICE', sha256: 'a'.repeat(64) }] })
  expect((await verdicts())['documents']).toBe('fail')
  make({}, { documents: [readme] })
  writeFileSync(join(folder, 'README.md'), 'other')
  expect((await verdicts())['documents']).toBe('fail')
  make({}, { licence: null })
  expect((await verdicts())['licence']).toBe('warn')
  make()
  rmSync(join(folder, 'README.md'))
  expect((await verdicts())['licence']).toBe('warn')
})

test('a vocabulary of another model fails', async () => {
  make()
  const config = tiny_config.replace('"vocab_size":8', '"vocab_size":9')
  const card = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8')) as { files: { config: { sha256: string } } }
  card.files.config.sha256 = sha256(config)
  writeFileSync(join(folder, 'config.json'), config)
  writeFileSync(join(folder, 'model.json'), JSON.stringify(card))
  expect((await verdicts())['vocabulary']).toBe('fail')
})

test('vectors that are not those of the card fail', async () => {
  make({}, { check: [{ text: 'steel kettle', head: [1, 0, 0, 0, 0, 0, 0, 0] }] })
  const found = await verdicts()
  // Either the engine refuses to open it, or its vectors are compared.
  expect(found['vectors'] ?? found['trial']).toBe('fail')
})

test('a model whose vectors depend on their neighbours is warned of', async () => {
  make({ neighbours: true })
  expect(await verdicts()).toEqual({ ...all_well, batches: 'warn' })
})

test('a model that gives no finite vectors fails', async () => {
  make({ broken: true })
  const found = await verdicts()
  expect(found['finite'] ?? found['trial']).toBe('fail')
})

describe('heads of vectors', () => {
  const vector = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i + 1) / 2)
  const cardWith = (check: readonly unknown[]): EncoderCard =>
    parseCard(tinyFolder({}, { check })['model.json']!.toString('utf8'), 'here')

  test('agree with what they were made of, within the tolerance', () => {
    const card = cardWith([checkTextOf('a', vector)])
    expect(checkDifference(card, [vector])).toBeLessThan(1e-6)
    const near = vector.map((number, i) => (i === 3 ? number + check_tolerance * 0.9 : number))
    expect(() => assertCheck(card, [near])).not.toThrow()
    const far = vector.map((number, i) => (i === 3 ? number + check_tolerance * 1.1 : number))
    expect(() => assertCheck(card, [far])).toThrow(Fault)
  })

  test('that are missing, not finite or a fault differ without bound; no check is none', () => {
    const card = cardWith([checkTextOf('a', vector)])
    for (const vectors of [[], [vector.map(() => Number.NaN)], [new Fault('embed.empty', 'x')], [vector.subarray(0, 4)]])
      expect(checkDifference(card, vectors)).toBe(Number.POSITIVE_INFINITY)
    expect(checkDifference(cardWith([]), [])).toBe(0)
  })
})
