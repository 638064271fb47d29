/** `entrepot lint`, `test` and `explain-map`: what a platform team runs on its maps before it publishes. */

import { explainMap, lintPlatforms, platformNames, testMap } from '../../config/platforms.ts'
import { findingText } from '../../domain/document.ts'
import { Fault } from '../../domain/fault.ts'
import { registryCodec } from '../case-codec.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { countText, printable } from '../terminal.ts'

const plural = (n: number, word: string): string => `${countText(n)} ${word}${n === 1 ? '' : 's'}`

export const lint = command({
  name: 'lint',
  summary: 'Check platform maps and their schemas; name every finding by file, line and column',
  details:
    'Without a folder the maps that ship are checked, and those of platforms.folder. The exit code is 1 when there is an error.',
  examples: ['entrepot lint', 'entrepot lint ./platforms'],
  arguments: [{ name: 'folder', doc: 'A folder of platform folders.', optional: true }],
  flags: {},
  run: async (context) => {
    const { out, print } = context
    const { folder: own } = context.settings().platforms
    const given = context.arguments.folder
    const findings = [...(await lintPlatforms(given ?? null))]
    if (given === undefined && own !== null) findings.push(...(await lintPlatforms(own)))
    const errors = findings.filter(({ severity }) => severity === 'error').length
    print(findings, () =>
      [
        ...findings.map((finding) => {
          const text = printable(findingText(finding))
          return finding.severity === 'error' ? out.paint('red', text) : out.paint('yellow', text)
        }),
        findings.length === 0 ? 'No findings.' : `${plural(errors, 'error')}, ${plural(findings.length - errors, 'warning')}.`,
      ].join('\n'),
    )
    return errors > 0 ? exit_codes.findings : exit_codes.ok
  },
})

export const test = command({
  name: 'test',
  summary: 'Run the golden cases of a platform, or of all',
  details:
    'Each input is written with the platform’s own schema and read back, as in production, then mapped. The exit code is 1 when a case fails.',
  examples: ['entrepot test shopify', 'entrepot test ./platforms/mine/items.yaml', 'entrepot test'],
  arguments: [
    { name: 'map', doc: 'A platform, its folder, or one map or cases file; all platforms when left out.', optional: true },
  ],
  flags: { values: { type: 'switch', doc: 'Take inputs as they stand in the file, without writing them with the schema.' } },
  run: async (context) => {
    const { out, print, flags } = context
    const { folder } = context.settings().platforms
    const codec = flags.values ? undefined : await registryCodec()
    const targets = context.arguments.map === undefined ? await platformNames(folder) : [context.arguments.map]
    const runs = await Promise.all(targets.map(async (target) => ({ target, results: await testMap(target, codec, folder) })))
    const results = runs.flatMap(({ target, results: of }) => of.map((result) => ({ target, ...result })))
    const failed = results.filter(({ passed }) => !passed)
    print(results, () =>
      [
        ...failed.flatMap(({ place, kind, name, differences }) => [
          `${out.paint('red', 'failed')} ${printable(`${place.file}:${place.line} ${kind}: ${name}`)}`,
          ...differences.map((line) => `  ${printable(line)}`),
        ]),
        ...runs
          .filter(({ results: of }) => of.length === 0)
          .map(({ target }) => `${out.paint('yellow', 'no cases')} ${target}: write <kind>.cases.yaml beside its map.`),
        `${plural(results.length - failed.length, 'case')} passed, ${countText(failed.length)} failed.`,
      ].join('\n'),
    )
    if (results.length === 0 && context.arguments.map !== undefined)
      throw new Fault('config.invalid', `${context.arguments.map} has no golden cases.`)
    return failed.length > 0 ? exit_codes.findings : exit_codes.ok
  },
})

export const explain_map = command({
  name: 'explain-map',
  summary: 'Print what each canonical field of a platform is made of',
  examples: ['entrepot explain-map shopify', 'entrepot explain-map ./platforms/mine'],
  arguments: [{ name: 'map', doc: 'A platform, its folder, or one of its files.' }],
  flags: {},
  run: async (context) => {
    const text = await explainMap(context.arguments.map, context.settings().platforms.folder)
    context.print({ text }, () => text.trimEnd())
    return exit_codes.ok
  },
})
