/** Progress of work in steps of unknown length, each a line of its own. */
import { openProgress, type Progress, type Terminal } from './terminal.ts'

export interface StepProgress {
  /** Counts `n` more of a step; the first of another step ends the one before. */
  advance(step: string, unit: string, n: number): void
  end(): void
}

export const openStepProgress = (terminal: Terminal): StepProgress => {
  let now: { readonly step: string; readonly progress: Progress } | undefined
  const end = (): void => {
    now?.progress.end()
    now = undefined
  }
  return {
    advance: (step, unit, n) => {
      if (now?.step !== step) {
        end()
        now = { step, progress: openProgress(terminal, { label: step, unit }) }
      }
      now.progress.advance(n)
    },
    end,
  }
}
