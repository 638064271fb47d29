/** Conservation: every record of every topic has exactly one disposition, and what is refused keeps its bytes. */
import { placeName } from '../../domain/record.ts'
import type { Entry } from '../broker/partition.ts'
import { committedOf, decodePlain, difference, headerOf, keyText, topic_names } from './canonical.ts'
import type { Checker, Evidence, Violation } from './evidence.ts'
import { expectedOf } from './sources.ts'

const name = 'conservation'
const item_prefix = 'north:main:'

const compare = (
  what: string,
  expected: readonly string[],
  found: readonly string[],
  optional: readonly string[] = [],
): Violation[] => {
  const { lost, duplicate, invented } = difference(expected, found, optional)
  const say = (anomaly: string, list: readonly string[]): Violation[] =>
    list.length === 0 ? [] : [{ checker: name, anomaly, detail: `${what}: ${list.length}, first ${list[0]}` }]
  return [...say('lost write', lost), ...say('duplicate', duplicate), ...say('invented write', invented)]
}

/** Offsets of a topic that a stage has dead-lettered, `partition/offset`. */
const refusedBy = (evidence: Evidence, stage: string, topic: string): Set<string> =>
  new Set(
    committedOf(evidence.brokers, topic_names.dead_letters).flatMap(({ entry }) =>
      headerOf(entry, '__connect.errors.stage') === stage && headerOf(entry, '__connect.errors.topic') === topic
        ? [`${headerOf(entry, '__connect.errors.partition')}/${headerOf(entry, '__connect.errors.offset')}`]
        : [],
    ),
  )

export const conservation: Checker = {
  name,
  check: (evidence) => {
    const { brokers, calm, gaps_accepted } = evidence
    if (!calm) return []
    const expected = expectedOf(brokers)
    // Of a partition of which the operator gave records up, any may be missing.
    const given_up = new Set(gaps_accepted.map(placeName))
    const split = <T extends { readonly place: string }>(
      list: readonly T[],
      nameOf: (one: T) => string,
    ): [string[], string[]] => [
      list.filter(({ place }) => !given_up.has(place)).map(nameOf),
      list.filter(({ place }) => given_up.has(place)).map(nameOf),
    ]
    const [items] = split(expected.items, ({ id, op, version }) => `${item_prefix}${id} ${op} ${version}`)
    const given_up_ids = new Set(split(expected.items, ({ id }) => `${item_prefix}${id}`)[1])
    const [clicks, clicks_given_up] = split(expected.clicks, ({ id, platform }) => `${platform} ${id}`)
    const [refused, refused_given_up] = split(expected.refused, ({ place, offset, code }) => `${place}/${offset} ${code}`)
    const dead = committedOf(brokers, topic_names.dead_letters)
    const violations: Violation[] = []

    violations.push(
      ...compare(
        'canonical items',
        items,
        committedOf(brokers, topic_names.items).flatMap(({ entry }) => {
          const item = decodePlain('item', entry.value!)
          // What became of a listing is not known once some of its records were given up.
          return given_up_ids.has(keyText(entry)) ? [] : [`${keyText(entry)} ${item.op} ${item.source_updated_at}`]
        }),
      ),
      ...compare(
        'canonical interactions',
        clicks,
        committedOf(brokers, topic_names.interactions).map(({ entry }) => {
          const { event_id, platform } = decodePlain('interaction', entry.value!)
          return `${platform} ${event_id.split(':').at(-1)}`
        }),
        clicks_given_up,
      ),
      ...compare(
        'dead letters of the sources',
        refused,
        dead.flatMap(({ entry }) =>
          headerOf(entry, '__connect.errors.stage') === 'canonicalize'
            ? [
                `${headerOf(entry, '__connect.errors.topic')}/${headerOf(entry, '__connect.errors.partition')}/${headerOf(entry, '__connect.errors.offset')} ${headerOf(entry, 'x-reason-code')}`,
              ]
            : [],
        ),
        refused_given_up,
      ),
    )

    for (const { entry } of dead) {
      const topic = headerOf(entry, '__connect.errors.topic')!
      const partition = Number(headerOf(entry, '__connect.errors.partition'))
      const offset = Number(headerOf(entry, '__connect.errors.offset'))
      const originals = [brokers.topics.get(topic), ...brokers.deleted.filter((each) => each.name === topic)].flatMap(
        (each) => each?.partitions[partition]?.entries.filter((one) => one.offset === offset) ?? [],
      )
      const same = (a: Buffer | null, b: Buffer | null) => (a === null || b === null ? a === b : a.equals(b))
      if (!originals.some((original) => same(original.key, entry.key) && same(original.value, entry.value)))
        violations.push({ checker: name, anomaly: 'changed bytes', detail: `the dead letter of ${topic}/${partition}@${offset}` })
    }

    const embed_refused = refusedBy(evidence, 'embed', topic_names.items)
    const read = committedOf(brokers, topic_names.items).filter(
      ({ partition, entry }) => !embed_refused.has(`${partition}/${entry.offset}`),
    )
    const vectors = committedOf(brokers, topic_names.vectors)
    const namesOf = (list: typeof vectors, compacted: boolean, nameOf: (entry: Entry) => string): string[] =>
      list.flatMap(({ entry }) => (entry.compacted === compacted ? [nameOf(entry)] : []))
    const byOffset = (entry: Entry): string => `${keyText(entry)} ${entry.offset}`
    violations.push(
      ...compare(
        'vectors of items',
        namesOf(read, false, keyText),
        vectors.map(({ entry }) => keyText(entry)),
        namesOf(read, true, keyText),
      ),
      ...compare(
        'indexed vectors',
        namesOf(vectors, false, byOffset),
        committedOf(brokers, topic_names.indexed).map(
          ({ entry }) => `${keyText(entry)} ${decodePlain('indexed', entry.value!).version}`,
        ),
        namesOf(vectors, true, byOffset),
      ),
    )
    return violations
  },
}
