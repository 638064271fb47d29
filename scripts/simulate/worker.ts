/** Runs seeds in a thread of its own: a number in, a result out. */
import { parentPort, workerData } from 'node:worker_threads'
import { runSeed, type SeedResult } from '../../processors/simulate/seed.ts'
import type { FaultName } from '../../processors/simulate/weather.ts'
import { openWorkshop } from '../../processors/simulate/workshop.ts'

export type WorkerOptions = { readonly events: number; readonly keep_trace: boolean; readonly only?: readonly FaultName[] }

/** Resolves when all promise jobs that are ready have run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

if (parentPort !== null) {
  const port = parentPort
  const options = workerData as WorkerOptions
  const workshop = await openWorkshop()
  port.on('message', (seed: number | null) => {
    if (seed === null) return port.close()
    runSeed(workshop, seed, { ...options, turn }).then(
      (result) => port.postMessage(result satisfies SeedResult),
      (error: unknown) => {
        // Ends the thread, and with it the run: the simulator itself is broken.
        throw new Error(`Seed ${seed} could not be run.`, { cause: error })
      },
    )
  })
  port.postMessage('ready')
}
