/**
 * Brings a model into the store from a hub, a URL or a folder: fetched, pinned, described by a card, tried, and only then there, all
 * at once. What broke off is kept and goes on with the next pull of the same.
 */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Fault } from '../../domain/fault.ts'
import type { Clock } from '../../ports/clock.ts'
import { type EncoderCard, encoderDigest, isPlainName, model_bytes_max, type PinnedFile, parseCard } from './card.ts'
import { checkTextOf } from './check.ts'
import { bytesPresent, fetchBytes, fetchFile, sha256OfFile, shownUrl, storeFault, type Web } from './download.ts'
import { hub_default, parseHubId, readHub } from './hub.ts'
import {
  asTable,
  chooseGraph,
  deriveUse,
  flatName,
  isDocument,
  type LayoutTexts,
  type LayoutWishes,
  layout_files,
  licenceName,
  readFrontMatter,
  rootOrBeside,
} from './layout.ts'
import { hasExternalData, weightsOf } from './onnx-file.ts'
import { readCard, readPinned, shipped_models } from './pinned.ts'
import { isModelName } from './store.ts'
import { type Trial, trial_texts, tryModel } from './trial.ts'

export type PullOptions = {
  /** `owner/name` on the hub, perhaps with `@revision`; an http(s) URL of a model.json or its folder; or a folder. */
  readonly source: string
  readonly store: string
  /** The name to give it; absent: the last part of the source. */
  readonly name?: string | undefined
  /** For sources without a card of their own. */
  readonly wishes?: LayoutWishes
  /** The licence, where the source does not say it. */
  readonly licence?: string | undefined
  /** SHA-256 of the model.json behind a URL, which pins all the rest. */
  readonly sha256?: string | undefined
  /** Absent: hub_default. */
  readonly endpoint?: string | undefined
  /** For private and gated repositories; sent to the endpoint alone. */
  readonly token?: string | undefined
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly silence_ms?: number
  /** Before the first byte; `bytes_total` is null where the source does not say. */
  readonly on_plan?: (plan: {
    readonly name: string
    readonly label: string
    readonly bytes_total: number | null
    readonly bytes_present: number
  }) => void
  /** Bytes that came, or, negative, that were thrown away; and the file they are of. */
  readonly on_bytes?: (bytes: number, file: string) => void
  /** Before a request that failed is made again. */
  readonly on_retry?: (why: string, wait_ms: number) => void
  /** What is done now, e.g. `trial`. */
  readonly on_step?: (step: 'fetched' | 'trial' | 'install') => void
}

export type PullReport = {
  readonly name: string
  readonly folder: string
  readonly card: EncoderCard
  readonly digest: string
  readonly bytes: number
  /** It was there already, every file the pinned one; nothing was done. */
  readonly unchanged: boolean
  /** Digest of the model that had this name before; null when there was none. */
  readonly replaced: string | null
  /** Null when unchanged. */
  readonly trial: Omit<Trial, 'vectors' | 'check_vectors'> | null
  readonly notes: readonly string[]
}

const mib = 2 ** 20
const bytes_max = {
  model: model_bytes_max,
  tokenizer: 256 * mib,
  config: mib,
  document: 4 * mib,
  card: mib,
  layout: mib,
} as const
const documents_max = 8
/** Room left on the disk beside what is fetched. */
const spare_bytes = 64 * mib

type Remote = { readonly path: string; readonly bytes: number | null; readonly sha256: string | null }
/** Where files come from, whatever it is. */
type Source = {
  /** For people and the card. */
  readonly label: string
  /** What `entrepot model pull` takes to get exactly this. */
  readonly exact: string
  readonly default_name: string
  /** The card that comes with it, as parsed JSON and checked; null: it is derived. */
  readonly card: { readonly raw: Readonly<Record<string, unknown>>; readonly parsed: EncoderCard } | null
  readonly files: readonly Remote[]
  readonly licence: string | null
  readonly languages: readonly string[]
  /** Text of a small file; undefined when it is not there. */
  text(path: string): Promise<string | undefined>
  take(
    file: Remote,
    to: string,
    limit: number,
    on_bytes: (bytes: number) => void,
  ): Promise<{ readonly sha256: string; readonly bytes: number }>
}

