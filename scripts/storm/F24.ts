/** F24: dead letters that cannot be written, a breaker that trips, and what died replayed once its cause is mended. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { entrepot } from './member.ts'
import { openAdmin, readAll } from './read.ts'
import { type Check, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'
import { alteredDead, conserved, disposed, materialOf } from './sources.ts'

const breaker = 60

export const F24: Scenario = {
  id: 'F24',
  title: 'dead letters refused, breaker, replay',
  written: 'dead-letter topic down 60 s; its max.message.bytes too small; breaker trips and is reset; replay after a fix',
  short: true,
  run: async (storm) => {
    const { say } = storm
    const size = sized(storm, {
      short: { seconds: 4, away: false },
      default: { seconds: 6, away: true },
      full: { seconds: 60, away: true },
    })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: 1,
      stages: ['canonicalize'],
      platforms: ['abt', 'buy', 'google_products', 'harddrivesdirect', 'online_retail'],
      more: { limits: { dead_letters_in_row_max: breaker }, canonicalize: { late_after_days: 0 } },
    })
    const member = site.member('a')
    const admin = await openAdmin(kafka.brokers)
    const checks: Check[] = []
    let restarted = 0
    let published = 0
    try {
      const material = await materialOf(site)
      const log = await site.world.log()
      const topic = material.topic('harddrivesdirect', 'items')
      const put = async (key: string, value: string | Buffer) => {
        await log.append([{ topic, partition: 0, key: Buffer.from(key), value: Buffer.from(value), timestamp_ms: Date.now() }])
        published++
      }
      const good = (n: number) => put(`good-${n}`, JSON.stringify({ id: `g${n}`, title: 'A good row' }))
      const bad = (n: number) => put(`bad-${n}`, `{"id": "${n}", ${'x'.repeat(3_000)}`)
      const canonical = async () =>
        (await readAll(kafka.brokers, [site.world.topics.items.name])).get(site.world.topics.items.name)!.length
      const dead = async () => (await readAll(kafka.brokers, [site.dead_letters])).get(site.dead_letters)!.length
      const position = async () => (await log.positions(`${site.world.topology.name}.canonicalize`, topic))[0]!.position
      const supervised = async () => {
        if (member.alive()) return
        restarted++
        member.start()
        await member.ready()
      }
      const limit = (bytes: number) =>
        admin.alterConfigs({
          validateOnly: false,
          resources: [{ type: 2, name: site.dead_letters, configEntries: [{ name: 'max.message.bytes', value: String(bytes) }] }],
        })

      member.start()
      await member.ready()
      for (let n = 0; n < 20; n++) await good(n)
      await site.drained()

      // Too small: what died does not fit. Other partitions go on, this one waits, and says why.
      await limit(1_000)
      const before = { position: await position(), logged: member.logged() }
      await bad(0)
      await good(100)
      const other = material.topic('google_products', 'items')
      await log.append([
        {
          topic: other,
          partition: 0,
          key: Buffer.from('o'),
          value: await material.good('google_products', 'items', 1),
          timestamp_ms: Date.now(),
        },
      ])
      published++
      await sleep(size.seconds * 1000)
      const lived = member.alive()
      const waits = (await position()) === before.position
      const others = (await log.positions(`${site.world.topology.name}.canonicalize`, other))[0]!.position === 1
      const codes = [
        ...new Set(
          member.lines(before.logged).flatMap(({ level, code }) => (level !== 'info' && code !== undefined ? [code] : [])),
        ),
      ]
      say(
        `too small: ${lived ? 'lives' : `ended with ${(await member.exited()).code}`}, ${waits ? 'waits' : 'went on'}; ${codes.join(', ')}`,
      )
      checks.push(
        says('too small: the partition waits', waits),
        zero('too small: dead letters lost or written', await dead()),
        says(
          'too small: declared, and the process lives',
          lived && codes.length > 0,
          `${lived ? 'lives' : 'ended'}; ${codes.join(', ')}`,
        ),
        says('too small: other partitions go on', others),
      )
      await limit(4 << 20)
      await supervised()
      await site.drained(undefined, 60)
      checks.push(says('mended: the dead letter is there', (await dead()) === 1, `${await dead()} of 1`))

      if (size.away) {
        // Away: the topic is deleted, and made again.
        const from = member.logged()
        await admin.deleteTopics({ topics: [site.dead_letters] })
        const at = await position()
        await bad(1)
        const levels = () => member.lines(from).some(({ level, code }) => level !== 'info' && code !== undefined)
        // The client tries for about 20 s before it says that a topic is gone for good.
        for (let waited_s = 0; waited_s < 45 && member.alive() && !levels(); waited_s++) await sleep(1_000)
        await sleep(size.seconds * 1000)
        const away = { waits: (await position()) === at, lived: member.alive() }
        const away_codes = [
          ...new Set(member.lines(from).flatMap(({ level, code }) => (level !== 'info' && code !== undefined ? [code] : []))),
        ]
        say(
          `away: ${away.lived ? 'lives' : `ended with ${(await member.exited()).code}`}, ${away.waits ? 'waits' : 'went on'}; ${away_codes.join(', ')}`,
        )
        checks.push(
          says('away: the partition waits', away.waits),
          says('away: declared', away_codes.length > 0, away_codes.join(', ')),
        )
        await entrepot(['topics', 'create', '--config', site.settings('operator')])
        await supervised()
        await site.drained(undefined, 60)
        checks.push(says('made again: the dead letter is there', (await dead()) === 1, `${await dead()} of 1`))
      }

      // The breaker: a map that is wrong refuses everything; the topic is not drained into the dead letters.
      const map = join(site.folder, 'platforms', 'harddrivesdirect', 'items.yaml')
      const right = readFileSync(map, 'utf8')
      writeFileSync(map, right.replace(/title: title/, 'title: no_such_column'))
      await member.term()
      const tripped_from = member.logged()
      member.start()
      await member.ready()
      const made = await canonical()
      const died_before = await dead()
      for (let n = 0; n < breaker + 200; n++) await good(1_000 + n)
      const exit = await Promise.race([member.exited(), sleep(30_000)])
      const drained = (await dead()) - died_before
      checks.push(
        says(
          'breaker: stops with breaker.open',
          exit?.code === 78 && member.count('breaker.open', tripped_from) > 0,
          `exit ${exit?.code ?? 'none'}`,
        ),
        says(
          'breaker: before the topic is drained',
          drained >= breaker && drained <= breaker + 500,
          `${drained} dead letters, bound ${breaker} and one batch`,
        ),
        zero('breaker: canonical records made by the wrong map', (await canonical()) - made),
      )
      writeFileSync(map, right)
      member.start()
      await member.ready()
      await site.drained(undefined, 60)
      const left = breaker + 200 - drained
      checks.push(
        says(
          'reset: goes on behind the last dead letter',
          (await canonical()) - made === left,
          `${(await canonical()) - made} of ${left}`,
        ),
      )

      // Replayed: every dead letter of that reason comes back once, and is canonical now.
      const replayed = await entrepot([
        'dlq',
        'replay',
        '--reason',
        'map.missing',
        '--config',
        site.settings('operator'),
        '--yes',
      ])
      await site.drained(undefined, 60)
      const all = await canonical()
      checks.push(
        says(
          'replay after the fix: all are canonical',
          replayed.code === 0 && all - made === breaker + 200,
          `${all - made} of ${breaker + 200}, exit ${replayed.code}`,
        ),
      )
      const again = await entrepot(['dlq', 'replay', '--reason', 'map.missing', '--config', site.settings('operator'), '--yes'])
      await site.drained(undefined, 60)
      checks.push(
        says(
          'replayed twice: nothing more',
          (await canonical()) === all,
          `${(await canonical()) - all} more, exit ${again.code}`,
        ),
      )
      const ended = await member.term()
      const found = await disposed(site)
      checks.push(
        says('exit 0', ended.code === 0, String(ended.code ?? ended.signal)),
        // The dead letter that was deleted with its topic has no other trace.
        ...conserved(found, size.away ? 1 : 0).filter(({ name }) => name !== 'disposed of twice'),
        zero('dead letters that differ from their records', alteredDead(found), found.dead.length),
      )
      return {
        ran: `${size.seconds} s each; ${published} records of a shop, breaker at ${breaker}`,
        injected: {
          'max.message.bytes too small': 1,
          ...(size.away ? { 'dead-letter topic deleted': 1 } : {}),
          'wrong map': 1,
          'dead letters replayed': drained,
        },
        checks,
        notes: restarted === 0 ? [] : [`started again ${restarted} times, as a supervisor would`],
      }
    } finally {
      await member.kill9()
      await admin.disconnect()
      await site.close()
    }
  },
}
