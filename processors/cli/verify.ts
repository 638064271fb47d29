/**
 * Compares the index with the topics on a schedule, soon after a start in embedded mode, and soon after the index was away. Of a group's
 * processes only the owner of partition 0 of the vectors topic does it: the group sees to it that there is one at a time.
 */
import { asFault } from '../domain/fault.ts'
import { drift_kinds, driftOf, type ReconcilePorts, reconcile } from '../index/reconcile.ts'
import type { IndexedTopic } from '../index/topics.ts'
import type { Space } from '../ports/vector-index.ts'
import type { Observer, RuntimeEvent } from '../runtime/events.ts'
import type { Log } from '../telemetry/log.ts'
import type { Telemetry } from '../telemetry/metrics.ts'

export type VerifyOptions = {
  readonly ports: ReconcilePorts
  readonly topics: readonly IndexedTopic[]
  /** 0 leaves it to `entrepot repair`. */
  readonly verify_hours: number
  /** How long after the start the first comparison is due: an embedded index has restarted with the process, a server has not. */
  readonly first_after_ms: number
  readonly telemetry: Telemetry
  readonly log: Log
}

export type Verifier = {
  /** Hears every runtime event: who owns what, and when the index is away. */
  readonly observe: Observer
  /** Verifies until the signal aborts. Never throws. */
  run(signal: AbortSignal): Promise<void>
}

/** How often it is looked whether something is due, and whether the index answers. */
const tick_ms = 60_000
/** After an outage the index stage writes first what it held back. */
const settle_ms = 60_000
/** A comparison that failed is tried again after this long. */
const again_ms = 300_000
/** Points a scheduled comparison removes at most: so many, or this share of all; more is for a person to decide. */
const removals_floor = 100
const removals_share = 0.05

const index_stages = ['index', 'index-users']

export const openVerifier = (options: VerifyOptions): Verifier => {
  const { ports, topics, telemetry, log } = options
  const { clock } = ports
  const every_ms = options.verify_hours * 3_600_000
  const items = topics.find(({ space }) => space === 'items')!.topic
  let owner = false
  let due_ms = clock.monotonic_ms() + Math.min(options.first_after_ms, every_ms)
  // A series that begins above zero shows no increase: all of them begin here.
  for (const { space } of topics)
    for (const kind of drift_kinds) telemetry.count('entrepot_index_drift_total', { space, kind }, 0)
  /** Where the index is away, by stage and partition, or by our own look. */
  const away = new Set<string>()

  const gone = (where: string): void => void away.add(where)
  const back = (where: string): void => {
    if (!away.delete(where) || away.size > 0) return
    due_ms = Math.min(due_ms, clock.monotonic_ms() + settle_ms)
    log.info('index.back', 'The index answers again; it is compared with the topics in a minute.')
  }

  const observe = (event: RuntimeEvent): void => {
    if (event.event === 'in_flight' || event.input === undefined || !index_stages.includes(event.stage)) return
    const { topic, partition } = event.input
    const where = `${topic}/${partition}`
    if (topic === items && partition === 0) {
      if (event.event === 'assigned') owner = true
      if (event.event === 'revoked' || event.event === 'fenced' || event.event === 'stopped') owner = false
    }
    if (event.event === 'paused' && event.fault.code === 'index.unavailable') gone(where)
    else if (event.event === 'resumed' || event.event === 'committed') back(where)
    // Whoever has the partition now sees for itself whether the index answers.
    else if (event.event === 'revoked' || event.event === 'fenced' || event.event === 'stopped') away.delete(where)
  }

  const look = async (): Promise<number | null> => {
    try {
      const { points } = await ports.admin.describe()
      for (const { space } of topics) telemetry.set('entrepot_index_points', { space }, points[space] ?? 0)
      back('look')
      return points.items + points.users
    } catch (error) {
      const fault = asFault(error)
      if (fault.code !== 'index.unavailable') throw fault
      gone('look')
      return null
    }
  }

  const verify = async (live: number, signal: AbortSignal): Promise<void> => {
    const report = await reconcile(ports, topics, {
      dry_run: false,
      removals_max: Math.max(removals_floor, Math.floor(live * removals_share)),
      signal,
      on_drift: (space: Space, kind, points) => {
        telemetry.count('entrepot_index_drift_total', { space, kind }, points)
        log.warn('index.drift', `${points} points of ${space} differ from the topic: ${kind}.`, { space, drift: kind, points })
      },
    })
    telemetry.count('entrepot_index_repaired_total', {}, report.repaired)
    if (!report.complete) return
    const seconds = report.duration_ms / 1_000
    telemetry.set('entrepot_index_drift_remaining', {}, report.remaining)
    telemetry.set('entrepot_index_verified_timestamp_seconds', {}, clock.now_ms() / 1_000)
    telemetry.observe('entrepot_index_verification_seconds', {}, seconds)
    const found = driftOf(report)
    log.info(
      'index.verified',
      found === 0 ? 'The index agrees with the topics.' : `${report.repaired} of ${found} points are put right.`,
      {
        items: report.checked.items,
        users: report.checked.users,
        drift: found,
        repaired: report.repaired,
        remaining: report.remaining,
        pending: report.pending,
        seconds,
      },
    )
    if (report.withheld > 0)
      log.warn(
        'index.withheld',
        `${report.withheld} points would be removed beyond what is done without being asked: see \`entrepot repair --dry-run\`, then \`entrepot repair\`.`,
        { withheld: report.withheld },
      )
  }

  return {
    observe,
    run: async (signal) => {
      if (every_ms === 0) return
      while (!signal.aborted) {
        await clock.sleep(Math.max(1_000, Math.min(tick_ms, due_ms - clock.monotonic_ms())), signal)
        if (signal.aborted) return
        const due = clock.monotonic_ms() >= due_ms
        try {
          if (!owner) {
            // Another process does it. Should this one take over, it goes on from here.
            if (due) due_ms = clock.monotonic_ms() + every_ms
            continue
          }
          const live = await look()
          if (live === null) due_ms = Math.max(due_ms, clock.monotonic_ms() + tick_ms)
          if (live === null || clock.monotonic_ms() < due_ms) continue
          due_ms = clock.monotonic_ms() + every_ms
          await verify(live, signal)
        } catch (error) {
          due_ms = clock.monotonic_ms() + Math.min(again_ms, every_ms)
          log.fault(asFault(error), { stage: 'index' })
        }
      }
    },
  }
}
