/** Prints docs/reference and the dashboard from the values the code itself runs on: `npm run docs`. A test holds the pages to them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dashboard } from '../deploy/grafana/dashboard.ts'
import { mapsMarkdown } from '../processors/canonicalize/manual.ts'
import { composeTopology } from '../processors/cli/compose.ts'
import { configJsonSchema, configMarkdown } from '../processors/config/describe.ts'
import { loadSettings } from '../processors/config/load.ts'
import { type FaultKind, fault_codes } from '../processors/domain/fault.ts'
import { describeMermaid, describeText } from '../processors/flow/describe.ts'
import { metricsMarkdown } from '../processors/telemetry/describe.ts'

const kinds: Readonly<Record<FaultKind, string>> = {
  malformed: 'This input can never succeed: it is dead-lettered with the code, and the work goes on.',
  transient: 'The world may recover: the partition waits and tries again; nothing is dead-lettered.',
  fenced: 'A newer owner exists: the task stops silently and rejoins.',
  corrupt: 'Local state may disagree with the log: it is dropped and restored, and the work goes on.',
  misconfigured: 'A value of the operator is wrong: the process refuses to start, or ends with exit code 78.',
  defect: 'An assertion of ours broke: the process ends loudly with exit code 70; never dead-lettered.',
}

/** docs/reference/errors.md: a heading per code, by kind. */
export const errorsMarkdown = (): string => {
  const parts = Object.entries(kinds).map(([kind, means]) => {
    const codes = Object.entries(fault_codes).filter(([, spec]) => spec.kind === kind)
    const entries = codes.map(([code, spec]) => `### ${code}\n\n${spec.means}\n\nWhat to do: ${spec.remedy}\n`)
    return `## ${kind}\n\n${means}\n\n${entries.join('\n')}`
  })
  return `# Errors

Printed by \`npm run docs\` from processors/domain/fault.ts; change it there.

Each error has one code. The code is the \`reason\` of metrics, the \`code\` of log lines, the \`x-reason-code\` of dead letters and the word
after \`error\` in the terminal. Its kind says what the process does next.

${parts.join('\n')}`
}

/** The topology of the shipped platforms with servers' defaults: as a graph, which README.md embeds, and as text. */
export const topologyMarkdown = async (): Promise<{ readonly page: string; readonly graph: string }> => {
  const { topology } = await composeTopology(
    loadSettings({ env: {}, set: ['kafka.brokers=kafka:9092', 'registry.url=http://registry:8081'] }).settings,
  )
  const graph = `\`\`\`mermaid\n${describeMermaid(topology)}\`\`\``
  return {
    graph,
    page: `# Topology

Printed by \`npm run docs\` from processors/topology.ts; \`npm run explain\` prints it for your own settings.

${graph}

\`\`\`
${describeText(topology)}\`\`\`
`,
  }
}

/** docs/reference/maps.md, with the worked example as it stands on disk and is tested. */
const mapsPage = (): string => {
  const example = (name: string): string =>
    readFileSync(new URL(`../docs/reference/maps-example/corner/${name}`, import.meta.url), 'utf8')
  return mapsMarkdown({ map: example('items.yaml'), cases: example('items.cases.yaml') })
}

/** Every printed page by its path from the repository's root. */
export const printedPages = async (): Promise<Readonly<Record<string, string>>> => ({
  'docs/reference/config.md': configMarkdown(),
  'docs/reference/config.schema.json': `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
  'docs/reference/metrics.md': metricsMarkdown(),
  'docs/reference/errors.md': errorsMarkdown(),
  'docs/reference/maps.md': mapsPage(),
  'docs/reference/topology.md': (await topologyMarkdown()).page,
  'deploy/grafana/dashboards/entrepot.json': `${JSON.stringify(dashboard(), null, 2)}\n`,
})

/** The repository's root. */
export const root = fileURLToPath(new URL('..', import.meta.url))

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, text] of Object.entries(await printedPages())) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    process.stdout.write(`${path}\n`)
  }
