/** The count that no record escapes: each input offset ends as emitted, kept in state, dropped for a reason, or dead-lettered. */
import { Fault } from '../domain/fault.ts'
import type { Outcome, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'

export type Account = { readonly emitted: number; readonly kept: number; readonly dropped: number; readonly dead: number }

/**
 * Counts dispositions of a batch. Throws `outcome.lost` when an offset has none, and `outcome.invalid` when the outcome names
 * offsets that were not read, a topic that is not the stage's, an undeclared drop reason, or gives one offset two ends.
 */
export const account = (
  processor: Pick<Processor<never, never>, 'name' | 'drops' | 'writes_index'>,
  offsets: readonly number[],
  outcome: Outcome,
  to: readonly Topic<unknown>[],
): Account => {
  const invalid = (why: string, offset?: number): Fault =>
    new Fault('outcome.invalid', `${processor.name}: ${why}`, offset === undefined ? {} : { offset })
  const ends = new Map<number, 'read' | 'emitted' | 'kept' | 'dropped' | 'dead'>()
  for (const offset of offsets) ends.set(offset, 'read')

  const end = (offset: number, how: 'emitted' | 'kept' | 'dropped' | 'dead') => {
    const before = ends.get(offset)
    if (before === undefined) throw invalid('names an offset that was not in the batch', offset)
    if (before !== 'read' && before !== how) throw invalid(`ends one offset both as ${before} and as ${how}`, offset)
    if (before === how && how !== 'emitted') throw invalid(`ends one offset as ${how} twice`, offset)
    ends.set(offset, how)
  }

  for (const emit of outcome.emit) {
    if (!to.includes(emit.to)) throw invalid(`emits to ${emit.to.name}, which is not declared in the topology`)
    for (const cause of emit.causes) end(cause, 'emitted')
  }
  for (const change of outcome.state ?? []) for (const cause of change.causes ?? []) end(cause, 'kept')
  for (const drop of outcome.dropped ?? []) {
    if ('fault' in drop) {
      if (drop.fault.kind !== 'malformed') throw invalid(`dead-letters a ${drop.fault.kind} fault (${drop.fault.code})`, drop.at)
      if (drop.original === undefined) end(drop.at, 'dead')
    } else {
      if (!processor.drops.includes(drop.reason)) throw invalid(`drops for the undeclared reason ${drop.reason}`, drop.at)
      end(drop.at, 'dropped')
    }
  }
  if ((outcome.points?.length ?? 0) > 0 && processor.writes_index !== true)
    throw invalid('writes to the index without declaring it')

  const counts = { emitted: 0, kept: 0, dropped: 0, dead: 0 }
  for (const [offset, how] of ends) {
    if (how === 'read') throw new Fault('outcome.lost', `${processor.name} lost the record at offset ${offset}.`, { offset })
    counts[how]++
  }
  return counts
}
