/** The Grafana dashboard as a value: panels in the order one looks at them, described from the metrics catalogue. `npm run docs` prints it. */
import { type MetricName, type MetricSpec, metrics } from '../../processors/telemetry/metrics.ts'

type Query = { readonly expr: string; readonly legend: string }
type Panel = {
  readonly title: string
  /** The metric whose help and remedy describe the panel; null for those of the process. */
  readonly about: MetricName | null
  readonly unit: 's' | 'short' | 'bytes' | 'reqps' | 'percentunit' | 'none'
  readonly queries: readonly Query[]
  readonly kind?: 'timeseries' | 'stat'
  readonly stacked?: boolean
  /** Of 24 columns. */
  readonly width: 6 | 8 | 12
  /** Values from which it is worth a look. */
  readonly warn_from?: number
}
type Row = { readonly title: string; readonly panels: readonly Panel[] }

const headline = 'entrepot_event_to_recommendation_seconds'
const rate = (name: MetricName, by: string): string => `sum by (${by}) (rate(${name}[$__rate_interval]))`
const quantile = (q: number, name: MetricName, by = '', where = ''): string =>
  `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${name}_bucket${where}[$__rate_interval])))`
const mean = (name: MetricName, by: string): string =>
  `sum by (${by}) (rate(${name}_sum[$__rate_interval])) / sum by (${by}) (rate(${name}_count[$__rate_interval]))`

