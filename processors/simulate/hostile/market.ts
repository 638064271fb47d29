/** Runs hostile records among good ones through the real runtime, decoders and maps, and says of each whether it ended as it must. */
import { memoryEmbedder } from '../../adapters/memory/embedder.ts'
import { openMemoryLog } from '../../adapters/memory/event-log.ts'
import { memoryVectorStore, openMemoryVectorIndex } from '../../adapters/memory/vector-index.ts'
import { openSerdes, registerCanonical } from '../../adapters/registry/serdes.ts'
import { openSourceDecoder } from '../../adapters/registry/source-decoder.ts'
import { default_settings } from '../../canonicalize/settings.ts'
import { Fault } from '../../domain/fault.ts'
import type { Interaction } from '../../domain/interaction.ts'
import type { Item } from '../../domain/item.ts'
import type { Header, LogRecord } from '../../domain/record.ts'
import type { Clock } from '../../ports/clock.ts'
import type { RuntimeEvent } from '../../runtime/events.ts'
import { default_limits } from '../../runtime/limits.ts'
import { supervise } from '../../runtime/supervise.ts'
import { topicsOf, topology } from '../../topology.ts'
import { type AnyRegistry, bazaar, bazaar_schemas, openAnyRegistry, openMaking, topicOf } from './bazaar.ts'
import { moody } from './moody.ts'
import type { Bench, Hostile, Kind, Row } from './row.ts'

export type Verdict = {
  readonly row: Row
  readonly records: number
  /** What ended otherwise than it must. */
  readonly wrong: readonly string[]
  /** From the first poll to the commit of everything, hostile and good. */
  readonly delay_ms: number
  /** What the same good records take alone. */
  readonly alone_ms: number
}

const day_ms = 86_400_000
const good_for_each = 9

const join_wait_ms = 60_000

/** Opens a log, a registry and the stages canonicalize and embed; closed by the caller. */
const openMarket = async (bench: Bench, stages: readonly string[] = ['canonicalize', 'embed']) => {
  const { clock, random, schemas_folder } = bench
  const log = openMemoryLog(clock)
  const registry: AnyRegistry = openAnyRegistry()
  const platform = bazaar()
  for (const [kind, schema] of Object.entries(bazaar_schemas)) registry.take(`${topicOf(kind as Kind)}-value`, schema)
  const named = { prefix: '', partitions: 1 }
  const topics = topicsOf(named)
  const bounds = { records_max: 25, bytes_max: 8 << 20, linger_ms: 0 }
  const whole = topology({
    ...named,
    name: 'hostile',
    platforms: [platform],
    canonicalize: { ...default_settings, user_secret: Buffer.alloc(32, 7), user_key_version: 'k1' },
    embed: {},
    learn: {
      half_life_ms: 30 * day_ms,
      session_half_life_ms: day_ms,
      session_gap_ms: day_ms,
      weights: { VIEW: 1 },
      join_wait_ms,
      join_waiting_max: 10,
    },
    recommend: { count: 1, candidates: 1, session_share: 0, placement: 'home', expires_ms: 1, evidence_max: 1 },
    bounds: { canonicalize: bounds, embed: bounds, index: bounds, learn: bounds, recommend: bounds },
  })
  const sources = platform.sources.map(({ topic }) => ({ name: topic, partitions: 1, keep: { days: 1 } as const }))
  await log.createTopics([...sources, ...Object.values(topics)])
  await registerCanonical(
    registry,
    [topics.items, topics.interactions, topics.vectors, topics.indexed, topics.profiles].map((one) => ({
      topic: one.name,
      schema: one.schema,
    })),
    schemas_folder,
  )
  const serdes = openSerdes(registry, { schemas_folder })
  const embedder = moody(memoryEmbedder())
  const { index } = openMemoryVectorIndex({
    store: memoryVectorStore(),
    dims: embedder.model.dims,
  })
  const events: RuntimeEvent[] = []
  const start = () =>
    supervise({
      topology: whole,
      stages,
      log,
      serdes,
      index,
      reads: { sources: openSourceDecoder(registry), embedder, index },
      limits: { ...default_limits, backoff_first_ms: 5, backoff_max_ms: 20 },
      clock,
      random,
      observe: (event) => events.push(event),
    })
  return { log, registry, topics, serdes, events, start }
}

type Market = Awaited<ReturnType<typeof openMarket>>

