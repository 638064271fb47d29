/** `entrepot doctor`: is everything there that a run stands on, and if not, what to do. */
import { data_flag, settingsWithData } from '../data-flag.ts'
import { examine, type Finding, type Verdict } from '../doctor.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { printable, type Style } from '../terminal.ts'

const styles: Readonly<Record<Verdict, Style>> = { ok: 'green', warn: 'yellow', fail: 'red' }

export const doctor = command({
  name: 'doctor',
  summary: 'Check everything a run stands on, and say what to do',
  details:
    'Node, native modules, identity, data folder, disk, model digests, maps, log, topics, lag, dead letters, registry, schemas, index. Exit code 1 when one fails.',
  examples: ['entrepot doctor', 'entrepot doctor --json', 'entrepot doctor --data .entrepot-demo'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const { out, json, print } = context
    const findings: Finding[] = []
    for await (const finding of examine(settingsWithData(context))) {
      findings.push(finding)
      if (json) continue
      out.line(
        `${out.paint(styles[finding.verdict], finding.verdict.padEnd(4))}  ${finding.check.padEnd(14)}  ${printable(finding.says)}`,
      )
      if (finding.remedy !== undefined) out.line(`      ${' '.repeat(14)}  ${out.paint('dim', printable(finding.remedy))}`)
    }
    const failed = findings.filter(({ verdict }) => verdict === 'fail').length
    const warned = findings.filter(({ verdict }) => verdict === 'warn').length
    print(findings, () =>
      failed > 0 ? `\n${failed} failed.` : warned > 0 ? `\nNothing failed; ${warned} to look at.` : '\nAll is well.',
    )
    return failed > 0 ? exit_codes.findings : exit_codes.ok
  },
})
