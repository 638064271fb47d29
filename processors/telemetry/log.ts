/** Logs: JSON lines without payloads, one level and one code each, bounded in size and in number. */
import { type DestinationStream, pino } from 'pino'
import type { Fault } from '../domain/fault.ts'

/** Facts beside the message. Never payload text, raw user ids or secrets; keys that look like those are printed as `***`. */
export type LogDetail = Readonly<Record<string, string | number | boolean | null | undefined>>

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** `code` is a short closed word, such as `task.assigned` or a fault's code: lines are counted and sampled by it. */
export interface Log {
  debug(code: string, message: string, detail?: LogDetail): void
  info(code: string, message: string, detail?: LogDetail): void
  warn(code: string, message: string, detail?: LogDetail): void
  error(code: string, message: string, detail?: LogDetail): void
  /** A fault with its kind, code and detail; the stack only of defects. `warn` for what mends itself, `error` for the rest. */
  fault(fault: Fault, detail?: LogDetail): void
  /** The same log with these facts in every line. */
  with(detail: LogDetail): Log
}

export type LogOptions = {
  readonly level: LogLevel
  /** Where lines go; it may drop lines, it may not block. */
  readonly to: DestinationStream
  /** Epoch milliseconds. */
  readonly now_ms: () => number
  /** Facts in every line: version, stage names. */
  readonly base?: LogDetail
  /** Told how many lines the sampling left out. */
  readonly suppressed?: (lines: number) => void
}

/** Longest line, in bytes. */
export const line_bytes_max = 8_192
/** Most lines of one code in one second; the first line after that says how many were left out. */
export const lines_per_second_max = 100
const buffered_bytes_max = 4 * 1024 * 1024
const text_chars_max = 2_000
const detail_keys_max = 40
const codes_max = 1_000

const private_key =
  /(password|passwd|passphrase|secret|token|authori[sz]ation|cookie|api_?key|credentials?|private_?key|e_?mail|phone|user_?id|payload|body)$|(^|_)ip$/iu
const own_keys = new Set(['level', 'time', 'code', 'message', 'left_out'])

/**
 * Control characters (line breaks, ANSI escapes, C1, direction marks, line separators) as visible `\x1b`, so that a line stays
 * a line and harmless text even where a viewer prints the decoded string. Long texts are cut.
 */
