/** The settings as people read them: reference page, terminal help, JSON schema for editors, and the values in force. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is the notation of the configuration file.

import type { Loaded } from './load.ts'
import { redacted, Secret, withoutUserInfo } from './secret.ts'
import {
  all_settings,
  type Fields,
  isSection,
  type NamedSetting,
  rangeText,
  type Section,
  type Setting,
  type Settings,
  spec,
} from './spec.ts'

/** A value as it would be written in the file; secrets and passwords in URLs are `***`. */
export const showValue = (value: unknown): string => {
  if (value === null || value === undefined) return 'unset'
  if (value instanceof Secret) return redacted
  if (typeof value === 'string') return value === '' ? '""' : withoutUserInfo(value)
  if (Array.isArray(value)) return value.length === 0 ? '[]' : value.join(',')
  return JSON.stringify(value)
}

const typeText = ({ type, allowed, unit }: Setting<unknown>): string => {
  switch (type) {
    case 'choice':
      return (allowed ?? []).join(' \\| ')
    case 'flag':
      return 'true \\| false'
    case 'list':
      return allowed === undefined ? 'list' : `list of ${allowed.join(', ')}`
    case 'numbers':
      return 'table of numbers'
    case 'shops':
      return 'table of texts by platform'
    default:
      return unit === undefined ? type : `${type}, ${unit}`
  }
}

const defaultText = (setting: Setting<unknown>): string => setting.derived?.says ?? `\`${showValue(setting.default)}\``

const rowOf = ({ name, setting, env }: NamedSetting): string => {
  const range = rangeText(setting)
  const notes = [
    setting.doc,
    range === '' ? '' : `Takes ${range}.`,
    setting.pattern === undefined ? '' : `Takes ${setting.pattern.says}.`,
    setting.example === undefined ? '' : `Example: \`${setting.example}\`.`,
  ]
  const file = setting.type === 'secret' ? `, \`${env[0]}_FILE\`` : ''
  const variables = `${env.map((variable) => `\`${variable}\``).join(', ')}${file}`
  return `| \`${name}\` | ${typeText(setting)} | ${defaultText(setting)} | ${notes.filter((note) => note !== '').join(' ')} | ${variables} |`
}

type Titled = { readonly title: string; readonly doc: string; readonly path: readonly string[] }

const sectionsOf = (section: Section, path: readonly string[]): readonly Titled[] => [
  { title: path.join('.'), doc: section.section, path },
  ...Object.entries(section.fields).flatMap(([key, field]) => (isSection(field) ? sectionsOf(field, [...path, key]) : [])),
]

const settingsIn = (path: readonly string[]): readonly NamedSetting[] =>
  all_settings.filter((named) => named.path.length === path.length + 1 && path.every((key, i) => named.path[i] === key))

/** docs/reference/config.md. */
export const configMarkdown = (): string => {
  const parts = sectionsOf(spec, []).map(({ title, doc, path }) => {
    const rows = settingsIn(path).map(rowOf)
    const table =
      rows.length === 0 ? '' : `\n| setting | type | default | what | environment |\n|---|---|---|---|---|\n${rows.join('\n')}\n`
    return `${title === '' ? '## At the top' : `## ${title}`}\n\n${doc}\n${table}`
  })
  return `# Settings

Printed by \`npm run docs\` from processors/config/spec.ts; change it there.

Settings come from, each over the one before: the default, one YAML file, the environment, \`--set name=value\`. The file is the one
given with \`--config\`, else \`ENTREPOT_CONFIG\`, else \`entrepot.yaml\` in the working folder. A key or an \`ENTREPOT_\` variable that
nobody reads is refused, with the nearest name. \`entrepot config print\` shows every value and where it came from;
docs/reference/config.schema.json lets an editor complete and check the file.

- In the file, \`\${VAR}\` and \`\${VAR:default}\` are replaced by the environment; \`$\${\` writes a literal \`\${\`. An empty variable counts as unset.
- Every setting has a variable \`ENTREPOT_<SECTION>_<KEY>\`; those that environments usually hold already are read as well.
- Lists in variables and \`--set\` are written with commas, tables as \`key=value,key=value\` or JSON. Tables are merged by key, all else is replaced.
- A secret is better given as a file: \`<key>_file\` in the YAML, \`<VARIABLE>_FILE\` in the environment. Others may not read the file, the
  group may not write it. Secrets are refused in \`--set\`, and print as \`***\` everywhere.
- Paths in the file are relative to the file, all others to the working folder.

\`\`\`yaml
${config_example}\`\`\`

${parts.join('\n')}`
}

