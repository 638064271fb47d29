/** `entrepot demo`: see the whole of it in half a minute, with nothing installed and nothing configured. */

import { runDemo } from '../demo/demo.ts'
import { demoHolds, reportLines } from '../demo/report.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'

export const demo = command({
  name: 'demo',
  summary: 'Show a seeded market flow from five shops’ events to recommendations, live',
  details:
    'Embedded, in a folder of its own that is made anew and left to be asked. Ends by itself; Ctrl-C ends it sooner. The same seed tells the same story.',
  examples: ['entrepot demo', 'entrepot demo --seed 3 --seconds 20'],
  arguments: [],
  flags: {
    seed: { type: 'integer', value: 'N', min: 0, doc: 'Of products, shoppers and events; 7 when left out.' },
    seconds: { type: 'integer', value: 'N', min: 5, doc: 'About how long; 30 when left out.' },
    data: { type: 'text', value: 'FOLDER', doc: 'The folder; .entrepot/demo when left out.' },
  },
  run: async (context) => {
    const { out, flags, print, json, err } = context
    const folder = flags.data ?? '.entrepot/demo'
    const result = await runDemo(json ? err : out, {
      seed: flags.seed ?? 7,
      seconds: flags.seconds ?? 30,
      folder,
      signal: context.stopping(),
    })
    if (result.stopped) {
      err.line('Stopped; everything that was in flight is committed.')
      return exit_codes.ok
    }
    const { balances, dead, before, after, user, embeddings, published, elapsed_s } = result
    print(
      {
        user: user.key,
        before,
        after,
        balances,
        dead: dead.map(({ example: _, ...group }) => group),
        embeddings,
        published,
        elapsed_s,
      },
      () => reportLines(out, result, folder).join('\n'),
    )
    return demoHolds(result) ? exit_codes.ok : exit_codes.defect
  },
})
