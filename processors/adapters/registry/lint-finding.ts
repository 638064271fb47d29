/** What a schema lint reports, and the list that gathers it. */

export type LintRule =
  | 'syntax'
  | 'size'
  | 'depth'
  | 'fields'
  | 'nodes'
  | 'names'
  | 'references'
  | 'zero-width'
  | 'recursion'
  | 'enum'
  | 'pattern'
  | 'cost'
  | 'unsupported'

/** `path` leads to the place in the schema, in the schema's own terms. Messages may hold schema text, cut short. */
export type LintFinding = { readonly path: string; readonly rule: LintRule; readonly message: string }

/** A hundred findings say enough about one schema. */
const findings_max = 100

/** Gathers findings; `stopped` once looking further is pointless or not safe. */
export type Findings = {
  readonly list: readonly LintFinding[]
  add(path: string, rule: LintRule, message: string): undefined
  /** Adds, and ends the look. */
  stop(path: string, rule: LintRule, message: string): undefined
  readonly stopped: boolean
}

export const findings = (): Findings => {
  const list: LintFinding[] = []
  let stopped = false
  return {
    list,
    add(path, rule, message) {
      list.push({ path: short(path), rule, message })
      if (list.length >= findings_max) stopped = true
      return undefined
    },
    stop(path, rule, message) {
      list.push({ path: short(path), rule, message })
      stopped = true
      return undefined
    },
    get stopped() {
      return stopped
    },
  }
}

/** Foreign text made fit for a message: cut, and only printable ASCII. */
export const short = (text: string): string => {
  const cut = text.length > 120 ? `${text.slice(0, 117)}...` : text
  return cut.replace(/[^\x20-\x7e]/g, '?')
}
