/** F21: batches and bodies that unfold into far more than they are. */
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import kafkajs, { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { goodRecord } from './bytes.ts'
import { endsOf, openAdmin } from './read.ts'
import { atMost, type Check, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { disposed, materialOf } from './sources.ts'

const mib = 1 << 20
const rss_mb_max = 900

/** Snappy as Kafka's clients frame it, of literals alone: nothing is made shorter, but every reader takes it. */
const snappy = (bytes: Buffer): Buffer => {
  const parts: Buffer[] = []
  let left = bytes.length
  const length: number[] = []
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128)
  parts.push(Buffer.from([...length, left]))
  for (let at = 0; at < bytes.length; at += 65_536) {
    const piece = bytes.subarray(at, at + 65_536)
    const tag = Buffer.from([61 << 2, 0, 0])
    tag.writeUInt16LE(piece.length - 1, 1)
    parts.push(tag, piece)
  }
  const block = Buffer.concat(parts)
  const header = Buffer.concat([
    Buffer.from([0x82]),
    Buffer.from('SNAPPY'),
    Buffer.from([0, 0, 0, 0, 1, 0, 0, 0, 1]),
    Buffer.alloc(4),
  ])
  header.writeInt32BE(block.length, header.length - 4)
  return Buffer.concat([header, block])
}

const sendCompressed = async (brokers: string, topic: string, compression: CompressionTypes, value: Buffer): Promise<void> => {
  const producer = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  try {
    await producer.send({ topic, compression, messages: [{ key: 'bomb', value, partition: 0 }] })
  } finally {
    await producer.disconnect()
  }
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
    const bomb = Buffer.alloc(size.mib * mib)
    const cases: readonly (readonly [string, CompressionTypes, Buffer, RegExp])[] = [
      ['gzip bomb', CompressionTypes.GZIP, bomb, /^limits\.inflate$/],
      ['zstd bomb', CompressionTypes.ZSTD, bomb, /^limits\.inflate$/],
      ['snappy batch', CompressionTypes.Snappy, Buffer.from('{"id":"1","title":"x"}'), /^log\.codec$/],
    ]
    // For this process's producer alone: the members refuse it.
    kafkajs.CompressionCodecs[CompressionTypes.Snappy] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => snappy(buffer),
      decompress: async (bytes: Buffer) => bytes,
    })
    for (const [name, compression, value, code] of cases) {
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
        await sendCompressed(kafka.brokers, topic, compression, value)
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
          says(
            `${name}: the place is named`,
            member.lines().some(({ code: logged, message }) => logged === seen && message?.includes(`${topic}/0`) === true),
          ),
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
      ran: `${size.mib} MiB in a gzip and a zstd batch, a snappy batch, 50 gzip bodies of 64 MiB`,
      injected: { bombs: 2, 'batches of an unknown codec': 1, 'HTTP bodies': 50 },
      checks,
      notes: [`at most ${rss_most} MB resident`, 'lz4 is refused by the same code as snappy, and has a unit test'],
    }
  },
}
