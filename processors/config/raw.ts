/** Values as written, before their type is known: one shape for YAML, environment variables and `--set`, each with its place. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is the notation of the configuration file.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { Fault } from '../domain/fault.ts'

/** `where` names the place for messages, e.g. `entrepot.yaml:12` or `KAFKA_BROKERS`. */
export type Raw = { readonly where: string } & (
  | { readonly text: string | null }
  | { readonly items: readonly Raw[] }
  | { readonly entries: readonly RawEntry[] }
)
export type RawEntry = { readonly key: string; readonly where: string; readonly value: Raw }

const yaml_bytes_max = 1024 * 1024

const convert = (node: Node | null, place: (node: Node | null | undefined) => string): Raw => {
  const where = place(node)
  if (node === null) return { where, text: null }
  if (isAlias(node)) throw new Fault('config.invalid', `${where}: YAML aliases are not read here; write the value out.`)
  if (isMap(node))
    return {
      where,
      entries: node.items.map((pair) => {
        const key = pair.key as Node | null
        if (!isScalar(key)) throw new Fault('config.invalid', `${where}: a key must be a plain word.`)
        return { key: key.source ?? String(key.value), where: place(key), value: convert(pair.value as Node | null, place) }
      }),
    }
  if (isSeq(node)) return { where, items: node.items.map((item) => convert(item as Node | null, place)) }
  if (!isScalar(node)) throw new Fault('config.invalid', `${where}: this YAML node is not read here.`)
  // The source text, not the parsed value: an id of 20 digits must stay an id of 20 digits.
  if (node.value === null) return { where, text: null }
  return { where, text: typeof node.value === 'string' ? node.value : (node.source ?? String(node.value)) }
}

/** Reads a YAML 1.2 document (core schema; JSON is a subset). `name` is the file's name in messages. */
export const rawFromYaml = (text: string, name: string, with_lines = true): Raw => {
  if (Buffer.byteLength(text) > yaml_bytes_max) throw new Fault('config.invalid', `${name} is larger than 1 MiB.`)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, merge: false, uniqueKeys: true, prettyErrors: false })
  const place = (node: Node | null | undefined): string =>
    with_lines && node?.range ? `${name}:${lines.linePos(node.range[0]).line}` : name
  const problem = document.errors[0]
  if (problem !== undefined) {
    const at = with_lines ? `${name}:${lines.linePos(problem.pos[0]).line}` : name
    const line = text.split('\n')[lines.linePos(problem.pos[0]).line - 1] ?? ''
    const hint = /[[{,][^"']*\$\{/u.test(line) ? ' Within { } and [ ] a reference needs quotes: "${VAR}".' : ''
    throw new Fault('config.invalid', `${at}: ${problem.message.split('\n')[0]}.${hint}`, { problem: problem.code })
  }
  return convert(document.contents, place)
}

/** A list or table from an environment variable or `--set`: `[..]` and `{..}` are read as YAML flow, all else as it stands. */
export const rawFromText = (text: string, where: string): Raw =>
  /^\s*(\[[\s\S]*\]|\{[\s\S]*\})\s*$/u.test(text) ? rawFromYaml(text, where, false) : { where, text }

const reference = /\$(\$?)\{([^}]*)\}/gu
const reference_name = /^([A-Za-z_][A-Za-z0-9_]*)(?::([\s\S]*))?$/u

/**
 * `${VAR}` and `${VAR:default}` replaced by the environment, in values only, never in keys; `$${` writes a literal `${`.
 * An empty variable counts as unset. Throws `config.missing` for a variable without value and default.
 */
export const substitute = (text: string, env: Readonly<Record<string, string | undefined>>, where: string): string =>
  text.replace(reference, (whole, escaped: string, body: string) => {
    if (escaped !== '') return whole.slice(1)
    const parts = reference_name.exec(body)
    if (parts === null)
      throw new Fault('config.invalid', `${where}: \${${body}} is not a reference; write \${VAR} or \${VAR:default}.`)
    const value = env[parts[1]!]
    if (value !== undefined && value !== '') return value
    if (parts[2] !== undefined) return parts[2]
    throw new Fault('config.missing', `${where}: the environment has no ${parts[1]}; set it, or write \${${parts[1]}:default}.`)
  })