const refused = (message: string, cause?: unknown): Fault => new Fault('model.refused', message, {}, cause)
const parsedCard = (text: string, place: string): NonNullable<Source['card']> => {
  const parsed = parseCard(text, place)
  return { raw: JSON.parse(text) as Record<string, unknown>, parsed }
}
const filesOfCard = (card: EncoderCard): readonly Remote[] =>
  [card.files.model, card.files.tokenizer, card.files.config, ...card.documents].map(({ name, sha256 }) => ({
    path: name,
    bytes: null,
    sha256,
  }))

const openHub = async (web: Web, endpoint: URL, id: string, revision: string): Promise<Source> => {
  const own: Web = web
  const repository = await readHub(own, endpoint, id, revision)
  return {
    label: `${id}@${repository.commit}`,
    exact: `${id}@${repository.commit}`,
    default_name: id.split('/').at(-1)!,
    card: null,
    files: repository.files,
    licence: repository.licence,
    languages: repository.languages,
    text: async (path) => {
      if (!repository.files.some((file) => file.path === path)) return undefined
      return (await fetchBytes(own, { url: repository.urlOf(path), bytes_max: bytes_max.layout }))!.toString('utf8')
    },
    take: (file, to, limit, on_bytes) =>
      fetchFile(
        own,
        { url: repository.urlOf(file.path), bytes_max: limit, bytes: file.bytes, sha256: file.sha256 },
        to,
        on_bytes,
      ),
  }
}

const openUrl = async (web: Web, given: URL, sha256: string | undefined): Promise<Source> => {
  const url = new URL(given)
  if (!url.pathname.endsWith('.json')) {
    if (/\.(zip|gz|tgz|xz|zst|tar|onnx|safetensors)$/iu.test(url.pathname))
      throw refused(
        `${shownUrl(url)} is not a model folder. Give the URL of a model.json, or of the folder that holds it; or unpack it, and pull the folder.`,
      )
    url.pathname = `${url.pathname.replace(/\/+$/u, '')}/model.json`
  }
  const bytes = (await fetchBytes(web, { url, bytes_max: bytes_max.card }))!
  const actual = createHash('sha256').update(bytes).digest('hex')
  if (sha256 !== undefined && actual !== sha256)
    throw new Fault(
      'model.sha256',
      `${shownUrl(url)} has SHA-256 ${actual}, --sha256 is ${sha256}. Ask its publisher; without --sha256 it is believed as it is.`,
    )
  const card = parsedCard(bytes.toString('utf8'), shownUrl(url))
  const urlOf = (name: string): URL => {
    const file = new URL(encodeURIComponent(name), url)
    file.search = url.search
    return file
  }
  const pinned = filesOfCard(card.parsed)
  const found: Remote[] = []
  if (card.parsed.documents.length === 0)
    for (const name of ['LICENSE', 'NOTICE', 'README.md']) {
      const document = await fetchBytes(web, { url: urlOf(name), bytes_max: bytes_max.document }, true)
      if (document !== null)
        found.push({ path: name, bytes: document.length, sha256: createHash('sha256').update(document).digest('hex') })
    }
  return {
    label: card.parsed.source ?? shownUrl(url),
    exact: shownUrl(url),
    default_name: card.parsed.name,
    card,
    files: [...pinned, ...found],
    licence: card.parsed.licence,
    languages: card.parsed.languages,
    text: async () => undefined,
    take: (file, to, limit, on_bytes) =>
      fetchFile(web, { url: urlOf(file.path), bytes_max: limit, bytes: file.bytes, sha256: file.sha256 }, to, on_bytes),
  }
}

/** Files of a folder and of the folders in it that a layout uses, by path. */
const listFolder = async (folder: string): Promise<readonly Remote[]> => {
  const files: Remote[] = []
  for (const part of ['', 'onnx', '1_Pooling']) {
    let names: readonly string[]
    try {
      names = await readdir(join(folder, part))
    } catch (error) {
      if (part !== '' && ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) continue
      throw new Fault('model.missing', `The folder ${folder} cannot be read: ${(error as Error).message}.`, {}, error)
    }
    for (const name of names) {
      // A hub's cache holds links to its blobs: they are followed.
      const found = await stat(join(folder, part, name))
      if (found.isFile()) files.push({ path: part === '' ? name : `${part}/${name}`, bytes: found.size, sha256: null })
    }
  }
  return files
}

