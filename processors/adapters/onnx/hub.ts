/** What a model hub says of a repository: the commit, its files with size and SHA-256, licence and languages (Hugging Face's API). */
import { Fault } from '../../domain/fault.ts'
import { fetchBytes, shownUrl, type Web } from './download.ts'
import { asTable, isNoLicence } from './layout.ts'

export type HubFile = {
  /** Path in the repository, `/` between its parts; never outside of it. */
  readonly path: string
  /** Null where the hub does not say. */
  readonly bytes: number | null
  /** Of files in large-file storage; null of others. */
  readonly sha256: string | null
}

export type HubRepository = {
  readonly id: string
  /** The full commit that the revision means now; files are fetched at it. */
  readonly commit: string
  readonly files: readonly HubFile[]
  readonly licence: string | null
  readonly languages: readonly string[]
  urlOf(path: string): URL
}

/** Where models are by default; HF_ENDPOINT names a mirror, as for huggingface_hub. */
export const hub_default = 'https://huggingface.co'

const listing_bytes_max = 8 * 1024 * 1024
const files_max = 20_000

/** `owner/name` and perhaps `@revision` (a branch, tag or commit). Undefined when the text is none. */
export const parseHubId = (text: string): { readonly id: string; readonly revision: string } | undefined => {
  const found = /^([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,200}))?$/u.exec(text)
  if (found === null || found[1]!.includes('..') || found[2]?.includes('..') === true) return undefined
  return { id: found[1]!, revision: found[2] ?? 'main' }
}

/** A path that stays inside, made of names that every file system takes. */
const isInside = (path: string): boolean =>
  path.length <= 1_024 && path.split('/').every((name) => name !== '' && name !== '.' && name !== '..' && !/[\\\0]/u.test(name))

const texts = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string' && one !== '')

/**
 * Asks the hub at `endpoint` for a repository at a revision. The token of `web` goes to the endpoint alone.
 * Faults: model.refused (absent, gated, an answer that names files outside of the repository), model.unavailable.
 */
export const readHub = async (web: Web, endpoint: URL, id: string, revision: string): Promise<HubRepository> => {
  const base = endpoint.href.replace(/\/+$/u, '')
  const url = new URL(`${base}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`)
  const answer = await fetchBytes(web, { url, bytes_max: listing_bytes_max })
  const strange = (what: string): Fault =>
    new Fault('model.refused', `${shownUrl(url)} ${what}: is HF_ENDPOINT (${endpoint.origin}) a model hub?`)
  let said: Readonly<Record<string, unknown>>
  try {
    said = asTable(JSON.parse(answer!.toString('utf8')))
  } catch (error) {
    throw new Fault('model.refused', strange('does not answer with JSON').message, {}, error)
  }
  const { sha, siblings } = said
  if (typeof sha !== 'string' || !/^[0-9a-f]{40,64}$/u.test(sha)) throw strange('names no commit')
  if (!Array.isArray(siblings) || siblings.length > files_max) throw strange('lists no files, or too many')
  const files = siblings.map((sibling): HubFile => {
    const { rfilename, size, lfs } = asTable(sibling)
    if (typeof rfilename !== 'string' || !isInside(rfilename)) throw strange('names a file outside of the repository')
    const large = asTable(lfs)
    const bytes = [size, large['size']].find(
      (one): one is number => typeof one === 'number' && Number.isSafeInteger(one) && one >= 0,
    )
    const sha256 = large['sha256'] ?? large['oid']
    return {
      path: rfilename,
      bytes: bytes ?? null,
      sha256: typeof sha256 === 'string' && /^[0-9a-f]{64}$/u.test(sha256) ? sha256 : null,
    }
  })
  const card = asTable(said['cardData'])
  const licence = [...texts(card['license_name']), ...texts(card['license'])].find((one) => !isNoLicence(one))
  return {
    id,
    commit: sha,
    files,
    licence: licence ?? null,
    languages: texts(card['language']),
    urlOf: (path) => new URL(`${base}/${id}/resolve/${sha}/${path.split('/').map(encodeURIComponent).join('/')}`),
  }
}
