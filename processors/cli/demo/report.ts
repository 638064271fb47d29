/** What the demo tells at its end: two lists, what was refused, how fast it was, whether nothing was lost, what to try next. */
import { relative } from 'node:path'
import { explainReason } from '../dead-letters.ts'
import { compareLines } from '../list-text.ts'
import { quantile, sumOf } from '../tally.ts'
import { countText, cutTo, printable, type Terminal, tableText } from '../terminal.ts'
import type { DemoResult } from './demo.ts'
import { deadText, latencyText } from './screen.ts'

const shown_items = 5

const title = (terminal: Terminal, text: string): string => terminal.paint(['bold', 'cyan'], cutTo(text, terminal.columns - 1))

const listsPart = (terminal: Terminal, { before, after, user, did, world_settings }: DemoResult): readonly string[] => {
  if (after === undefined) return []
  const currency = world_settings.canonicalize.reference_currency
  return [
    '',
    title(terminal, `${user.name} likes ${user.likes.join(' and ')}: the list before and after ${did}`),
    ...compareLines(
      terminal,
      { title: 'before', items: before?.items.slice(0, shown_items) ?? [] },
      { title: 'after  (+ is new)', items: after.items.slice(0, shown_items) },
      currency,
    ),
  ]
}

const deadPart = (terminal: Terminal, { dead }: DemoResult, data: string): readonly string[] => {
  const [first] = dead
  if (first === undefined) return []
  const { example } = first
  const place = `${example.partition}/${example.offset}`
  const line = (text: string) => `  ${cutTo(printable(text), terminal.columns - 3)}`
  return [
    '',
    title(terminal, `Dead letters, ${countText(dead.reduce((sum, group) => sum + group.count, 0))}: refused, kept byte for byte`),
    tableText(
      terminal,
      [
        { title: 'reason', style: 'red' },
        { title: 'count', align: 'right' },
        { title: 'topic' },
        { title: 'means', style: 'dim' },
      ],
      dead.map((group) => [group.reason, group.count, group.topic, explainReason(group.reason).means]),
    ),
    '',
    `One of them, ${place}: ${first.reason}, from ${example.topic} at offset ${example.source_offset}.`,
    line(example.message),
    line(`npx entrepot dlq show ${place} --data ${data}`),
  ]
}

const latencyPart = (terminal: Terminal, { tally }: DemoResult): readonly string[] => [
  '',
  title(terminal, 'From a shop’s event to …'),
  tableText(
    terminal,
    [
      { title: '' },
      { title: 'p50', align: 'right' },
      { title: 'p99', align: 'right' },
      { title: 'of', align: 'right', style: 'dim' },
    ],
    (
      [
        ['canonicalize', 'one vocabulary'],
        ['index', 'a searchable item'],
        ['learn', 'a moved profile'],
        ['recommend', 'a new list'],
      ] as const
    ).map(([stage, what]) => {
      const { latencies_s } = tally.stage(stage)
      return [
        what,
        latencyText(quantile(latencies_s, 0.5)),
        latencyText(quantile(latencies_s, 0.99)),
        countText(latencies_s.length),
      ]
    }),
  ),
]

const balancePart = (terminal: Terminal, { balances, embeddings, tally, unpublished }: DemoResult): readonly string[] => {
  const total = (of: (one: DemoResult['balances'][number]) => number): number => balances.reduce((sum, one) => sum + of(one), 0)
  const records = total((one) => one.records)
  const canonical = total((one) => one.canonical)
  const dead = total((one) => sumOf(one.dead))
  const dropped = total((one) => one.rest)
  const reasons: Record<string, number> = {}
  for (const { counted } of balances)
    for (const [reason, n] of Object.entries(counted?.dropped ?? {})) reasons[reason] = (reasons[reason] ?? 0) + n
  const holds = balances.every((one) => one.holds)
  return [
    '',
    title(terminal, 'Nothing lost'),
    `  ${countText(records)} records in = ${countText(canonical)} canonical + ${countText(dropped)} dropped + ${countText(dead)} dead-lettered`,
    holds
      ? terminal.paint('green', `  holds on each of ${balances.length} topics, counted in the topics and by the runtime`)
      : terminal.paint(['bold', 'red'], '  DOES NOT HOLD'),
    ...(sumOf(reasons) === 0
      ? []
      : wrapped(`dropped: ${deadText(reasons)}`, terminal.columns - 3).map((line) => terminal.paint('dim', `  ${line}`))),
    `  ${countText(embeddings.computed)} texts embedded, ${countText(embeddings.known)} known already; ${countText(tally.stage('learn').out)} profile moves, ${countText(tally.stage('recommend').out)} lists`,
    ...(unpublished === 0
      ? []
      : [
          terminal.paint(
            'dim',
            `  ${countText(unpublished)} listings were left out, so that a busy machine ends in time (--seconds)`,
          ),
        ]),
  ]
}

/** Words in lines of at most `width` cells. */
const wrapped = (text: string, width: number): readonly string[] => {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** The report as lines that fit the terminal. */
export const reportLines = (terminal: Terminal, result: DemoResult, folder: string): readonly string[] => {
  const data = relative('.', folder) || '.'
  return [
    ...listsPart(terminal, result),
    ...deadPart(terminal, result, data),
    ...latencyPart(terminal, result),
    ...balancePart(terminal, result),
    '',
    title(terminal, 'Try next'),
    ...[
      `npx entrepot recommend ${result.user.login} --platform ga4 --data ${data}`,
      `npx entrepot dlq ls --data ${data}`,
      `npx entrepot doctor --data ${data}`,
      'npx entrepot explain-map shopify',
    ].map((line) => `  ${line}`),
  ]
}

/** Whether the demo kept its promises; the command's exit code. */
export const demoHolds = (result: DemoResult): boolean => result.balances.every((one) => one.holds)
