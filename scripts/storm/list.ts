/** Every scenario of the storm, in the order of a run: those that share brokers follow each other. */
import { F01 } from './F01.ts'
import { F04 } from './F04.ts'
import { F05 } from './F05.ts'
import { F06 } from './F06.ts'
import { F07 } from './F07.ts'
import { F08 } from './F08.ts'
import { F11 } from './F11.ts'
import { F12 } from './F12.ts'
import { F13 } from './F13.ts'
import { F17 } from './F17.ts'
import { F19 } from './F19.ts'
import { F21 } from './F21.ts'
import { F22 } from './F22.ts'
import { F23 } from './F23.ts'
import { F24 } from './F24.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [F01, F06, F07, F08, F11, F12, F13, F22, F23, F24, F21, F17, F19, F04, F05]
