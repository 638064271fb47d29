/** `entrepot dlq ls|show|replay`: what was refused and why, one of them byte by byte, and the way back. */
import { topicsOf } from '../../flow/topology.ts'
import { openWorld } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import {
  type DeadLetter,
  type DeadLetterFilter,
  deadLetterAt,
  deadLetters,
  explainReason,
  groupDeadLetters,
  parsePlace,
  replayDeadLetters,
  unknownReason,
} from '../dead-letters.ts'
import { type Context, command } from '../frame.ts'
import { hexDump } from '../hex.ts'
import { exit_codes } from '../signals.ts'
import { countText, printable, tableText } from '../terminal.ts'
import type { World } from '../world.ts'

const filter_flags = {
  reason: { type: 'text', value: 'CODE', doc: 'Only this reason, e.g. map.missing.' },
  topic: { type: 'text', value: 'NAME', doc: 'Only those read from this topic.' },
  stage: { type: 'text', value: 'NAME', doc: 'Only those refused by this stage.' },
  since: { type: 'text', value: 'TIME', doc: 'Only those that died since: an ISO time, or 90s, 30m, 2h, 3d ago.' },
  ...data_flag,
} as const

const unit_ms = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Epoch ms of `2h` ago or an ISO time; undefined when the text is neither. */
const sinceOf = (text: string, now_ms: number): number | undefined => {
  const ago = /^(\d{1,9})([smhd])$/u.exec(text)
  if (ago !== null) return now_ms - Number(ago[1]) * unit_ms[ago[2] as keyof typeof unit_ms]
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : at
}

type Flags = { readonly [K in 'reason' | 'topic' | 'stage' | 'since']: string | undefined }

const filterOf = (flags: Flags, now_ms: number): DeadLetterFilter | string => {
  const unknown = unknownReason(flags.reason)
  if (unknown !== null) return unknown.message
  const since_ms = flags.since === undefined ? undefined : sinceOf(flags.since, now_ms)
  if (flags.since !== undefined && since_ms === undefined)
    return `--since takes an ISO time, or 90s, 30m, 2h or 3d, not ${flags.since}.`
  return { reason: flags.reason, topic: flags.topic, stage: flags.stage, since_ms }
}

/** How a further command is asked for: with the folder of this one. */
const withData = (words: string, data: string | undefined): string => (data === undefined ? words : `${words} --data ${data}`)

const timeText = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

const withWorld = async <T>(context: Parameters<typeof settingsWithData>[0], work: (world: World) => Promise<T>): Promise<T> => {
  const world = await openWorld(settingsWithData(context))
  try {
    return await work(world)
  } finally {
    await world.close()
  }
}

export const dlq_ls = command({
  name: 'dlq ls',
  summary: 'Count the dead letters by reason, topic and stage',
  examples: ['entrepot dlq ls --since 2h', 'entrepot dlq ls --reason map.missing --json'],
  arguments: [],
  flags: filter_flags,
  run: async (context) => {
    const { flags, misuse, print, out } = context
    const filter = filterOf(flags, Date.now())
    if (typeof filter === 'string') return misuse(filter)
    return withWorld(context, async (world) => {
      const topic = world.topology.dead_letters.name
      const groups = await groupDeadLetters(deadLetters(await world.log(), topic, filter))
      const place = ({ partition, offset }: DeadLetter): string => `${partition}/${offset}`
      const plain = groups.map(({ example, ...group }) => ({
        ...group,
        ...explainReason(group.reason),
        example: { place: place(example), message: example.message },
      }))
      print(plain, () =>
        groups.length === 0
          ? `No dead letters in ${topic}${Object.values(filter).some((value) => value !== undefined) ? ' match' : ''}.`
          : [
              tableText(
                out,
                [
                  { title: 'reason', style: 'red' },
                  { title: 'topic' },
                  { title: 'stage' },
                  { title: 'count', align: 'right' },
                  { title: 'came again', align: 'right' },
                  { title: 'first (UTC)', style: 'dim' },
                  { title: 'last (UTC)', style: 'dim' },
                  { title: 'newest at' },
                ],
                groups.map((group) => [
                  group.reason,
                  group.topic,
                  group.stage,
                  countText(group.count),
                  countText(group.replayed),
                  timeText(group.first_at),
                  timeText(group.last_at),
                  place(group.example),
                ]),
              ),
              '',
              `${countText(groups.reduce((sum, group) => sum + group.count, 0))} dead letters.\n${withData(`entrepot dlq show ${place(groups[0]!.example)}`, flags.data)} shows one; ${withData('entrepot dlq replay', flags.data)} says what would go back.`,
            ].join('\n'),
      )
      return exit_codes.ok
    })
  },
})

/** Headers whose values are text of ours or of Kafka Connect's convention. */
const headerText = (value: Buffer): string => printable(value.toString('utf8'))

