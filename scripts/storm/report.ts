/** The storm's report, for a terminal and for docs/benchmarks/storm.md alike. */
import type { Check, Injected, Size } from './scenario.ts'

export type Report = {
  readonly id: string
  readonly title: string
  readonly written: string
  readonly ran: string
  readonly injected: Readonly<Injected>
  readonly checks: readonly Check[]
  readonly notes: readonly string[]
  readonly seconds: number
  /** `failed`: the scenario itself could not be carried through. */
  readonly verdict: 'holds' | 'broken' | 'failed' | 'not run'
}

export type About = {
  readonly command: string
  readonly commit: string
  readonly day: string
  readonly machine: string
  readonly seed: number
  readonly size: Size
  readonly seconds: number
}

const injectedText = (injected: Readonly<Injected>): string =>
  Object.entries(injected)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ') || '-'

/** What every run is made of. */
const made_of = [
  'Kafka, the schema registry and Qdrant are real servers; members are processes of `entrepot run`, handled by signals from outside. The catalogue',
  'is 48 items of 24 texts, embedded once by the shipped model; where a scenario is about the log, members have copies of that index. The checks',
  'fetch every record with its markers and tell by themselves what was committed, decode it with avsc by the schemas of the registry, and compare',
  'profiles with those of an undisturbed run: the same sequenced records through `learn` in embedded mode. A blackhole is a relay that neither',
  'reads nor answers nor resets; connections to it are still taken.',
]

/** The one table, then each scenario with its figures. */
export const reportText = (about: About, reports: readonly Report[]): string => {
  const count = (verdict: Report['verdict']) => reports.filter((report) => report.verdict === verdict).length
  return [
    '# Storm',
    '',
    `\`${about.command}\` at ${about.commit}, ${about.day}, seed ${about.seed}, size ${about.size}, ${about.seconds} s; ${about.machine}.`,
    `${count('holds')} hold, ${count('broken')} broken, ${count('failed')} failed, ${count('not run')} not run.`,
    '',
    ...made_of,
    '',
    '| scenario | injected | invariants that hold | s | verdict |',
    '|---|---|---|---|---|',
    ...reports.map(
      ({ id, title, injected, checks, seconds, verdict }) =>
        `| ${id} ${title} | ${injectedText(injected)} | ${checks.filter(({ holds }) => holds).length} of ${checks.length} | ${seconds} | ${verdict === 'holds' ? 'holds' : `**${verdict}**`} |`,
    ),
    ...reports.flatMap(({ id, title, written, ran, injected, checks, notes, verdict }) => [
      '',
      `## ${id} ${title}: ${verdict}`,
      '',
      `- written: ${written}`,
      ...(ran === '' ? [] : [`- run: ${ran}`]),
      ...(Object.keys(injected).length === 0 ? [] : [`- injected: ${injectedText(injected)}`]),
      ...checks.map(({ name, figure, holds }) => `- ${holds ? '' : '**BROKEN** '}${name}: ${figure}`),
      ...notes.map((note) => `- (${note})`),
    ]),
    '',
  ].join('\n')
}