/** Waits until both stages have committed all there is, or one has ended; returns the fault that ended it. */
const settled = async (market: Market, kinds: readonly Kind[], clock: Clock, ended: Promise<Fault | undefined>) => {
  let fault: Fault | undefined
  let over = false
  void ended.then((reason) => {
    fault = reason
    over = true
  })
  const behind = async (group: string, topic: string): Promise<boolean> => {
    const [position] = await market.log.positions(`hostile.${group}`, topic)
    const [offsets] = await market.log.offsets(topic)
    return (position?.position ?? 0) < (offsets?.end ?? 0)
  }
  for (;;) {
    if (over) return fault
    let waiting = await behind('embed', market.topics.items.name)
    for (const kind of kinds) waiting ||= await behind('canonicalize', topicOf(kind))
    if (!waiting) return undefined
    await clock.sleep(1)
  }
}

const readAll = async (market: Market, topic: string): Promise<readonly LogRecord[]> => {
  const records: LogRecord[] = []
  for await (const record of market.log.scan({ topic, partition: 0 }, 0)) records.push(record)
  return records
}

const headerOf = (headers: readonly Header[], name: string): string | undefined =>
  headers.find(([one]) => one === name)?.[1].toString('utf8')
const sameBytes = (a: Buffer | null, b: Buffer | null): boolean => (a === null || b === null ? a === b : a.equals(b))
// biome-ignore lint/suspicious/noControlCharactersInRegex: what must not reach a header of ours
const control = /[\u0000-\u001f\u007f-\u009f]/u
const kept_headers_max = 64

type Canonical = Pick<Item, 'provenance'> | Interaction

/** Everything that came of the records, by the place they came from. */
const outcomes = async (market: Market) => {
  const letters = new Map<string, LogRecord[]>()
  for (const letter of await readAll(market, market.topics.dead_letters.name)) {
    const place = `${headerOf(letter.headers, '__connect.errors.topic')}/${headerOf(letter.headers, '__connect.errors.offset')}`
    letters.set(place, [...(letters.get(place) ?? []), letter])
  }
  const values = new Map<string, Canonical[]>()
  const item_places = new Map<string, number>()
  for (const { name, schema } of [market.topics.items, market.topics.interactions]) {
    const records = await readAll(market, name)
    const serde = await market.serdes.of<Canonical>(name, schema)
    const decoded = await serde.deserialize(records.map((record) => record.value!))
    for (const [i, value] of decoded.entries()) {
      if (value instanceof Fault) throw value
      const place = `${value.provenance.topic}/${value.provenance.offset}`
      values.set(place, [...(values.get(place) ?? []), value])
      if (name === market.topics.items.name) item_places.set(place, records[i]!.offset)
    }
  }
  return { letters, values, item_places }
}

