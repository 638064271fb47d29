/** The catalogue behind prom-client: one registry per process, labels held to their lists, text for /metrics. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { Fault } from '../domain/fault.ts'
import {
  type DeclaredList,
  type LabelSpec,
  label_values_max,
  type MetricName,
  type MetricSpec,
  metrics,
  other,
  partition_max,
  type Telemetry,
} from './metrics.ts'

export type TelemetryOptions = {
  /** The lists that topology and settings decide. What is left out of them is folded to `other`. */
  readonly declared?: Partial<Readonly<Record<DeclaredList, readonly string[]>>>
  /** Throw on a label with more than label_values_max values and on a value outside its list: for tests. */
  readonly strict?: boolean
  /** CPU, memory, event loop and garbage collection of this process. */
  readonly process_metrics?: boolean
}

export interface Exposition {
  readonly content_type: string
  /** All series in Prometheus' text format. */
  text(): Promise<string>
}

type Labels = Readonly<Record<string, string | number>>
type Fold = (value: string | number) => string

const partitionFold: Fold = (value) => {
  const number = Number(value)
  return Number.isInteger(number) && number >= 0 && number <= partition_max ? String(number) : other
}

const defect = (message: string): Fault => new Fault('defect.unexpected', message)

/**
 * Opens telemetry over the whole catalogue. A closed list keeps the number of series constant whatever the input holds:
 * prom-client never evicts a series, so an open label is a leak that anyone who names a topic or path can widen.
 */
export const openTelemetry = (options: TelemetryOptions = {}): Telemetry & Exposition => {
  const { declared = {}, strict = false, process_metrics = false } = options
  const registry = new Registry()
  if (process_metrics) collectDefaultMetrics({ register: registry })

  const foldFor = (metric: string, label: string, { values }: LabelSpec): Fold => {
    if (values === 'partitions') return partitionFold
    const list = 'declared' in values ? (declared[values.declared] ?? []) : values
    if (strict && list.length > label_values_max)
      throw defect(`Label ${label} of ${metric} has ${list.length} values; more than ${label_values_max} are not kept apart.`)
    const known = new Set(list.slice(0, label_values_max))
    return (value) => {
      const text = String(value)
      if (known.has(text)) return text
      if (strict && text !== other)
        throw defect(`Label ${label} of ${metric} does not take ${JSON.stringify(text.slice(0, 100))}.`)
      return other
    }
  }

  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  const folds = new Map<string, readonly (readonly [label: string, fold: Fold])[]>()
  for (const [name, spec] of Object.entries(metrics) as [MetricName, MetricSpec][]) {
    const labelNames = Object.keys(spec.labels)
    const common = { name, help: spec.help, labelNames, registers: [registry] }
    folds.set(
      name,
      Object.entries(spec.labels).map(([label, values]) => [label, foldFor(name, label, values)]),
    )
    if (spec.kind === 'counter') counters.set(name, new Counter(common))
    else if (spec.kind === 'gauge') gauges.set(name, new Gauge(common))
    else histograms.set(name, new Histogram({ ...common, buckets: [...(spec.buckets ?? [])] }))
  }

  const folded = (name: string, labels: Labels): Record<string, string> => {
    const result: Record<string, string> = {}
    for (const [label, fold] of folds.get(name)!) result[label] = fold(labels[label] ?? other)
    return result
  }

  return {
    count: (name, labels, n = 1) => counters.get(name)!.inc(folded(name, labels), n),
    observe: (name, labels, value) => histograms.get(name)!.observe(folded(name, labels), value),
    set: (name, labels, value) => gauges.get(name)!.set(folded(name, labels), value),
    forget: (name, labels) => gauges.get(name)!.remove(folded(name, labels)),
    content_type: registry.contentType,
    text: () => registry.metrics(),
  }
}
