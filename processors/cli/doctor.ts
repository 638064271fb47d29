/** What `entrepot doctor` looks at: everything a run stands on, each with a verdict and what to do about it. Changes nothing. */
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { readPinnedImageModel } from '../adapters/onnx/image-card.ts'
import { readPinned } from '../adapters/onnx/pinned.ts'
import { locateModel } from '../adapters/onnx/store.ts'
import { subjectOf } from '../adapters/registry/serdes.ts'
import { systemClock } from '../adapters/system/clock.ts'
import type { Settings } from '../config/spec.ts'
import { asFault, fault_codes } from '../domain/fault.ts'
import { inputsOf, topicsOf } from '../flow/topology.ts'
import { groupOf } from '../runtime/supervise.ts'
import { openWorld } from './compose.ts'
import { tryEncoder } from './encoder.ts'
import { countText } from './terminal.ts'
import type { World } from './world.ts'

export type Verdict = 'ok' | 'warn' | 'fail'
export type Finding = {
  readonly check: string
  readonly verdict: Verdict
  readonly says: string
  /** What to do; absent when all is well. */
  readonly remedy?: string
}

type Answer = Omit<Finding, 'check'>
type Check = { readonly name: string; readonly look: () => Promise<Answer> }

const ok = (says: string): Answer => ({ verdict: 'ok', says })
const warn = (says: string, remedy: string): Answer => ({ verdict: 'warn', says, remedy })
const fail = (says: string, remedy: string): Answer => ({ verdict: 'fail', says, remedy })

const mib = 1024 * 1024
const space_warn_bytes = 2_048 * mib
const space_fail_bytes = 256 * mib

const node = async (): Promise<Answer> => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const runs = major > 22 || (major === 22 && minor >= 18)
  return runs
    ? ok(`Node ${process.versions.node}`)
    : fail(`Node ${process.versions.node}`, 'Node 22.18 or newer is needed; `npm ci` brings one.')
}

/** Packages with compiled code, which an install for another machine or Node breaks. */
const natives: Readonly<Record<string, () => Promise<unknown>>> = {
  'better-sqlite3': async () => {
    const { default: Database } = await import('better-sqlite3')
    new Database(':memory:').close()
  },
  'onnxruntime-node': async () => import('onnxruntime-node'),
  sharp: async () => import('sharp'),
  tokenizers: async () => import('tokenizers'),
}

const nativeModules = async (): Promise<Answer> => {
  const broken: string[] = []
  for (const [name, load] of Object.entries(natives))
    try {
      await load()
    } catch (error) {
      broken.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
    }
  return broken.length === 0
    ? ok(Object.keys(natives).join(', '))
    : fail(broken.join('; '), 'Run `npm ci` on this machine, with this Node.')
}

