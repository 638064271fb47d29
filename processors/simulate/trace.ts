/** What happened, in order: a hash that two runs of one seed must share, and lines to read when a seed fails. */

export type TraceLine = { readonly at_ms: number; readonly what: string; readonly who?: string; readonly detail?: object }

export type Trace = {
  note(what: string, who?: string, detail?: object): void
  /** FNV-1a over every note, 32 bits, hex. */
  hash(): string
  /** Empty unless lines are kept. */
  readonly lines: readonly TraceLine[]
}

export const openTrace = (now_ms: () => number, keep: boolean): Trace => {
  const lines: TraceLine[] = []
  let hash = 0x811c9dc5
  const mix = (text: string) => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return {
    lines,
    note: (what, who, detail) => {
      const at_ms = now_ms()
      mix(what)
      if (who !== undefined) mix(who)
      mix(String(at_ms))
      if (!keep) return
      lines.push({
        at_ms: Math.round(at_ms * 1000) / 1000,
        what,
        ...(who === undefined ? {} : { who }),
        ...(detail === undefined ? {} : { detail }),
      })
    },
    hash: () => (hash >>> 0).toString(16).padStart(8, '0'),
  }
}