const openFolder = async (given: string): Promise<Source> => {
  const folder = resolve(given)
  const listed = await listFolder(folder)
  const text = async (path: string): Promise<string | undefined> => {
    const file = listed.find((one) => one.path === path)
    if (file === undefined) return undefined
    if (file.bytes! > bytes_max.layout) throw refused(`${join(folder, path)} is larger than such a file may be.`)
    return readFile(join(folder, path), 'utf8')
  }
  const card_text = await text('model.json')
  const card = card_text === undefined ? null : parsedCard(card_text, join(folder, 'model.json'))
  const documents = listed.filter(({ path }) => isDocument(path))
  const pinned = card === null ? [] : filesOfCard(card.parsed)
  const bytesOf = (path: string): number | null => listed.find((one) => one.path === path)?.bytes ?? null
  return {
    label: card?.parsed.source ?? folder,
    exact: folder,
    default_name: card?.parsed.name ?? basename(folder),
    card,
    files:
      card === null
        ? listed
        : [
            ...pinned.map((file) => ({ ...file, bytes: bytesOf(file.path) })),
            ...documents.filter(({ path }) => !pinned.some((file) => file.path === path)),
          ],
    licence: card?.parsed.licence ?? null,
    languages: card?.parsed.languages ?? [],
    text,
    take: async (file, to, limit, on_bytes) => {
      const from = join(folder, file.path)
      try {
        const { size } = await stat(from)
        if (size > limit) throw refused(`${from} has ${size} bytes; such a file may have ${limit}.`)
        await copyFile(from, to)
        on_bytes(size)
        const sha256 = await sha256OfFile(to)
        if (file.sha256 !== null && sha256 !== file.sha256)
          throw new Fault(
            'model.sha256',
            `${from} has SHA-256 ${sha256}, its model.json pins ${file.sha256}. Restore it, or correct model.json if you trust the new one.`,
          )
        return { sha256, bytes: size }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          throw new Fault('model.missing', `${from} is named in model.json but is not there.`, {}, error)
        throw storeFault(to, error)
      }
    },
  }
}

/** What a source is, by its text alone: a URL, a path (it begins with `.`, `/` or `~`, or is a folder here), or a hub id. */
export type SourceKind =
  | { readonly kind: 'url'; readonly url: URL }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'hub'; readonly id: string; readonly revision: string }

const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw new Fault('model.missing', `${path} cannot be looked at: ${(error as Error).message}.`, {}, error)
  }
}

export const sourceKindOf = async (source: string): Promise<SourceKind> => {
  if (/^[a-z][a-z0-9+.-]*:\/\//iu.test(source)) {
    const url = URL.parse(source)
    if (url === null || !['http:', 'https:'].includes(url.protocol)) throw refused(`${source} is no http or https URL.`)
    return { kind: 'url', url }
  }
  if (/^(\.|\/|~|[A-Za-z]:\\)/u.test(source) || (await isFolder(source))) {
    if (await isFolder(source)) return { kind: 'folder', path: source }
    throw new Fault('model.missing', `There is no folder ${source}.`)
  }
  const hub = parseHubId(source)
  if (hub === undefined)
    throw refused(`${source} is neither a hub id (owner/name, perhaps with @revision), nor a URL, nor a folder that is there.`)
  return { kind: 'hub', ...hub }
}