export const escapeControls = (text: string): string => {
  const cut = text.length > text_chars_max ? `${text.slice(0, text_chars_max)}…` : text
  return cut.toWellFormed().replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, (char) => {
    if (char === '\n') return '\\n'
    if (char === '\r') return '\\r'
    if (char === '\t') return '\\t'
    const code = char.codePointAt(0)!
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

type Line = Record<string, string | number | boolean | null>

const safeDetail = (detail: LogDetail): Line => {
  const line: Line = {}
  for (const [key, value] of Object.entries(detail).slice(0, detail_keys_max)) {
    if (value === undefined) continue
    const name = own_keys.has(key) ? `detail_${key}` : escapeControls(key)
    if (private_key.test(key) && value !== null) line[name] = '***'
    else if (typeof value === 'string') line[name] = escapeControls(value)
    else if (typeof value === 'number' || typeof value === 'boolean' || value === null) line[name] = value
    // What is not a plain value (types do not bind at run time) is named by its type, never spelled out.
    else line[name] = `[${typeof value}]`
  }
  return line
}

/** The frames of a stack without the message, which for errors of others may quote data. */
const framesOf = (error: Error): string =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /u.test(line))
    .slice(0, 12)
    .map((line) => line.trim())
    .join(' | ')

/** A SyntaxError of JSON.parse quotes what it could not read. */
const safeMessage = (fault: Fault): string =>
  fault.code === 'defect.unexpected' && fault.cause instanceof Error && fault.cause.name === 'SyntaxError'
    ? 'SyntaxError (its message may quote data and is left out)'
    : fault.message

const faultDetail = (fault: Fault): LogDetail => {
  const detail: Record<string, string | number | boolean | undefined> = { ...fault.detail, kind: fault.kind }
  if (fault.cause instanceof Error) {
    const code = (fault.cause as { readonly code?: unknown }).code
    detail['cause'] = typeof code === 'string' ? `${fault.cause.name} ${code}` : fault.cause.name
  }
  if (fault.kind === 'defect') detail['stack'] = framesOf(fault.cause instanceof Error ? fault.cause : fault)
  return detail
}

type Sampler = { take(code: string): number | null }

/** At most lines_per_second_max lines of a code in a second. `take` answers how many were left out before, or null to leave out. */
const sampler = (now_ms: () => number, suppressed: (lines: number) => void): Sampler => {
  const codes = new Map<string, { second: number; lines: number; left_out: number }>()
  return {
    take: (given) => {
      // Codes are closed words; should that break, the surplus shares one budget instead of growing the map.
      const code = codes.has(given) || codes.size < codes_max ? given : 'other'
      const second = Math.floor(now_ms() / 1_000)
      const seen = codes.get(code) ?? { second, lines: 0, left_out: 0 }
      codes.set(code, seen)
      if (seen.second !== second) {
        seen.second = second
        seen.lines = 0
      }
      if (seen.lines >= lines_per_second_max) {
        seen.left_out++
        suppressed(1)
        return null
      }
      seen.lines++
      const before = seen.left_out
      seen.left_out = 0
      return before
    },
  }
}

type Write = (level: Exclude<LogLevel, 'silent'>, code: string, message: string, detail: LogDetail) => void

const logOver = (write: Write, base: LogDetail): Log => {
  const at =
    (level: Exclude<LogLevel, 'silent'>) =>
    (code: string, message: string, detail: LogDetail = {}): void =>
      write(level, code, message, { ...base, ...detail })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fault: (fault, detail = {}) => {
      const mends =
        fault.kind === 'transient' || fault.kind === 'fenced' || fault.kind === 'malformed' || fault.kind === 'corrupt'
      write(mends ? 'warn' : 'error', fault.code, safeMessage(fault), { ...base, ...detail, ...faultDetail(fault) })
    },
    with: (detail) => logOver(write, { ...base, ...detail }),
  }
}

/** Opens a log over pino. */
export const openLog = (options: LogOptions): Log => {
  const { level, to, now_ms, base = {}, suppressed = () => undefined } = options
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":${JSON.stringify(new Date(now_ms()).toISOString())}`,
      formatters: { level: (label) => ({ level: label }) },
    },
    to,
  )
  const samples = sampler(now_ms, suppressed)
  const write: Write = (at, code, message, detail) => {
    if (!logger.isLevelEnabled(at)) return
    const left_out = samples.take(code)
    if (left_out === null) return
    const line: Line = { code: escapeControls(code), ...safeDetail(detail), ...(left_out === 0 ? {} : { left_out }) }
    const text = escapeControls(message)
    // Level and time stand in front; 200 bytes are more than they take.
    const fits = Buffer.byteLength(JSON.stringify(line)) + Buffer.byteLength(JSON.stringify(text)) <= line_bytes_max - 200
    if (fits) logger[at](line, text)
    else logger[at]({ code: escapeControls(code).slice(0, 100), cut: true }, text.slice(0, 1_000))
  }
  return logOver(write, base)
}

/** Lines to a file descriptor without ever blocking: what is not taken in time is dropped and counted, events are not. */
export const openDestination = (descriptor: 1 | 2, dropped: (lines: number) => void): DestinationStream & { flush(): void } => {
  const stream = pino.destination({ dest: descriptor, sync: false, maxLength: buffered_bytes_max })
  stream.on('drop', () => dropped(1))
  // A closed pipe (`entrepot run 2>&1 | head`) ends the log, not the work.
  stream.on('error', () => dropped(1))
  return { write: (line) => void stream.write(line), flush: () => stream.flushSync() }
}

const nothing = (): void => undefined

/** A log that writes nothing. */
export const no_log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, fault: nothing, with: () => no_log }