/** A small file that loads as it stands; shown in the reference page. */
export const config_example = `# yaml-language-server: $schema=./docs/reference/config.schema.json
data: { folder: /var/lib/entrepot }
kafka:
  brokers: \${KAFKA_BROKERS:localhost:9092}
registry:
  url: \${SCHEMA_REGISTRY_URL:http://localhost:8081}
platforms:
  shops:
    shopify: { currency: EUR, market: DE, time_zone: Europe/Berlin, merchant_id: shop-1 }
learn:
  weights: { PURCHASE: 10 }
log:
  level: \${LOG_LEVEL:info}
`

/** Terminal help: the settings whose name starts with `prefix`, one paragraph each. */
export const configHelp = (prefix = ''): string =>
  all_settings
    .filter(({ name }) => name === prefix || prefix === '' || name.startsWith(`${prefix}.`))
    .map((named) => {
      const { name, setting, env } = named
      const kind = rangeText(setting) || typeText(setting).replaceAll('\\|', '|')
      const fallback = (setting.derived?.says ?? showValue(setting.default)).replaceAll('`', '')
      const variables = setting.type === 'secret' ? [...env, `${env[0]}_FILE`] : env
      const lines = [
        `${name}  (${kind})`,
        `    ${setting.doc.replaceAll('`', '')}`,
        `    default: ${fallback}; ${variables.join(', ')}`,
      ]
      if (setting.example !== undefined) lines.push(`    e.g. ${setting.example}`)
      return lines.join('\n')
    })
    .join('\n\n')

type JsonSchema = Readonly<Record<string, unknown>>

/** Any scalar may also be a `${VAR}` reference. */
const or_reference: JsonSchema = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\\}' }

const typeSchema = (setting: Setting<unknown>): JsonSchema => {
  const { type, allowed, keys, min, max, pattern } = setting
  const bounds = { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) }
  switch (type) {
    case 'text':
      return { type: ['string', 'number', 'boolean'] }
    case 'url':
      return { anyOf: [{ type: 'string', pattern: '^https?://' }, or_reference] }
    case 'integer':
    case 'number':
      return { anyOf: [{ type, ...bounds }, or_reference] }
    case 'flag':
      return { anyOf: [{ type: 'boolean' }, or_reference] }
    case 'choice':
      return { anyOf: [{ enum: allowed }, or_reference] }
    case 'list': {
      const item = allowed === undefined ? { type: 'string' } : { anyOf: [{ enum: allowed }, or_reference] }
      return { anyOf: [{ type: 'array', items: item }, { type: 'string' }] }
    }
    case 'numbers': {
      const names = keys === undefined ? { pattern: pattern?.expression.source ?? '' } : { enum: keys }
      return {
        type: 'object',
        propertyNames: names,
        additionalProperties: { anyOf: [{ type: 'number', ...bounds }, or_reference] },
      }
    }
    case 'shops':
      return {
        type: 'object',
        additionalProperties: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
      }
    case 'secret':
      return { type: 'string' }
  }
}

const nullable = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] })

const fieldsSchema = (fields: Fields): JsonSchema =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([key, field]): [string, JsonSchema][] => {
      if (isSection(field)) return [[key, { description: field.section, ...sectionSchema(field) }]]
      const { doc, default: fallback, example } = field
      const shown = fallback === null || field.derived !== undefined ? {} : { default: fallback }
      const described = { description: doc, ...shown, ...(example === undefined ? {} : { examples: [example] }) }
      const own: [string, JsonSchema] = [key, { ...described, ...nullable(typeSchema(field)) }]
      if (field.type !== 'secret') return [own]
      return [
        own,
        [`${key}_file`, { description: `A file that holds it, readable by nobody else. ${doc}`, type: ['string', 'null'] }],
      ]
    }),
  )

const sectionSchema = (section: Section): JsonSchema => ({
  type: ['object', 'null'],
  additionalProperties: false,
  properties: fieldsSchema(section.fields),
})

/** JSON schema (draft 7, which editors' YAML plug-ins read) of the configuration file. */
export const configJsonSchema = (): JsonSchema => ({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Entrepot settings',
  description: spec.section,
  ...sectionSchema(spec),
})

const valueAt = (settings: Settings, path: readonly string[]): unknown =>
  path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], settings)

/** Every setting in force with its origin, secrets as `***`: for `config print`, `doctor` and the start-up log. */
export const settingsInForce = (
  loaded: Pick<Loaded, 'settings' | 'origins'>,
): readonly { readonly name: string; readonly value: string; readonly origin: string }[] =>
  all_settings.map(({ name, path }) => ({
    name,
    value: showValue(valueAt(loaded.settings, path)),
    origin: loaded.origins.get(name) ?? 'default',
  }))
