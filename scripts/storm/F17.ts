/** F17: no space left under the embedded log, its state and its index, at several points; space comes back. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runTool } from '../servers/daemon.ts'
import { digestOf, latestOf } from './clean.ts'
import { counterOf, openEmbedded } from './embedded.ts'
import { atLeast, atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { sharedCatalogue } from './site.ts'

const stages = ['canonicalize', 'learn', 'index-users', 'recommend']
const topics = ['source.segment.events', 'behavior.interactions.v1', 'users.profiles.v1', 'recommendations.v1', 'dead-letters.v1']

export const F17: Scenario = {
  id: 'F17',
  title: 'disk full, embedded',
  written: 'disk full at 7 points on a 64 MB tmpfs, released after 30 s; no restart needed',
  short: false,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { points: 2, held_s: 3, events: 1_500, shoppers: 60 },
      default: { points: 7, held_s: 3, events: 12_000, shoppers: 200 },
      full: { points: 14, held_s: 30, events: 30_000, shoppers: 1_000 },
    })
    const disk = join(storm.folder, 'disk')
    mkdirSync(disk)
    const mounted = await runTool('mount', ['-t', 'tmpfs', '-o', 'size=384m', 'tmpfs', disk]).then(
      () => undefined,
      (error: Error) => error.message.split('\n')[0],
    )
    if (mounted !== undefined) return { skipped: `a small file system cannot be mounted here (needs root): ${mounted}` }
    // Also where the program ends without coming back here.
    const unmount = () => void spawnSync('umount', ['-l', disk])
    process.once('exit', unmount)
    const filler = join(disk, 'filler')
    const free = () => {
      const { bavail, bsize } = statfsSync(disk)
      return bavail * bsize
    }
    const stormy = openEmbedded(storm.folder, join(disk, 'data'), 'stormy')
    // Small batches: many commits, so that the disk fills up before, between and in them.
    const member = stormy.member(
      stages,
      ['canonicalize', 'learn', 'index', 'recommend'].map((stage) => `stages.${stage}.records_max=8`),
    )
    let full = 0
    let longest_s = 0
    try {
      const shared = await sharedCatalogue(join(storm.folder, '..'))
      shared.copyTo(stormy.data)
      await stormy.publishEvents(size.events, size.shoppers)
      const clean_data = join(storm.folder, 'clean-data')
      cpSync(stormy.data, clean_data, { recursive: true })

      member.start()
      await member.ready()
      const done = async () => (await counterOf(member, 'entrepot_records_consumed_total')) >= 0 && (await lag()) === 0
      const lag = () => counterOf(member, 'entrepot_consumer_lag_records')
      let points = 0
      for (; points < size.points && member.alive(); points++) {
        await sleep(chance.between(50, 250))
        const from = member.logged()
        // Some kilobytes are left, so that another write is the first to fail each time.
        const left = chance.between(0, 16) * 4_096
        // The member takes space meanwhile.
        for (let tries = 0; tries < 20; tries++) {
          const bytes = Math.max(4_096, free() - left)
          const taken = await runTool('fallocate', ['-l', String(bytes), filler]).then(
            () => true,
            () => false,
          )
          if (taken) break
        }
        const began_ms = performance.now()
        while (performance.now() - began_ms < size.held_s * 1000) await sleep(50)
        const codes = [
          ...new Set(
            member
              .lines(from)
              .flatMap(({ code }) =>
                code === 'log.full' || code === 'index.unavailable' || code === 'commit.unknown' ? [code] : [],
              ),
          ),
        ]
        if (codes.length > 0) full++
        const before = await counterOf(member, 'entrepot_records_consumed_total')
        rmSync(filler, { force: true })
        const released_ms = performance.now()
        while (performance.now() - released_ms < 40_000 && member.alive()) {
          if ((await counterOf(member, 'entrepot_records_consumed_total')) > before || (await lag()) === 0) break
          await sleep(50)
        }
        const resumed_s = (performance.now() - released_ms) / 1000
        longest_s = Math.max(longest_s, resumed_s)
        say(
          `full with ${left / 1024} KB left: ${codes.join(', ') || 'nothing failed'}; went on ${resumed_s.toFixed(1)} s after the release`,
        )
        if (await done()) break
      }
      const lived = member.alive()
      if (!lived) member.start()
      const began_ms = performance.now()
      while (performance.now() - began_ms < 120_000 && member.alive()) {
        await sleep(500)
        if (!(await done())) continue
        await sleep(1_500)
        if (await done()) break
      }
      const exit = await member.term()
      const seen = await stormy.read(topics)

      const clean = openEmbedded(storm.folder, clean_data, 'clean')
      const undisturbed = clean.member(stages)
      undisturbed.start()
      await undisturbed.ready()
      for (let quiet = 0; quiet < 3; ) {
        await sleep(500)
        quiet = (await counterOf(undisturbed, 'entrepot_consumer_lag_records')) === 0 ? quiet + 1 : 0
      }
      await undisturbed.term()
      const expected = await clean.read(topics)
      const counts = (read: typeof seen, topic: string) => read.get(topic)!.length
      const ids = seen.get('behavior.interactions.v1')!.map(({ value }) => value!.subarray(5, 50).toString('latin1'))
      const digest = digestOf(latestOf(seen.get('users.profiles.v1')!))
      const other = digestOf(latestOf(expected.get('users.profiles.v1')!))
      return {
        ran: `${points} times on a tmpfs, held ${size.held_s} s; ${size.events} events, one process, ${stages.join(', ')}`,
        injected: { 'disk full': points },
        checks: [
          says(
            'interactions',
            counts(seen, 'behavior.interactions.v1') === size.events,
            `${counts(seen, 'behavior.interactions.v1')} of ${size.events}`,
          ),
          zero('duplicated interactions', ids.length - new Set(ids).size, ids.length),
          says(
            'profiles as in the undisturbed run',
            digest === other,
            digest === other ? digest.slice(0, 12) : `${digest.slice(0, 12)} but ${other.slice(0, 12)}`,
          ),
          atLeast('times that something failed for want of space', full, Math.ceil(size.points / 2)),
          says('lived through it, no restart', lived),
          atMost('longest until it went on', longest_s, 30, ' s'),
          zero('dead letters', counts(seen, 'dead-letters.v1')),
          says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)),
        ],
        notes: [
          `declared ${member.count('log.full')} times as log.full, ${member.count('index.unavailable')} times as index.unavailable`,
        ],
      }
    } finally {
      await member.kill9()
      if (existsSync(filler)) rmSync(filler)
      process.off('exit', unmount)
      unmount()
    }
  },
}
