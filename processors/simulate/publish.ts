/** The platforms' own clients: one request after the other for each partition, and again until it is acknowledged. */
import { placeName } from '../domain/record.ts'
import type { Brokers } from './broker/brokers.ts'
import type { Scheduler } from './scheduler.ts'
import type { Publication } from './workload.ts'

/** Publishes when it is time; answers how many publications are not acknowledged yet. */
export const publish = (scheduler: Scheduler, brokers: Brokers, workload: readonly Publication[]): (() => number) => {
  let unpublished = workload.length
  const lanes = new Map<string, Promise<void>>()
  for (const publication of workload) {
    scheduler.after(publication.at_ms, null, () => {
      const place = placeName(publication)
      const { key, value, headers } = publication
      const record = {
        key: Buffer.from(key, 'utf8'),
        value,
        headers,
        timestamp_ms: Math.floor(scheduler.epoch_ms + scheduler.now_ms()),
      }
      const send = (): Promise<void> =>
        new Promise((resolve) => {
          const attempt = () =>
            brokers.produce(publication, [record], null, (outcome) => {
              if ('refused' in outcome) scheduler.after(20, null, attempt)
              else {
                unpublished--
                resolve()
              }
            })
          attempt()
        })
      lanes.set(place, (lanes.get(place) ?? Promise.resolve()).then(send))
    })
  }
  return () => unpublished
}
