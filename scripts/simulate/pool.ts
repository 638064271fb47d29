/** Seeds over all cores: one thread a core, one seed at a time in each, results as they come. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { SeedResult } from '../../processors/simulate/seed.ts'
import type { WorkerOptions } from './worker.ts'

export type PoolOptions = WorkerOptions & {
  readonly from: number
  readonly count: number
  readonly workers?: number
  /** Called with each result, in the order of completion; false ends the run after those under way. */
  readonly onResult: (result: SeedResult) => boolean
}

/** Resolves when all seeds have run, or the run was ended. Rejects when a thread dies of an error. */
export const runSeeds = async (options: PoolOptions): Promise<void> => {
  const { from, count, onResult, workers = Math.min(availableParallelism(), count), ...workerData } = options
  let next = from
  let ended = false
  delete (workerData as { onResult?: unknown }).onResult
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData })
      const feed = () => worker.postMessage(!ended && next < from + count ? next++ : null)
      worker.on('message', (answer: SeedResult | 'ready') => {
        if (answer !== 'ready' && !onResult(answer)) ended = true
        feed()
      })
      worker.on('error', reject)
      worker.on('exit', () => resolve())
    })
  await Promise.all(Array.from({ length: workers }, run))
}
