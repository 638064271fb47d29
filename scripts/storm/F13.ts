/** F13: hostile schemas, served by the registry for ids that records name. */
import { setTimeout as sleep } from 'node:timers/promises'
import { frame } from '../../processors/adapters/registry/framing.ts'
import { goodRecord } from './bytes.ts'
import { openFaulty } from './faulty.ts'
import { hostileSchemas } from './hostile-schemas.ts'
import { atMost, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { conserved, disposed, materialOf } from './sources.ts'

export const F13: Scenario = {
  id: 'F13',
  title: 'hostile schemas through the registry',
  written: '200 hostile schemas; rejected in < 50 ms each, event loop < 100 ms',
  short: false,
  run: async (storm) => {
    const size = sized(storm, { short: { schemas: 40 }, default: { schemas: 200 }, full: { schemas: 200 } })
    const registry = await storm.registry()
    const faulty = await openFaulty(registry)
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry,
      partitions: 1,
      stages: ['canonicalize'],
      platforms: ['abt', 'buy', 'google_products', 'harddrivesdirect', 'online_retail'],
      more: { canonicalize: { late_after_days: 0 } },
    })
    const member = site.member('a', { registry: { url: faulty.url } })
    try {
      const material = await materialOf(site)
      const log = await site.world.log()
      const schemas = hostileSchemas(size.schemas)
      const first_id = 1_500_000_000
      const shops = { AVRO: 'abt', JSON: 'google_products', PROTOBUF: 'buy' } as const
      faulty.override((path) => {
        const [, id, versions] = /\/schemas\/ids\/(\d+)(\/versions)?/.exec(path) ?? []
        const found = schemas[Number(id) - first_id]
        if (id === undefined || found === undefined) return undefined
        const topic = material.topic(shops[found.format], 'items')
        return {
          status: 200,
          body:
            versions === undefined
              ? JSON.stringify({ schema: found.text, ...(found.format === 'AVRO' ? {} : { schemaType: found.format }) })
              : JSON.stringify([{ subject: `${topic}-value`, version: 1_000 }]),
        }
      })
      member.start()
      await member.ready()
      await log.append(await Promise.all(Array.from({ length: 50 }, (_, n) => goodRecord(material, n))))
      await site.drained()

      // While they come, somebody asks for health: the slowest answer bounds how long the event loop stood still.
      let asking = true
      let slowest_ms = 0
      let failures = 0
      const http = member.http()
      const probing = (async () => {
        while (asking) {
          const began_ms = performance.now()
          const answer = await fetch(`${http}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(() => undefined)
          if (answer?.ok !== true) failures++
          slowest_ms = Math.max(slowest_ms, performance.now() - began_ms)
          await sleep(20)
        }
      })()
      const began_ms = performance.now()
      for (const [at, { format }] of schemas.entries()) {
        const topic = material.topic(shops[format], 'items')
        const id = first_id + at
        const body = Buffer.from(
          format === 'AVRO'
            ? [0x80, 0x80, 0x80, 0x80, 0x08, 0x00]
            : format === 'JSON'
              ? '{"title":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}'
              : [0, 10, 1, 65],
        )
        await log.append([
          { topic, partition: 0, key: Buffer.from(`hostile-${at}`), value: frame(id, body), timestamp_ms: Date.now() },
          await goodRecord(material, 1_000 + at),
        ])
      }
      await site.drained()
      const each_ms = (performance.now() - began_ms) / schemas.length
      asking = false
      await probing
      const alive = member.alive()
      const exit = await member.term()
      const found = await disposed(site)
      const codes = new Map<string, number>()
      for (const { headers } of found.dead) codes.set(headers['x-reason-code']!, (codes.get(headers['x-reason-code']!) ?? 0) + 1)
      const refused = new Set(found.dead.map(({ key }) => key))
      const accepted = schemas.flatMap(({ name }, at) => (refused.has(`hostile-${at}`) ? [] : [name]))
      if (accepted.length > 0) storm.say(`not dead-lettered: ${accepted.join(', ')}`)
      return {
        ran: `${schemas.length} schemas of ${new Set(schemas.map(({ name }) => name.replace(/ \d+$/, ''))).size} kinds in 3 formats, each named by a record beside a good one`,
        injected: { 'hostile schemas': schemas.length },
        checks: [
          ...conserved(found),
          zero('records of hostile schemas that were not refused', accepted.length, schemas.length),
          zero('good records that died', found.dead.filter(({ key }) => !key?.startsWith('hostile-')).length),
          atMost('from publishing to refusal, each', each_ms, 200, ' ms'),
          atMost('slowest answer of /healthz', slowest_ms, 1_000, ' ms'),
          zero('health checks that failed', failures),
          says('the member lived through it', alive),
          says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)),
        ],
        notes: [[...codes].map(([code, n]) => `${code} ${n}`).join(', ')],
      }
    } finally {
      await member.kill9()
      await site.close()
      await faulty.close()
    }
  },
}
