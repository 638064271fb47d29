/** Pulling from a hub, a URL and a folder over real HTTP, into a model that the engine really runs; and all that is refused. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import { systemClock } from '../system/clock.ts'
import { type FakeHub, type FileServer, openFakeHub, openFileServer } from './file-server.fixture.ts'
import { readPinned, shipped_model, shipped_models } from './pinned.ts'
import { type PullOptions, pullModel, sourceKindOf } from './pull.ts'
import { listModels, locateModel, modelNamed } from './store.ts'
import { tiny_dims, tinyFolder, tinyGraph, tinyRepository } from './tiny-model.fixture.ts'

jest.setTimeout(60_000)

// Waits between tries take no time here; the engine's own are real.
const waits = new Set([500, 1_000, 2_000, 4_000, 8_000])
const clock: Clock = {
  ...systemClock,
  sleep: (duration_ms, signal) => systemClock.sleep(waits.has(duration_ms) ? 0 : duration_ms, signal),
}
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let root: string
let store: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'entrepot-pull-'))
  store = join(root, 'models')
})
afterEach(() => rmSync(root, { recursive: true }))

const pull = (source: string, more: Partial<PullOptions> = {}) =>
  pullModel({ source, store, clock, signal: new AbortController().signal, ...more })
const faultOf = async (work: Promise<unknown>): Promise<Fault> => {
  try {
    await work
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('it was accepted')
}
const writeAll = (folder: string, files: Record<string, Buffer>): string => {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  return folder
}
/** Names that anyone can see in the store. */
const visible = (): string[] => (existsSync(store) ? readdirSync(store).filter((name) => !name.startsWith('.')) : [])

