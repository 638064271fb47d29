/** Index equals log: after repair every live key of the topics is one point with its newest vector, and nothing else is live. */
import type { Space } from '../../ports/vector-index.ts'
import { committedOf, decodePlain, floatsOf, keyText, topic_names } from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'

const name = 'index-equals-log'

export const indexEqualsLog: Checker = {
  name,
  check: ({ brokers, index, calm }) => {
    if (!calm) return []
    const violations: Violation[] = []
    const say = (anomaly: string, detail: string) => {
      if (violations.length < 5) violations.push({ checker: name, anomaly, detail })
    }
    const compare = (space: Space, topic: string, vectorOf: (value: Buffer) => Buffer | null) => {
      const newest = new Map<string, { offset: number; vector: Buffer | null }>()
      for (const { entry } of committedOf(brokers, topic))
        newest.set(keyText(entry), { offset: entry.offset, vector: entry.value === null ? null : vectorOf(entry.value) })
      for (const [key, { offset, vector }] of newest) {
        const point = index.points[space].get(key)
        if (vector === null) {
          if (point !== undefined && !point.deleted) say('resurrected', `${space} ${key}, deleted at ${offset}`)
          continue
        }
        if (point === undefined || point.vector === null) say('lost write', `${space} ${key}, written at ${offset}`)
        else if (point.version < offset) say('stale', `${space} ${key} has ${point.version}, the log ${offset}`)
        else {
          // Profiles are stored at unit length.
          const wanted = floatsOf(vector)
          let squares = 0
          for (const x of wanted) squares += x * x
          const length = Math.sqrt(squares)
          if (wanted.some((x, i) => Math.abs(x / length - point.vector![i]!) > 1e-5))
            say('inconsistent state', `${space} ${key} at ${point.version}`)
        }
      }
      for (const [key, point] of index.points[space])
        if (!point.deleted && !newest.has(key)) say('invented write', `${space} ${key}`)
    }
    compare('items', topic_names.vectors, (value) => decodePlain('vector', value).vector)
    compare('users', topic_names.profiles, (value) => {
      const { preference } = decodePlain('profile', value)
      return preference !== null && floatsOf(preference).some((x) => x !== 0) ? preference : null
    })
    return violations
  },
}
