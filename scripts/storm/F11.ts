/** F11: the schema registry refuses, fails, lies and dawdles while records come whose schemas are not known yet; then an id is reused. */
import { setTimeout as sleep } from 'node:timers/promises'
import { frame } from '../../processors/adapters/registry/framing.ts'
import type { OutputRecord } from '../../processors/domain/record.ts'
import { goodRecord } from './bytes.ts'
import { type Mode, openFaulty } from './faulty.ts'
import { atLeast, atMost, type Check, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { conserved, disposed, materialOf } from './sources.ts'

const modes: readonly (readonly [string, Mode])[] = [
  ['refused', { how: 'refuse' }],
  ['blackhole', { how: 'blackhole' }],
  ['404 of a proxy', { how: 'answer', status: 404, type: 'text/html', body: '<h1>Not Found</h1>' }],
  ['500', { how: 'answer', status: 500, type: 'application/json', body: '{"error_code":50001,"message":"storm"}' }],
  ['200 with HTML', { how: 'answer', status: 200, type: 'text/html', body: '<html>Please log in</html>' }],
  ['slow', { how: 'slow', delay_ms: 30_000 }],
]

export const F11: Scenario = {
  id: 'F11',
  title: 'schema registry outage',
  written: '10 min down with 3 known and 2 unknown ids; 404; 500; 200 with HTML; 30 s latency; an id reused with another schema',
  short: false,
  run: async (storm) => {
    const { say } = storm
    const size = sized(storm, { short: { seconds: 3 }, default: { seconds: 5 }, full: { seconds: 600 } })
    const registry = await storm.registry()
    const faulty = await openFaulty(registry)
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry,
      partitions: 2,
      stages: ['canonicalize'],
      platforms: ['abt', 'buy', 'google_products', 'harddrivesdirect', 'online_retail'],
      more: { canonicalize: { late_after_days: 0 } },
    })
    const member = site.member('a', { registry: { url: faulty.url } })
    const checks: Check[] = []
    const injected: Record<string, string | number> = {}
    let published = 0
    try {
      const log = await site.world.log()
      const material = await materialOf(site)
      const append = async (records: readonly OutputRecord[]) => {
        await log.append(records)
        published += records.length
      }
      let good = 0
      const some = async (count: number): Promise<readonly OutputRecord[]> =>
        Promise.all(Array.from({ length: count }, () => goodRecord(material, good++)))
      /** Ids that the registry knows and the member has never seen: abt's schema with a field more. */
      const abt = material.topic('abt', 'items')
      const latest = await (await site.world.registry()).latest(`${abt}-value`)
      let variant = 0
      const freshId = async (): Promise<number> => {
        const schema = JSON.parse(latest!.text) as { fields: unknown[] }
        schema.fields.push({ name: `extra_${++variant}`, type: ['null', 'string'], default: null })
        const answer = await fetch(`${registry}/subjects/${abt}-value/versions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ schema: JSON.stringify(schema) }),
        })
        const { id } = (await answer.json()) as { id?: number }
        if (id === undefined) throw new Error(`The registry does not take a variant of ${abt}: ${answer.status}.`)
        return id
      }
      const fresh = async (id: number, n: number): Promise<OutputRecord> => {
        const bytes = await material.good('abt', 'items', 2_000_000 + n)
        // The union's first branch, null, is one zero byte.
        return {
          topic: abt,
          partition: 0,
          key: Buffer.from(`fresh-${n}`),
          value: frame(id, Buffer.concat([bytes.subarray(5), Buffer.alloc(variant)])),
          timestamp_ms: Date.now(),
        }
      }
      member.start()
      await member.ready()
      await append(await some(100))
      await site.drained()

      let asked_most = 0
      let dead = 0
      let known_late = 0
      for (const [name, mode] of modes) {
        const id = await freshId()
        await faulty.set(mode)
        const from = member.logged()
        const end_of = async () => (await log.offsets(site.dead_letters)).reduce((sum, { end }) => sum + end, 0)
        const before_dead = await end_of()
        await append([await fresh(id, published)])
        // Those of other partitions have schemas that are known: they must not wait.
        const known = (await some(50)).filter(({ topic }) => topic !== abt)
        await append(known)
        await sleep(size.seconds * 1000)
        const left = await site.lag()
        if (left > 1) known_late++
        const asked = faulty.count(new RegExp(`/schemas/ids/${id}(\\?|$)`))
        // Backed off to at most 10 s, and each try is two requests: with the client's own retry.
        asked_most = Math.max(asked_most, asked)
        dead += (await end_of()) - before_dead
        injected[name] = `${size.seconds} s`
        await faulty.set({ how: 'pass' })
        const seconds = await site.drained(undefined, 60)
        say(
          `${name}: ${left} waited, asked ${asked} times, paused ${member.count('registry.unavailable', from)} times; recovered ${seconds.toFixed(1)} s after`,
        )
        checks.push(
          says(`${name}: declared as a pause`, member.count('registry.unavailable', from) > 0),
          atMost(`${name}: recovered`, seconds, 30, ' s'),
        )
      }
      checks.push(zero('dead letters caused by an outage', dead))
      checks.push(zero('outages in which records of known schemas waited', known_late, modes.length))

      // Two ids that no registry knows: asked for once in 30 s, dead-lettered, nobody waits.
      await faulty.set({ how: 'pass' })
      for (let n = 0; n < 40; n++) {
        await append([await fresh(1_800_000_001 + (n % 2), published), ...(await some(5))])
        await sleep(50)
      }
      await site.drained()
      const unknown_asked = Math.max(
        faulty.count(/\/schemas\/ids\/1800000001(\?|$)/),
        faulty.count(/\/schemas\/ids\/1800000002(\?|$)/),
      )
      injected['records of unknown ids'] = 40
      checks.push(atMost('requests for one unknown id within 30 s', unknown_asked, 1))

      // An id that now has another schema, for a process that starts anew: never decoded by the wrong one.
      const reused = latest!.id
      const other = await (await site.world.registry()).latest(`${material.topic('google_products', 'items')}-value`)
      faulty.override((path) =>
        new RegExp(`/schemas/ids/${reused}(\\?|$)`).test(path)
          ? { status: 200, body: JSON.stringify({ schema: other!.text, schemaType: 'JSON' }) }
          : undefined,
      )
      await member.term()
      const reused_records = await Promise.all(Array.from({ length: 20 }, (_, n) => material.good('abt', 'items', 3_000_000 + n)))
      await append(
        reused_records.map((value, n) => ({ topic: abt, key: Buffer.from(`reused-${n}`), value, timestamp_ms: Date.now() })),
      )
      member.start()
      await member.ready()
      await site.drained()
      injected['records of a reused id'] = 20
      const alive = member.alive()
      const exit = await member.term()
      const found = await disposed(site)
      const reasons = (key: RegExp) =>
        found.dead.filter((record) => key.test(record.key ?? '')).map(({ headers }) => headers['x-reason-code'])
      checks.push(
        ...conserved(found),
        atLeast(
          'records of unknown ids dead-lettered as schema.unknown',
          reasons(/^fresh-/).filter((code) => code === 'schema.unknown').length,
          40,
        ),
        atLeast(
          'records of a reused id refused as schema.type',
          reasons(/^reused-/).filter((code) => code === 'schema.type').length,
          20,
        ),
        zero('good records that died', found.dead.filter(({ key }) => /^good-/.test(key ?? '')).length),
        says('the member lived through it', alive),
        says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)),
      )
      return {
        ran: `${size.seconds} s each, one fresh id an outage; ${published} records of 5 shops`,
        injected,
        checks,
        notes: [`an id that waits was asked for at most ${asked_most} times in ${size.seconds} s`],
      }
    } finally {
      await member.kill9()
      await site.close()
      await faulty.close()
    }
  },
}