export const dlq_show = command({
  name: 'dlq show',
  summary: 'Show one dead letter: why, from where, and its original bytes',
  details: 'The bytes are what the platform sent; they may name people. Nothing of them is written to logs.',
  examples: ['entrepot dlq show 3/17'],
  arguments: [{ name: 'place', doc: '<partition>/<offset> in the dead-letter topic, as `dlq ls` shows it.' }],
  flags: {
    bytes: { type: 'integer', value: 'N', min: 0, doc: 'How many bytes of the value to show; 512 when left out.' },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, print, out } = context
    const at = parsePlace(context.arguments.place)
    return withWorld(context, async (world) => {
      const letter = await deadLetterAt(await world.log(), world.topology.dead_letters.name, at)
      const { means, remedy } = explainReason(letter.reason)
      const shown = flags.bytes ?? 512
      const dump = (bytes: Buffer | null): string =>
        bytes === null
          ? '  null (a tombstone)'
          : bytes.length === 0
            ? '  no bytes'
            : `${hexDump(bytes.subarray(0, shown), '  ')}${bytes.length > shown ? `\n  … ${countText(bytes.length - shown)} more bytes (--bytes ${bytes.length})` : ''}`
      print(
        {
          ...letter,
          key: letter.key?.toString('base64') ?? null,
          value: letter.value?.toString('base64') ?? null,
          headers: letter.headers.map(([name, value]) => [name, value.toString('utf8')]),
          means,
          remedy,
        },
        () =>
          [
            `${out.paint(['bold', 'red'], letter.reason)}  ${means}`,
            `  ${remedy}`,
            '',
            `${out.paint('bold', 'said')}    ${printable(letter.message)}`,
            `${out.paint('bold', 'read')}    ${letter.topic}/${letter.source_partition} at ${letter.source_offset}, by ${letter.stage}`,
            `${out.paint('bold', 'died')}    ${timeText(letter.died_at)} UTC; first seen ${timeText(letter.first_seen)}; replayed ${letter.replays} times`,
            '',
            out.paint('bold', 'headers'),
            ...letter.headers.map(([name, value]) => `  ${name}: ${headerText(value)}`),
            '',
            out.paint('bold', `key, ${letter.key?.length ?? 0} bytes`),
            dump(letter.key),
            '',
            out.paint('bold', `value, ${letter.value?.length ?? 0} bytes`),
            dump(letter.value),
          ].join('\n'),
      )
      return exit_codes.ok
    })
  },
})

type ReplayContext = Context & { readonly flags: Flags }

export const dlq_replay = command({
  name: 'dlq replay',
  summary: 'Send dead letters back to the topics they came from; without --yes only say what would go',
  details:
    'Original key, bytes and headers, with x-replay-count one higher and x-first-seen kept. A letter goes back once over all runs, unless --again is given; what fails again becomes a new dead letter.',
  examples: ['entrepot dlq replay --reason map.missing', 'entrepot dlq replay --reason map.missing --yes'],
  arguments: [],
  flags: {
    ...filter_flags,
    limit: { type: 'integer', value: 'N', min: 1, doc: 'At most so many.' },
    yes: { type: 'switch', doc: 'Do it.' },
    'dry-run': { type: 'switch', doc: 'Only say what would go back; the default.' },
    again: { type: 'switch', doc: 'Also those that went back before.' },
  },
  run: async (context) => {
    const { flags, misuse, print } = context
    if (flags.yes && flags['dry-run']) return misuse('--yes and --dry-run contradict each other.')
    const filter = filterOf(flags as unknown as ReplayContext['flags'], Date.now())
    if (typeof filter === 'string') return misuse(filter)
    const dry_run = !flags.yes
    return withWorld(context, async (world) => {
      const known_topics = new Set([
        ...world.platforms.flatMap((platform) => platform.sources.map((source) => source.topic)),
        ...topicsOf(world.topology).map((topic) => topic.name),
      ])
      const result = await replayDeadLetters(await world.log(), {
        group: `${world.topology.name}.dlq-replay`,
        topic: world.topology.dead_letters.name,
        filter,
        limit: flags.limit ?? Number.MAX_SAFE_INTEGER,
        dry_run,
        again: flags.again,
        now_ms: () => world.clock.now_ms(),
        known_topics,
      })
      const count = Object.values(result.replayed).reduce((sum, n) => sum + n, 0)
      print({ dry_run, count, ...result }, () =>
        [
          ...Object.entries(result.replayed).map(([reason, n]) => `  ${countText(n)} ${reason}`),
          `${countText(count)} dead letters ${dry_run ? 'would go back; --yes sends them' : 'went back to their topics'}.`,
          ...(result.before === 0 ? [] : [`${countText(result.before)} went back before and stay; --again sends them too.`]),
          ...(result.homeless === 0
            ? []
            : [`${countText(result.homeless)} came from topics that no platform has any more, and stay.`]),
        ].join('\n'),
      )
      return exit_codes.ok
    })
  },
})
