/** `entrepot recommend`: the newest list of one user, with scores, reasons and offers. */
import { shopOf } from '../../canonicalize/settings.ts'
import type { Settings } from '../../config/spec.ts'
import { userKey } from '../../domain/ids.ts'
import type { Profile } from '../../domain/profile.ts'
import type { Recommendation } from '../../domain/recommendation.ts'
import { partitionOf } from '../../domain/record.ts'
import { openWorld, userSecret } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { listLines } from '../list-text.ts'
import { openLists } from '../lists.ts'
import { exit_codes } from '../signals.ts'
import { countText, durationText } from '../terminal.ts'
import type { World } from '../world.ts'

const id_types = ['LOGIN', 'DEVICE', 'SESSION'] as const

/** What a pseudonym looks like; see userKey. */
const user_key = /^[a-z0-9]{1,8}\.[\w-]{22}$/u

const keyOf = async (settings: Settings, user: string, platform: string | undefined, id_type: string): Promise<string | null> => {
  if (platform === undefined) return user_key.test(user) ? user : null
  const { user_realm } = shopOf(platform, null, {}, settings.platforms.shops)
  return userKey(await userSecret(settings), settings.identity.key_version, user_realm, id_type, user)
}

/** How much is known of a user who has no list, to say why. */
const eventsOf = async (world: World, key: string): Promise<number> => {
  const { profiles } = world.topics
  const log = await world.log()
  const serde = await (await world.serdes()).of<Profile>(profiles.name, profiles.schema)
  const bytes = Buffer.from(key, 'utf8')
  const partition = partitionOf(bytes, (await log.offsets(profiles.name)).length)
  let newest: Buffer | null = null
  for await (const record of log.scan({ topic: profiles.name, partition }, 0))
    if (record.key?.equals(bytes) === true) newest = record.value
  const [profile] = newest === null ? [] : await serde.deserialize([newest])
  return profile === undefined || profile instanceof Error ? 0 : profile.events
}

const headline = (list: Recommendation, now_ms: number): string => {
  const taken = Object.entries(list.filtered_out).map(([rule, n]) => `${countText(n)} ${rule.replaceAll('_', ' ')}`)
  return [
    `made ${durationText((now_ms - list.generated_at) / 1_000)} ago, ${countText(list.latency_ms)} ms after the newest event`,
    ...(taken.length === 0 ? [] : [`taken out: ${taken.join(', ')}`]),
    ...(list.expires_at < now_ms ? ['expired'] : []),
  ].join('; ')
}

export const recommend = command({
  name: 'recommend',
  summary: 'Show the newest list of one user, with scores by term, reasons and offers',
  details:
    'The user is a pseudonym as the topics have it, or a platform’s own id with --platform; the id is hashed here and shown nowhere.',
  examples: [
    'entrepot recommend 4711001 --platform ga4 --data .entrepot-demo',
    'entrepot recommend k1.3q2-7wAAAAAAAAAAAAAAAA --json',
  ],
  arguments: [{ name: 'user', doc: 'A pseudonym, or with --platform the id that the platform uses.' }],
  flags: {
    platform: { type: 'text', value: 'NAME', doc: 'The platform that knows the user by this id.' },
    'id-type': {
      type: 'text',
      value: 'TYPE',
      allowed: id_types,
      doc: 'What the id is there: LOGIN (when left out), DEVICE or SESSION.',
    },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, misuse, print, out, err } = context
    const settings = settingsWithData(context)
    const key = await keyOf(settings, context.arguments.user, flags.platform, flags['id-type'] ?? 'LOGIN')
    if (key === null) return misuse('This is no pseudonym: say with --platform whose id it is.')
    const world = await openWorld(settings)
    try {
      const { name, schema } = world.topics.recommendations
      const serde = await (await world.serdes()).of<Recommendation>(name, schema)
      const list = await openLists(await world.log(), name, serde).latest(key, settings.recommend.placement)
      if (list === undefined) {
        const events = await eventsOf(world, key)
        err.line(
          events > 0
            ? `${key} has a profile of ${countText(events)} events but no list yet. Lists are made while \`entrepot run\` is at work and find nothing while no item is indexed: \`entrepot doctor\` shows both.`
            : `Nobody knows ${key} yet: no interaction of this user was learned from.${flags.platform === undefined ? '' : ` Check id, --platform and --id-type; a user of ${flags.platform} may be known by device or session only.`}`,
        )
        return exit_codes.findings
      }
      print(list, () =>
        [
          `${out.paint('bold', list.user_key)}  ${out.paint('dim', headline(list, world.clock.now_ms()))}`,
          '',
          ...listLines(out, list.items, settings.canonicalize.reference_currency),
        ].join('\n'),
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})
