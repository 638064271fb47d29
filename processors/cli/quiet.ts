/** When a river of stages has nothing left to do, told by counts rather than by waiting a while. */
import type { Clock } from '../ports/clock.ts'
import type { StageFigures, Tally } from './tally.ts'
import type { RunningStages, World } from './world.ts'

const emittedTo = (figures: StageFigures, topic: string): number =>
  [...figures.topics.values()].reduce((sum, from) => sum + (from.emitted[topic] ?? 0), 0)

/** Every stage by name, so that what one emitted can be compared with what the next one took. */
export const all_stages = ['canonicalize', 'embed', 'index', 'learn', 'index-users', 'recommend'] as const

/** Records that were published or emitted and not yet taken by the next stage. 0 means that all is done, but for what waits in state. */
export const underWay = (tally: Tally, topics: World['topics'], published: number): number => {
  const [canonicalize, embed, index, learn, users, recommend] = all_stages.map((name) => tally.stage(name))
  const waits = [
    published - canonicalize!.records,
    emittedTo(canonicalize!, topics.items.name) - embed!.records,
    emittedTo(embed!, topics.vectors.name) - index!.records,
    emittedTo(canonicalize!, topics.interactions.name) - learn!.records,
    emittedTo(learn!, topics.profiles.name) - users!.records,
    emittedTo(learn!, topics.profiles.name) - recommend!.records,
  ]
  return waits.reduce((sum, n) => sum + Math.max(0, n), 0)
}

/** Waits until `done`, the signal, or the end of the stages, whichever is first; throws the fault that ended them. */
export const waitUntil = async (
  clock: Clock,
  running: RunningStages,
  signal: AbortSignal,
  done: () => boolean | Promise<boolean>,
  tick: () => void = () => undefined,
): Promise<void> => {
  const ended: { is: boolean; fault?: unknown } = { is: false }
  void running.ended.then((fault) => {
    ended.is = true
    ended.fault = fault
  })
  while (!signal.aborted) {
    if (ended.is) {
      if (ended.fault !== undefined) throw ended.fault
      return
    }
    tick()
    if (await done()) return
    await clock.sleep(25, signal)
  }
}