const rows: readonly Row[] = [
  {
    title: 'What people feel',
    panels: [
      {
        title: 'Event to recommendation, p99',
        about: headline,
        unit: 's',
        kind: 'stat',
        width: 6,
        warn_from: 1,
        queries: [{ expr: quantile(0.99, headline, '', '{stage="recommended"}'), legend: 'p99' }],
      },
      {
        title: 'Furthest behind',
        about: 'entrepot_consumer_lag_seconds',
        unit: 's',
        kind: 'stat',
        width: 6,
        warn_from: 60,
        queries: [{ expr: 'max(entrepot_consumer_lag_seconds)', legend: 'lag' }],
      },
      {
        title: 'Dead-lettered',
        about: 'entrepot_dead_letters_total',
        unit: 'percentunit',
        kind: 'stat',
        width: 6,
        warn_from: 0.05,
        queries: [
          {
            expr: 'sum(rate(entrepot_dead_letters_total[10m])) / sum(rate(entrepot_records_consumed_total{stage="canonicalize"}[10m]))',
            legend: 'share',
          },
        ],
      },
      {
        title: 'Partitions that wait',
        about: 'entrepot_paused',
        unit: 'short',
        kind: 'stat',
        width: 6,
        warn_from: 1,
        queries: [{ expr: 'sum(entrepot_paused) or vector(0)', legend: 'paused' }],
      },
      {
        title: 'Event to recommendation by stage',
        about: headline,
        unit: 's',
        width: 12,
        queries: [
          { expr: quantile(0.5, headline, 'stage'), legend: '{{stage}} p50' },
          { expr: quantile(0.99, headline, 'stage'), legend: '{{stage}} p99' },
        ],
      },
      {
        title: 'Lists and profiles',
        about: 'entrepot_recommendations_total',
        unit: 'reqps',
        width: 12,
        queries: [
          { expr: rate('entrepot_recommendations_total', 'placement'), legend: 'lists {{placement}}' },
          { expr: 'sum(rate(entrepot_profiles_updated_total[$__rate_interval]))', legend: 'profiles' },
        ],
      },
    ],
  },
  {
    title: 'Flow',
    panels: [
      {
        title: 'Records in, by stage',
        about: 'entrepot_records_consumed_total',
        unit: 'reqps',
        width: 8,
        queries: [{ expr: rate('entrepot_records_consumed_total', 'stage'), legend: '{{stage}}' }],
      },
      {
        title: 'Records out, by topic',
        about: 'entrepot_records_emitted_total',
        unit: 'reqps',
        width: 8,
        queries: [{ expr: rate('entrepot_records_emitted_total', 'topic'), legend: '{{topic}}' }],
      },
      {
        title: 'Duplicates',
        about: 'entrepot_duplicates_total',
        unit: 'reqps',
        width: 8,
        queries: [{ expr: rate('entrepot_duplicates_total', 'stage'), legend: '{{stage}}' }],
      },
      {
        title: 'Dropped, by reason',
        about: 'entrepot_records_dropped_total',
        unit: 'reqps',
        width: 12,
        stacked: true,
        queries: [{ expr: rate('entrepot_records_dropped_total', 'stage, reason'), legend: '{{stage}} {{reason}}' }],
      },
      {
        title: 'Dead letters, by reason',
        about: 'entrepot_dead_letters_total',
        unit: 'reqps',
        width: 12,
        stacked: true,
        queries: [{ expr: rate('entrepot_dead_letters_total', 'stage, reason'), legend: '{{stage}} {{reason}}' }],
      },
    ],
  },
  {
    title: 'Lag and pauses',
    panels: [
      {
        title: 'Seconds behind',
        about: 'entrepot_consumer_lag_seconds',
        unit: 's',
        width: 12,
        queries: [{ expr: 'max by (group, topic) (entrepot_consumer_lag_seconds)', legend: '{{group}} {{topic}}' }],
      },
      {
        title: 'Records behind',
        about: 'entrepot_consumer_lag_records',
        unit: 'short',
        width: 12,
        queries: [{ expr: 'sum by (group, topic) (entrepot_consumer_lag_records)', legend: '{{group}} {{topic}}' }],
      },
      {
        title: 'Pauses',
        about: 'entrepot_paused',
        unit: 'short',
        width: 8,
        queries: [{ expr: 'sum by (stage, reason) (entrepot_paused)', legend: '{{stage}} {{reason}}' }],
      },
      {
        title: 'Records in flight',
        about: 'entrepot_in_flight_records',
        unit: 'short',
        width: 8,
        queries: [{ expr: 'sum by (role) (entrepot_in_flight_records)', legend: '{{role}}' }],
      },
      {
        title: 'Bytes in flight',
        about: 'entrepot_in_flight_bytes',
        unit: 'bytes',
        width: 8,
        queries: [{ expr: 'sum by (role) (entrepot_in_flight_bytes)', legend: '{{role}}' }],
      },
    ],
  },
  {
    title: 'Where the time goes',
    panels: [
      {
        title: 'Time of a batch by step, mean',
        about: 'entrepot_batch_seconds',
        unit: 's',
        width: 12,
        stacked: true,
        queries: [{ expr: mean('entrepot_batch_seconds', 'stage, step'), legend: '{{stage}} {{step}}' }],
      },
      {
        title: 'Commit, p99',
        about: 'entrepot_batch_seconds',
        unit: 's',
        width: 12,
        queries: [{ expr: quantile(0.99, 'entrepot_batch_seconds', 'stage', '{step="commit"}'), legend: '{{stage}}' }],
      },
      {
        title: 'Records in a batch, mean',
        about: 'entrepot_batch_records',
        unit: 'short',
        width: 6,
        queries: [{ expr: mean('entrepot_batch_records', 'stage'), legend: '{{stage}}' }],
      },
      {
        title: 'A call to the encoder',
        about: 'entrepot_embedding_seconds',
        unit: 's',
        width: 6,
        queries: [
          { expr: quantile(0.5, 'entrepot_embedding_seconds'), legend: 'p50' },
          { expr: quantile(0.99, 'entrepot_embedding_seconds'), legend: 'p99' },
        ],
      },
      {
        title: 'Vectors needed',
        about: 'entrepot_embeddings_total',
        unit: 'reqps',
        width: 6,
        stacked: true,
        queries: [{ expr: rate('entrepot_embeddings_total', 'cache'), legend: '{{cache}}' }],
      },
      {
        title: 'Points in the index',
        about: 'entrepot_index_points',
        unit: 'short',
        width: 6,
        queries: [{ expr: 'max by (space) (entrepot_index_points)', legend: '{{space}}' }],
      },
    ],
  },
  {
    title: 'The encoder',
    panels: [
      {
        title: 'Texts encoded',
        about: 'entrepot_embedding_texts_total',
        unit: 'reqps',
        width: 6,
        stacked: true,
        queries: [
          { expr: rate('entrepot_embedding_texts_total', 'outcome'), legend: '{{outcome}}' },
          { expr: 'sum(rate(entrepot_embedding_truncated_total[$__rate_interval]))', legend: 'of them cut' },
        ],
      },
      {
        title: 'Threads at work',
        about: 'entrepot_embedding_busy_seconds_total',
        unit: 'short',
        width: 6,
        queries: [
          { expr: rate('entrepot_embedding_busy_seconds_total', 'step'), legend: '{{step}}' },
          { expr: 'sum(entrepot_embedding_threads)', legend: 'threads' },
          { expr: 'sum(increase(entrepot_embedding_crashes_total[1h]))', legend: 'died in an hour' },
        ],
      },
      {
        title: 'Texts not answered yet',
        about: 'entrepot_embedding_queue_texts',
        unit: 'short',
        width: 6,
        queries: [
          { expr: 'sum(entrepot_embedding_queue_texts)', legend: 'texts' },
          { expr: 'count by (provider, wanted) (entrepot_embedding_provider)', legend: 'on {{provider}}, wanted {{wanted}}' },
        ],
      },
      {
        title: 'Tokens, and a batch',
        about: 'entrepot_embedding_tokens_total',
        unit: 'short',
        width: 6,
        queries: [
          { expr: rate('entrepot_embedding_tokens_total', 'kind'), legend: '{{kind}} per second' },
          {
            expr: 'sum(rate(entrepot_embedding_tokens_total[$__rate_interval])) / sum(rate(entrepot_embedding_batches_total[$__rate_interval]))',
            legend: 'a batch',
          },
        ],
      },
      {
        title: 'Seconds of encoding avoided, per second',
        about: 'entrepot_embedding_avoided_seconds_total',
        unit: 'short',
        width: 8,
        queries: [{ expr: 'sum(rate(entrepot_embedding_avoided_seconds_total[$__rate_interval]))', legend: 'avoided' }],
      },
      {
        title: 'Parts of texts that the recipe cut',
        about: 'entrepot_embedding_parts_cut_total',
        unit: 'reqps',
        width: 8,
        stacked: true,
        queries: [{ expr: rate('entrepot_embedding_parts_cut_total', 'part'), legend: '{{part}}' }],
      },
      {
        title: 'Left before the next model takes over',
        about: 'entrepot_model_upgrade_left_records',
        unit: 'short',
        width: 8,
        queries: [{ expr: 'sum by (step) (entrepot_model_upgrade_left_records)', legend: '{{step}}' }],
      },
    ],
  },
  {
    title: 'The index against the log',
    panels: [
      {
        title: 'Points that differed from the topics',
        about: 'entrepot_index_drift_total',
        unit: 'short',
        width: 6,
        queries: [
          { expr: 'sum by (space, kind) (increase(entrepot_index_drift_total[1h]))', legend: '{{space}} {{kind}}' },
          { expr: 'sum(increase(entrepot_index_repaired_total[1h]))', legend: 'repaired' },
        ],
      },
      {
        title: 'Points that still differ',
        about: 'entrepot_index_drift_remaining',
        unit: 'short',
        width: 6,
        queries: [{ expr: 'max(entrepot_index_drift_remaining)', legend: 'remaining' }],
      },
      {
        title: 'Since the last comparison',
        about: 'entrepot_index_verified_timestamp_seconds',
        unit: 's',
        width: 6,
        queries: [{ expr: 'time() - max(entrepot_index_verified_timestamp_seconds)', legend: 'age' }],
      },
      {
        title: 'Time of a comparison',
        about: 'entrepot_index_verification_seconds',
        unit: 's',
        width: 6,
        queries: [{ expr: quantile(0.99, 'entrepot_index_verification_seconds'), legend: 'p99' }],
      },
    ],
  },
  {
    title: 'Processes',
    panels: [
      {
        title: 'Tasks that began again',
        about: 'entrepot_task_restarts_total',
        unit: 'short',
        width: 8,
        queries: [{ expr: 'sum by (stage, kind) (increase(entrepot_task_restarts_total[15m]))', legend: '{{stage}} {{kind}}' }],
      },
      {
        title: 'Memory',
        about: null,
        unit: 'bytes',
        width: 8,
        queries: [{ expr: 'process_resident_memory_bytes{job="entrepot"}', legend: '{{role}} {{instance}}' }],
      },
      {
        title: 'CPU',
        about: null,
        unit: 'short',
        width: 8,
        queries: [{ expr: 'rate(process_cpu_seconds_total{job="entrepot"}[$__rate_interval])', legend: '{{role}} {{instance}}' }],
      },
      {
        title: 'Event loop lag, p99',
        about: null,
        unit: 's',
        width: 6,
        queries: [{ expr: 'nodejs_eventloop_lag_p99_seconds{job="entrepot"}', legend: '{{role}} {{instance}}' }],
      },
      {
        title: 'HTTP, p99 by route',
        about: 'entrepot_http_request_seconds',
        unit: 's',
        width: 6,
        queries: [{ expr: quantile(0.99, 'entrepot_http_request_seconds', 'route'), legend: '{{route}}' }],
      },
      {
        title: 'HTTP, by status',
        about: 'entrepot_http_request_seconds',
        unit: 'reqps',
        width: 6,
        queries: [{ expr: 'sum by (status) (rate(entrepot_http_request_seconds_count[$__rate_interval]))', legend: '{{status}}' }],
      },
      {
        title: 'Versions, and log lines left out',
        about: 'entrepot_log_lines_suppressed_total',
        unit: 'short',
        width: 6,
        queries: [
          { expr: 'count by (version) (entrepot_build_info)', legend: 'processes of {{version}}' },
          { expr: 'sum(rate(entrepot_log_lines_suppressed_total[$__rate_interval]))', legend: 'log lines left out/s' },
        ],
      },
    ],
  },
]