const openSource = async (kind: SourceKind, options: PullOptions): Promise<Source> => {
  const { clock, signal, silence_ms, on_retry, token } = options
  const web: Web = {
    clock,
    signal,
    ...(silence_ms === undefined ? {} : { silence_ms }),
    ...(on_retry === undefined ? {} : { on_retry }),
  }
  if (kind.kind === 'folder') return openFolder(kind.path)
  if (kind.kind === 'url') return openUrl(web, kind.url, options.sha256)
  const endpoint = URL.parse(options.endpoint ?? hub_default)
  if (endpoint === null || !['http:', 'https:'].includes(endpoint.protocol) || endpoint.username !== '')
    throw new Fault('config.invalid', 'HF_ENDPOINT takes an http or https URL without a user name.')
  const with_token = token === undefined ? web : { ...web, token: { origin: endpoint.origin, text: token } }
  return openHub(with_token, endpoint, kind.id, kind.revision)
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

/** The command that gets the very same again; also how it is known whether what is there is of the same source. */
const restoreOf = (source: Source, name: string, options: PullOptions): string => {
  const { file, prefix, pooling, output, tokens_max } = options.wishes ?? {}
  const flags: readonly (readonly [string, string | undefined])[] = [
    ['name', name === source.default_name ? undefined : name],
    ['file', file],
    ['prefix', prefix],
    ['pooling', pooling],
    ['output', output],
    ['tokens-max', tokens_max?.toString()],
    ['licence', options.licence],
  ]
  return [
    'entrepot model pull',
    quoted(source.exact),
    ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag} ${quoted(value)}`])),
  ].join(' ')
}
/** The source in a restore command, without its commit. */
const originIn = (restore: string | null): string | null =>
  /^entrepot model pull ('[^']*'|\S+)/u.exec(restore ?? '')?.[1]?.replace(/@[0-9a-f]{40,64}$/u, '') ?? null

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Holds the name for this process until the returned function is called. Fault: model.store while another holds it. */
const lockName = async (store: string, name: string): Promise<() => Promise<void>> => {
  const path = join(store, `.pull-${name}.lock`)
  for (let tries = 0; ; tries++) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(String(process.pid))
      await file.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw storeFault(path, error)
      const pid = Number(await readFile(path, 'utf8'))
      if (tries > 0 || (pid > 0 && isAlive(pid)))
        throw new Fault(
          'model.store',
          `Process ${pid} is pulling ${name} right now: wait for it, or remove ${path} if it is gone.`,
        )
      // Left by a process that was killed.
      await rm(path, { force: true })
    }
  }
}

/** Files, or the entries of a folder, are on the disk when this returns. */
const sync = async (path: string): Promise<void> => {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A file to take, and the name it gets in the model's folder. */
type Item = Remote & { readonly name: string; readonly role: 'model' | 'tokenizer' | 'config' | 'document' }

const itemsOf = (source: Source, wishes: LayoutWishes): readonly Item[] => {
  const { card, files, label } = source
  const documents = files
    .filter(({ path }) => !path.includes('/') && isDocument(path) && isPlainName(path))
    .slice(0, documents_max)
    .map((file): Item => ({ ...file, name: file.path, role: 'document' }))
  if (card !== null) {
    const { model, tokenizer, config } = card.parsed.files
    const roles = [
      [config, 'config'],
      [tokenizer, 'tokenizer'],
      [model, 'model'],
    ] as const
    const pinned = roles.map(([{ name }, role]): Item => ({ ...files.find(({ path }) => path === name)!, name, role }))
    const named = card.parsed.documents.filter(({ name }) => !documents.some((one) => one.name === name))
    const others = named.map(({ name, sha256 }): Item => ({ path: name, bytes: null, sha256, name, role: 'document' }))
    return [...documents, ...others, ...pinned]
  }
  const graph = chooseGraph(files, wishes.file, label)
  const tokenizer = rootOrBeside(files, 'tokenizer.json', graph.path)
  if (tokenizer === undefined)
    throw refused(
      `${label} has no tokenizer.json. Save one: \`AutoTokenizer.from_pretrained(…, use_fast=True).save_pretrained(<folder>)\`.`,
    )
  const config = rootOrBeside(files, 'config.json', graph.path)
  if (config === undefined) throw refused(`${label} has no config.json, which names the size of the vocabulary.`)
  return [
    ...documents,
    { ...config, name: 'config.json', role: 'config' },
    { ...tokenizer, name: 'tokenizer.json', role: 'tokenizer' },
    { ...graph, name: flatName(graph.path), role: 'model' },
  ]
}

/** Makes room: refuses before the first byte what cannot fit. */
const assertRoom = async (store: string, bytes: number): Promise<void> => {
  const { bavail, bsize } = await statfs(store)
  const free = bavail * bsize
  if (free < bytes + spare_bytes)
    throw new Fault(
      'model.store',
      `The model needs ${Math.ceil(bytes / mib)} MiB more in ${store}, where ${Math.floor(free / mib)} MiB are free. Free some, or set model.store to another disk.`,
    )
}

/** What the store holds under the name; null when nothing, a fault when it cannot be read. */
const standing = async (folder: string): Promise<EncoderCard | Fault | null> => {
  try {
    return await readCard(folder)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return (await isFolder(folder)) ? error : null
  }
}

