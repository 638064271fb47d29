/** Regular expressions of foreign schemas, on an engine whose time is linear in the text (RE2): no pattern can stall the process. */
import { RE2JS } from 're2js'

/** Instructions of a compiled pattern; repetitions of repetitions multiply. */
const program_max = 1_000

export type Pattern = {
  /** Most steps that one character of a text takes. */
  readonly instructions: number
  test(text: string): boolean
}

/** Compiles an ECMA-262 pattern, unanchored as JSON Schema wants it. Throws on what RE2 does not have (look-around, back references). */
export const compilePattern = (pattern: string): Pattern => {
  const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern))
  if (compiled.programSize() > program_max) throw new Error(`the pattern compiles to more than ${program_max} instructions`)
  return { instructions: compiled.programSize(), test: (text) => compiled.test(text) }
}