describe('from a hub', () => {
  const id = 'kettle-lab/tiny-e5'
  let hub: FakeHub
  const fromHub = (more: Partial<PullOptions> = {}, source = id) => pull(source, { endpoint: hub.origin, ...more })
  beforeEach(async () => {
    hub = await openFakeHub(id, tinyRepository())
  })
  afterEach(() => hub.close())

  test('a model is fetched at its commit, described, pinned, tried, and only then there', async () => {
    const bytes: number[] = []
    const steps: string[] = []
    let planned: unknown
    const report = await fromHub({
      token: 'hf_secret',
      wishes: { prefix: 'steel ' },
      on_plan: (plan) => {
        planned = plan
      },
      on_bytes: (n) => bytes.push(n),
      on_step: (step) => {
        steps.push(step)
        expect(visible()).toEqual([])
      },
    })
    expect(report).toMatchObject({ name: 'tiny-e5', unchanged: false, replaced: null })
    expect(report.trial!.self_cosine).toBeGreaterThanOrEqual(0.999999)
    expect(report.card).toMatchObject({
      name: 'tiny-e5',
      dims: tiny_dims,
      tokens_max: 32,
      prefix: 'steel ',
      inputs: ['input_ids', 'attention_mask'],
      output: 'last_hidden_state',
      pooling: 'mean',
      licence: 'MIT',
      languages: ['en'],
      precision: 'fp32',
      source: `${id}@${hub.commit}`,
      restore: `entrepot model pull ${id}@${hub.commit} --prefix 'steel '`,
    })
    expect(report.card.check.length).toBeGreaterThan(0)
    expect(report.card.documents.map(({ name }) => name)).toEqual(['README.md'])
    expect(steps).toEqual(['fetched', 'trial', 'install'])
    const total = bytes.reduce((sum, n) => sum + n, 0)
    expect(planned).toEqual({ name: 'tiny-e5', label: `${id}@${hub.commit}`, bytes_total: total, bytes_present: 0 })
    expect(report.bytes).toBe(total)

    expect(visible()).toEqual(['tiny-e5'])
    expect(readdirSync(store)).toEqual(['tiny-e5'])
    expect(readdirSync(report.folder).sort()).toEqual(['README.md', 'config.json', 'model.json', 'model.onnx', 'tokenizer.json'])
    expect((await readPinned(report.folder, report.digest)).card).toEqual(report.card)
    // The token goes to the hub and not to where its large files lie.
    expect(new Set(hub.seen.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_secret']))
    expect(hub.cdn.seen.map(({ authorization }) => authorization)).toEqual([undefined])

    const again = await fromHub({ wishes: { prefix: 'steel ' } })
    expect(again).toMatchObject({ unchanged: true, digest: report.digest, bytes: 0, trial: null })
    expect(hub.cdn.seen).toHaveLength(1)
  })

  test('goes on where the connection was cut for good, in a later pull with other wishes', async () => {
    hub.cdn.faults['onnx/model.onnx'] = { cut_after: 40, cuts: 6 }
    const { code } = await faultOf(fromHub())
    expect(code).toBe('model.unavailable')
    expect(visible()).toEqual([])
    const kept = readFileSync(join(store, '.pull-tiny-e5', 'model.onnx.partial')).length
    expect(kept).toBeGreaterThan(0)
    delete hub.cdn.faults['onnx/model.onnx']
    let present = 0
    await fromHub({
      wishes: { prefix: '' },
      on_plan: ({ bytes_present }) => {
        present = bytes_present
      },
    })
    expect(present).toBeGreaterThan(kept)
    expect(hub.cdn.seen.at(-1)!.range).toBe(`bytes=${kept}-`)
    expect(visible()).toEqual(['tiny-e5'])
    // Files that were whole were not asked for again.
    expect(hub.seen.filter(({ path }) => path.endsWith('/tokenizer.json'))).toHaveLength(1)
  })

  test('bytes that are not those of the listing are thrown away', async () => {
    hub.cdn.files['onnx/model.onnx'] = Buffer.from(tinyGraph().map((byte, at) => (at === 200 ? byte ^ 1 : byte)))
    const { code, message } = await faultOf(fromHub())
    expect(code).toBe('model.sha256')
    expect(message).not.toContain('signature')
    expect(visible()).toEqual([])
  })

  test('another commit replaces it at once, and the report names what it replaces', async () => {
    const first = await fromHub()
    hub.put('sentence_bert_config.json', Buffer.from('{"max_seq_length": 16}'))
    const files = hub.files[`api/models/${id}/revision/main`]!.toString('utf8').replaceAll(hub.commit, 'b'.repeat(40))
    hub.files[`api/models/${id}/revision/main`] = Buffer.from(files)
    for (const [path, bytes] of Object.entries(hub.files)) hub.files[path.replace(hub.commit, 'b'.repeat(40))] = bytes
    for (const [path, to] of Object.entries(hub.redirects)) hub.redirects[path.replace(hub.commit, 'b'.repeat(40))] = to
    const second = await fromHub()
    expect(second).toMatchObject({ unchanged: false, replaced: first.digest })
    expect(second.card.tokens_max).toBe(16)
    expect(readdirSync(store)).toEqual(['tiny-e5'])
    // The revision can be named.
    expect((await fromHub({ name: 'older' }, `${id}@${hub.commit}`)).card.source).toBe(`${id}@${hub.commit}`)
  })

  test('a damaged one is fetched again', async () => {
    const { folder } = await fromHub()
    writeFileSync(join(folder, 'model.onnx'), 'x')
    expect((await fromHub()).unchanged).toBe(false)
    expect(readFileSync(join(folder, 'model.onnx')).equals(tinyGraph())).toBe(true)
  })

  test('a folder of that name which is no model is left alone', async () => {
    mkdirSync(join(store, 'tiny-e5'), { recursive: true })
    writeFileSync(join(store, 'tiny-e5', 'thesis.txt'), 'mine')
    const { code, message } = await faultOf(fromHub())
    expect([code, message]).toEqual(['model.store', expect.stringContaining('--name')])
    expect(readFileSync(join(store, 'tiny-e5', 'thesis.txt'), 'utf8')).toBe('mine')
  })

  test('a config that is no table is refused, not stumbled over', async () => {
    hub.put('config.json', Buffer.from('null'))
    expect((await faultOf(fromHub())).kind).toBe('misconfigured')
  })

  test('one of several graphs is chosen by --file, and the rest named when it is not there', async () => {
    hub.put('onnx/model_fp16.onnx', tinyGraph({ output: 'sentence_embedding' }))
    const { message } = await faultOf(fromHub({ wishes: { file: 'model_int8.onnx' } }))
    expect(message).toContain('onnx/model.onnx')
    expect(message).toContain('onnx/model_fp16.onnx')
    const { card } = await fromHub({ wishes: { file: 'onnx/model_fp16.onnx' }, name: 'tiny-fp16' })
    expect(card).toMatchObject({ pooling: 'graph', output: 'sentence_embedding' })
    expect(card.files.model.name).toBe('model_fp16.onnx')
  })

  test('the licence is read from the model card, and without one nothing large is fetched', async () => {
    hub.listing.cardData = {}
    hub.put('README.md', Buffer.from('# nothing said'))
    const { code, message } = await faultOf(fromHub())
    expect([code, message]).toEqual(['model.licence', expect.stringContaining('--licence')])
    expect(hub.cdn.seen).toEqual([])
    expect((await fromHub({ licence: 'CC-BY-4.0' })).card.licence).toBe('CC-BY-4.0')
    hub.put('README.md', tinyRepository()['README.md']!)
    const { card } = await fromHub({ name: 'said' })
    expect([card.licence, card.languages]).toEqual(['Apache-2.0', ['en', 'de']])
  })

  test('weights in other files are refused before they are fetched, and by their bytes', async () => {
    hub.put('onnx/model.onnx_data', Buffer.from('weights'))
    const listed = await faultOf(fromHub())
    expect([listed.code, listed.message]).toEqual(['model.refused', expect.stringContaining('onnx/model.onnx_data')])
    expect(hub.cdn.seen).toEqual([])
    hub.listing.siblings = hub.listing.siblings.filter(({ rfilename }) => rfilename !== 'onnx/model.onnx_data')
    hub.put('onnx/model.onnx', tinyGraph({ external: true }))
    const found = await faultOf(fromHub())
    expect([found.code, found.message]).toEqual(['model.refused', expect.stringContaining('save_as_external_data=False')])
    expect(visible()).toEqual([])
  })

  test.each(['../../evil.onnx', '/etc/passwd', 'onnx/../../x', 'a\\..\\b', ''])('a listing with %j is refused', async (path) => {
    hub.listing.siblings = [...hub.listing.siblings, { rfilename: path, size: 1 }]
    const { code, message } = await faultOf(fromHub())
    expect([code, message]).toEqual(['model.refused', expect.stringContaining('outside of the repository')])
    expect(existsSync(store)).toBe(false)
  })

  test('a size beyond all models, said or real, is refused', async () => {
    hub.listing.siblings = hub.listing.siblings.map((one) =>
      one.rfilename === 'config.json' ? { ...one, size: 5_000_000 } : one,
    )
    expect((await faultOf(fromHub())).code).toBe('model.refused')
    hub.listing.siblings = hub.listing.siblings.map((one) =>
      one.rfilename === 'onnx/model.onnx' ? { ...one, size: 1e15, lfs: { sha256: 'a'.repeat(64), size: 1e15 } } : one,
    )
    const { code } = await faultOf(fromHub())
    expect(['model.store', 'model.refused']).toContain(code)
    expect(hub.cdn.seen).toEqual([])
  })

  test.each([
    ['no graph', 'onnx/model.onnx', 'optimum-cli export'],
    ['no tokenizer', 'tokenizer.json', 'tokenizer.json'],
    ['no config', 'config.json', 'config.json'],
    ['no pooling', '1_Pooling/config.json', '--pooling'],
  ])('%s is refused with what to do', async (_, path, says) => {
    hub.listing.siblings = hub.listing.siblings.filter(({ rfilename }) => rfilename !== path)
    const { code, message } = await faultOf(fromHub())
    expect([code, message]).toEqual(['model.refused', expect.stringContaining(says)])
    expect(visible()).toEqual([])
  })

  test('a model that breaks in its trial is not there afterwards', async () => {
    hub.put('onnx/model.onnx', tinyGraph({ broken: true }))
    expect((await faultOf(fromHub())).code).toBe('model.shape')
    expect(visible()).toEqual([])
  })

  test('one whose vectors depend on their neighbours is there, and told', async () => {
    hub.put('onnx/model.onnx', tinyGraph({ neighbours: true }))
    expect((await fromHub()).trial!.self_cosine).toBeLessThan(0.999999)
  })

  test('absent, gated and private ones are refused with what to do', async () => {
    expect((await faultOf(fromHub({}, 'kettle-lab/none'))).message).toContain('spelling')
    hub.faults[`api/models/${id}/revision/main`] = { status: 403 }
    expect((await faultOf(fromHub())).message).toContain('HF_TOKEN')
  })

  test('what is no hub is said to be none', async () => {
    hub.files[`api/models/${id}/revision/main`] = Buffer.from('<html>')
    expect((await faultOf(fromHub())).message).toContain('HF_ENDPOINT')
    expect((await faultOf(pull(id, { endpoint: 'ftp://x' }))).code).toBe('config.invalid')
  })

  test('names of others are not taken', async () => {
    await fromHub()
    const other = await openFakeHub('others/tiny-e5', tinyRepository())
    try {
      const taken = await faultOf(pull('others/tiny-e5', { endpoint: other.origin }))
      expect([taken.code, taken.message]).toEqual(['config.invalid', expect.stringContaining('--name')])
    } finally {
      await other.close()
    }
    expect((await faultOf(fromHub({ name: shipped_model.name }))).message).toContain('ships')
    for (const name of ['../x', '.hidden', 'a/b', '']) expect((await faultOf(fromHub({ name }))).code).toBe('config.invalid')
  })

  test('two pulls of one name do not mix; a lock that a dead process left is taken over', async () => {
    mkdirSync(store)
    const lock = join(store, '.pull-tiny-e5.lock')
    writeFileSync(lock, String(process.pid))
    const { code, message } = await faultOf(fromHub())
    expect([code, message]).toEqual(['model.store', expect.stringContaining(lock)])
    // No process has this id: it is beyond what kernels give.
    writeFileSync(lock, '999999999')
    await fromHub()
    expect(existsSync(lock)).toBe(false)
  })

  test('a stop before the end leaves nothing to be seen, and the lock free', async () => {
    const stop = new AbortController()
    const { code } = await faultOf(fromHub({ signal: stop.signal, on_plan: () => stop.abort() }))
    expect(code).toBe('model.unavailable')
    expect(visible()).toEqual([])
    expect(existsSync(join(store, '.pull-tiny-e5.lock'))).toBe(false)
  })
})

describe('from a URL', () => {
  let server: FileServer
  beforeEach(async () => {
    server = await openFileServer(Object.fromEntries(Object.entries(tinyFolder()).map(([name, bytes]) => [`m/${name}`, bytes])))
  })
  afterEach(() => server.close())

  test('a card and what it pins come, and the papers that lie beside', async () => {
    const url = `${server.origin}/m/`
    const report = await pull(url, { sha256: sha256(server.files['m/model.json']!) })
    expect(report.card).toMatchObject({ name: 'tiny', licence: 'Apache-2.0', restore: `entrepot model pull ${url}model.json` })
    expect(report.card.documents.map(({ name }) => name)).toEqual(['README.md'])
    expect((await pull(`${url}model.json`)).unchanged).toBe(true)
    expect((await faultOf(pull(url, { sha256: 'a'.repeat(64), name: 'x' }))).code).toBe('model.sha256')
  })

  test('a file that is not the pinned one, and a card that points out of its folder, are refused', async () => {
    server.files['m/tokenizer.json'] = Buffer.from('{}')
    expect((await faultOf(pull(`${server.origin}/m/`))).code).toBe('model.sha256')
    const files = { model: { name: '../x.onnx', sha256: 'a'.repeat(64) } }
    server.files['m/model.json'] = tinyFolder({}, { files })['model.json']!
    expect((await faultOf(pull(`${server.origin}/m/`))).code).toBe('config.invalid')
    expect(visible()).toEqual([])
  })

  test('a card says how it is read: flags that say otherwise are refused; and an archive is no folder', async () => {
    expect((await faultOf(pull(`${server.origin}/m/`, { wishes: { prefix: 'x' } }))).message).toContain('prefix')
    expect((await faultOf(pull(`${server.origin}/m.tar.gz`))).message).toContain('unpack')
  })
})

describe('from a folder', () => {
  test('as sentence-transformers writes it', async () => {
    const from = writeAll(join(root, 'exported'), tinyRepository())
    const report = await pull(from, { name: 'ours' })
    expect(report.card).toMatchObject({ name: 'ours', pooling: 'mean', licence: 'Apache-2.0', source: from })
    expect((await readPinned(join(store, 'ours'))).digest).toBe(report.digest)
    expect((await faultOf(pull(from, { sha256: 'a'.repeat(64) }))).code).toBe('config.invalid')
  })

  test('with a card: what is pinned is checked, and its vectors are kept', async () => {
    const from = writeAll(join(root, 'tiny'), tinyFolder())
    const first = await pull(from)
    expect(first.card.check.length).toBeGreaterThan(0)
    // The store's own folder is a source like any other.
    const second = await pull(first.folder, { name: 'copy' })
    expect([second.digest, second.card.check]).toEqual([first.digest, first.card.check])
    writeFileSync(join(from, 'model.onnx'), 'x')
    expect((await faultOf(pull(from, { name: 'other' }))).code).toBe('model.sha256')
    rmSync(join(from, 'model.onnx'))
    expect((await faultOf(pull(from, { name: 'other' }))).code).toBe('model.missing')
  })

  test('what a source is shows in its text', async () => {
    expect(await sourceKindOf('a/b')).toEqual({ kind: 'hub', id: 'a/b', revision: 'main' })
    expect(await sourceKindOf('a/b@refs/pr/1')).toEqual({ kind: 'hub', id: 'a/b', revision: 'refs/pr/1' })
    expect(await sourceKindOf(root)).toEqual({ kind: 'folder', path: root })
    expect(await sourceKindOf('https://x/y')).toMatchObject({ kind: 'url' })
    for (const [source, code] of [
      ['./none', 'model.missing'],
      ['/none/at/all', 'model.missing'],
      ['ftp://x/y', 'model.refused'],
      ['one-word', 'model.refused'],
      ['a/b/c', 'model.refused'],
      ['a/..', 'model.refused'],
      ['a/b@../../x', 'model.refused'],
    ] as const)
      expect([source, (await faultOf(sourceKindOf(source))).code]).toEqual([source, code])
  })
})

describe('the store', () => {
  const choice = { folder: null, name: null, digest: null }

  test('a model is chosen by name, by folder, or is the first that ships', async () => {
    writeAll(join(store, 'tiny'), tinyFolder())
    expect(await locateModel({ ...choice, store })).toMatchObject({
      name: shipped_model.name,
      where: 'ships',
      digest: shipped_model.digest,
    })
    expect(await modelNamed('tiny', store)).toMatchObject({ where: 'pulled', digest: null, folder: join(store, 'tiny') })
    expect(await locateModel({ ...choice, store, name: 'tiny', digest: 'd' })).toMatchObject({ digest: 'd' })
    expect(await locateModel({ ...choice, store, folder: root })).toMatchObject({ where: 'folder', folder: root })
    const { code, message } = await faultOf(modelNamed('tinny', store))
    expect(code).toBe('model.missing')
    expect(message).toContain([...shipped_models.map(({ name }) => name), 'tiny'].join(', '))
    for (const name of ['..', '../models/tiny', '.pull-tiny'])
      expect((await faultOf(modelNamed(name, store))).code).toBe('model.missing')
  })

  test('lists what ships and what was pulled, and marks the one in use; one that is broken is listed as such', async () => {
    writeAll(join(store, 'tiny'), tinyFolder())
    writeAll(join(store, 'broken'), { 'model.json': Buffer.from('{') })
    writeAll(join(store, '.pull-half'), tinyFolder())
    mkdirSync(join(store, 'empty'))
    const listed = await listModels({ ...choice, store, name: 'tiny' })
    expect(listed.map(({ name, where, in_use }) => [name, where, in_use])).toEqual([
      ...shipped_models.map(({ name }) => [name, 'ships', false]),
      ['broken', 'pulled', false],
      ['tiny', 'pulled', true],
    ])
    expect(listed.at(-2)!.card).toBeInstanceOf(Fault)
    expect(listed.at(-1)!.bytes).toBe(Object.values(tinyFolder()).reduce((sum, { length }) => sum + length, 0))
    expect(await listModels({ ...choice, store: join(root, 'none') })).toHaveLength(shipped_models.length)
  })
})
