/** behavior.interactions.v1 -> users.profiles.v1: every interaction moves its user's vectors; one user's in the log's order. */
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Profile } from '../domain/profile.ts'
import type { Vector } from '../domain/vector.ts'
import type { CausedChange, Dropped, Emit, Processor } from '../flow/processor.ts'
import type { Topic } from '../flow/topic.ts'
import { fold, type LearnSettings, stranger, weightOf } from './fold.ts'
import {
  decodeProfile,
  decodeWaiting,
  encodeProfile,
  encodeWaiting,
  profileKey,
  waiting_count_key,
  waiting_prefix,
  waitingKey,
} from './state.ts'

export const learn_drops = ['exposure', 'no_item', 'teaches_nothing', 'tombstone', 'item_gone'] as const

type Reads = {
  readonly model_digest: string
  readonly profile: (user_key: string) => Profile | undefined
  /** The interactions that have waited longest, and how many wait in all. */
  readonly waiting: (limit: number) => {
    readonly oldest: readonly (readonly [key: string, value: Buffer])[]
    readonly count: number
  }
  /** Item vectors that are in the index; deleted and unknown items are absent. */
  readonly vectors: (item_ids: readonly string[]) => Promise<ReadonlyMap<string, Vector>>
}

/** How many waiting interactions are looked at in one batch. */
const waiting_slice = 500

export const learn = (profiles: Topic<Profile>, settings: LearnSettings): Processor<Interaction, Reads> => ({
  name: 'learn',
  does: 'moves a user’s vectors with every interaction',
  drops: learn_drops,
  wakes_ms: 1_000,
  entered_at: (emit) => (emit.value as Profile | null)?.last_received_at ?? null,
  reads: (ports, state) => ({
    model_digest: ports.embedder.model.digest,
    profile: (user_key) => {
      const bytes = state.get(profileKey(user_key))
      return bytes === undefined ? undefined : decodeProfile(bytes)
    },
    waiting: (limit) => ({
      oldest: state.entries(waiting_prefix, limit),
      count: Number(state.get(waiting_count_key)?.toString('utf8') ?? 0),
    }),
    vectors: async (item_ids) => {
      const found = new Map<string, Vector>()
      for (const [id, point] of await ports.index.points('items', item_ids))
        if (point.vector !== null) found.set(id, point.vector)
      return found
    },
  }),
  run: async (batch, reads) => {
    const dropped: Dropped[] = []
    const state: CausedChange[] = []
    const waiting = reads.waiting(waiting_slice)
    let waiting_count = waiting.count
    const parked = waiting.oldest.map(([key, value]) => ({ key, ...decodeWaiting(value) }))

    const taught = batch.records.flatMap((record) => {
      const value = record.value
      const drop = (reason: (typeof learn_drops)[number]) => {
        dropped.push({ at: record.offset, reason })
        return []
      }
      if (value === null) return drop('tombstone')
      if (value.type === 'VIEW_LIST') return drop('exposure')
      if (value.item_id === null) return drop('no_item')
      if (weightOf(value, settings.weights) === 0 && value.type !== 'PURCHASE') return drop('teaches_nothing')
      return [{ record, interaction: value, item_id: value.item_id }]
    })

    const wanted = new Set([...taught.map((entry) => entry.item_id), ...parked.map((entry) => entry.interaction.item_id!)])
    const vectors = wanted.size === 0 ? new Map<string, Vector>() : await reads.vectors([...wanted])

    const moved = new Map<string, { profile: Profile; causes: number[] }>()
    const apply = (interaction: Interaction, vector: Vector, cause: number | null) => {
      const before = moved.get(interaction.user_key)
      const known = before?.profile ?? reads.profile(interaction.user_key)
      const profile =
        known !== undefined && known.model_digest === reads.model_digest
          ? known
          : stranger(interaction.user_key, reads.model_digest)
      const causes = before?.causes ?? []
      if (cause !== null) causes.push(cause)
      moved.set(interaction.user_key, { profile: fold(profile, interaction, vector, settings), causes })
    }

    for (const entry of parked) {
      const vector = vectors.get(entry.interaction.item_id!)
      if (vector !== undefined) apply(entry.interaction, vector, null)
      else if (batch.now_ms - entry.since_ms < settings.join_wait_ms) continue
      else {
        const fault = new Fault(
          'join.missing',
          `Item ${entry.interaction.item_id} was not indexed within ${settings.join_wait_ms / 1000} s.`,
        )
        dropped.push({ at: entry.offset, fault, original: { key: entry.interaction.user_key, bytes: entry.bytes } })
      }
      waiting_count--
      state.push({ key: entry.key, value: null })
    }

    for (const { record, interaction, item_id } of taught) {
      const vector = vectors.get(item_id)
      if (vector !== undefined) apply(interaction, vector, record.offset)
      else if (settings.unknown_item === 'drop') dropped.push({ at: record.offset, reason: 'item_gone' })
      else if (waiting_count < settings.join_waiting_max) {
        waiting_count++
        const entry = { interaction, offset: record.offset, since_ms: batch.now_ms, bytes: record.bytes }
        state.push({ key: waitingKey(batch.now_ms, record.offset), value: encodeWaiting(entry), causes: [record.offset] })
      } else
        dropped.push({
          at: record.offset,
          fault: new Fault(
            'join.missing',
            `Item ${item_id} is not indexed, and ${settings.join_waiting_max} interactions wait already.`,
          ),
        })
    }

    if (waiting_count !== waiting.count) state.push({ key: waiting_count_key, value: Buffer.from(String(waiting_count), 'utf8') })

    const emit: Emit[] = []
    for (const [user_key, { profile, causes }] of moved) {
      state.push({ key: profileKey(user_key), value: encodeProfile(profile) })
      emit.push({ to: profiles, key: user_key, value: profile, causes })
    }
    return { emit, state, dropped }
  },
})