/** The card of what was fetched, from the source's own card or derived from its layout. `dims` may still be unknown. */
const describe = async (
  stage: string,
  source: Source,
  name: string,
  pins: ReadonlyMap<string, PinnedFile & { readonly role: Item['role'] }>,
  options: PullOptions,
  said: { readonly licence: string; readonly languages: readonly string[] },
): Promise<{ readonly card: Record<string, unknown>; readonly notes: readonly string[] }> => {
  const pin = (role: Item['role']): PinnedFile => {
    const { name: file, sha256 } = [...pins.values()].find((one) => one.role === role)!
    return { name: file, sha256 }
  }
  const documents = [...pins.values()]
    .filter((one) => one.role === 'document')
    .map(({ name: file, sha256 }) => ({ name: file, sha256 }))
  const weights = await readFile(join(stage, pin('model').name))
  if (hasExternalData(weights))
    throw refused(
      `${pin('model').name} keeps tensors in other files, which is not supported: save it as one file (onnx.save_model with save_as_external_data=False).`,
    )
  const { precision } = weightsOf(weights)
  const files = { model: pin('model'), tokenizer: pin('tokenizer'), config: pin('config') }
  const restore = restoreOf(source, name, options)
  const { licence, languages } = said
  if (source.card !== null) {
    const { license: _, ...raw } = source.card.raw
    const own = source.card.parsed
    return {
      card: {
        ...raw,
        name,
        files,
        licence,
        languages,
        precision: own.precision ?? precision,
        source: source.label,
        documents,
        restore,
      },
      notes: [],
    }
  }
  const texts: Record<string, string | undefined> = {}
  for (const path of layout_files) texts[path] = await source.text(path)
  let config: Readonly<Record<string, unknown>>
  try {
    config = asTable(JSON.parse(await readFile(join(stage, files.config.name), 'utf8')))
  } catch (error) {
    throw refused(`config.json of ${source.label} is not JSON.`, error)
  }
  const { notes, ...use } = deriveUse(weights, config, texts as LayoutTexts, options.wishes ?? {}, `${source.label} ${name}`)
  if (use.dims === null)
    throw refused(`Neither the graph nor config.json of ${source.label} says how many dimensions its vectors have (hidden_size).`)
  return {
    card: { name, files, ...use, licence, languages, precision, source: source.label, documents, restore },
    notes,
  }
}

/**
 * Pulls a model into `<store>/<name>`. Faults: model.refused, model.sha256, model.licence, model.store, model.unavailable (also when the
 * signal aborts; what has come is kept), model.missing, model.shape and config.invalid of a card.
 */
