/** Bad days by name: what strikes and when is written out, and every checker must have nothing to say afterwards. */
import { beforeAll, expect, test } from '@jest/globals'
import { runSeed } from './seed.ts'
import type { FaultName } from './weather.ts'
import { openWorkshop, type Workshop } from './workshop.ts'

let workshop: Workshop
beforeAll(async () => {
  workshop = await openWorkshop()
})

type Day = {
  readonly name: string
  readonly seed: number
  readonly script: readonly (readonly [at_ms: number, fault: FaultName])[]
  /** What must have happened for the day to have been that bad. */
  readonly saw?: string
}

const days: readonly Day[] = [
  {
    name: 'an owner sleeps beyond its session, another takes over, and the sleeper wakes with a batch in hand',
    seed: 4,
    script: [
      [1_000, 'frozen_long'],
      [4_800, 'frozen_long'],
    ],
  },
  {
    name: 'a member that its group has given up works on, deaf to the coordinator, while the new owner restores',
    seed: 4,
    script: [
      [500, 'deafened'],
      [2_500, 'deafened'],
    ],
  },
  {
    name: 'killed in the middle, killed again while it restores, and once more',
    seed: 2,
    script: [
      [2_000, 'killed'],
      [2_300, 'killed'],
      [2_600, 'killed'],
      [2_900, 'killed'],
    ],
  },
  {
    name: 'the group’s offsets are gone when an owner dies: the position of the changelog counts',
    seed: 5,
    script: [
      [2_990, 'position_lost'],
      [3_000, 'killed'],
      [3_010, 'position_lost'],
    ],
  },
  {
    name: 'changelogs are compacted while nobody owns them',
    seed: 6,
    script: [
      [3_000, 'killed'],
      [3_010, 'compacted'],
      [4_500, 'killed'],
      [4_510, 'compacted'],
    ],
    saw: 'compaction hid records',
  },
  {
    name: 'the index is restored from an old snapshot, and then forgets its last writes too',
    seed: 7,
    script: [
      [1_000, 'index_rolled_back'],
      [4_000, 'index_rolled_back'],
      [5_500, 'index_forgot'],
    ],
    saw: 'the index went back to a snapshot',
  },
  {
    name: 'records are deleted before a dead reader comes back: it stops, and goes on when it is told to',
    seed: 8,
    script: [
      [2_500, 'killed'],
      [2_700, 'killed'],
      [2_900, 'frozen_long'],
      [5_000, 'records_expired'],
      [5_050, 'records_expired'],
      [5_100, 'records_expired'],
      [5_150, 'records_expired'],
    ],
    saw: 'stopped at a gap',
  },
  {
    name: 'a topic is made anew while its reader reaches no broker, and has outgrown the position when it does',
    seed: 12,
    script: [
      [1_500, 'cut_off'],
      [1_700, 'topic_recreated'],
      [1_710, 'topic_recreated'],
    ],
    saw: 'stopped at a gap',
  },
  {
    name: 'the coordinators move while the group is rebalanced and a member stops for good',
    seed: 9,
    script: [
      [2_000, 'rebalanced'],
      [2_020, 'coordinator_moved'],
      [2_030, 'stopped'],
      [2_500, 'rebalanced'],
      [2_510, 'rebalanced'],
    ],
    saw: 'stopped cleanly in a storm',
  },
  {
    name: 'clocks run hours apart and one goes back in the middle of a batch',
    seed: 10,
    script: [
      [500, 'clock_off'],
      [1_500, 'clock_off'],
      [2_500, 'clock_back'],
      [3_500, 'killed'],
    ],
  },
]

for (const { name, seed, script, saw } of days)
  test(name, async () => {
    const { violations, faults, sometimes } = await runSeed(workshop, seed, {
      events: 120,
      keep_trace: false,
      script: script.map(([at_ms, fault]) => ({ at_ms, fault })),
      turn: () => new Promise((resolve) => setImmediate(resolve)),
    })
    expect(violations).toEqual([])
    for (const [, fault] of script) expect(faults.get(fault)).toBeGreaterThan(0)
    if (saw !== undefined) expect([...sometimes]).toContain(saw)
  })
