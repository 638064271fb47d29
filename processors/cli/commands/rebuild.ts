/** `entrepot rebuild`: refills the index from the topics, and puts the new one in the place of the old. */
import { rebuild as rebuildIndex } from '../../index/rebuild.ts'
import { indexedTopics } from '../../index/topics.ts'
import { openWorld } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { openStepProgress } from '../step-progress.ts'
import { countText, durationText } from '../terminal.ts'
import { driftLines } from './repair.ts'

export const rebuild = command({
  name: 'rebuild',
  summary: 'Refill the vector index from the topics, compare, and switch to the new one; reads go on all the time',
  details:
    'The new collection is filled beside the live one and takes its place when every point agrees with the topics; processes at work follow by themselves. Until then nothing of the live one is touched: Ctrl-C leaves it as it was. It needs room for both. Run one at a time. In embedded mode one process owns the folder: stop `entrepot run` first.',
  examples: ['entrepot rebuild', 'entrepot rebuild --json'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const { out, err } = context
    const stopping = context.stopping()
    const world = await openWorld(settingsWithData(context), { stages: [] })
    const steps = openStepProgress(err)
    try {
      const [log, serdes, index] = [await world.log(), await world.serdes(), await world.index()]
      const report = await rebuildIndex(
        { log, serdes, index, admin: index, clock: world.clock },
        indexedTopics(world.group_prefix, world.topics),
        {
          signal: stopping,
          on_progress: (progress) => {
            if (progress.step === 'compare')
              steps.advance(
                `compare ${progress.of.space}, ${progress.of.step}`,
                progress.of.step === 'index' ? 'points' : 'records',
                progress.advanced,
              )
            else if (progress.step === 'switch') err.line('The new collection agrees with the topics: switching to it.')
            else steps.advance(progress.step === 'copy' ? 'copy' : 'catch up', 'records', progress.advanced)
          },
        },
      )
      steps.end()
      context.print(report, () =>
        [
          `${countText(report.copied)} records copied to ${report.collection} in ${durationText(report.duration_ms / 1_000)}, ${countText(report.caught_up)} of them while it was at work.`,
          ...driftLines(out, report.drift, false),
        ].join('\n'),
      )
      return report.drift.remaining > 0 ? exit_codes.findings : exit_codes.ok
    } finally {
      await world.close()
    }
  },
})
