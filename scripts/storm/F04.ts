/** F04: brokers of a cluster of three killed and restarted, the leaders chased, while members and a producer work. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { openLoad } from './load.ts'
import { leadersOf } from './read.ts'
import { atLeast, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

export const F04: Scenario = {
  id: 'F04',
  title: 'broker restarts, leaders chased',
  written:
    '3 brokers RF3 minISR2, 20 restarts (10 kill -9, 10 clean), 5 of them chasing a leader; 200k keyed and 200k over 6 partitions',
  short: false,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { restarts: 2, events_per_s: 80, shoppers: 100, partitions: 3 },
      default: { restarts: 4, events_per_s: 120, shoppers: 400, partitions: 6 },
      full: { restarts: 20, events_per_s: 1_000, shoppers: 5_000, partitions: 12 },
    })
    const kafka = await storm.kafka(3)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'learn'],
    })
    const members = ['a', 'b'].map((name) => site.member(name))
    const injected: Record<string, number> = {}
    let restarted = 0
    try {
      for (const member of members) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      for (let round = 0; round < size.restarts; round++) {
        await sleep(chance.between(1_000, 3_000))
        const chase = round % 3 === 2
        const clean = round % 2 === 1
        let broker = chance.between(0, 2)
        if (chase) broker = ((await leadersOf(kafka.brokers, site.interactions))[0] ?? 1) - 1
        const what = `${clean ? 'clean stop' : 'SIGKILL'} of ${chase ? 'the leader' : 'a broker'}`
        injected[what] = (injected[what] ?? 0) + 1
        const before = load.published()
        if (clean) await kafka.stopOne(broker)
        else await kafka.kill9(broker)
        await sleep(chance.between(500, 2_500))
        await kafka.restart()
        say(
          `restart ${round + 1} of ${size.restarts}: ${what}; ${load.published()} published, ${load.published() - before} of them meanwhile`,
        )
        for (const member of members)
          if (!member.alive()) {
            // As its supervisor would.
            restarted++
            member.start()
          }
      }
      await sleep(2_000)
      load.stop()
      await load.done
      const seconds = await site.drained(undefined, 180)
      const exits = await Promise.all(members.map((member) => member.term()))
      const seen = await look(site)
      return {
        ran: `3 brokers RF3 minISR2, ${size.restarts} restarts, ${load.published()} events over ${size.partitions} partitions, 2 members`,
        injected,
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          atLeast(
            'brokers restarted',
            Object.values(injected).reduce((sum, n) => sum + n, 0),
            size.restarts,
          ),
          zero('members that ended by themselves', restarted),
          says(
            'exit 0',
            exits.every(({ code }) => code === 0),
            exits.map(({ code, signal }) => code ?? signal).join(', '),
          ),
          zero('dead letters', seen.dead.length),
        ],
        notes: [
          `${load.retried()} appends tried again by the producer, ${seen.sent_again} events twice in the source topic, dropped as duplicates`,
          `lag 0 after ${seconds.toFixed(1)} s`,
        ],
      }
    } finally {
      await Promise.all(members.map((member) => member.kill9()))
      await kafka.restart()
      await site.close()
    }
  },
}
