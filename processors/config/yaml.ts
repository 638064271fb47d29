/** YAML files as documents that know where each value stands, for maps and their cases. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { DocumentNode, Finding, MapEntry, Place } from '../domain/document.ts'

const yaml_bytes_max = 1024 * 1024

/** The document of a YAML 1.2 text, or what is wrong with it. Integers beyond 2^53 stay exact; aliases and merge keys are refused. */
export const documentOf = (
  text: string,
  file: string,
): { readonly document: DocumentNode | null; readonly findings: readonly Finding[] } => {
  const start: Place = { file, line: 1, column: 1 }
  if (Buffer.byteLength(text) > yaml_bytes_max)
    return { document: null, findings: [{ place: start, severity: 'error', message: 'The file is larger than 1 MiB.' }] }
  const lines = new LineCounter()
  const parsed = parseDocument(text, {
    lineCounter: lines,
    merge: false,
    uniqueKeys: true,
    prettyErrors: false,
    intAsBigInt: true,
  })
  const findings: Finding[] = []
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col }
  }
  const placeOf = (node: Node | null | undefined): Place => (node?.range ? at(node.range[0]) : start)
  const refuse = (node: Node | null | undefined, message: string): DocumentNode => {
    const place = placeOf(node)
    findings.push({ place, severity: 'error', message })
    return { kind: 'scalar', value: null, quoted: false, block: false, place }
  }
  for (const problem of parsed.errors)
    findings.push({ place: at(problem.pos[0]), severity: 'error', message: problem.message.split('\n')[0]! })

  const convert = (node: Node | null, fallback: Place): DocumentNode => {
    if (node === null) return { kind: 'scalar', value: null, quoted: false, block: false, place: fallback }
    if (isAlias(node)) return refuse(node, 'Aliases are not read here; write the value out.')
    const place = placeOf(node)
    if (isMap(node)) {
      const entries: MapEntry[] = []
      for (const pair of node.items) {
        const key = pair.key as Node | null
        if (!isScalar(key)) {
          refuse(node, 'A key must be a plain word.')
          continue
        }
        const key_place = placeOf(key)
        entries.push({ key: String(key.value), key_place, value: convert(pair.value as Node | null, key_place) })
      }
      return { kind: 'map', entries, place }
    }
    if (isSeq(node)) return { kind: 'list', items: node.items.map((item) => convert(item as Node | null, place)), place }
    if (!isScalar(node)) return refuse(node, 'This kind of YAML is not read here.')
    const { value, type } = node
    const quoted = type === 'QUOTE_SINGLE' || type === 'QUOTE_DOUBLE'
    const block =
      type === 'BLOCK_FOLDED' || type === 'BLOCK_LITERAL' || (typeof value === 'string' && (node.source ?? '').includes('\n'))
    const scalar = { kind: 'scalar' as const, quoted, block, place }
    if (typeof value === 'bigint') {
      const number = Number(value)
      return { ...scalar, value: Number.isSafeInteger(number) ? number : value }
    }
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return { ...scalar, value }
    return refuse(node, 'This kind of value is not read here.')
  }
  const document = findings.length > 0 ? null : convert(parsed.contents, start)
  return { document: findings.length > 0 ? null : document, findings }
}
