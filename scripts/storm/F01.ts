/** F01: members killed by SIGKILL at random and at chosen instants, and started again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { indexAsLog } from './index-check.ts'
import { openLoad } from './load.ts'
import type { Member } from './member.ts'
import { endsOf } from './read.ts'
import { atLeast, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite, type Site } from './site.ts'

/** Instants that can be seen from outside. */
const instants = [
  'at random',
  'while writing',
  'just assigned',
  'while draining',
  'while starting',
  'in a rebalance',
  'all at once',
] as const

const high = async (site: Site): Promise<number> =>
  (await endsOf(site.options.brokers, site.interactions)).reduce((sum, { high: end }) => sum + end, 0)

const until = async (what: () => boolean | Promise<boolean>, longest_ms: number): Promise<void> => {
  const began_ms = performance.now()
  while (performance.now() - began_ms < longest_ms && !(await what())) await sleep(5)
}

export const F01: Scenario = {
  id: 'F01',
  title: 'SIGKILL at random and chosen instants',
  written: '1 M events, 50k users, 12 partitions, 100 SIGKILL',
  short: true,
  run: async (storm) => {
    const { chance, say } = storm
    const size = sized(storm, {
      short: { shoppers: 150, partitions: 2, kills: 3, events_per_s: 60 },
      default: { shoppers: 600, partitions: 2, kills: 7, events_per_s: 60 },
      full: { shoppers: 50_000, partitions: 12, kills: 100, events_per_s: 1_000 },
    })
    const qdrant = await storm.qdrant()
    const all = ['canonicalize', 'embed', 'index', 'learn', 'index-users', 'recommend']
    // Without a server for the index each member has a copy of it, and what writes to the index is left out.
    const stages = qdrant === undefined ? ['canonicalize', 'learn'] : all
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages,
      qdrant,
      more: { stages: { canonicalize: { records_max: 40, linger_ms: 5 }, learn: { records_max: 40, linger_ms: 5 } } },
    })
    await site.fillIndex()
    const members = ['a', 'b'].map((name) => site.member(name))
    const injected: Record<string, number> = {}
    const defects: string[] = []
    try {
      for (const member of members) member.start()
      await Promise.all(members.map((member) => member.ready()))
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      const strike = async (instant: (typeof instants)[number], victim: Member): Promise<void> => {
        if (instant === 'all at once') return void (await Promise.all(members.map((member) => member.kill9())))
        if (instant === 'while starting') {
          await victim.kill9()
          victim.start()
          await sleep(chance.between(50, 1_500))
        } else if (instant === 'just assigned') {
          await victim.kill9()
          const from = victim.logged()
          victim.start()
          await until(() => victim.count('task.assigned', from) > 0 || !victim.alive(), 20_000)
        } else if (instant === 'while writing') {
          const before = await high(site)
          await until(async () => (await high(site)) !== before, 5_000)
        } else if (instant === 'while draining') {
          victim.signal('SIGTERM')
          await sleep(chance.between(1, 150))
        } else if (instant === 'in a rebalance') {
          const other = members.find((member) => member !== victim)!
          other.signal('SIGTERM')
          await sleep(chance.between(20, 400))
        } else await sleep(chance.between(0, 1_000))
        await victim.kill9()
      }
      for (let kill = 0; kill < size.kills; kill++) {
        const instant = instants[kill % instants.length]!
        const victim = chance.pick(members)
        for (const member of members) if (member.alive()) await Promise.race([member.ready(), sleep(15_000)])
        await strike(instant, victim)
        injected[`SIGKILL ${instant}`] = (injected[`SIGKILL ${instant}`] ?? 0) + 1
        say(`kill ${kill + 1} of ${size.kills}: ${victim.name} ${instant}; ${load.published()} published`)
        for (const member of members) {
          if (member.alive()) await Promise.race([member.exited(), sleep(instant === 'in a rebalance' ? 8_000 : 0)])
          if (!member.alive()) member.start()
        }
        await sleep(chance.between(200, 1_500))
      }
      // Time for the last ones to go on, then nothing more comes.
      await sleep(2_000)
      load.stop()
      await load.done
      const seconds = await site.drained()
      const exits = await Promise.all(members.map((member) => member.term()))
      for (const exit of exits) if (exit.code !== 0) defects.push(`exit ${exit.code ?? exit.signal}`)
      const seen = await look(site)
      return {
        ran: `${load.published()} events, ${size.shoppers} shoppers, ${size.partitions} partitions, ${size.kills} SIGKILL, 2 members`,
        injected,
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          ...(qdrant === undefined ? [] : await indexAsLog(site)),
          atLeast(
            'kills',
            Object.values(injected).reduce((sum, n) => sum + n, 0),
            size.kills,
          ),
          says('last exits', defects.length === 0, defects.join(', ') || '0'),
          zero('dead letters', seen.dead.length),
        ],
        notes: [
          `stages ${stages.join(', ')}`,
          `${seen.sent_again} events sent again by the producer`,
          `lag 0 after ${seconds.toFixed(1)} s`,
        ],
      }
    } finally {
      await Promise.all(members.map((member) => member.kill9()))
      await site.close()
    }
  },
}