export const pullModel = async (options: PullOptions): Promise<PullReport> => {
  const { store, clock, signal, wishes = {}, on_plan, on_bytes = () => undefined, on_step = () => undefined } = options
  const kind = await sourceKindOf(options.source)
  if (options.sha256 !== undefined && kind.kind !== 'url')
    throw new Fault('config.invalid', '--sha256 is of the model.json behind a URL; a hub names the SHA-256 of its files itself.')
  const source = await openSource(kind, options)
  const derived_only = Object.entries(wishes).filter(([, value]) => value !== undefined)
  if (source.card !== null && derived_only.length > 0)
    throw new Fault(
      'config.invalid',
      `${source.label} has a model.json of its own, which says ${derived_only.map(([wish]) => wish).join(', ')}: leave the flag out.`,
    )
  const name = options.name ?? source.default_name
  if (!isModelName(name))
    throw new Fault('config.invalid', 'A model’s name is of letters, digits, dot, underscore and hyphen: give one with --name.')
  if (shipped_models.some((one) => one.name === name))
    throw new Fault('config.invalid', `${name} is the name of a model that ships: give this one another with --name.`)

  const folder = resolve(store, name)
  const restore = restoreOf(source, name, options)
  const before = await standing(folder)
  // Not ours to throw away.
  if (before instanceof Fault)
    throw new Fault(
      'model.store',
      `${folder} is there, but is no model that can be read: ${before.message} Remove it, or give another name with --name.`,
      {},
      before,
    )
  if (before !== null) {
    if (originIn(before.restore) !== originIn(restore))
      throw new Fault(
        'config.invalid',
        `${name} is there already, of another source${before.source === null ? '' : `, ${before.source}`}: give this one another name with --name.`,
      )
    const same =
      source.card === null
        ? before.restore === restore && kind.kind === 'hub'
        : encoderDigest(source.card.parsed) === encoderDigest(before)
    if (same) {
      try {
        const pinned = await readPinned(folder)
        return {
          name,
          folder,
          card: before,
          digest: pinned.digest,
          bytes: 0,
          unchanged: true,
          replaced: null,
          trial: null,
          notes: [],
        }
      } catch (error) {
        // What is there is damaged: it is fetched again.
        if (!(error instanceof Fault)) throw error
      }
    }
  }

  try {
    await mkdir(store, { recursive: true })
  } catch (error) {
    throw storeFault(store, error)
  }
  const unlock = await lockName(store, name)
  try {
    const stage = join(store, `.pull-${name}`)
    const items = itemsOf(source, wishes)
    // What an earlier pull left is of use only if it was of the very same files; how they are read may be said anew.
    const identity = join(stage, '.source')
    const of = [source.exact, wishes.file ?? ''].join('\n')
    try {
      if ((await readFile(identity, 'utf8').catch(() => '')) !== of) await rm(stage, { recursive: true, force: true })
      await mkdir(stage, { recursive: true })
      await writeFile(identity, of)
    } catch (error) {
      throw storeFault(stage, error)
    }
    const present = await Promise.all(items.map((item) => bytesPresent(join(stage, item.name))))
    const bytes_present = present.reduce((sum, bytes) => sum + bytes, 0)
    const known = items.every((item) => item.bytes !== null)
    const bytes_total = known ? items.reduce((sum, item) => sum + item.bytes!, 0) : null
    await assertRoom(store, Math.max(0, items.reduce((sum, item) => sum + (item.bytes ?? 0), 0) - bytes_present))
    on_plan?.({ name, label: source.label, bytes_total, bytes_present })

    const pins = new Map<string, PinnedFile & { readonly role: Item['role'] }>()
    let bytes = 0
    let said: { readonly licence: string; readonly languages: readonly string[] } | null = null
    /** Read once the documents are there, before anything large is. */
    const sayWho = async (): Promise<NonNullable<typeof said>> => {
      const readme = items.find((item) => item.role === 'document' && /^readme(\.md)?$/iu.test(item.name))
      const matter =
        readme === undefined
          ? { licence: null, languages: [] }
          : readFrontMatter(await readFile(join(stage, readme.name), 'utf8'))
      const licence = options.licence ?? source.licence ?? matter.licence
      if (licence === null)
        throw new Fault(
          'model.licence',
          `${source.label} names no licence, so nothing says that its weights may be used. Find out, then pull with --licence <SPDX id>.`,
        )
      return { licence: licenceName(licence), languages: source.languages.length > 0 ? source.languages : matter.languages }
    }
    for (const item of items) {
      if (signal.aborted) throw new Fault('model.unavailable', 'Stopped. What has been fetched is kept.')
      if (item.role !== 'document') said ??= await sayWho()
      const taken = await source.take(item, join(stage, item.name), bytes_max[item.role], (n) => on_bytes(n, item.name))
      pins.set(item.name, { name: item.name, sha256: taken.sha256, role: item.role })
      bytes += taken.bytes
    }
    on_step('fetched')

    const { card, notes } = await describe(stage, source, name, pins, options, said!)
    const write = (value: unknown): Promise<void> =>
      writeFile(join(stage, 'model.json'), `${JSON.stringify(value, null, 2)}\n`).catch((error: unknown) => {
        throw storeFault(stage, error)
      })
    await write(card)
    on_step('trial')
    const { vectors, check_vectors: _, ...trial } = await tryModel({ folder: stage, clock })
    if (trial.unusable > 0)
      throw new Fault(
        'model.shape',
        `${name} gives vectors that are zero or not finite for ${trial.unusable} of the trial’s texts.`,
      )
    const own_check = source.card?.parsed.check ?? []
    if (own_check.length === 0)
      await write({
        ...card,
        check: trial_texts.flatMap((text, at) => {
          const vector = vectors[at]!
          return vector instanceof Fault ? [] : [checkTextOf(text, vector)]
        }),
      })

    on_step('install')
    const keep = new Set([...pins.keys(), 'model.json'])
    const aside = join(store, `.old-${name}`)
    try {
      for (const entry of await readdir(stage)) if (!keep.has(entry)) await rm(join(stage, entry), { recursive: true })
      for (const name of keep) await sync(join(stage, name))
      await sync(stage)
      await rm(aside, { recursive: true, force: true })
      if (before !== null) await rename(folder, aside)
      try {
        await rename(stage, folder)
      } catch (error) {
        if (before !== null) await rename(aside, folder)
        throw error
      }
      await sync(store)
      await rm(aside, { recursive: true, force: true })
    } catch (error) {
      throw storeFault(folder, error)
    }
    const installed = await readCard(folder)
    return {
      name,
      folder,
      card: installed,
      digest: encoderDigest(installed),
      bytes,
      unchanged: false,
      replaced: before === null ? null : encoderDigest(before),
      trial,
      notes,
    }
  } finally {
    await unlock()
  }
}