const differs = (value: Canonical, wanted: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(wanted).flatMap(([name, one]) => {
    const found = JSON.stringify((value as unknown as Record<string, unknown>)[name])
    return found === JSON.stringify(one) ? [] : [`${name} is ${found}, not ${JSON.stringify(one)}`]
  })

/** What is wrong with one hostile record's end. */
const judgeOne = (one: Hostile, place: string, found: Awaited<ReturnType<typeof outcomes>>): readonly string[] => {
  const { ends } = one
  const values = found.values.get(place) ?? []
  const embedded = found.item_places.get(place)
  const letters = [
    ...(found.letters.get(place) ?? []),
    ...(embedded === undefined ? [] : (found.letters.get(`catalog.items.v1/${embedded}`) ?? [])),
  ]
  const codes = letters.map((letter) => headerOf(letter.headers, 'x-reason-code'))
  if ('dead' in ends) {
    const [letter] = letters
    if (letter === undefined || letters.length > 1)
      return [`ended as ${codes.join(' and ') || (values.length > 0 ? 'canonical' : 'dropped')}`]
    if (codes[0] !== ends.dead)
      return [`dead-lettered as ${codes[0]}: ${headerOf(letter.headers, '__connect.errors.exception.message')}`]
    const wrong: string[] = []
    if (values.length > 0 && ends.by !== 'embed') wrong.push('canonical as well')
    if (ends.by !== 'embed') {
      if (!sameBytes(letter.key, one.key) || !sameBytes(letter.value, one.value)) wrong.push('other bytes in the dead letter')
      const kept = letter.headers.slice(0, Math.min(one.headers.length, kept_headers_max))
      if (
        one.headers.length <= kept_headers_max &&
        !one.headers.every(([name, value], i) => kept[i]?.[0] === name && kept[i][1].equals(value))
      )
        wrong.push('other headers in the dead letter')
    }
    for (const [name, value] of letter.headers)
      if (name.startsWith('__connect.errors.') && control.test(value.toString('utf8')))
        wrong.push(`control characters in ${name}`)
    return wrong
  }
  if (codes.length > 0) {
    const message = headerOf(letters[0]!.headers, '__connect.errors.exception.message')
    return [`dead-lettered as ${codes.join(', ')}: ${message}`]
  }
  if ('dropped' in ends) return values.length > 0 ? ['canonical instead of dropped'] : []
  const [value] = values
  if (value === undefined) return ['neither canonical nor dead-lettered']
  const { rule, hides } = ends
  return [
    ...differs(value, ends.canonical),
    ...(hides !== undefined && JSON.stringify(value).includes(hides) ? ['shows what it must hide'] : []),
    ...(rule === undefined || value.provenance.rewrites.some((rewrite) => rewrite.rule === rule)
      ? []
      : [`no rewrite by ${rule}`]),
  ]
}

/** Publishes records in order, runs until everything is committed, and says how long that took. */
const through = async (market: Market, records: readonly Hostile[], bench: Bench) => {
  const { clock } = bench
  const now_ms = clock.now_ms()
  const kinds = [...new Set(records.map(({ kind }) => kind))]
  const places = await market.log.append(
    records.map(({ kind, key, value, headers, timestamp_ms }) => ({
      topic: topicOf(kind),
      partition: 0,
      key,
      value,
      headers,
      timestamp_ms: timestamp_ms ?? now_ms,
    })),
  )
  const began_ms = clock.monotonic_ms()
  const supervisor = await market.start()
  const fault = await settled(market, kinds, clock, supervisor.ended)
  const delay_ms = clock.monotonic_ms() - began_ms
  await supervisor.stop()
  return { fault, delay_ms, places: places.map(({ topic, offset }) => `${topic}/${offset}`) }
}

/** Holds a row to what it says: each hostile record among nine good ones of its topic. */
export const judge = async (row: Row, bench: Bench): Promise<Verdict> => {
  const nothing = { row, records: 0, delay_ms: 0, alone_ms: 0 }
  if (row.check !== undefined) {
    const wrong = await row.check(bench)
    if (row.records === undefined) return { ...nothing, wrong }
    if (wrong.length > 0) return { ...nothing, wrong }
  }
  if (row.records === undefined) return { ...nothing, wrong: row.not_yet === undefined ? ['says nothing'] : [] }
  const market = await openMarket(bench)
  const now_ms = bench.clock.now_ms()
  const making = openMaking(market.registry, `row${row.row}-`, now_ms)
  const hostile = row.records(making)
  const mixed: { readonly record: Hostile; readonly is_hostile: boolean }[] = []
  for (const record of hostile) {
    const good = Array.from({ length: good_for_each }, () => ({
      record: making.raw(record.kind, 'a good record', making.good(record.kind), { canonical: {} }),
      is_hostile: false,
    }))
    mixed.push(...good.slice(0, 4), { record, is_hostile: true }, ...good.slice(4))
  }
  const { fault, delay_ms, places } = await through(
    market,
    mixed.map(({ record }) => record),
    bench,
  )
  const wrong: string[] = fault === undefined ? [] : [`the runtime ended: ${fault.code} ${fault.message} ${String(fault.cause)}`]
  if (fault === undefined) {
    const found = await outcomes(market)
    for (const [i, { record, is_hostile }] of mixed.entries())
      for (const problem of judgeOne(record, places[i]!, found))
        wrong.push(`${is_hostile ? record.what : `a good record beside it (${record.kind})`}: ${problem}`)
    const wanted: Record<string, number> = {}
    for (const { ends } of hostile) if ('dropped' in ends) wanted[ends.dropped] = (wanted[ends.dropped] ?? 0) + 1
    const counted: Record<string, number> = {}
    for (const event of market.events)
      if (event.event === 'committed' && event.stage === 'canonicalize')
        for (const [reason, count] of Object.entries(event.dropped)) counted[reason] = (counted[reason] ?? 0) + count
    if (JSON.stringify(Object.entries(wanted).sort()) !== JSON.stringify(Object.entries(counted).sort()))
      wrong.push(`dropped ${JSON.stringify(counted)}, not ${JSON.stringify(wanted)}`)
  }
  await market.log.close()
  return {
    row,
    records: mixed.length,
    wrong,
    delay_ms,
    alone_ms: await alone(
      mixed.filter((one) => !one.is_hostile).map(({ record }) => record),
      bench,
    ),
  }
}

/** How long the same good records take without the hostile ones. */
const alone = async (good: readonly Hostile[], bench: Bench): Promise<number> => {
  const market = await openMarket(bench)
  const making = openMaking(market.registry, 'alone-', bench.clock.now_ms())
  const records = good.map(({ kind }) => making.raw(kind, 'a good record', making.good(kind), { canonical: {} }))
  const { delay_ms } = await through(market, records, bench)
  await market.log.close()
  return delay_ms
}

/** A registry that is away while records come: the partition pauses with the reason, dead-letters nothing, and goes on when it is back. */
export const outage = async (bench: Bench): Promise<readonly string[]> => {
  const market = await openMarket(bench)
  const making = openMaking(market.registry, 'outage-', bench.clock.now_ms())
  const unknown = making.avro('a schema not seen before', [], { canonical: {} })
  await market.log.append([
    { topic: topicOf('avro'), partition: 0, key: unknown.key, value: unknown.value, timestamp_ms: bench.clock.now_ms() },
  ])
  // What the stages write with is looked up before the outage, as in a process that runs.
  for (const { name, schema } of [market.topics.items, market.topics.interactions, market.topics.vectors])
    await market.serdes.of(name, schema)
  market.registry.down = true
  const supervisor = await market.start()
  while (!market.events.some((event) => event.event === 'paused')) await bench.clock.sleep(1)
  const wrong = (await readAll(market, market.topics.dead_letters.name)).length > 0 ? ['dead-lettered during an outage'] : []
  const reason = supervisor.status().find((task) => task.state === 'paused')?.reason
  if (reason !== 'registry.unavailable') wrong.push(`paused as ${reason}`)
  market.registry.down = false
  const fault = await settled(market, ['avro'], bench.clock, supervisor.ended)
  await supervisor.stop()
  if (fault !== undefined) wrong.push(`ended as ${fault.code}`)
  if ((await readAll(market, market.topics.items.name)).length !== 1) wrong.push('not canonical after the outage')
  await market.log.close()
  return wrong
}

/** Time that runs faster than its clock, for what waits by the minute. */
const hurried = (clock: Clock, times: number): Clock => {
  const began_ms = clock.monotonic_ms()
  const began_at_ms = clock.now_ms()
  const passed_ms = (): number => (clock.monotonic_ms() - began_ms) * times
  return {
    now_ms: () => began_at_ms + Math.floor(passed_ms()),
    monotonic_ms: passed_ms,
    sleep: (duration_ms, signal) => clock.sleep(duration_ms / times, signal),
  }
}

/** A click on a product that comes later, or never; what was dead-lettered, and how many profiles there are in the end. */
export const clicksBeforeProducts = async (bench: Bench, { product_comes }: { readonly product_comes: boolean }) => {
  const clock = hurried(bench.clock, 200)
  const market = await openMarket({ ...bench, clock }, ['canonicalize', 'embed', 'index', 'learn'])
  const making = openMaking(market.registry, 'join-', clock.now_ms())
  const publish = async (one: Hostile): Promise<void> => {
    const { kind, key, value } = one
    await market.log.append([{ topic: topicOf(kind), partition: 0, key, value, timestamp_ms: clock.now_ms() }])
  }
  const supervisor = await market.start()
  await publish(making.click('a click', { item: 'later' }, { canonical: {} }))
  await settled(market, ['clicks'], clock, supervisor.ended)
  await clock.sleep(join_wait_ms / 4)
  if (product_comes) await publish(making.plain('its product', { id: 'later' }, { canonical: {} }))
  const letters = () => readAll(market, market.topics.dead_letters.name)
  const profiles = () => readAll(market, market.topics.profiles.name)
  const until_ms = clock.monotonic_ms() + 100 * join_wait_ms
  while ((await letters()).length + (await profiles()).length === 0 && clock.monotonic_ms() < until_ms) await clock.sleep(1_000)
  await supervisor.stop()
  const found = {
    letters: (await letters()).map(({ headers }) => headerOf(headers, 'x-reason-code')),
    profiles: (await profiles()).length,
  }
  await market.log.close()
  return found
}

/** Records whose older versions were compacted away: offsets have holes, and every record that is left becomes canonical. */
export const sparse = async (bench: Bench): Promise<readonly string[]> => {
  const market = await openMarket(bench)
  const making = openMaking(market.registry, 'sparse-', bench.clock.now_ms())
  const topic = topicOf('plain')
  for (let i = 0; i < 30; i++) {
    const key = Buffer.from(`k${i % 4}`)
    const value = i === 28 ? Buffer.from('{') : making.good('plain')
    await market.log.append([{ topic, partition: 0, key, value, timestamp_ms: bench.clock.now_ms() }])
  }
  market.log.compact(topic)
  const supervisor = await market.start()
  const fault = await settled(market, ['plain'], bench.clock, supervisor.ended)
  await supervisor.stop()
  const { letters, values } = await outcomes(market)
  await market.log.close()
  const ends = `${fault?.code ?? 'running'}, canonical ${[...values.keys()].sort()}, dead ${[...letters.keys()]}`
  return ends === `running, canonical ${[26, 27, 29].map((offset) => `${topic}/${offset}`)}, dead ${topic}/28` ? [] : [ends]
}
