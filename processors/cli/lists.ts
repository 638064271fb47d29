/** The latest list of a user, found in the recommendations topic itself. */
import { Fault } from '../domain/fault.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { partitionOf } from '../domain/record.ts'
import type { EventLog, EventLogAdmin } from '../ports/event-log.ts'
import type { Serde } from '../ports/schema-registry.ts'

export interface Lists {
  /** The newest list of the user for the placement, committed before this call; undefined when there is none. */
  latest(user_key: string, placement: string): Promise<Recommendation | undefined>
}

/** How many users' places are remembered per partition; beyond it the longest unseen go first. */
const users_max = 1_000_000

/** Follows one topic from where it last looked, only when asked, and keeps offsets, not lists. */
export const openLists = (log: EventLog & EventLogAdmin, topic: string, serde: Serde<Recommendation>): Lists => {
  type Follower = { next: number; readonly places: Map<string, number>; catching_up: Promise<void> | undefined }
  let followers: Follower[] | undefined

  const catchUp = (partition: number, follower: Follower): Promise<void> => {
    follower.catching_up ??= (async () => {
      try {
        for await (const record of log.scan({ topic, partition }, follower.next)) {
          const user = record.key?.toString('utf8') ?? ''
          follower.places.delete(user)
          if (record.value !== null) follower.places.set(user, record.offset)
          follower.next = record.offset + 1
          if (follower.places.size > users_max) follower.places.delete(follower.places.keys().next().value!)
        }
      } finally {
        follower.catching_up = undefined
      }
    })()
    return follower.catching_up
  }

  return {
    latest: async (user_key, placement) => {
      followers ??= (await log.offsets(topic)).map(({ start }) => ({ next: start, places: new Map(), catching_up: undefined }))
      const partition = partitionOf(Buffer.from(user_key, 'utf8'), followers.length)
      const follower = followers[partition]!
      await catchUp(partition, follower)
      const offset = follower.places.get(user_key)
      if (offset === undefined) return undefined
      for await (const record of log.scan({ topic, partition }, offset)) {
        if (record.offset !== offset || record.value === null) return undefined
        const [list] = await serde.deserialize([record.value])
        if (list instanceof Fault) throw list
        return list?.placement === placement ? list : undefined
      }
      return undefined
    },
  }
}
