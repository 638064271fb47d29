/** Isolation: nothing that was aborted is ever read, and nobody's event reaches anybody else's profile. */
import { committedOf, decodePlain, floatsOf, keyText, topic_names } from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'
import { expectedOf } from './sources.ts'

const name = 'isolation'
const canary_axes = 8

export const isolation: Checker = {
  name,
  check: ({ brokers, observed }) => {
    const violations: Violation[] = []
    const say = (anomaly: string, detail: string) => void violations.push({ checker: name, anomaly, detail })

    for (const { place, offset, value } of observed.polled) {
      const [topic, partition] = [place.slice(0, place.lastIndexOf('/')), Number(place.slice(place.lastIndexOf('/') + 1))]
      if (brokers.deleted.some((each) => each.name === topic)) continue
      const of = brokers.topics.get(topic)?.partitions[partition]
      const entry = of?.entries[of.indexOf(offset)]
      if (entry === undefined || entry.offset !== offset) {
        if (of?.truncated.some((lost) => lost.offset === offset) === true)
          say('lost write', `${place}@${offset} was read and then truncated`)
        continue
      }
      if (entry.outcome === 'aborted') say('aborted read', `${place}@${offset}`)
      else if (entry.outcome === 'open') say('precommitted read', `${place}@${offset}`)
      else if (entry.marker !== null) say('marker read', `${place}@${offset}`)
      else if (entry.value !== null && value !== null && !entry.value.equals(value))
        say('inconsistent offset', `${place}@${offset}`)
      if (violations.length > 5) return violations
    }

    // One person is one pseudonym, whatever the shop.
    const users = new Map(expectedOf(brokers).clicks.map(({ id, platform, user }) => [`${platform} ${id}`, user]))
    const person = new Map<string, string>()
    for (const { entry } of committedOf(brokers, topic_names.interactions)) {
      const { event_id, platform, user_key } = decodePlain('interaction', entry.value!)
      const user = users.get(`${platform} ${event_id.split(':').at(-1)}`)
      if (keyText(entry) !== user_key) say('foreign key', `an interaction of ${user_key} is keyed ${keyText(entry)}`)
      if (user === undefined) continue
      const known = person.get(user_key)
      if (known !== undefined && known !== user) say('foreign event', `${user_key} stands for ${known} and for ${user}`)
      person.set(user_key, user)
    }
    for (const { entry } of committedOf(brokers, topic_names.profiles)) {
      if (entry.value === null) continue
      const profile = decodePlain('profile', entry.value)
      const own = Number(person.get(keyText(entry))?.split('-').at(-1) ?? -1)
      for (const vector of [profile.preference, profile.session]) {
        if (vector === null) continue
        const axes = floatsOf(vector)
        for (let axis = 0; axis < canary_axes; axis++)
          if (axes[axis] !== 0 && axis !== own) {
            say('foreign event', `the profile of ${keyText(entry)} has weight on the axis of shopper-${axis}`)
            return violations
          }
      }
    }
    return violations
  },
}
