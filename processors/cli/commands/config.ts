/** `config print`, `config docs`, `config schema`: the settings in force, what there is to set, and a schema for editors. */

import { configHelp, configJsonSchema, configMarkdown, settingsInForce } from '../../config/describe.ts'
import { nearest } from '../../config/nearest.ts'
import { all_settings } from '../../config/spec.ts'
import { command } from '../frame.ts'
import { tableText } from '../terminal.ts'

export const config_print = command({
  name: 'config print',
  summary: 'Print every setting in force and where it came from; secrets as ***',
  examples: ['entrepot config print --changed', 'KAFKA_BROKERS=localhost:9092 entrepot config print --json'],
  arguments: [],
  flags: { changed: { type: 'switch', doc: 'Only what differs from the default.' } },
  run: async ({ loaded, flags, print, out, err }) => {
    const { settings, origins, file } = loaded()
    const rows = settingsInForce({ settings, origins }).filter(({ origin }) => !flags.changed || origin !== 'default')
    if (out.interactive) err.line(err.paint('dim', file === null ? 'No file; defaults, environment and --set.' : `File: ${file}`))
    print(rows, () =>
      tableText(
        out,
        [{ title: 'setting', style: 'cyan' }, { title: 'value' }, { title: 'from', style: 'dim' }],
        rows.map(({ name, value, origin }) => [name, value, origin]),
      ),
    )
    return undefined
  },
})

export const config_docs = command({
  name: 'config docs',
  summary: 'Describe the settings, all or those of one section',
  examples: ['entrepot config docs kafka', 'entrepot config docs --markdown'],
  arguments: [{ name: 'section', doc: 'A section or setting, e.g. kafka.sasl.', optional: true }],
  flags: { markdown: { type: 'switch', doc: 'Print the reference page.' } },
  run: async ({ arguments: { section }, flags, print, misuse }) => {
    const help = configHelp(section)
    if (help === '') {
      const sections = all_settings.flatMap(({ path }) => path.map((_, i) => path.slice(0, i + 1).join('.')))
      const meant = nearest(section ?? '', new Set(sections))
      return misuse(`There is no setting ${section}${meant === undefined ? '.' : `; did you mean ${meant}?`}`)
    }
    const chosen = all_settings.filter(({ name }) => section === undefined || name === section || name.startsWith(`${section}.`))
    print(
      chosen.map(({ name, setting: { derived, pattern, ...rest }, env }) => ({
        name,
        ...rest,
        ...(derived === undefined ? {} : { default: derived.says }),
        ...(pattern === undefined ? {} : { takes: pattern.says }),
        env,
      })),
      () => (flags.markdown ? configMarkdown() : help),
    )
    return undefined
  },
})

export const config_schema = command({
  name: 'config schema',
  summary: 'Print the JSON schema of the YAML file, for editors and CI',
  arguments: [],
  flags: {},
  run: async ({ out }) => {
    out.line(JSON.stringify(configJsonSchema(), null, 2))
    return undefined
  },
})
