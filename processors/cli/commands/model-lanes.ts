/** `entrepot model lanes|upgrade|rollback|drop`: generations of vectors, each of one model: which is live, and how another comes to be. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Settings } from '../../config/spec.ts'
import { Fault } from '../../domain/fault.ts'
import { inputsOf } from '../../flow/topology.ts'
import { groupOf } from '../../runtime/supervise.ts'
import { composeTopology, laneFolder, openWorld, withNext } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { type Lane, type Lanes, laneText, readLanes, writeLanes } from '../lanes.ts'
import { exit_codes } from '../signals.ts'
import { countText, openProgress, type Progress, tableText } from '../terminal.ts'
import { fillLane, rollBack, takeOver, type UpgradeProgress } from '../upgrade.ts'
import type { World } from '../world.ts'

const lane_argument = { name: 'lane', doc: '`first`, or the 8 digits that name it; `entrepot model lanes` lists them.' } as const

/** What a lane is to those who read the list. */
const roleOf = ({ live }: Lanes, { lane, state }: Lane): string =>
  lane === live?.lane ? 'live' : state === 'used' ? (lane === live?.previous ? 'kept, to go back to' : 'kept') : state

export const model_lanes = command({
  name: 'model lanes',
  summary: 'List the generations of vectors, each of one model, and say which is live',
  details:
    'A lane has topics, groups and an index of its own: catalog.vectors.v1, catalog.indexed.v1 and users.profiles.v1 have `.<lane>` behind their names, except in the first. What embed reads and recommend writes is one topic for all.',
  examples: ['entrepot model lanes', 'entrepot model lanes --json'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const world = await openWorld(settingsWithData(context), { stages: [] })
    try {
      const found = await readLanes(await world.log(), world.lanes_topic)
      const rows = found.lanes.map((lane) => ({ ...lane, lane: laneText(lane.lane), role: roleOf(found, lane) }))
      context.print({ live: found.live === undefined ? null : laneText(found.live.lane), lanes: rows }, () =>
        rows.length === 0
          ? 'None yet: the first `entrepot run` makes one, of the model in the settings.'
          : tableText(
              context.out,
              [{ title: 'lane', style: 'bold' }, { title: 'model' }, { title: 'digest', style: 'dim' }, { title: '' }],
              rows.map((row) => [row.lane, row.model, row.digest.slice(0, 8), row.role]),
            ),
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})

/** A bar for each step: what was left when it began is the whole. */
const openBars = (show: (step: string, total: number) => Progress) => {
  let now: { readonly step: string; readonly bar: Progress; left: number } | undefined
  const end = (): void => {
    now?.bar.end()
    now = undefined
  }
  return {
    tell: ({ step, left }: UpgradeProgress): void => {
      if (now?.step !== step) {
        end()
        now = { step, bar: show(step, left), left }
      }
      // More may have come meanwhile.
      now.bar.advance(Math.max(0, now.left - left))
      now.left = Math.min(now.left, left)
    },
    end,
  }
}

export const model_upgrade = command({
  name: 'model upgrade',
  summary: 'Embed the catalogue with another model beside the live one, compare, and let it take over',
  details:
    '`entrepot run` does the same by itself, at model.reembed_share of a core, when model.next is set; this is for doing it in a process of its own, with a bar. With servers `entrepot run` goes on meanwhile and follows within seconds, if the new model is its model.next or its model. In embedded mode one process owns the folder: stop `entrepot run` first. Ctrl-C or a kill loses nothing: the same command goes on. The live lane is untouched until the switch and kept after it.',
  examples: ['entrepot model upgrade --to multilingual-e5-small', 'entrepot model upgrade --to /models/e5 --share 0.5'],
  arguments: [],
  flags: {
    to: { type: 'text', value: 'NAME|FOLDER', doc: 'The new model; model.next when left out.' },
    share: {
      type: 'text',
      value: 'CORES',
      doc: 'Share of one core that embedding may take, 0.01 to 1; model.reembed_share when left out.',
    },
    ...data_flag,
  },
  run: async (context) => {
    const { err, flags } = context
    const given = settingsWithData(context)
    const share = flags.share === undefined ? given.model.reembed_share : Number(flags.share)
    if (!(share >= 0.01 && share <= 1)) return context.misuse(`--share ${flags.share}: a number from 0.01 to 1 is wanted.`)
    const settings: Settings = { ...given, model: { ...given.model, next: flags.to ?? given.model.next, reembed_share: share } }
    const stopping = context.stopping()
    const log = context.log()
    const live = await openWorld(settings, { stages: [] })
    try {
      await live.prepare()
      const next = await openWorld(settings, { stages: [], lane: 'next', shared: live })
      try {
        const lane = laneText(next.lane.lane)
        if (next.lane.lane === live.lane.lane) {
          context.print({ lane, model: next.model.name, switched: false }, () => `${next.model.name} is live already.`)
          return exit_codes.ok
        }
        const names = { items: 'catalogue', users: 'interactions', compare: 'compare' }
        const bars = openBars((step, total) =>
          openProgress(err, { label: names[step as UpgradeProgress['step']], unit: 'records', total }),
        )
        const full = await fillLane({
          live,
          next,
          signal: stopping,
          observe: (event) => {
            if (event.event === 'paused' || event.event === 'stopped')
              log.warn('upgrade.waits', event.fault.message, { stage: event.stage })
          },
          on_progress: (progress) => bars.tell(progress),
        }).finally(() => bars.end())
        const switched = full && (await takeOver(live, next))
        const { points } = await (await next.index()).describe()
        context.print({ lane, model: next.model.name, switched, points }, () =>
          switched
            ? `${next.model.name} is live, in lane ${lane}: ${countText(points.items)} items, ${countText(points.users)} users. ${live.model.name} is kept: \`entrepot model rollback\` goes back, \`entrepot model drop ${laneText(live.lane.lane)}\` frees its room.`
            : `Stopped before the switch; ${live.model.name} stays live. The same command goes on from here.`,
        )
        return switched ? exit_codes.ok : exit_codes.findings
      } finally {
        await next.close()
      }
    } finally {
      await live.close()
    }
  },
})

export const model_rollback = command({
  name: 'model rollback',
  summary: 'Make the model live again that was live before; once more goes forward again',
  details:
    'With servers, processes at work follow within seconds; in embedded mode stop `entrepot run` first. The lane goes on where it stopped: what came since is embedded and learnt as it is read. A model in the settings must be that lane’s: model.name, model.folder or model.next.',
  examples: ['entrepot model rollback'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const settings = settingsWithData(context)
    const world = await openWorld(settings, { stages: [] })
    try {
      const live = await rollBack(world)
      context.print(
        { lane: laneText(live.lane), model: live.model, digest: live.digest },
        () => `${live.model} is live again, in lane ${laneText(live.lane)}.`,
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})

/** What is a lane's alone: topics, groups with what they read, and where its index is. */
const belongings = async (settings: Settings, { lane, digest }: Lane) => {
  const { topology, topics } = await composeTopology(settings, undefined, undefined, { lane })
  const stages = topology.stages.filter((stage) => stage.processor.name !== 'canonicalize')
  return {
    topics: [topics.vectors.name, topics.indexed.name, topics.profiles.name],
    groups: stages.flatMap((stage) => inputsOf(stage).map((input) => ({ group: groupOf(topology, stage), input }))),
    collection: `${settings.qdrant.collection}-${digest.slice(0, 8)}`,
  }
}

/** Deletes what an embedded lane has in the data folder. */
const deleteEmbedded = async (world: World, lane: Lane, own: Awaited<ReturnType<typeof belongings>>): Promise<void> => {
  const log = await world.log()
  for (const group of new Set(own.groups.map(({ group }) => group))) await log.deleteGroup?.(group)
  const there = new Set(await log.listTopics())
  for (const topic of own.topics) if (there.has(topic)) await log.deleteTopic?.(topic)
  const folder = laneFolder(world.settings, lane.lane)
  if (lane.lane !== '') await rm(folder, { recursive: true, force: true })
  else for (const end of ['', '-wal', '-shm']) await rm(join(folder, `vectors.db${end}`), { force: true })
}

export const model_drop = command({
  name: 'model drop',
  summary: 'Give up a lane that is not live: its vectors, profiles and index',
  details:
    'In embedded mode its topics, state and index are deleted; stop `entrepot run` first. With servers it is marked as dropped, and the names of what may be deleted with the tools of Kafka and Qdrant are printed: deleting topics is a right that Entrepot neither needs nor asks for.',
  examples: ['entrepot model drop first', 'entrepot model drop 1a2b3c4d'],
  arguments: [lane_argument],
  flags: data_flag,
  run: async (context) => {
    const settings = settingsWithData(context)
    const world = await openWorld(settings, { stages: [] })
    try {
      const log = await world.log()
      const found = await readLanes(log, world.lanes_topic)
      const lane = found.lanes.find((one) => laneText(one.lane) === context.arguments.lane)
      if (lane === undefined)
        throw new Fault('config.invalid', `There is no lane ${context.arguments.lane}: \`entrepot model lanes\` lists them.`)
      if (lane.lane === found.live?.lane)
        throw new Fault(
          'config.invalid',
          `Lane ${context.arguments.lane} is live: \`entrepot model rollback\` makes the one before it live.`,
        )
      if (settings.model.next !== null) {
        const next = withNext(settings)
        if (next !== null && (await openedDigest(next)) === lane.digest && lane.state === 'filling')
          throw new Fault('config.invalid', `Lane ${context.arguments.lane} is being filled for model.next: unset that first.`)
      }
      const own = await belongings(settings, lane)
      await writeLanes(log, world.lanes_topic, { lanes: [{ ...lane, state: 'dropped' }] }, world.clock.now_ms())
      const embedded = settings.mode === 'embedded'
      if (embedded) await deleteEmbedded(world, lane, own)
      const changelogs = own.groups.map(({ group, input }) => `${group}.${input}.changelog`)
      context.print({ lane: context.arguments.lane, deleted: embedded, ...own, changelogs }, () =>
        embedded
          ? `Lane ${context.arguments.lane} of ${lane.model} is deleted.`
          : [
              `Lane ${context.arguments.lane} of ${lane.model} is given up. Nothing reads these any more; delete them where room is needed:`,
              `  topics      ${[...own.topics, ...changelogs].join('\n              ')}`,
              `  groups      ${[...new Set(own.groups.map(({ group }) => group))].join('\n              ')}`,
              `  collection  the one behind the alias ${own.collection}`,
            ].join('\n'),
      )
      return exit_codes.ok
    } finally {
      await world.close()
    }
  },
})

const openedDigest = async (settings: Settings): Promise<string> => {
  const world = await openWorld(settings, { stages: [], lane: 'configured' })
  await world.close()
  return world.model.digest
}
