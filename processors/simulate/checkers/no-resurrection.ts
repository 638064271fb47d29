/** No resurrection: a deletion that was read is the last word on its key until a newer record comes, in every topic after it. */
import { committedOf, decodePlain, keyText, topic_names } from './canonical.ts'
import type { Checker, Violation } from './evidence.ts'
import { expectedOf } from './sources.ts'

const name = 'no-resurrection'

export const noResurrection: Checker = {
  name,
  check: ({ brokers, index, calm, sometimes, gaps_accepted }) => {
    // What became of a listing is not known where its records were given up.
    if (!calm || gaps_accepted.length > 0) return []
    const last = new Map(expectedOf(brokers).items.map(({ id, op }) => [`north:main:${id}`, op]))
    const items = new Map(
      committedOf(brokers, topic_names.items).map(({ entry }) => [keyText(entry), decodePlain('item', entry.value!).op]),
    )
    const vectors = new Map(committedOf(brokers, topic_names.vectors).map(({ entry }) => [keyText(entry), entry.value === null]))
    const violations: Violation[] = []
    for (const [id, op] of last) {
      if (op !== 'DELETE') continue
      sometimes.add('a listing was gone at the end')
      const alive = [
        ...(items.get(id) === 'DELETE' ? [] : [topic_names.items]),
        ...(vectors.get(id) === true ? [] : [topic_names.vectors]),
        ...(index.points.items.get(id)?.deleted === false ? ['the index'] : []),
      ]
      for (const where of alive)
        violations.push({ checker: name, anomaly: 'resurrected', detail: `${id} is deleted, and alive in ${where}` })
    }
    return violations
  },
}
