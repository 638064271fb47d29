/** `entrepot run`: the stages of this process, until it is told to stop. */
import { Fault } from '../../domain/fault.ts'
import type { TopicPartition } from '../../domain/record.ts'
import { indexedTopics } from '../../index/topics.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Telemetry } from '../../telemetry/metrics.ts'
import { openTelemetry } from '../../telemetry/prometheus.ts'
import { composeTopology, laneTopologies, openWorld } from '../compose.ts'
import { command, exitCodeOf } from '../frame.ts'
import { openHttp } from '../http.ts'
import { declaredLists, observeWith } from '../observe.ts'
import { openRiver } from '../river.ts'
import { exit_codes } from '../signals.ts'
import { openVerifier, type Verifier } from '../verify.ts'
import type { World } from '../world.ts'

const gapOf = (text: string): TopicPartition => {
  const found = /^(?<topic>.+)\/(?<partition>\d+)$/u.exec(text)
  if (found?.groups === undefined)
    throw new Fault('config.invalid', `--accept-gap ${text}: <topic>/<partition> is wanted, such as source.shopify.items/0.`)
  return { topic: found.groups['topic']!, partition: Number(found.groups['partition']) }
}

/** How long after the start the index is first compared: an embedded one has restarted with this process, a server has not. */
const first_after_ms = { embedded: 30_000, servers: 600_000 }

const verifierOf = async (world: World, telemetry: Telemetry, log: Log): Promise<Verifier> => {
  const index = await world.index()
  const { settings, clock } = world
  return openVerifier({
    ports: { log: await world.log(), serdes: await world.serdes(), index, admin: index, clock },
    topics: indexedTopics(world.group_prefix, world.topics),
    verify_hours: settings.index.verify_hours,
    first_after_ms: first_after_ms[settings.mode],
    telemetry,
    log,
  })
}

export const run = command({
  name: 'run',
  summary: 'Run all stages, or some of them, until told to stop',
  details:
    'SIGTERM finishes the batches in flight, commits and leaves. Without --stages every stage runs here; with servers, any number of processes may share the work.',
  examples: ['entrepot run', 'entrepot run --stages canonicalize,embed', 'entrepot run --accept-gap source.shopify.items/0'],
  arguments: [],
  flags: {
    stages: { type: 'text', value: 'NAMES', doc: 'Stages to run here, separated by commas; all when left out.' },
    'accept-gap': {
      type: 'texts',
      value: 'TOPIC/PARTITION',
      doc: 'Go on from the oldest record that is left, where records were deleted unread.',
    },
  },
  run: async (context) => {
    const settings = context.settings()
    const { topology } = await composeTopology(settings)
    const declared = declaredLists(await laneTopologies(settings), settings, context.version)
    const telemetry = openTelemetry({ process_metrics: true, declared })
    const log = context.log((lines) => telemetry.count('entrepot_log_lines_suppressed_total', {}, lines))
    const stopping = context.stopping()
    const names = topology.stages.map((stage) => stage.processor.name)
    const stages = context.flags.stages?.split(',').map((name) => name.trim()) ?? names
    const opening = { telemetry, log, stages, accept_gaps: context.flags['accept-gap'].map(gapOf) }
    const world = await openWorld(settings, opening)
    try {
      if (settings.mode === 'embedded') await world.prepare()
      const observe = observeWith(telemetry, log, settings.recommend.placement)
      let verifier: Verifier | undefined
      /** The comparison goes with the lane: another index, other topics. */
      const beside = async (live: World): Promise<() => Promise<void>> => {
        const verifying = new AbortController()
        verifier = stages.includes('index') ? await verifierOf(live, telemetry, log) : undefined
        const verified = verifier?.run(verifying.signal)
        return async () => {
          verifying.abort()
          await verified
        }
      }
      const river = await openRiver(world, {
        settings,
        opening,
        stages,
        telemetry,
        log,
        beside,
        observe: (event) => {
          observe(event)
          verifier?.observe(event)
        },
      })
      const http = settings.http.enabled ? await openHttp(river, { telemetry, log, version: context.version }) : undefined
      log.info('run.started', `Runs ${stages.join(', ')}.`, {
        mode: settings.mode,
        ...(http === undefined ? {} : { http: http.url }),
      })
      const stop = () => void river.stop()
      if (stopping.aborted) stop()
      else stopping.addEventListener('abort', stop, { once: true })
      const fault = await river.ended
      await http?.close()
      if (fault === undefined) log.info('run.stopped', 'Everything in flight is committed.')
      return fault === undefined ? exit_codes.ok : exitCodeOf(fault)
    } finally {
      await world.close()
    }
  },
})
