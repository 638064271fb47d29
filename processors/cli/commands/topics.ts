/** `entrepot topics create` and `entrepot schemas register`: what must exist before the first record, made where it is missing. */
import { subjectOf } from '../../adapters/registry/serdes.ts'
import { topicsOf } from '../../flow/topology.ts'
import { openWorld } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { countText, tableText } from '../terminal.ts'

export const topics_create = command({
  name: 'topics create',
  summary: 'Create every topic that is missing, register schemas, create the index; change nothing that exists',
  details: 'The partitions of a topic are never changed in place: where they differ from the settings, this says so and ends.',
  examples: ['entrepot topics create', 'KAFKA_BROKERS=localhost:9092 entrepot topics create'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const world = await openWorld(settingsWithData(context))
    try {
      const { topics, schemas } = await world.prepare()
      const log = await world.log()
      const names = new Set([
        world.lanes_topic,
        ...topicsOf(world.topology).map((topic) => topic.name),
        ...world.platforms.flatMap((platform) => platform.sources.map((source) => source.topic)),
      ])
      const rows = await Promise.all(
        [...names].map(async (name) => ({
          topic: name,
          partitions: (await log.offsets(name)).length,
          created: topics.includes(name),
        })),
      )
      context.print({ topics: rows, schemas }, () =>
        [
          tableText(
            context.out,
            [{ title: 'topic' }, { title: 'partitions', align: 'right' }, { title: '' }],
            rows.map((row) => [row.topic, row.partitions, row.created ? 'created' : 'was there']),
          ),
          '',
          `${countText(topics.length)} of ${countText(rows.length)} topics created; ${countText(schemas)} schemas are registered.`,
        ].join('\n'),
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})

export const schemas_register = command({
  name: 'schemas register',
  summary: 'Register canonical and source schemas; an incompatible one is refused and named',
  details:
    'The same text again changes nothing. Compatibility is checked by the registry; run this before the new version of a producer.',
  examples: ['entrepot schemas register', 'entrepot schemas register --json'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const world = await openWorld(settingsWithData(context))
    try {
      await world.registerSchemas()
      const registry = await world.registry()
      const wanted = [
        ...topicsOf(world.topology)
          .filter((topic) => topic !== world.topology.dead_letters)
          .map((topic) => topic.name),
        ...world.platforms.flatMap((platform) =>
          platform.sources.flatMap((source) => (source.schema === null ? [] : [source.topic])),
        ),
      ]
      const rows = await Promise.all(
        wanted.map(async (topic) => {
          const latest = await registry.latest(subjectOf(topic))
          return { subject: subjectOf(topic), format: latest?.format ?? '', version: latest?.version ?? 0, id: latest?.id ?? 0 }
        }),
      )
      context.print(rows, () =>
        tableText(
          context.out,
          [{ title: 'subject' }, { title: 'format' }, { title: 'version', align: 'right' }, { title: 'id', align: 'right' }],
          rows.map((row) => [row.subject, row.format, row.version, row.id]),
        ),
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})
