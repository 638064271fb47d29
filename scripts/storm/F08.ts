/** F08: the vector index refuses, falls silent, fails and dawdles, and comes back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exactlyOnce, look, profilesAsClean } from './check.ts'
import { type Mode, openFaulty } from './faulty.ts'
import { indexAsLog } from './index-check.ts'
import { openLoad } from './load.ts'
import type { Usage } from './member.ts'
import { atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

const modes: readonly (readonly [string, Mode])[] = [
  ['refused', { how: 'refuse' }],
  ['blackhole', { how: 'blackhole' }],
  ['HTTP 500', { how: 'answer', status: 500, type: 'application/json', body: '{"status":{"error":"storm"}}' }],
  ['HTTP 429', { how: 'answer', status: 429, type: 'application/json', body: '{"status":{"error":"too many requests"}}' }],
  ['slow', { how: 'slow', delay_ms: 10_000 }],
]

export const F08: Scenario = {
  id: 'F08',
  title: 'Qdrant outage',
  written: '60 s refused, 60 s blackhole without RST, 60 s HTTP 500, 429 and slow 10 s',
  short: false,
  run: async (storm) => {
    const { say } = storm
    const qdrant = await storm.qdrant()
    if (qdrant === undefined) return { skipped: 'no `qdrant` binary on PATH' }
    const size = sized(storm, {
      short: { seconds: 5, events_per_s: 40, shoppers: 50, partitions: 2 },
      default: { seconds: 10, events_per_s: 20, shoppers: 150, partitions: 2 },
      full: { seconds: 60, events_per_s: 300, shoppers: 5_000, partitions: 6 },
    })
    const faulty = await openFaulty(qdrant)
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize', 'index', 'learn', 'index-users', 'recommend'],
      qdrant: faulty.url,
    })
    const member = site.member('a')
    const usages: Usage[] = []
    const injected: Record<string, string> = {}
    let slowest_s = 0
    let ready_slowest_s = 0
    let told = 0
    try {
      await site.fillIndex()
      member.start()
      await member.ready()
      const load = openLoad(site, { total: Number.MAX_SAFE_INTEGER, events_per_s: size.events_per_s, shoppers: size.shoppers })
      // Memory and descriptors are compared once everything has been used once.
      await sleep(8_000)
      usages.push(member.usage()!)
      for (const [name, mode] of modes) {
        await faulty.set(mode)
        const began_ms = performance.now()
        let unready_s: number | undefined
        while (performance.now() - began_ms < size.seconds * 1000) {
          if (unready_s === undefined) {
            const answer = await fetch(`${member.http()}/readyz`, { signal: AbortSignal.timeout(6_000) }).catch(() => undefined)
            if (answer?.status === 503) unready_s = (performance.now() - began_ms) / 1000
          }
          await sleep(250)
        }
        ready_slowest_s = Math.max(ready_slowest_s, unready_s ?? Number.POSITIVE_INFINITY)
        if (unready_s !== undefined) told++
        await faulty.set({ how: 'pass' })
        const healed_ms = performance.now()
        while (performance.now() - healed_ms < 130_000 && !storm.patience.aborted) {
          if ((await site.lag()) <= 2 * size.events_per_s) break
          await sleep(300)
        }
        const recovered_s = (performance.now() - healed_ms) / 1000
        slowest_s = Math.max(slowest_s, recovered_s)
        const usage = member.usage()
        if (usage !== undefined) usages.push(usage)
        injected[name] = `${size.seconds} s`
        say(
          `${name} ${size.seconds} s: unready after ${unready_s?.toFixed(1) ?? '-'} s, recovered ${recovered_s.toFixed(1)} s after; ${usage?.rss_mb} MB, ${usage?.descriptors} descriptors`,
        )
        if (!member.alive()) break
      }
      load.stop()
      await load.done
      const alive = member.alive()
      if (!alive) member.start()
      const seconds = await site.drained()
      await sleep(3_000)
      const last = member.usage()!
      const exit = await member.term()
      const seen = await look(site)
      const first = usages[0]!
      return {
        ran: `${size.seconds} s each; ${load.published()} events, 1 member with index, learn, index-users and recommend`,
        injected,
        checks: [
          ...exactlyOnce(seen, load.published()),
          ...(await profilesAsClean(site, seen)),
          ...(await indexAsLog(site)),
          atMost('slowest recovery', slowest_s, 120, ' s'),
          atMost('readiness false after', ready_slowest_s, 5, ' s'),
          says('outages that readiness tells', told === modes.length, `${told} of ${modes.length}`),
          atMost('descriptors, last over first', last.descriptors - first.descriptors, Math.max(10, first.descriptors * 0.1)),
          atMost('resident memory, last over first', last.rss_mb / first.rss_mb, 1.5),
          says('the member lived through it', alive),
          says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)),
          zero('dead letters', seen.dead.length),
        ],
        notes: [
          'blackhole: a relay in this program that neither reads nor answers nor resets',
          `index.unavailable declared ${member.count('index.unavailable')} times`,
          `memory ${usages.map((usage) => usage.rss_mb).join(', ')}, ${last.rss_mb} MB; descriptors ${usages.map((usage) => usage.descriptors).join(', ')}, ${last.descriptors}`,
          `lag 0 after ${seconds.toFixed(1)} s`,
        ],
      }
    } finally {
      await member.kill9()
      await site.close()
      await faulty.close()
    }
  },
}
