/** The producer beside the pipeline: events of shoppers, each its own, published at a rate, again when their outcome is unknown. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ToPublish } from '../../processors/cli/publish.ts'
import { items_count } from './catalogue.ts'
import type { Site } from './site.ts'

/** Event `number` counts from 1; its price in cents is its number, so that its content can be told downstream. */
export const shopperEvent = (number: number, shoppers: number, at_ms: number): ToPublish => {
  // Some shoppers act often, most seldom: the square of an even spread.
  const spread = ((number * 2_654_435_761) % 1_000_003) / 1_000_003
  const user = `user-${Math.floor(spread * spread * shoppers)}`
  return {
    platform: 'segment',
    kind: 'events',
    key: user,
    value: {
      type: 'track',
      event: number % 5 === 0 ? 'Product Added' : 'Product Viewed',
      messageId: `message-${number}`,
      anonymousId: `device-${user}`,
      userId: user,
      timestamp: new Date(at_ms).toISOString(),
      properties: { product_id: String(1 + (number % items_count)), currency: 'EUR', price: number / 100 },
    },
    timestamp_ms: at_ms,
  }
}

export type Load = {
  /** Events that the brokers acknowledged. */
  readonly published: () => number
  /** Appends that were tried again. */
  readonly retried: () => number
  /** Publishes no more after what is in flight. */
  stop(): void
  /** Resolves when all are published, or it was stopped. */
  readonly done: Promise<void>
}

export type LoadOptions = {
  readonly total: number
  readonly events_per_s: number
  readonly shoppers: number
  /** Number of the first event. */
  readonly from?: number
}

export const openLoad = (site: Site, { total, events_per_s, shoppers, from = 1 }: LoadOptions): Load => {
  let published = 0
  let retried = 0
  let stopped = false
  const work = async () => {
    const began_ms = performance.now()
    const batch = Math.max(1, Math.min(1_000, Math.round(events_per_s / 20)))
    while (published < total && !stopped) {
      const due_ms = began_ms + (published / events_per_s) * 1000
      await sleep(Math.max(0, due_ms - performance.now()))
      const at_ms = Date.now()
      const count = Math.min(batch, total - published)
      const events = Array.from({ length: count }, (_, at) => shopperEvent(from + published + at, shoppers, at_ms))
      for (;;) {
        try {
          await site.publisher.publish(events)
          break
        } catch (error) {
          // As a shop's producer does when it was not told what became of a request: the event ids make it harmless.
          if (site.storm.patience.aborted) throw error
          retried++
          await sleep(200)
        }
      }
      published += count
    }
  }
  const done = work()
  done.catch(() => undefined)
  return {
    published: () => published,
    retried: () => retried,
    stop: () => {
      stopped = true
    },
    done,
  }
}