const folder = async (path: string): Promise<Answer> => {
  try {
    const found = await stat(path).catch(() => null)
    if (found !== null && !found.isDirectory()) return fail(`${path} is a file`, 'Set data.folder to a folder.')
    const present = found !== null
    // The nearest folder above that exists decides whether this one can be made.
    let where = resolve(path)
    while (!present && where !== dirname(where)) {
      where = dirname(where)
      const there = await stat(where).catch(() => null)
      if (there !== null) break
    }
    await access(where, constants.W_OK)
    if (!present) return ok(`${path} is not there yet; it will be made`)
    const trial = await mkdtemp(join(path, '.doctor-'))
    await mkdir(trial, { recursive: true })
    await writeFile(join(trial, 'x'), 'x')
    await rm(trial, { recursive: true })
    return ok(`${path} can be written`)
  } catch (error) {
    return fail(
      `${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
      'Give this user the folder, or set data.folder to another.',
    )
  }
}

const space = async (path: string): Promise<Answer> => {
  let where = resolve(path)
  for (;;) {
    const found = await statfs(where).catch(() => null)
    if (found !== null) {
      const free = found.bavail * found.bsize
      const says = `${countText(free / mib)} MiB free`
      if (free < space_fail_bytes) return fail(says, 'Free disk space: the log stops when the disk is full.')
      return free < space_warn_bytes ? warn(says, 'Catalogue and log grow by about 6 KiB an item and 1 KiB an event.') : ok(says)
    }
    if (dirname(where) === where) return warn('unknown', 'The file system does not say how much space is left.')
    where = dirname(where)
  }
}

const model = async (settings: Settings): Promise<Answer> => {
  const { folder, digest } = await locateModel(settings.model)
  const pinned = await readPinned(folder, digest ?? undefined)
  return ok(`${pinned.card.name}, ${pinned.card.dims} dimensions; every file is the pinned one`)
}

const imageModel = async (folder: string, allow_private: boolean): Promise<Answer> => {
  const { card } = await readPinnedImageModel(folder)
  const says = `${card.name}, ${card.dims} dimensions; its weights are the pinned ones`
  return allow_private
    ? warn(says, 'image_model.allow_private lets whoever publishes an item have your own network asked.')
    : ok(says)
}

/** The encoder as a run would open it: on which provider, why not on the ones wanted before it, how fast. */
const encoder = async (settings: Settings): Promise<Answer> => {
  const { provider, fell_back, backends, text_ms, int8 } = await tryEncoder(settings, systemClock)
  const has = backends.map(({ name, bundled }) => (bundled ? name : `${name} (libraries not bundled)`)).join(', ')
  const slow = provider === 'cpu' && int8?.length === 0 ? '; no VNNI here, with which int8 models are fastest' : ''
  const says = `${provider}, a short text in ${text_ms.toFixed(1)} ms; this onnxruntime-node knows ${has}${slow}`
  return fell_back.length === 0
    ? ok(says)
    : warn(
        `${says}; passed over: ${fell_back.map((one) => `${one.provider} (${one.reason})`).join(', ')}`,
        'Install what the provider needs (deploy/docker/Dockerfile.nvidia shows it for cuda), or take it out of model.providers.',
      )
}

const maps = async (world: World): Promise<Answer> => {
  const sources = world.platforms.flatMap((platform) => platform.sources)
  return sources.length === 0
    ? fail('no platform', 'Set platforms.enabled and platforms.folder, or leave them out for all that ship.')
    : ok(`${countText(world.platforms.length)} platforms, ${countText(sources.length)} source topics`)
}

const identity = async (settings: Settings): Promise<Answer> => {
  if (settings.identity.secret !== null) return ok(`key ${settings.identity.key_version} is set`)
  return settings.mode === 'servers'
    ? fail('identity.secret is not set', 'Set identity.secret_file; all processes must share one.')
    : ok('a key of this data folder')
}

const log = async (world: World): Promise<Answer> => {
  const names = await (await world.log()).listTopics()
  return ok(
    `${world.settings.mode === 'servers' ? world.settings.kafka.brokers.join(', ') : 'embedded'}, ${countText(names.length)} topics`,
  )
}

const topics = async (world: World): Promise<Answer> => {
  const opened = await world.log()
  const present = new Set(await opened.listTopics())
  const own = topicsOf(world.topology)
  const wanted = [...own.map((topic) => topic.name), ...world.topology.stages.flatMap(inputsOf)]
  const missing = [...new Set(wanted)].filter((name) => !present.has(name))
  if (missing.length > 0)
    return warn(
      `${countText(missing.length)} are missing: ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}`,
      'Run `entrepot topics create`.',
    )
  const differing: string[] = []
  for (const { name, partitions } of own) {
    const found = (await opened.offsets(name)).length
    if (found !== partitions) differing.push(`${name} has ${found} partitions, ${partitions} are set`)
  }
  return differing.length === 0
    ? ok(`${countText(new Set(wanted).size)} topics as declared`)
    : fail(differing.join('; '), 'Partitions are never changed in place: set topics.partitions to what is there.')
}

const lag = async (world: World): Promise<Answer> => {
  const opened = await world.log()
  const present = new Set(await opened.listTopics())
  const behind: string[] = []
  for (const stage of world.topology.stages) {
    let records = 0
    for (const topic of inputsOf(stage)) {
      if (!present.has(topic)) continue
      const ends = await opened.offsets(topic)
      const positions = await opened.positions(groupOf(world.topology, stage), topic)
      for (const { partition, start, end } of ends) {
        const position = positions.find((one) => one.partition === partition)?.position ?? 0
        records += Math.max(0, end - Math.max(start, position))
      }
    }
    if (records > 0) behind.push(`${stage.processor.name} ${countText(records)}`)
  }
  return behind.length === 0
    ? ok('every stage is at the end')
    : warn(`records wait: ${behind.join(', ')}`, 'They are read while `entrepot run` is at work.')
}

const registry = async (world: World): Promise<Answer> => {
  await (await world.registry()).ping()
  return ok(world.settings.mode === 'servers' ? (world.settings.registry.url ?? '') : 'embedded')
}

const schemas = async (world: World): Promise<Answer> => {
  const opened = await world.registry()
  const wanted = [
    ...topicsOf(world.topology)
      .filter((topic) => topic !== world.topology.dead_letters)
      .map((topic) => ({ subject: subjectOf(topic.name), schema: null })),
    ...world.platforms.flatMap((platform) =>
      platform.sources.flatMap(({ subject, schema }) => (subject === null || schema === null ? [] : [{ subject, schema }])),
    ),
  ]
  const missing: string[] = []
  const breaking: string[] = []
  for (const { subject, schema } of wanted) {
    if ((await opened.latest(subject)) === undefined) missing.push(subject)
    else if (schema !== null) {
      const { compatible, reasons } = await opened.compatible(subject, schema)
      if (!compatible) breaking.push(`${subject}: ${reasons[0] ?? 'incompatible'}`)
    }
  }
  if (breaking.length > 0) return fail(breaking.join('; '), fault_codes['schema.incompatible'].remedy)
  return missing.length > 0
    ? warn(`${countText(missing.length)} of ${countText(wanted.length)} are not registered`, 'Run `entrepot schemas register`.')
    : ok(`${countText(wanted.length)} registered and compatible`)
}

const index = async (world: World): Promise<Answer> => {
  const { engine, collection, dims, image_dims, points } = await (await world.index()).describe()
  const images = image_dims === null ? '' : `; ${countText(points.images ?? 0)} images, ${image_dims} dimensions`
  return ok(
    `${engine}, ${collection}: ${countText(points.items)} items, ${countText(points.users)} users, ${dims} dimensions${images}`,
  )
}

const deadLetters = async (world: World): Promise<Answer> => {
  const opened = await world.log()
  const { name } = world.topology.dead_letters
  if (!(await opened.listTopics()).includes(name)) return ok('none')
  const count = (await opened.offsets(name)).reduce((sum, { start, end }) => sum + end - start, 0)
  return count === 0 ? ok('none') : warn(`${countText(count)} in ${name}`, '`entrepot dlq ls` says why.')
}

/** Longest wait for one check. */
const patience_ms = 20_000

const looked = async (check: Check): Promise<Finding> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(
      () => resolve(fail(`no answer within ${patience_ms / 1_000} s`, 'Is it running, and is its address right?')),
      patience_ms,
    )
  })
  try {
    return { check: check.name, ...(await Promise.race([check.look(), late])) }
  } catch (error) {
    const fault = asFault(error)
    const { remedy } = fault_codes[fault.code]
    return { check: check.name, ...fail(fault.message, /^The message /u.test(remedy) ? 'See the message.' : remedy) }
  } finally {
    clearTimeout(timer)
  }
}

/** Looks at everything in turn; what cannot be looked at because something before it failed is left out. */
export async function* examine(settings: Settings): AsyncGenerator<Finding> {
  for (const [name, look] of [
    ['node', node],
    ['native modules', nativeModules],
    ['identity', () => identity(settings)],
    ['data folder', () => folder(settings.data.folder)],
    ['disk space', () => space(settings.data.folder)],
  ] as const)
    yield await looked({ name, look })
  const model_found = await looked({ name: 'model', look: () => model(settings) })
  yield model_found
  if (model_found.verdict !== 'fail') yield await looked({ name: 'encoder', look: () => encoder(settings) })
  const { folder: image_folder, allow_private } = settings.image_model
  if (image_folder !== null) yield await looked({ name: 'image model', look: () => imageModel(image_folder, allow_private) })
  let world: World
  try {
    // A log that cannot be asked which lane is live is told of below, by its own check.
    world = await openWorld(settings).catch(() => openWorld(settings, { lane: 'configured' }))
  } catch (error) {
    const fault = asFault(error)
    yield { check: 'settings', ...fail(fault.message, fault_codes[fault.code].remedy) }
    return
  }
  try {
    yield await looked({ name: 'maps', look: () => maps(world) })
    const log_found = await looked({ name: 'log', look: () => log(world) })
    yield log_found
    if (log_found.verdict !== 'fail') {
      yield await looked({ name: 'topics', look: () => topics(world) })
      yield await looked({ name: 'lag', look: () => lag(world) })
      yield await looked({ name: 'dead letters', look: () => deadLetters(world) })
    }
    const registry_found = await looked({ name: 'registry', look: () => registry(world) })
    yield registry_found
    if (registry_found.verdict !== 'fail') yield await looked({ name: 'schemas', look: () => schemas(world) })
    yield await looked({ name: 'index', look: () => index(world) })
  } finally {
    await world.close()
  }
}
