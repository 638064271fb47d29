/** F07: a member frozen beyond its session at work, whose partitions move on without it, and which thaws as if nothing had been. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { openLoad } from './load.ts'
import { atLeast, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

export const F07: Scenario = {
  id: 'F07',
  title: 'zombie: frozen beyond the session, thawed',
  written: 'frozen 90 s, new owner advances 5,000, 20 times',
  short: true,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { freezes: 2, frozen_s: 9, advance: 200, events_per_s: 150, shoppers: 150, partitions: 3 },
      default: { freezes: 4, frozen_s: 10, advance: 600, events_per_s: 250, shoppers: 500, partitions: 4 },
      full: { freezes: 20, frozen_s: 90, advance: 5_000, events_per_s: 800, shoppers: 5_000, partitions: 12 },
    })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'learn'],
      more: { stages: { canonicalize: { records_max: 20, linger_ms: 5 }, learn: { records_max: 20, linger_ms: 5 } } },
    })
    const members = ['a', 'b'].map((name) => site.member(name))
    let advanced_least = Number.POSITIVE_INFINITY
    let rounds_refused = 0
    let refused = 0
    try {
      for (const member of members) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      for (let round = 0; round < size.freezes; round++) {
        const zombie = members[round % 2]!
        await sleep(chance.between(2_000, 3_000))
        const from = zombie.logged()
        zombie.signal('SIGSTOP')
        const before = load.published()
        const began_ms = performance.now()
        // The session must be over, and the new owner well ahead.
        while (performance.now() - began_ms < size.frozen_s * 1000) await sleep(200)
        let behind = await site.lag()
        for (let tries = 0; behind > size.events_per_s && tries < 40; tries++) {
          await sleep(500)
          behind = await site.lag()
        }
        const advanced = load.published() - before - behind
        advanced_least = Math.min(advanced_least, advanced)
        zombie.signal('SIGCONT')
        await sleep(4_000)
        const gone = zombie.count('task.fenced', from)
        refused += gone
        if (gone > 0) rounds_refused++
        say(
          `freeze ${round + 1} of ${size.freezes}: the new owner advanced ${advanced}, ${gone} tasks of the zombie were refused`,
        )
      }
      load.stop()
      await load.done
      const seconds = await site.drained()
      const exits = await Promise.all(members.map((member) => member.term()))
      const seen = await look(site)
      return {
        ran: `frozen ${size.frozen_s} s (session 6 s), new owner advances at least ${advanced_least}, ${size.freezes} times; ${load.published()} events`,
        injected: { SIGSTOP: size.freezes, SIGCONT: size.freezes },
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          atLeast('new owner advanced', advanced_least, size.advance),
          atLeast('rounds in which a stale write was refused', rounds_refused, 1),
          says(
            'exit 0',
            exits.every(({ code }) => code === 0),
            exits.map(({ code, signal }) => code ?? signal).join(', '),
          ),
          zero('dead letters', seen.dead.length),
        ],
        notes: [`${refused} stale tasks fenced`, `lag 0 after ${seconds.toFixed(1)} s`],
      }
    } finally {
      for (const member of members) member.signal('SIGCONT')
      await Promise.all(members.map((member) => member.kill9()))
      await site.close()
    }
  },
}
