/** Every checker, one file each. They read the brokers' own entries and share no code with the pipeline. */
import { conservation } from './conservation.ts'
import { durability } from './durability.ts'
import { effectsOnce } from './effects-once.ts'
import type { Checker, Evidence, Violation } from './evidence.ts'
import { freshness } from './freshness.ts'
import { indexEqualsLog } from './index-equals-log.ts'
import { isolation } from './isolation.ts'
import { noResurrection } from './no-resurrection.ts'
import { order } from './order.ts'

export const checkers: readonly Checker[] = [
  conservation,
  effectsOnce,
  order,
  isolation,
  durability,
  indexEqualsLog,
  noResurrection,
  freshness,
]

export const checkAll = (evidence: Evidence): readonly Violation[] => checkers.flatMap((checker) => checker.check(evidence))
