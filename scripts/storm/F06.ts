/** F06: members that join and leave all the time, with one partition whose handler is slow. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { openLoad } from './load.ts'
import { type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

export const F06: Scenario = {
  id: 'F06',
  title: 'rebalance storm',
  written: '3 consumers, join or leave every 2 to 8 s for 10 min, 60 partitions, 300k events, one slow partition',
  short: false,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { seconds: 20, events_per_s: 80, shoppers: 100, partitions: 4 },
      default: { seconds: 45, events_per_s: 150, shoppers: 400, partitions: 12 },
      full: { seconds: 600, events_per_s: 500, shoppers: 5_000, partitions: 60 },
    })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'learn'],
    })
    // One member's batches are large and late: what it has in flight is long when it must give up.
    const slow = {
      stages: { canonicalize: { records_max: 2_000, linger_ms: 2_000 }, learn: { records_max: 2_000, linger_ms: 2_000 } },
    }
    const members = [site.member('a'), site.member('b'), site.member('slow', slow)]
    const injected: Record<string, number> = {}
    const wrong: string[] = []
    try {
      members[0]!.start()
      await members[0]!.ready()
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      const ends_ms = performance.now() + size.seconds * 1000
      let moves = 0
      while (performance.now() < ends_ms) {
        const member = chance.pick(members)
        const alive = members.filter((one) => one.alive()).length
        const way = !member.alive() ? 'join' : alive === 1 ? 'stay' : chance.next() < 0.3 ? 'SIGKILL' : 'leave'
        if (way === 'join') member.start()
        else if (way === 'SIGKILL') await member.kill9()
        else if (way === 'leave') {
          const exit = await member.term()
          // A member that had not begun to listen dies of the signal.
          if (exit.code !== 0 && exit.signal !== 'SIGTERM') wrong.push(String(exit.code ?? exit.signal))
        }
        if (way !== 'stay') {
          moves++
          injected[way] = (injected[way] ?? 0) + 1
          say(`${member.name} ${way}; ${load.published()} published`)
          await sleep(chance.between(2_000, storm.size === 'full' ? 8_000 : 5_000))
        }
      }
      load.stop()
      await load.done
      for (const member of members) if (!member.alive()) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const seconds = await site.drained()
      for (const exit of await Promise.all(members.map((member) => member.term())))
        if (exit.code !== 0) wrong.push(String(exit.code ?? exit.signal))
      const seen = await look(site)
      return {
        ran: `3 members, ${moves} joins and leaves in ${size.seconds} s, ${size.partitions} partitions, ${load.published()} events, one member with 2 s batches`,
        injected,
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          says('exit 0', wrong.length === 0, wrong.join(', ') || 'all'),
          zero('dead letters', seen.dead.length),
        ],
        notes: [
          `${members.reduce((sum, member) => sum + member.count('task.assigned'), 0)} assignments, ${members.reduce((sum, member) => sum + member.count('task.fenced'), 0)} tasks fenced`,
          `lag 0 after ${seconds.toFixed(1)} s`,
        ],
      }
    } finally {
      await Promise.all(members.map((member) => member.kill9()))
      await site.close()
    }
  },
}
