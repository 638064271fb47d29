/** docs/reference/metrics.md, printed from the catalogue. */
import { type LabelSpec, label_values_max, type MetricSpec, metrics, other } from './metrics.ts'

const valuesText = ({ values }: LabelSpec): string => {
  if (values === 'partitions') return 'partition numbers'
  if ('declared' in values) return `${values.declared.replaceAll('_', ' ')} of this deployment`
  return values.length > 12 ? `${values.length} codes` : values.map((value) => `\`${value}\``).join(', ')
}

const bucketsText = (buckets: readonly number[] | undefined): string =>
  buckets === undefined ? '' : `\n\nBuckets: ${buckets.join(', ')}.`

const entry = ([name, spec]: readonly [string, MetricSpec]): string => {
  const labels = Object.entries(spec.labels).map(([label, values]) => `- \`${label}\`: ${values.means} (${valuesText(values)})`)
  return `## ${name}

${spec.kind}, ${spec.unit}. ${spec.help}
${labels.length === 0 ? '' : `\n${labels.join('\n')}\n`}
When it is bad: ${spec.when_bad}${bucketsText(spec.buckets)}
`
}

/** The whole page. */
export const metricsMarkdown = (): string => `# Metrics

Printed by \`npm run docs\` from processors/telemetry/metrics.ts; change it there.

Served at \`/metrics\` in Prometheus' text format. Each label takes values from a closed list, at most ${label_values_max} of them; everything
else is folded to \`${other}\`, so that no input can grow the number of series. The process's own metrics (\`process_*\`, \`nodejs_*\`) are
those of prom-client. deploy/prometheus/alerts.yml holds the alerts, deploy/grafana the dashboard; a test holds both to this list.

${Object.entries(metrics as Readonly<Record<string, MetricSpec>>)
  .map(entry)
  .join('\n')}`
