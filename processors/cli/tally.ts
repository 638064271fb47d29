/** Running totals of what the runtime reports, by stage and by input topic: the figures of the demo's screen and of replays. */
import type { RuntimeEvent } from '../runtime/events.ts'

export type TopicFigures = {
  readonly topic: string
  records: number
  /** Outputs by topic; one record may cause several. */
  readonly emitted: Record<string, number>
  readonly dropped: Record<string, number>
  readonly dead: Record<string, number>
  kept: number
}

export type StageFigures = {
  readonly stage: string
  /** By input topic. */
  readonly topics: Map<string, TopicFigures>
  records: number
  out: number
  dropped: number
  dead: number
  /** Not yet committed, over all partitions. */
  lag: number
  /** Records a second over the last few seconds. */
  readonly rate: number
  /** Seconds from an event's entry into the log to this stage's commit, since the last `forgetLatencies`. */
  readonly latencies_s: number[]
  /** Seconds spent, by step of a batch. */
  readonly seconds: Record<string, number>
  paused: string | null
}

export type Tally = {
  readonly observe: (event: RuntimeEvent) => void
  /** The stages in the order given; figures change as events come. */
  readonly stages: readonly StageFigures[]
  stage(name: string): StageFigures
  /** Sums over every stage, by dead-letter code. */
  dead(): Readonly<Record<string, number>>
  /** From here on latencies are of what comes now: a catalogue's first load says nothing of a click. */
  forgetLatencies(): void
}

const rate_window_ms = 3_000
/** Enough for a p99 with three digits; beyond it every other one is let go. */
const latencies_max = 20_000

const add = (into: Record<string, number>, counts: Readonly<Record<string, number>>): number => {
  let sum = 0
  for (const [name, n] of Object.entries(counts)) {
    into[name] = (into[name] ?? 0) + n
    sum += n
  }
  return sum
}

export const sumOf = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((sum, n) => sum + n, 0)

/** The value below which the share `q` of the values lies (nearest rank); NaN of none. */
export const quantile = (values: readonly number[], q: number): number => {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))]!
}

/** Totals of the named stages, from nothing. `now_ms` is a clock that does not jump. */
export const openTally = (names: readonly string[], now_ms: () => number): Tally => {
  const recent = new Map<string, { at_ms: number; records: number }[]>()
  const rateOf = (name: string): number => {
    const now = now_ms()
    const list = recent.get(name) ?? []
    while (list.length > 0 && list[0]!.at_ms < now - rate_window_ms) list.shift()
    return (list.reduce((sum, { records }) => sum + records, 0) / rate_window_ms) * 1_000
  }
  const stages = names.map(
    (stage): StageFigures => ({
      stage,
      topics: new Map(),
      records: 0,
      out: 0,
      dropped: 0,
      dead: 0,
      lag: 0,
      get rate() {
        return rateOf(stage)
      },
      latencies_s: [],
      seconds: {},
      paused: null,
    }),
  )
  const by_name = new Map(stages.map((figures) => [figures.stage, figures]))
  const lags = new Map<string, Map<string, number>>()

  const figuresOf = (name: string): StageFigures => {
    const figures = by_name.get(name)
    if (figures === undefined) throw new RangeError(`No stage ${name} is counted here.`)
    return figures
  }
  const committed = (event: Extract<RuntimeEvent, { event: 'committed' }>): void => {
    const figures = by_name.get(event.stage)
    if (figures === undefined) return
    let topic = figures.topics.get(event.input.topic)
    if (topic === undefined) {
      topic = { topic: event.input.topic, records: 0, emitted: {}, dropped: {}, dead: {}, kept: 0 }
      figures.topics.set(event.input.topic, topic)
    }
    topic.records += event.records
    topic.kept += event.kept
    figures.records += event.records
    figures.out += add(topic.emitted, event.emitted)
    figures.dropped += add(topic.dropped, event.dropped)
    figures.dead += add(topic.dead, event.dead)
    add(figures.seconds, event.seconds)
    figures.paused = null
    for (const seconds of event.latencies_s) figures.latencies_s.push(seconds)
    if (figures.latencies_s.length > latencies_max) {
      const kept = figures.latencies_s.filter((_, at) => at % 2 === 0)
      figures.latencies_s.splice(0, figures.latencies_s.length, ...kept)
    }
    const list = recent.get(event.stage) ?? []
    list.push({ at_ms: now_ms(), records: event.records })
    recent.set(event.stage, list)
  }

  return {
    stages,
    stage: figuresOf,
    observe: (event) => {
      if (event.event === 'committed') committed(event)
      else if (event.event === 'lag') {
        const places = lags.get(event.stage) ?? new Map<string, number>()
        places.set(`${event.input.topic}/${event.input.partition}`, event.records)
        lags.set(event.stage, places)
        const figures = by_name.get(event.stage)
        if (figures !== undefined) figures.lag = [...places.values()].reduce((sum, n) => sum + n, 0)
      } else if (event.event === 'paused') {
        const figures = by_name.get(event.stage)
        if (figures !== undefined) figures.paused = event.fault.code
      }
    },
    dead: () => {
      const total: Record<string, number> = {}
      for (const figures of stages) for (const topic of figures.topics.values()) add(total, topic.dead)
      return total
    },
    forgetLatencies: () => {
      for (const figures of stages) figures.latencies_s.length = 0
    },
  }
}
