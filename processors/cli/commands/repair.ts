/** `entrepot repair`: compares the index with the topics, and puts right what differs. */
import { type DriftReport, drift_kinds, driftOf, reconcile } from '../../index/reconcile.ts'
import { indexedTopics } from '../../index/topics.ts'
import { openWorld } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { openStepProgress } from '../step-progress.ts'
import { countText, durationText, type Terminal, tableText } from '../terminal.ts'

/** What was found, for people; also the end of `entrepot rebuild`. */
export const driftLines = (out: Terminal, report: DriftReport, dry_run: boolean): readonly string[] => {
  const found = driftOf(report)
  const checked = `${countText(report.checked.items)} items and ${countText(report.checked.users)} users compared in ${durationText(report.duration_ms / 1_000)}`
  const beside = [
    ...(report.pending > 0 ? [`${countText(report.pending)} records are still to be indexed and were not judged`] : []),
    ...(report.unreadable > 0 ? [`${countText(report.unreadable)} records cannot be read`] : []),
    ...(report.complete ? [] : ['stopped before the end']),
  ]
  const notes = beside.length === 0 ? [] : [out.paint('dim', `${beside.join('; ')}.`)]
  if (found === 0) return [`The index agrees with the topics: ${checked}.`, ...notes]
  const kinds = drift_kinds.filter((kind) => report.drift.items[kind] + report.drift.users[kind] > 0)
  return [
    tableText(
      out,
      [{ title: 'drift' }, { title: 'items', align: 'right' }, { title: 'users', align: 'right' }],
      kinds.map((kind) => [kind, countText(report.drift.items[kind]), countText(report.drift.users[kind])]),
    ),
    '',
    ...report.examples.map(({ space, id, kind }) => `  ${kind.padEnd(9)} ${space} ${out.paint('dim', id)}`),
    '',
    dry_run
      ? `${countText(found)} points differ; ${checked}. Nothing was changed: \`entrepot repair\` puts them right.`
      : `${countText(report.repaired)} of ${countText(found)} points put right; ${checked}.${report.remaining > 0 ? ` ${countText(report.remaining)} still differ.` : ''}`,
    ...notes,
  ]
}

export const repair = command({
  name: 'repair',
  summary: 'Compare the vector index with the topics, and put right what differs',
  details:
    'Safe beside stages at work: what they have still to index is not judged, and a newer write is never undone. With --dry-run drift is counted only. Exit code 0: nothing differs any more; 1: --dry-run found drift, or a repair did not succeed. In embedded mode one process owns the folder: stop `entrepot run` first; while it runs, it does this by itself (index.verify_hours).',
  examples: ['entrepot repair --dry-run', 'entrepot repair', 'entrepot repair --deep --json'],
  arguments: [],
  flags: {
    'dry-run': { type: 'switch', doc: 'Count and name what differs; change nothing.' },
    deep: { type: 'switch', doc: 'Compare payloads and vectors too, not only ids and versions; reads the whole index.' },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, out, err } = context
    const stopping = context.stopping()
    const world = await openWorld(settingsWithData(context), { stages: [] })
    const steps = openStepProgress(err)
    try {
      const [log, serdes, index] = [await world.log(), await world.serdes(), await world.index()]
      const report = await reconcile(
        { log, serdes, index, admin: index, clock: world.clock },
        indexedTopics(world.group_prefix, world.topics),
        {
          dry_run: flags['dry-run'],
          deep: flags.deep,
          signal: stopping,
          on_progress: ({ space, step, advanced }) =>
            steps.advance(`${space}, ${step}`, step === 'index' ? 'points' : 'records', advanced),
        },
      )
      steps.end()
      context.print(report, () => driftLines(out, report, flags['dry-run']).join('\n'))
      return report.remaining > 0 || !report.complete ? exit_codes.findings : exit_codes.ok
    } finally {
      await world.close()
    }
  },
})
