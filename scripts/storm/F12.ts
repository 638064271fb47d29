/** F12: malformed payloads of every kind among good ones, in every format. */
import { openLoadOf } from './bytes.ts'
import type { Usage } from './member.ts'
import { atLeast, atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { alteredDead, conserved, disposed, malformedOf, materialOf } from './sources.ts'

export const F12: Scenario = {
  id: 'F12',
  title: 'malformed payloads, 1 to 9 good ones',
  written: '10,000 malformed payloads of 40+ kinds mixed 1:9 with good, each format',
  short: false,
  run: async (storm) => {
    const size = sized(storm, {
      short: { bad: 120, partitions: 2 },
      default: { bad: 1_000, partitions: 2 },
      full: { bad: 10_000, partitions: 6 },
    })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: size.partitions,
      stages: ['canonicalize'],
      platforms: ['abt', 'buy', 'google_products', 'harddrivesdirect', 'online_retail'],
      more: { canonicalize: { late_after_days: 0 } },
    })
    const member = site.member('a')
    try {
      member.start()
      await member.ready()
      const bad = await malformedOf(site, size.bad)
      const material = await materialOf(site)
      const usages: Usage[] = []
      const load = await openLoadOf(site, material, bad, 9, () => {
        const usage = member.usage()
        if (usage !== undefined) usages.push(usage)
      })
      await load.done
      storm.say(`${load.published()} published`)
      const seconds = await site.drained()
      const last = member.usage()
      const alive = member.alive()
      const exit = await member.term()
      const found = await disposed(site)
      const codes = new Map<string, string>()
      for (const { headers } of found.dead) codes.set(headers['x-malformed'] ?? '', headers['x-reason-code'] ?? '')
      const wrong = bad.filter(({ code }, at) => codes.get(String(at)) !== code)
      for (const { name, code } of wrong.slice(0, 5)) storm.say(`wrong: ${name}, expected ${code}`)
      // Once everything has been used: the heap has grown to its working size by then.
      const first = usages[Math.floor(usages.length / 3)] ?? last
      return {
        ran: `${bad.length} malformed of ${new Set(bad.map(({ name }) => name)).size} kinds among ${found.source} records of 5 shops in 4 formats`,
        injected: { 'malformed records': bad.length },
        checks: [
          ...conserved(found),
          atLeast('kinds', new Set(bad.map(({ name }) => name)).size, 40),
          zero('malformed without a dead letter of the expected code', wrong.length, bad.length),
          zero('good records that died', found.dead.filter(({ headers }) => headers['x-malformed'] === undefined).length),
          zero('dead letters that differ from their records', alteredDead(found), found.dead.length),
          says('the member lived through it', alive),
          atMost('resident memory', last?.rss_mb ?? 0, 600, ' MB'),
          says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)),
        ],
        notes: [
          'kinds of scripts/malformed.ts',
          `memory ${first?.rss_mb} to ${last?.rss_mb} MB, descriptors ${first?.descriptors} to ${last?.descriptors}`,
          `lag 0 after ${seconds.toFixed(1)} s`,
        ],
      }
    } finally {
      await member.kill9()
      await site.close()
    }
  },
}
