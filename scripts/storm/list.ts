/** Every scenario of the storm, in the order of a run: those that share brokers follow each other. */
import { F01 } from './F01.ts'
import { F07 } from './F07.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [F01, F07]
