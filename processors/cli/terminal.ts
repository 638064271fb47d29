/** What people see: lines, colours, tables and a progress bar, plain where nobody is looking. */
import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'magenta'

/** The part of a stream that is used. */
export type Output = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
type Env = Readonly<Record<string, string | undefined>>

export interface Terminal {
  /** Someone is looking: lines may be redrawn. */
  readonly interactive: boolean
  readonly columns: number
  write(text: string): void
  line(text?: string): void
  /** `text` in a style, or as it stands without colours. */
  paint(style: Style | readonly Style[], text: string): string
}

/** NO_COLOR (no-color.org) goes before FORCE_COLOR; without both, colours are for terminals that are not dumb. */
const wantsColours = (output: Output, env: Env): boolean => {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false
  const forced = env['FORCE_COLOR']
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false'
  return output.isTTY === true && env['TERM'] !== 'dumb'
}

export const openTerminal = (output: Output, env: Env): Terminal => {
  const colours = wantsColours(output, env)
  return {
    interactive: output.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === '',
    get columns() {
      return Math.max(40, output.columns ?? 100)
    },
    write: (text) => void output.write(text),
    line: (text = '') => void output.write(`${text}\n`),
    paint: (style, text) =>
      colours ? styleText([...(typeof style === 'string' ? [style] : style)], text, { validateStream: false }) : text,
  }
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u
const styling = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'gu')

/** Cells that a text takes: 2 for East Asian wide characters and emoji, 0 for our own styling. */
export const widthOf = (text: string): number => {
  let cells = 0
  for (const { segment } of graphemes.segment(text.replace(styling, ''))) cells += wide.test(segment) ? 2 : 1
  return cells
}

/** Text from outside made safe to print: control characters and direction marks become `·`, so that a title cannot move the cursor. */
export const printable = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '·')

/** The text cut to `cells` with an ellipsis. Not for styled text. */
export const cutTo = (text: string, cells: number): string => {
  if (widthOf(text) <= cells) return text
  let kept = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    const next = widthOf(segment)
    if (used + next > cells - 1) break
    kept += segment
    used += next
  }
  return `${kept}…`
}

export type Column = {
  readonly title: string
  readonly align?: 'left' | 'right'
  readonly style?: Style /** Cells at most. */
  readonly max?: number
}

