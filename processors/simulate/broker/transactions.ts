/**
 * The transaction coordinator (KIP-98, with the server-side verification of KIP-890 part 1): producer ids and epochs, one open
 * transaction an id, markers written after the answer.
 */
import { placeName, type TopicPartition } from '../../domain/record.ts'
import type { Scheduler } from '../scheduler.ts'
import type { Weather } from '../weather.ts'
import type { Refusal } from './partition.ts'

type Transaction = {
  readonly producer_id: number
  epoch: number
  state: 'empty' | 'ongoing' | 'committing' | 'aborting'
  /** How the last transaction of this epoch ended, so that a repeated EndTxn is answered alike. */
  ended: 'commit' | 'abort' | null
  readonly places: Map<string, TopicPartition>
  timeout_ms: number
  expires: () => void
}

export type TransactionCoordinator = {
  /** A producer id; under a transactional id the epoch goes up, and whoever had it before is fenced. */
  init(transactional_id: string | null, timeout_ms: number): { readonly producer_id: number; readonly epoch: number } | Refusal
  add(transactional_id: string, producer_id: number, epoch: number, at: TopicPartition): Refusal | null
  end(transactional_id: string, producer_id: number, epoch: number, how: 'commit' | 'abort'): Refusal | null
  /** Whether the partition is part of the producer's open transaction (KIP-890). */
  verifies(producer_id: number, epoch: number, at: TopicPartition): boolean
  /** Requests are refused for so long. */
  move(duration_ms: number): void
}

type Mark = (at: TopicPartition, producer_id: number, epoch: number, marker: 'commit' | 'abort', done: () => void) => void

const marker_ms = 0.5
const marker_late_ms = 120

export const openTransactionCoordinator = (scheduler: Scheduler, weather: Weather, mark: Mark): TransactionCoordinator => {
  const transactions = new Map<string, Transaction>()
  const by_producer = new Map<number, Transaction>()
  let next_id = 1000
  let moving_until = 0

  const complete = (of: Transaction, how: 'commit' | 'abort') => {
    of.state = how === 'commit' ? 'committing' : 'aborting'
    of.expires()
    const places = [...of.places.values()]
    let left = places.length
    const done = () => {
      if (--left > 0) return
      of.state = 'empty'
      of.places.clear()
      of.ended = how
    }
    if (places.length === 0) {
      left = 1
      return done()
    }
    const { producer_id, epoch } = of
    // Each leader gets its marker by itself: readers of one partition may see the transaction before readers of another do.
    for (const at of places) {
      const late = weather.strikes('markers_late') ? weather.uniform() * marker_late_ms : 0
      scheduler.after(marker_ms + weather.uniform() + late, null, () => mark(at, producer_id, epoch, how, done))
    }
  }

  const moving = (): Refusal | null => (scheduler.now_ms() < moving_until ? { refused: 'COORDINATOR_LOAD_IN_PROGRESS' } : null)

  const checked = (id: string, producer_id: number, epoch: number): Transaction | Refusal => {
    const of = transactions.get(id)
    if (of === undefined || of.producer_id !== producer_id) return { refused: 'INVALID_PRODUCER_ID_MAPPING' }
    return of.epoch === epoch ? of : { refused: 'INVALID_PRODUCER_EPOCH' }
  }

  return {
    init: (id, timeout_ms) => {
      const refused = moving()
      if (refused !== null) return refused
      if (id === null) return { producer_id: next_id++, epoch: 0 }
      let of = transactions.get(id)
      if (of === undefined) {
        of = {
          producer_id: next_id++,
          epoch: -1,
          state: 'empty',
          ended: null,
          places: new Map(),
          timeout_ms,
          expires: () => undefined,
        }
        transactions.set(id, of)
        by_producer.set(of.producer_id, of)
      }
      if (of.state === 'ongoing') {
        // The old owner is fenced by the epoch its abort markers carry.
        of.epoch++
        complete(of, 'abort')
        return { refused: 'CONCURRENT_TRANSACTIONS' }
      }
      if (of.state !== 'empty') return { refused: 'CONCURRENT_TRANSACTIONS' }
      of.epoch++
      of.ended = null
      of.timeout_ms = timeout_ms
      return { producer_id: of.producer_id, epoch: of.epoch }
    },
    add: (id, producer_id, epoch, at) => {
      const refused = moving()
      if (refused !== null) return refused
      const of = checked(id, producer_id, epoch)
      if ('refused' in of) return of
      if (of.state === 'committing' || of.state === 'aborting') return { refused: 'CONCURRENT_TRANSACTIONS' }
      if (of.state === 'empty') {
        of.state = 'ongoing'
        of.ended = null
        of.expires = scheduler.after(of.timeout_ms, null, () => {
          if (of.state !== 'ongoing') return
          of.epoch++
          complete(of, 'abort')
        })
      }
      of.places.set(placeName(at), at)
      return null
    },
    end: (id, producer_id, epoch, how) => {
      const refused = moving()
      if (refused !== null) return refused
      const of = checked(id, producer_id, epoch)
      if ('refused' in of) return of
      if (of.state === 'ongoing') {
        complete(of, how)
        return null
      }
      const ending = of.state === 'committing' ? 'commit' : of.state === 'aborting' ? 'abort' : of.ended
      if (ending === null) return { refused: 'INVALID_TXN_STATE' }
      if (ending !== how) return { refused: 'INVALID_TXN_STATE' }
      return of.state === 'empty' ? null : { refused: 'CONCURRENT_TRANSACTIONS' }
    },
    verifies: (producer_id, epoch, at) => {
      const of = by_producer.get(producer_id)
      if (of === undefined) return true
      // An older epoch is refused by the partition itself.
      return of.epoch > epoch || (of.state === 'ongoing' && of.places.has(placeName(at)))
    },
    move: (duration_ms) => {
      moving_until = scheduler.now_ms() + duration_ms
    },
  }
}
