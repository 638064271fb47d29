/** F23: members told to stop at random instants under load, twice in a row, and while the group rebalances. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { openLoad } from './load.ts'
import { atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

const ways = ['at random', 'while starting', 'twice', 'in a rebalance'] as const

export const F23: Scenario = {
  id: 'F23',
  title: 'SIGTERM at random, twice, in a rebalance',
  written: '200 SIGTERM; exit 0 within 25 s, nothing redelivered beyond what was in flight',
  short: false,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { stops: 4, events_per_s: 100, shoppers: 100, partitions: 3 },
      default: { stops: 7, events_per_s: 150, shoppers: 400, partitions: 3 },
      full: { stops: 200, events_per_s: 500, shoppers: 5_000, partitions: 12 },
    })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'learn'],
      more: { stages: { canonicalize: { records_max: 40, linger_ms: 5 }, learn: { records_max: 40, linger_ms: 5 } } },
    })
    const members = ['a', 'b'].map((name) => site.member(name))
    const injected: Record<string, number> = {}
    const wrong: string[] = []
    let longest_s = 0
    let cut_short = 0
    let unbegun = 0
    try {
      for (const member of members) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      for (let stop = 0; stop < size.stops; stop++) {
        const way = ways[stop % ways.length]!
        const victim = members[stop % 2]!
        const other = members[(stop + 1) % 2]!
        await Promise.all(members.map((member) => member.ready()))
        await sleep(chance.between(0, 1_500))
        let started_at = 0
        if (way === 'while starting') {
          // Stopped and started again: the second stop meets a process that is still joining.
          await victim.term()
          started_at = victim.logged()
          victim.start()
          await sleep(chance.between(800, 3_000))
        }
        if (way === 'in a rebalance') {
          other.signal('SIGTERM')
          await sleep(chance.between(20, 300))
        }
        const from = victim.logged()
        const ending = victim.term()
        let hurried = false
        if (way === 'twice') {
          await sleep(chance.between(310, 600))
          hurried = victim.alive()
          victim.signal('SIGTERM')
        }
        const exit = await ending
        longest_s = Math.max(longest_s, exit.seconds)
        injected[`SIGTERM ${way}`] = (injected[`SIGTERM ${way}`] ?? 0) + 1
        // A second signal in its very last moment, when all is done and Node no longer listens, ends it as it ends any program.
        const at_the_end = exit.signal === 'SIGTERM' && victim.count('run.stopped', from) > 0
        // While it still loads its sources nothing has begun that would have to be ended.
        const nothing_begun = exit.signal === 'SIGTERM' && victim.count('task.assigned', started_at) === 0
        if (hurried && (exit.code === 75 || at_the_end)) cut_short++
        else if (nothing_begun) unbegun++
        else if (exit.code !== 0) wrong.push(`${way}: ${exit.code ?? exit.signal}`)
        say(`stop ${stop + 1} of ${size.stops}, ${way}: ${exit.code ?? exit.signal} after ${exit.seconds.toFixed(2)} s`)
        if (!victim.alive()) victim.start()
        if (way === 'in a rebalance') {
          const left = await other.exited()
          if (left.code !== 0) wrong.push(`${way}, the other: ${left.code ?? left.signal}`)
          other.start()
        }
      }
      load.stop()
      await load.done
      await Promise.all(members.map((member) => member.ready()))
      await site.drained()
      for (const exit of await Promise.all(members.map((member) => member.term())))
        if (exit.code !== 0) wrong.push(`the last: ${exit.code ?? exit.signal}`)
      const seen = await look(site)
      const forced = members.reduce((sum, member) => sum + member.count('task.restoring'), 0)
      return {
        ran: `${size.stops} stops of 2 members; ${load.published()} events, ${size.partitions} partitions`,
        injected,
        checks: [
          says(
            'exit 0, or cut short by the second SIGTERM, or ended before it began',
            wrong.length === 0,
            wrong.join('; ') || `all; ${cut_short} cut short, ${unbegun} before anything had begun`,
          ),
          atMost('longest stop', longest_s, 25, ' s'),
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          zero('dead letters', seen.dead.length),
        ],
        notes: [`tasks restored from the log ${forced} times`],
      }
    } finally {
      await Promise.all(members.map((member) => member.kill9()))
      await site.close()
    }
  },
}