/** A table as text, columns two spaces apart; the widest column without `max` gives way when the terminal is narrow. */
export const tableText = (
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): string => {
  const cells = rows.map((row) => columns.map(({ max }, i) => cutTo(printable(String(row[i] ?? '')), max ?? 400)))
  const widths = columns.map(({ title }, i) => Math.max(widthOf(title), ...cells.map((row) => widthOf(row[i]!))))
  const total = (): number => widths.reduce((sum, width) => sum + width, 0) + 2 * (columns.length - 1)
  for (let excess = total() - terminal.columns; terminal.interactive && excess > 0; excess = total() - terminal.columns) {
    const widest = widths.indexOf(Math.max(...widths))
    if (widths[widest]! <= 8) break
    widths[widest] = Math.max(8, widths[widest]! - excess)
  }
  const render = (row: readonly string[], styled: boolean): string =>
    columns
      .map(({ align, style }, i) => {
        const text = cutTo(row[i]!, widths[i]!)
        const padding = ' '.repeat(widths[i]! - widthOf(text))
        const shown = styled ? (style === undefined ? text : terminal.paint(style, text)) : terminal.paint(['bold', 'dim'], text)
        const last = i === columns.length - 1
        return align === 'right' ? padding + shown : last ? shown : shown + padding
      })
      .join('  ')
  return [
    render(
      columns.map(({ title }) => title),
      false,
    ),
    ...cells.map((row) => render(row, true)),
  ].join('\n')
}

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
/** 12,345 */
export const countText = (count: number): string => grouped.format(count)
/** 12.3 k, 4.56 M; three figures. */
export const shortCount = (count: number): string => {
  const steps = [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ] as const
  for (const [size, unit] of steps) if (count >= size) return `${Number((count / size).toPrecision(3))}${unit}`
  return String(Number(count.toPrecision(3)))
}
/** 512 B, 23.6 MB, 1.2 GB; decimal units, as disks and networks are sold. */
export const bytesText = (bytes: number): string => {
  const steps = [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'kB'],
  ] as const
  for (const [size, unit] of steps) if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`
  return `${Math.round(bytes)} B`
}
/** 0:07, 1:02:03; `–` when unknown. */
export const durationText = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '–'
  const whole = Math.max(0, Math.round(seconds))
  const two = (n: number): string => String(n).padStart(2, '0')
  const hours = Math.floor(whole / 3_600)
  const minutes = Math.floor(whole / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

export interface Progress {
  /** Counts `n` more; redraws at most ten times a second. */
  advance(n: number): void
  /** Shown behind the figures, e.g. the file being read. */
  note(text: string): void
  /** Draws the end with the mean rate, and goes to a new line. */
  end(): void
}

export type ProgressOptions = {
  readonly label: string
  readonly unit: string
  /** Without a total there is no bar and no ETA, only count and rate. */
  readonly total?: number
  /** Done before; it is in the count and not in the rate. */
  readonly done?: number
  /** How a count is written, in place of the number and the unit. */
  readonly amount?: (count: number) => string
  /** Milliseconds on a clock that does not jump. */
  readonly now_ms?: () => number
}

const redraw_ms = 100
const plain_line_ms = 10_000
/** The rate is smoothed over about this time. */
const rate_window_ms = 5_000

/** A bar with rate and ETA where someone is looking; one line every ten seconds where not. */
export const openProgress = (terminal: Terminal, options: ProgressOptions): Progress => {
  const { label, unit, total, done = 0, amount, now_ms = () => performance.now() } = options
  const start_ms = now_ms()
  let count = done
  let noted = ''
  let drawn_ms = start_ms
  let rate: number | undefined
  let counted = { at_ms: start_ms, count: done }

  const measure = (now: number): void => {
    const past_ms = now - counted.at_ms
    if (past_ms < redraw_ms) return
    const latest = ((count - counted.count) / past_ms) * 1_000
    const share = 1 - Math.exp(-past_ms / rate_window_ms)
    rate = rate === undefined ? latest : rate + (latest - rate) * share
    counted = { at_ms: now, count }
  }

  const figures = (per_second: number, eta: boolean): string => {
    const write = amount ?? countText
    const of = total === undefined ? write(count) : `${write(count)}/${write(total)}`
    const left = total === undefined || !eta ? '' : `  ETA ${per_second > 0 ? durationText((total - count) / per_second) : '–'}`
    return amount === undefined ? `${of} ${unit}  ${shortCount(per_second)}/s${left}` : `${of}  ${amount(per_second)}/s${left}`
  }

  const bar = (cells: number): string => {
    const share = total === undefined || total === 0 ? 1 : Math.min(1, count / total)
    const full = Math.floor(share * cells)
    return `${terminal.paint('cyan', '█'.repeat(full))}${terminal.paint('dim', '░'.repeat(cells - full))} ${String(Math.floor(share * 100)).padStart(3)} %`
  }

  const draw = (per_second: number, last: boolean): void => {
    const text = figures(per_second, !last)
    if (!terminal.interactive) {
      terminal.line(`${label}: ${text}${noted === '' ? '' : `  ${noted}`}`)
      return
    }
    const room = terminal.columns - widthOf(label) - widthOf(text) - 12
    const shown_bar = total === undefined || room < 10 ? '' : `  ${bar(Math.min(30, room))}`
    const used = widthOf(`${label}${shown_bar}  ${text}`)
    const note =
      noted === '' || terminal.columns - used < 12 ? '' : `  ${terminal.paint('dim', cutTo(noted, terminal.columns - used - 3))}`
    terminal.write(`\r\u001b[K${label}${shown_bar}  ${text}${note}${last ? '\n' : ''}`)
  }

  return {
    advance: (n) => {
      count += n
      const now = now_ms()
      measure(now)
      if (now - drawn_ms < (terminal.interactive ? redraw_ms : plain_line_ms)) return
      drawn_ms = now
      draw(rate ?? 0, false)
    },
    note: (text) => {
      noted = printable(text)
    },
    end: () => {
      const past_ms = now_ms() - start_ms
      noted = ''
      draw(past_ms > 0 ? (Math.max(0, count - done) / past_ms) * 1_000 : 0, true)
    },
  }
}
