/** What the demo shows while it runs: a few lines redrawn in place, or one plain line a second where nobody looks. */
import { quantile, type StageFigures, sumOf } from '../tally.ts'
import { type Column, countText, cutTo, durationText, printable, type Terminal, tableText, widthOf } from '../terminal.ts'

/** Everything one frame shows. */
export type Frame = {
  readonly title: string
  readonly elapsed_s: number
  readonly phase: string
  readonly stages: readonly StageFigures[]
  /** Texts turned into vectors by the model, and vectors that were known already. */
  readonly computed: number
  readonly known: number
  /** Records appended to source topics. */
  readonly published: number
  readonly dead: Readonly<Record<string, number>>
  /** The newest thing worth a line. */
  readonly news: string
}

/** 41 ms, 1.2 s; `–` when unknown. */
export const latencyText = (seconds: number): string =>
  Number.isNaN(seconds) ? '–' : seconds < 1 ? `${Math.round(seconds * 1_000)} ms` : `${seconds.toFixed(1)} s`

const columns: readonly Column[] = [
  { title: 'stage', style: 'bold' },
  { title: 'in', align: 'right' },
  { title: 'out', align: 'right' },
  { title: 'dropped', align: 'right', style: 'dim' },
  { title: 'dead', align: 'right', style: 'red' },
  { title: 'lag', align: 'right' },
  { title: 'a second', align: 'right' },
  { title: 'p50', align: 'right' },
  { title: 'p99', align: 'right' },
]

/** Dead letters by reason, the most frequent first: `3 map.missing, 2 json.syntax`. */
export const deadText = (dead: Readonly<Record<string, number>>): string =>
  Object.entries(dead)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .map(([code, n]) => `${n} ${code}`)
    .join(', ')

/** The frame as lines that fit the terminal. */
export const frameLines = (terminal: Terminal, frame: Frame): readonly string[] => {
  const width = terminal.columns
  const head = `${frame.title}  ${durationText(frame.elapsed_s)}  ${frame.phase}`
  const rows = frame.stages.map((figures) => [
    figures.paused === null ? figures.stage : `${figures.stage} (${figures.paused})`,
    countText(figures.records),
    countText(figures.out),
    countText(figures.dropped),
    countText(figures.dead),
    countText(figures.lag),
    countText(figures.rate),
    latencyText(quantile(figures.latencies_s, 0.5)),
    latencyText(quantile(figures.latencies_s, 0.99)),
  ])
  const facts: readonly (readonly [string, string])[] = [
    ['texts', `${countText(frame.computed)} embedded, ${countText(frame.known)} known already`],
    ['dead letters', sumOf(frame.dead) === 0 ? 'none yet' : deadText(frame.dead)],
    ['now', frame.news],
  ]
  return [
    terminal.paint('bold', cutTo(head, width)),
    '',
    ...tableText(terminal, columns, rows).split('\n'),
    '',
    ...facts.map(([name, text]) => `${terminal.paint('dim', name.padEnd(13))} ${cutTo(printable(text), width - 15)}`),
  ]
}

/** One line of the same, for logs. */
export const frameLine = (frame: Frame): string => {
  const { stages } = frame
  const first = stages[0]!
  const last = stages.at(-1)!
  return [
    durationText(frame.elapsed_s),
    frame.phase,
    `in ${countText(first.records)} of ${countText(frame.published)}`,
    `lag ${countText(stages.reduce((sum, stage) => sum + stage.lag, 0))}`,
    `embedded ${countText(frame.computed)}`,
    `lists ${countText(last.out)}`,
    `dead ${countText(sumOf(frame.dead))}`,
    `p50 ${latencyText(quantile(last.latencies_s, 0.5))}`,
    `p99 ${latencyText(quantile(last.latencies_s, 0.99))}`,
  ].join('  ')
}

export type Screen = {
  /** Shows the frame, not more often than people can read. */
  show(frame: Frame): void
  /** Leaves the last frame standing and goes below it. */
  end(frame: Frame): void
}

const redraw_ms = 150
const plain_ms = 1_000

/** Draws on an interactive terminal, writes lines on any other. `now_ms` is a clock that does not jump. */
export const openScreen = (terminal: Terminal, now_ms: () => number): Screen => {
  let drawn = 0
  let next_ms = 0
  const hide = '\u001b[?25l'
  const unhide = '\u001b[?25h'
  const draw = (frame: Frame): void => {
    const lines = frameLines(terminal, frame)
    // A line wider than the terminal would wrap and spoil the count of lines to go back.
    const cut = lines.map((line) => (widthOf(line) > terminal.columns ? cutTo(line, terminal.columns) : line))
    const back = drawn === 0 ? hide : `\u001b[${drawn}A\r`
    terminal.write(`${back}${cut.map((line) => `\u001b[2K${line}`).join('\n')}\n`)
    drawn = lines.length
  }
  return {
    show: (frame) => {
      if (now_ms() < next_ms) return
      next_ms = now_ms() + (terminal.interactive ? redraw_ms : plain_ms)
      if (terminal.interactive) draw(frame)
      else terminal.line(frameLine(frame))
    },
    end: (frame) => {
      if (terminal.interactive) {
        draw(frame)
        terminal.write(unhide)
      } else terminal.line(frameLine(frame))
      drawn = 0
    },
  }
}
