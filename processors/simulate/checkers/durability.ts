/** Committed <= durable: what a task was told is committed is in the log, and no group's position ever goes back. */
import { placeName } from '../../domain/record.ts'
import { keyText } from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'

const name = 'durability'

export const durability: Checker = {
  name,
  check: ({ brokers, observed, gaps_accepted }) => {
    const violations: Violation[] = []
    const positions = new Map<string, number[]>()
    for (const topic of brokers.topics.values()) {
      if (!topic.name.endsWith('.changelog')) continue
      for (const [partition, of] of topic.partitions.entries()) {
        const all = of
          .committed()
          .filter((entry) => keyText(entry) === 'p')
          .map((entry) => (JSON.parse(entry.value!.toString('utf8')) as { position: number }).position)
        positions.set(`${topic.name}/${partition}`, all)
        // An accepted gap sends the reader to where the topic begins now.
        if (gaps_accepted.some((at) => topic.name.endsWith(`.${at.topic}.changelog`) && at.partition === partition)) continue
        for (let i = 1; i < all.length; i++)
          if (all[i]! < all[i - 1]!) {
            violations.push({
              checker: name,
              anomaly: 'position went back',
              detail: `${topic.name}/${partition}: from ${all[i - 1]} to ${all[i]}`,
            })
            break
          }
      }
    }
    for (const { group, input, position } of observed.committed) {
      const known = positions.get(`${group}.${input.topic}.changelog/${input.partition}`) ?? []
      if (!known.includes(position) && position > 0) {
        violations.push({
          checker: name,
          anomaly: 'lost write',
          detail: `${group} was told that ${placeName(input)} is committed up to ${position}, and the log does not hold it`,
        })
        break
      }
    }
    return violations
  },
}
