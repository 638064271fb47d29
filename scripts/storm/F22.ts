/** F22: records that are gone before they were read. The pipeline stops and says so; it never jumps, and goes on when it is told to. */
import { setTimeout as sleep } from 'node:timers/promises'
import { shopperEvent } from './load.ts'
import { endsOf, openAdmin, readAll } from './read.ts'
import { type Check, type Scenario, says, sized, zero } from './scenario.ts'
import { openSite } from './site.ts'

const misconfigured = 78

export const F22: Scenario = {
  id: 'F22',
  title: 'offset gaps: records deleted unread',
  written: 'topic deleted and recreated, retention past the position, offsets topic lost',
  short: true,
  run: async (storm) => {
    const { say } = storm
    const size = sized(storm, { short: { events: 300 }, default: { events: 600 }, full: { events: 50_000 } })
    const kafka = await storm.kafka(1)
    const site = await openSite(storm, {
      brokers: kafka.brokers,
      registry: await storm.registry(),
      partitions: 2,
      stages: ['canonicalize'],
    })
    const member = site.member('a')
    const admin = await openAdmin(kafka.brokers)
    const checks: Check[] = []
    const accept = [0, 1].flatMap((partition) => ['--accept-gap', `${site.events}/${partition}`])
    let number = 1
    const publish = async (count: number) => {
      for (let left = count; left > 0; left -= 500) {
        const at_ms = Date.now()
        await site.publisher.publish(Array.from({ length: Math.min(500, left) }, () => shopperEvent(number++, 100, at_ms)))
      }
    }
    const positions = async (): Promise<readonly number[]> =>
      (await (await site.world.log()).positions(`${site.world.topology.name}.canonicalize`, site.events)).map(
        ({ position }) => position,
      )
    const interactions = async (): Promise<number> =>
      (await readAll(kafka.brokers, [site.interactions])).get(site.interactions)!.length

    /** Starts without leave: must stop by itself, with the reason, having moved nowhere. Then starts with leave: must go on. */
    const stopsThenGoesOn = async (name: string, expected: number): Promise<void> => {
      const before = await positions()
      const made = await interactions()
      const from = member.logged()
      if (!member.alive()) member.start()
      const exit = await Promise.race([member.exited(), sleep(45_000)])
      const moved = (await interactions()) - made
      const after = await positions()
      const gap = member.count('offset.gap', from) > 0
      checks.push(
        says(
          `${name}: stops with offset.gap`,
          gap && exit !== undefined && exit.code === misconfigured,
          exit === undefined ? 'goes on' : `exit ${exit.code ?? exit.signal}${gap ? ', offset.gap' : ''}`,
        ),
        says(`${name}: position stays`, before.join() === after.join(), `${before.join()} to ${after.join()}`),
        zero(`${name}: records taken without leave`, moved),
      )
      if (member.alive()) await member.term()
      member.start(...accept)
      await member.ready()
      await site.drained(undefined, 60)
      const went = (await interactions()) - made
      checks.push(says(`${name}: goes on with --accept-gap`, went === expected, `${went} of ${expected} records that are left`))
      say(`${name}: ${exit === undefined ? 'goes on' : `exit ${exit.code ?? exit.signal}`}, then ${went} of ${expected} taken`)
      await member.term()
    }
    const deleteBefore = async (keep: number): Promise<number> => {
      let left = 0
      const ends = await endsOf(kafka.brokers, site.events)
      const at = await positions()
      // kafkajs deletes records only of topics it has looked at.
      await admin.fetchTopicOffsets(site.events)
      await admin.deleteTopicRecords({
        topic: site.events,
        partitions: ends.map(({ partition, high }) => {
          const offset = Math.max(at[partition]! + 1, high - keep)
          left += high - offset
          return { partition, offset: String(offset) }
        }),
      })
      return left
    }
    const recreate = async (): Promise<void> => {
      await admin.deleteTopics({ topics: [site.events] })
      while ((await admin.listTopics()).includes(site.events)) await sleep(100)
      await sleep(1_500)
      await admin.createTopics({ topics: [{ topic: site.events, numPartitions: 2, replicationFactor: 1 }], waitForLeaders: true })
    }
    try {
      member.start()
      await member.ready()
      await publish(size.events)
      await site.drained()
      await member.term()

      // Retention passed the position while nobody read.
      await publish(size.events)
      await stopsThenGoesOn('retention past the position', await deleteBefore(size.events / 10))

      // Retention passes a member that is frozen, and thaws.
      member.start()
      await member.ready()
      member.signal('SIGSTOP')
      await publish(size.events)
      const left = await deleteBefore(size.events / 10)
      await sleep(1_000)
      member.signal('SIGCONT')
      await stopsThenGoesOn('retention past a member at work', left)

      // The topic made anew, shorter than the position.
      await recreate()
      await publish(Math.floor(size.events / 10))
      await stopsThenGoesOn('topic made anew, shorter', Math.floor(size.events / 10))

      // And grown beyond the position before anybody looked.
      await recreate()
      await publish(size.events)
      await stopsThenGoesOn('topic made anew, longer', size.events)

      // The offsets that Kafka keeps of the group are only shown, not believed.
      const group = `${site.world.topology.name}.canonicalize`
      await admin.deleteGroups([group])
      await publish(100)
      const made = await interactions()
      member.start()
      await member.ready()
      await site.drained()
      const went = (await interactions()) - made
      checks.push(says('the group’s offsets lost: goes on where it was', went === 100, `${went} of 100`))
      const exit = await member.term()
      checks.push(says('exit 0', exit.code === 0, String(exit.code ?? exit.signal)))
      return {
        ran: `${number - 1} events over 2 partitions, 5 losses`,
        injected: { 'retention past the position': 2, 'topic deleted and made anew': 2, 'group offsets deleted': 1 },
        checks,
        notes: [],
      }
    } finally {
      member.signal('SIGCONT')
      await member.kill9()
      await admin.disconnect()
      await site.close()
    }
  },
}
