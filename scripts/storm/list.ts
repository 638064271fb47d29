/** Every scenario of the storm, in the order of a run: those that share brokers follow each other. */
import { F01 } from './F01.ts'
import { F04 } from './F04.ts'
import { F05 } from './F05.ts'
import { F06 } from './F06.ts'
import { F07 } from './F07.ts'
import { F23 } from './F23.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [F01, F06, F07, F23, F04, F05]
