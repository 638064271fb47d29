/** Prints a topology for people: as text, and as a mermaid graph. Guarded by a golden test. */
import type { Retention } from '../ports/event-log.ts'
import { type Stage, type Topology, topicsOf } from './topology.ts'

const keeps = (keep: Retention): string => (keep === 'latest' ? 'latest per key' : `${keep.days} days`)

const table = (rows: readonly (readonly string[])[], indent: string): string[] => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => `${indent}${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd())
}

/** Platform topics by kind, for a summary line: `items: amazon, shopify`. */
const sourcesOf = (stage: Stage): string[] => {
  if ('topic' in stage.from) return [stage.from.topic.name]
  const kinds = new Map<string, string[]>()
  for (const source of stage.from.sources) kinds.set(source.kind, [...(kinds.get(source.kind) ?? []), source.platform])
  return [...kinds].map(([kind, platforms]) => `source.<platform>.${kind}  (${platforms.toSorted().join(', ')})`)
}

/** Stages in order with their topics, then the table of topics. */
export const describeText = (topology: Topology): string => {
  const lines = [topology.name, '']
  for (const stage of topology.stages) {
    for (const source of sourcesOf(stage)) lines.push(`  ${source}`)
    lines.push(`    ${stage.processor.name}: ${stage.processor.does}`)
    for (const topic of stage.to) lines.push(`      -> ${topic.name}`)
    if (stage.processor.writes_index === true) lines.push('      => vector index')
    lines.push('')
  }
  const rows = topicsOf(topology).map((topic) => [
    topic.name,
    topic.key,
    String(topic.partitions),
    keeps(topic.keep),
    topic.holds,
  ])
  return [...lines, ...table([['topic', 'key', 'partitions', 'keeps', 'holds'], ...rows], '  '), ''].join('\n')
}

const node = (name: string): string => name.replaceAll(/[^a-zA-Z0-9]/g, '_')

/** A left-to-right flowchart: topics as rounded nodes, processors as boxes, the index as a cylinder. */
export const describeMermaid = (topology: Topology): string => {
  const lines = ['flowchart LR']
  const seen = new Set<string>()
  const topic = (name: string, label = name): string => {
    if (!seen.has(name)) {
      seen.add(name)
      lines.push(`  ${node(name)}([${label}])`)
    }
    return node(name)
  }
  for (const stage of topology.stages) {
    const verb = `p_${node(stage.processor.name)}`
    lines.push(`  ${verb}[${stage.processor.name}]`)
    if ('topic' in stage.from) lines.push(`  ${topic(stage.from.topic.name)} --> ${verb}`)
    else
      for (const kind of new Set(stage.from.sources.map((source) => source.kind)))
        lines.push(`  ${topic(`source.${kind}`, `source.*.${kind}`)} --> ${verb}`)
    for (const to of stage.to) lines.push(`  ${verb} --> ${topic(to.name)}`)
    if (stage.processor.writes_index === true) {
      if (!seen.has('index')) lines.push('  vector_index[(vector index)]')
      seen.add('index')
      lines.push(`  ${verb} ==> vector_index`)
    }
  }
  return `${lines.join('\n')}\n`
}
