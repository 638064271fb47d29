/** Turns what the runtime tells into metrics and log lines. */
import type { Settings } from '../config/spec.ts'
import { fault_codes } from '../domain/fault.ts'
import { placeName } from '../domain/record.ts'
import { inputsOf, type Topology, topicsOf } from '../flow/topology.ts'
import type { Observer, RuntimeEvent } from '../runtime/events.ts'
import { groupOf } from '../runtime/supervise.ts'
import type { Log } from '../telemetry/log.ts'
import type { DeclaredList, Telemetry } from '../telemetry/metrics.ts'

/** What an event had become once the stage committed, as the headline histogram names it. */
const became: Readonly<Record<string, string>> = {
  canonicalize: 'canonicalized',
  embed: 'embedded',
  index: 'indexed',
  learn: 'learned',
  recommend: 'recommended',
}

const named = (topologies: readonly Topology[], of: (topology: Topology) => readonly string[]): readonly string[] => [
  ...new Set(topologies.flatMap(of)),
]

/** The label values that topologies (one for each lane that may become live) and settings decide; anything else is folded to `other`. */
export const declaredLists = (
  topologies: readonly Topology[],
  settings: Settings,
  version: string,
): Record<DeclaredList, readonly string[]> => ({
  stages: named(topologies, (topology) => topology.stages.map((stage) => stage.processor.name)),
  topics: named(topologies, (topology) => [
    ...topology.stages.flatMap(inputsOf),
    ...topicsOf(topology).map((topic) => topic.name),
  ]),
  groups: named(topologies, (topology) => topology.stages.map((stage) => groupOf(topology, stage))),
  drop_reasons: named(topologies, (topology) => topology.stages.flatMap((stage) => stage.processor.drops)),
  placements: [settings.recommend.placement],
  versions: [version],
})

type Committed = Extract<RuntimeEvent, { event: 'committed' }>

const measure = (telemetry: Telemetry, event: Committed, placement: string): void => {
  const { stage } = event
  telemetry.count('entrepot_records_consumed_total', { stage, topic: event.input.topic }, event.records)
  if (event.records > 0) telemetry.observe('entrepot_batch_records', { stage }, event.records)
  for (const [topic, n] of Object.entries(event.emitted)) telemetry.count('entrepot_records_emitted_total', { stage, topic }, n)
  for (const [reason, n] of Object.entries(event.dropped)) {
    telemetry.count('entrepot_records_dropped_total', { stage, reason }, n)
    if (reason === 'duplicate') telemetry.count('entrepot_duplicates_total', { stage }, n)
  }
  for (const [reason, n] of Object.entries(event.dead)) telemetry.count('entrepot_dead_letters_total', { stage, reason }, n)
  for (const [step, seconds] of Object.entries(event.seconds))
    telemetry.observe('entrepot_batch_seconds', { stage, step }, seconds)
  const outcome = became[stage]
  if (outcome !== undefined)
    for (const seconds of event.latencies_s)
      telemetry.observe('entrepot_event_to_recommendation_seconds', { stage: outcome }, seconds)
  const emitted = Object.values(event.emitted).reduce((sum, n) => sum + n, 0)
  if (stage === 'learn') telemetry.count('entrepot_profiles_updated_total', {}, emitted)
  if (stage === 'recommend') telemetry.count('entrepot_recommendations_total', { placement }, emitted)
}

/** Metrics for every event, log lines for what an operator acts on; `paused` is 1 from the pause to the next progress. */
export const observeWith = (telemetry: Telemetry, log: Log, placement: string): Observer => {
  const paused = new Map<string, { stage: string; reason: string }>()
  const resume = (stage: string, place: string) => {
    const at = paused.get(`${stage} ${place}`)
    if (at === undefined) return
    paused.delete(`${stage} ${place}`)
    if (![...paused.values()].some((other) => other.stage === at.stage && other.reason === at.reason))
      telemetry.set('entrepot_paused', { stage: at.stage, reason: at.reason }, 0)
  }
  return (event) => {
    if (event.event === 'in_flight') {
      telemetry.set('entrepot_in_flight_records', {}, event.records)
      telemetry.set('entrepot_in_flight_bytes', {}, event.bytes)
      return
    }
    const place = event.input === undefined ? '' : placeName(event.input)
    const detail = {
      stage: event.stage,
      ...(event.input === undefined ? {} : { topic: event.input.topic, partition: event.input.partition }),
    }
    switch (event.event) {
      case 'committed':
        measure(telemetry, event, placement)
        if (event.first_dead !== undefined) {
          const { offset, code, message } = event.first_dead
          const total = Object.values(event.dead).reduce((sum, n) => sum + n, 0)
          log.warn('dead_letter', `${total} dead-lettered, the first at offset ${offset}: ${message}`, {
            ...detail,
            offset,
            reason: code,
          })
        }
        return resume(event.stage, place)
      case 'lag': {
        const labels = { group: event.group, topic: event.input.topic, partition: event.input.partition }
        telemetry.set('entrepot_consumer_lag_records', labels, event.records)
        return telemetry.set('entrepot_consumer_lag_seconds', labels, event.seconds)
      }
      case 'paused':
        paused.set(`${event.stage} ${place}`, { stage: event.stage, reason: event.fault.code })
        telemetry.set('entrepot_paused', { stage: event.stage, reason: event.fault.code }, 1)
        return log.fault(event.fault, { ...detail, retry_in_ms: event.retry_in_ms })
      case 'resumed':
        resume(event.stage, place)
        return log.info('task.resumed', 'Goes on.', detail)
      case 'restoring':
        telemetry.count('entrepot_task_restarts_total', { stage: event.stage, kind: 'corrupt' })
        return log.info('task.restoring', 'State is dropped and restored from the log.', detail)
      case 'fenced':
        telemetry.count('entrepot_task_restarts_total', { stage: event.stage, kind: 'fenced' })
        return log.info('task.fenced', 'Another owner has the partition.', detail)
      case 'assigned':
        return log.info('task.assigned', 'Owns the partition.', detail)
      case 'revoked':
        return log.info('task.revoked', 'Gives the partition up.', detail)
      case 'stopped':
        return log.fault(event.fault, { ...detail, remedy: fault_codes[event.fault.code].remedy })
      default:
        event satisfies never
    }
  }
}
