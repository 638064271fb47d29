/** A parsed YAML or JSON file as plain data that remembers where each value stands, so that a finding can name file, line and column. */

/** 1-based. */
export type Place = { readonly file: string; readonly line: number; readonly column: number }

export type ScalarValue = string | number | bigint | boolean | null

/** `quoted`: written in quotes, so text and nothing else. `block`: written as `|` or `>`, so columns inside are not known. */
export type ScalarNode = {
  readonly kind: 'scalar'
  readonly value: ScalarValue
  readonly quoted: boolean
  readonly block: boolean
  readonly place: Place
}
export type ListNode = { readonly kind: 'list'; readonly items: readonly DocumentNode[]; readonly place: Place }
export type MapEntry = { readonly key: string; readonly key_place: Place; readonly value: DocumentNode }
export type MapNode = { readonly kind: 'map'; readonly entries: readonly MapEntry[]; readonly place: Place }
export type DocumentNode = ScalarNode | ListNode | MapNode

/** Something wrong or doubtful in a file, and what to do about it. */
export type Finding = { readonly place: Place; readonly severity: 'error' | 'warning'; readonly message: string }

/** `file:line:column: message`, as compilers print it. */
export const findingText = ({ place, severity, message }: Finding): string =>
  `${place.file}:${place.line}:${place.column}: ${severity}: ${message}`

/** The value of a key, or undefined. */
export const entryOf = (map: MapNode, key: string): MapEntry | undefined => map.entries.find((entry) => entry.key === key)

/** The node as plain data: objects without prototype, integers beyond 2^53 as bigint. */
export const plainOf = (node: DocumentNode): unknown => {
  switch (node.kind) {
    case 'scalar':
      return node.value
    case 'list':
      return node.items.map(plainOf)
    case 'map': {
      const plain = Object.create(null) as Record<string, unknown>
      for (const { key, value } of node.entries) plain[key] = plainOf(value)
      return plain
    }
    default:
      return node satisfies never
  }
}
