/** `entrepot explain`: the topology, as text or as a mermaid graph. */
import { describeMermaid, describeText } from '../../flow/describe.ts'
import { composeTopology } from '../compose.ts'
import { command } from '../frame.ts'

export const explain = command({
  name: 'explain',
  summary: 'Print topics and processors, from source to recommendation',
  arguments: [],
  flags: { mermaid: { type: 'switch', doc: 'Print a mermaid flowchart instead of text.' } },
  run: async (context) => {
    const { topology } = await composeTopology(context.settings())
    const print = context.flags.mermaid ? describeMermaid : describeText
    context.print({ text: describeText(topology), mermaid: describeMermaid(topology) }, () => print(topology).trimEnd())
    return 0
  },
})