const datasource = { type: 'prometheus', uid: 'prometheus' } as const

const descriptionOf = (about: MetricName | null): string => {
  if (about === null) return 'Of the process, by prom-client.'
  const { help, when_bad }: MetricSpec = metrics[about]
  return `${help}\n\nWhen it is bad: ${when_bad}`
}

const panelJson = (panel: Panel, id: number, at: { readonly x: number; readonly y: number; readonly h: number }): object => {
  const { title, about, unit, queries, kind = 'timeseries', stacked = false, width, warn_from } = panel
  const steps = [{ color: 'green', value: null }, ...(warn_from === undefined ? [] : [{ color: 'orange', value: warn_from }])]
  const custom = { lineWidth: 1, fillOpacity: stacked ? 30 : 5, showPoints: 'never', stacking: { mode: stacked ? 'normal' : 'none' } }
  return {
    id,
    title,
    description: descriptionOf(about),
    type: kind,
    datasource,
    gridPos: { x: at.x, y: at.y, w: width, h: at.h },
    targets: queries.map(({ expr, legend }, i) => ({ refId: String.fromCharCode(65 + i), datasource, expr, legendFormat: legend })),
    fieldConfig: {
      defaults: { unit, min: 0, thresholds: { mode: 'absolute', steps }, ...(kind === 'stat' ? {} : { custom }) },
      overrides: [],
    },
    options:
      kind === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  }
}

const columns = 24
const heightOf = ({ kind }: Panel): number => (kind === 'stat' ? 4 : 8)

/** The dashboard in Grafana's JSON model. */
export const dashboard = (): object => {
  const panels: object[] = []
  let y = 0
  let id = 1
  for (const row of rows) {
    panels.push({ id: id++, type: 'row', title: row.title, collapsed: false, gridPos: { x: 0, y, w: columns, h: 1 }, panels: [] })
    y += 1
    let x = 0
    let line_height = 0
    for (const panel of row.panels) {
      if (x + panel.width > columns) {
        x = 0
        y += line_height
        line_height = 0
      }
      const h = heightOf(panel)
      panels.push(panelJson(panel, id++, { x, y, h }))
      x += panel.width
      line_height = Math.max(line_height, h)
    }
    y += line_height
  }
  return {
    uid: 'entrepot',
    title: 'Entrepot',
    description: 'Printed by `npm run docs` from deploy/grafana/dashboard.ts; change it there.',
    tags: ['entrepot'],
    schemaVersion: 39,
    version: 1,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    editable: false,
    graphTooltip: 1,
    templating: { list: [] },
    annotations: { list: [] },
    panels,
  }
}
