/** F05: a broker of three that is there but does not answer: SIGSTOP for less and for more than the sessions last. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { openLoad } from './load.ts'
import { leadersOf } from './read.ts'
import { atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

export const F05: Scenario = {
  id: 'F05',
  title: 'a broker frozen',
  written: '3 brokers RF3 minISR2, one SIGSTOPped for 10, 35 and 70 s, below and above the session time-out',
  short: false,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { frozen_s: [4], events_per_s: 80, shoppers: 100, partitions: 3 },
      default: { frozen_s: [4, 10, 18], events_per_s: 120, shoppers: 400, partitions: 6 },
      full: { frozen_s: [10, 35, 70], events_per_s: 1_000, shoppers: 5_000, partitions: 12 },
    })
    const kafka = await storm.kafka(3)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'learn'],
    })
    const members = ['a', 'b'].map((name) => site.member(name))
    let restarted = 0
    let frozen: number | undefined
    let longest_s = 0
    try {
      for (const member of members) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      for (const [round, seconds] of size.frozen_s.entries()) {
        await sleep(chance.between(1_500, 3_000))
        // The first and the last are leaders, whose silence is felt most.
        const leaders = await leadersOf(kafka.brokers, site.interactions)
        const broker = round % 2 === 0 ? leaders[0]! - 1 : chance.between(0, 2)
        frozen = kafka.pids()[broker]!
        process.kill(frozen, 'SIGSTOP')
        await sleep(seconds * 1000)
        process.kill(frozen, 'SIGCONT')
        frozen = undefined
        const thawed_ms = performance.now()
        const before = load.published()
        // Recovered: the pipeline is within two seconds of the producer again.
        while (performance.now() - thawed_ms < 120_000 && !storm.patience.aborted) {
          const lag = await site.lag().catch(() => Number.POSITIVE_INFINITY)
          if (lag <= 2 * size.events_per_s && load.published() > before) break
          await sleep(500)
        }
        const recovered_s = (performance.now() - thawed_ms) / 1000
        longest_s = Math.max(longest_s, recovered_s)
        say(
          `broker ${broker + 1} frozen ${seconds} s; within 2 s of the producer again ${recovered_s.toFixed(1)} s after the thaw`,
        )
        for (const member of members)
          if (!member.alive()) {
            restarted++
            member.start()
          }
      }
      load.stop()
      await load.done
      const seconds = await site.drained(undefined, 180)
      const exits = await Promise.all(members.map((member) => member.term()))
      const seen = await look(site)
      return {
        ran: `a broker frozen for ${size.frozen_s.join(', ')} s (sessions of members and brokers 6 s), ${load.published()} events over ${size.partitions} partitions`,
        injected: { 'SIGSTOP of a broker': size.frozen_s.length },
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          atMost('recovered after the thaw', longest_s, 120, ' s'),
          zero('members that ended by themselves', restarted),
          says(
            'exit 0',
            exits.every(({ code }) => code === 0),
            exits.map(({ code, signal }) => code ?? signal).join(', '),
          ),
          zero('dead letters', seen.dead.length),
        ],
        notes: [`${load.retried()} appends tried again by the producer`, `lag 0 after ${seconds.toFixed(1)} s`],
      }
    } finally {
      if (frozen !== undefined) process.kill(frozen, 'SIGCONT')
      await Promise.all(members.map((member) => member.kill9()))
      await site.close()
    }
  },
}
