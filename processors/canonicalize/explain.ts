/** Prints a map as a table: each canonical field, the source paths it is made of, and the rules on the way. */
import { type FieldSpec, interaction_fields, item_fields } from './fields.ts'
import type { CompiledMap } from './platform.ts'

const padded = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(Math.min(48, widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The table of one map, with its topic, format and version above. */
export const explainMap = (map: CompiledMap): string => {
  const { source, version, explained } = map
  const specs: Readonly<Record<string, FieldSpec>> = source.emits === 'items' ? item_fields : interaction_fields
  const rows = explained.map(({ field, paths, steps, text }) => [
    field,
    paths.length > 0 ? paths.join(', ') : text,
    steps.join(' | '),
  ])
  const given = new Set(explained.map(({ field }) => field))
  const defaults = Object.entries(specs).flatMap(([field, { otherwise }]) =>
    given.has(field) || otherwise === undefined ? [] : [[field, `(${otherwise})`, '']],
  )
  const schema = source.schema === null ? 'no schema' : source.schema.file
  return `${source.platform}/${source.kind}: ${source.topic} (${source.format}, ${schema}) -> ${source.emits}, map ${version}\n\n${padded(
    [[source.emits === 'items' ? 'item field' : 'interaction field', 'from', 'by'], ...rows, ...defaults],
  )}\n`
}
