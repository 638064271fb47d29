/** F21: batches and bodies that unfold into far more than they are. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { kafkaJars } from '../servers/kafka.ts'
import { goodRecord } from './bytes.ts'
import { endsOf, openAdmin } from './read.ts'
import { atMost, type Check, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { disposed, materialOf } from './sources.ts'

const mib = 1 << 20
const rss_mb_max = 900

/** Kafka's own producer, for what Node cannot compress. */
const consoleProducer = async (brokers: string, topic: string, codec: string): Promise<void> => {
  const jars = await kafkaJars()
  const args = [
    '-Xmx256m',
    '-cp',
    join(jars, 'jars', '*'),
    'org.apache.kafka.tools.ConsoleProducer',
    '--bootstrap-server',
    brokers,
    '--topic',
    topic,
    '--compression-codec',
    codec,
  ]
  const child = spawn('java', args, { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8')
  })
  child.stdin.end(`{"id":"${codec}","title":"${'a'.repeat(2_000)}"}\n`)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`ConsoleProducer --compression-codec ${codec} ended with ${code}: ${said.slice(-500)}`)
}

export const F21: Scenario = {
  id: 'F21',
  title: 'decompression bombs',
  written: 'bombs gzip (1028:1), zstd, snappy, lz4 in record batches and HTTP bodies',
  short: false,
  run: async (storm) => {
    const { say } = storm
    const size = sized(storm, { short: { mib: 100 }, default: { mib: 256 }, full: { mib: 1_024 } })
    const kafka = await storm.kafka(1)
    const checks: Check[] = []
    const registry = await storm.registry()
    let rss_most = 0
    const cases: readonly (readonly [string, (brokers: string, topic: string) => Promise<void>, RegExp])[] = [
      ...(
        [
          ['gzip', CompressionTypes.GZIP],
          ['zstd', CompressionTypes.ZSTD],
        ] as const
      ).map(
        ([name, compression]) =>
          [
            `${name} bomb`,
            async (brokers: string, topic: string) => {
              const producer = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).producer()
              await producer.connect()
              try {
                await producer.send({
                  topic,
                  compression,
                  messages: [{ key: 'bomb', value: Buffer.alloc(size.mib * mib), partition: 0 }],
                })
              } finally {
                await producer.disconnect()
              }
            },
            /^limits\.inflate$/,
          ] as const,
      ),
      ...['snappy', 'lz4'].map(
        (codec) =>
          [`${codec} batch`, (brokers: string, topic: string) => consoleProducer(brokers, topic, codec), /^log\.codec$/] as const,
      ),
    ]
    for (const [name, throwIn, code] of cases) {
      const site = await openSite(storm, {
        brokers: kafka.brokers,
        registry,
        partitions: 1,
        stages: ['canonicalize'],
        platforms: ['abt', 'buy', 'google_products', 'harddrivesdirect', 'online_retail'],
        more: { canonicalize: { late_after_days: 0 } },
      })
      const member = site.member('a')
      try {
        const material = await materialOf(site)
        const log = await site.world.log()
        const topic = material.topic('harddrivesdirect', 'items')
        member.start()
        await member.ready()
        await log.append(await Promise.all(Array.from({ length: 20 }, (_, n) => goodRecord(material, n))))
        await site.drained()
        await throwIn(kafka.brokers, topic)
        await log.append([
          {
            topic,
            partition: 0,
            key: Buffer.from('after'),
            value: await material.good('harddrivesdirect', 'items', 99),
            timestamp_ms: Date.now(),
          },
        ])
        const began_ms = performance.now()
        let seen: string | undefined
        let most = 0
        while (performance.now() - began_ms < 15_000) {
          most = Math.max(most, member.usage()?.rss_mb ?? 0)
          seen = member.lines().find((line) => line.code !== undefined && code.test(line.code))?.code
          if (seen !== undefined && performance.now() - began_ms > 4_000) break
          if (!member.alive()) break
          await sleep(50)
        }
        rss_most = Math.max(rss_most, most)
        const ended = member.alive() ? undefined : await member.exited()
        const lines = [
          ...new Set(member.lines().flatMap((line) => (line['level'] === 'info' || line.code === undefined ? [] : [line.code]))),
        ]
        say(
          `${name}: ${ended === undefined ? 'lives' : `exit ${ended.code ?? ended.signal}`}, ${lines.join(', ')}, at most ${most} MB`,
        )
        checks.push(
          says(`${name}: named`, seen !== undefined, lines.join(', ') || 'nothing logged'),
          // It lives, or stops as misconfigured: never a crash, never a loop of restarts that looks like a defect.
          says(
            `${name}: lives, or stops for an operator`,
            ended === undefined || ended.code === 78,
            ended === undefined ? 'lives' : `exit ${ended.code ?? ended.signal}`,
          ),
          atMost(`${name}: resident memory`, most, rss_mb_max, ' MB'),
        )
        await member.kill9()
        // The operator's way on: the batch is deleted, the gap accepted, and what came after it is taken.
        const admin = await openAdmin(kafka.brokers)
        const [end] = await endsOf(kafka.brokers, topic)
        await admin.fetchTopicOffsets(topic)
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(end!.high - 1) }] })
        await admin.disconnect()
        member.start('--accept-gap', `${topic}/0`)
        await member.ready()
        await site.drained(undefined, 60)
        await member.term()
        const found = await disposed(site)
        checks.push(zero(`${name}: records without a disposition after it was deleted`, found.neither.length, found.source))
      } finally {
        await member.kill9()
        await site.close()
      }
    }

    // Bodies: nothing takes one, so nothing unfolds it.
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry,
      partitions: 1,
      stages: ['canonicalize'],
      platforms: ['harddrivesdirect'],
    })
    const member = site.member('a')
    try {
      member.start()
      await member.ready()
      const before = member.usage()!
      const body = gzipSync(Buffer.alloc(64 * mib))
      const statuses: number[] = []
      for (let n = 0; n < 50; n++)
        statuses.push(
          await fetch(`${member.http()}/v1/recommendations/u`, {
            method: n % 2 === 0 ? 'POST' : 'PUT',
            headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
            body,
            signal: AbortSignal.timeout(5_000),
          }).then(
            ({ status }) => status,
            () => 0,
          ),
        )
      const after = member.usage()!
      rss_most = Math.max(rss_most, after.rss_mb)
      checks.push(
        zero(
          'HTTP: bodies answered with 2xx or 5xx',
          statuses.filter((status) => (status >= 200 && status < 300) || status >= 500).length,
          statuses.length,
        ),
        atMost('HTTP: memory gained', after.rss_mb - before.rss_mb, 64, ' MB'),
        says('HTTP: the member lives', member.alive()),
      )
    } finally {
      await member.kill9()
      await site.close()
    }
    return {
      ran: `${size.mib} MiB in a gzip and a zstd batch, snappy and lz4 batches, 50 gzip bodies of 64 MiB`,
      injected: { bombs: 2, 'batches of unknown codecs': 2, 'HTTP bodies': 50 },
      checks,
      notes: [`at most ${rss_most} MB resident`],
    }
  },
}
